"""What the server does to text before it stores it: entities parsed and checked, blanks trimmed, length counted.

Rules: offsets and lengths count UTF-16 units; blanks at the end go; blanks at the start go up to the first
entity; the limit holds after parsing. Markdown in its two dialects is refused, HTML and `entities` are read.
Source: https://core.telegram.org/bots/api#formatting-options, read 2026-11-22.
"""

from html.parser import HTMLParser
from typing import Any

import msgspec

from .params import Params
from .refusal import bad_request

Entity = dict[str, Any]

ENTITY_TYPES = frozenset(
    {
        "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold", "italic", "underline",
        "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre", "text_link", "text_mention",
        "custom_emoji", "date_time",
    }
)  # fmt: skip
MAX_ENTITIES = 100

_TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "blockquote": "blockquote", "code": "code", "pre": "pre", "a": "text_link",
}  # fmt: skip


def units(text: str) -> int:
    """The length in UTF-16 units.

    >>> units("a😀")
    3
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def read_text(params: Params, name: str, *, limit: int, too_long: str) -> tuple[str, list[Entity]]:
    """Read a text with its formatting as the server would store it.

    Args:
        params: The call.
        name: `text` or `caption`; the entities are looked for under the matching name.
        limit: Most UTF-16 units after parsing.
        too_long: The words of the refusal.

    Raises:
        Refusal: 400 for unreadable markup, bad entities or too much text.
    """
    text = params.text(name)
    mode = params.text("parse_mode")
    if mode:
        if mode.casefold() != "html":
            raise bad_request("unsupported parse_mode")
        text, entities = parse_html(text)
    else:
        entities = params.json("entities" if name == "text" else f"{name}_entities", [])
        check_entities(text, entities)
    text, entities = trim(text, entities)
    if units(text) > limit:
        raise bad_request(too_long)
    return text, entities[:MAX_ENTITIES]


def check_entities(text: str, entities: Any) -> None:
    """Refuse entities that the public server refuses.

    Raises:
        Refusal: 400 with the place of the first fault.
    """
    if not isinstance(entities, list):
        raise bad_request("can't parse entities: expected an Array of MessageEntity")
    encoded = text.encode("utf-16-le", "surrogatepass")
    for entity in entities:
        if not isinstance(entity, dict) or entity.get("type") not in ENTITY_TYPES:
            raise bad_request("can't parse MessageEntity: unknown type")
        offset, length = entity.get("offset"), entity.get("length")
        if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length <= 0:
            raise bad_request("can't parse MessageEntity: wrong offset or length")
        if entity["type"] == "text_link" and not str(entity.get("url", "")):
            raise bad_request("can't parse MessageEntity: there is no URL in a text link")
        if (offset + length) * 2 > len(encoded):
            raise bad_request(
                f"entity beginning at UTF-16 offset {offset} ends after the end of the text at UTF-16 offset {offset + length}"
            )
        for word, place in (("starts", offset), ("ends", offset + length)):
            if _is_low_surrogate(encoded, place):
                raise bad_request(f"entity beginning at UTF-16 offset {offset} {word} in a middle of a UTF-16 symbol")


def _is_low_surrogate(encoded: bytes, place: int) -> bool:
    return place * 2 + 1 < len(encoded) and 0xDC <= encoded[place * 2 + 1] <= 0xDF


def trim(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Cut blanks as the public server does, moving the entities along."""
    text = text.rstrip()
    first = min((entity["offset"] for entity in entities), default=units(text))
    lead = len(text[:first]) - len(text[:first].lstrip(" \n\t\r"))
    text, size = text[lead:], units(text[lead:])
    kept = []
    for entity in entities:
        offset = max(entity["offset"] - lead, 0)
        length = min(entity["offset"] - lead + entity["length"], size) - offset
        if length > 0:
            kept.append({**entity, "offset": offset, "length": length})
    return text, sorted(kept, key=lambda entity: (entity["offset"], -entity["length"]))


def parse_html(text: str) -> tuple[str, list[Entity]]:
    """Read the server's HTML dialect.

    >>> parse_html("a <b>bold</b> &amp; plain")
    ('a bold & plain', [{'type': 'bold', 'offset': 2, 'length': 4}])

    Raises:
        Refusal: 400 for an unknown, unclosed or wrongly nested tag.
    """
    parser = _HtmlReader()
    parser.feed(text)
    parser.close()
    if parser.open:
        raise bad_request(f"can't parse entities: Can't find end tag corresponding to start tag \"{parser.open[-1][0]}\"")
    return "".join(parser.text), sorted(parser.entities, key=lambda entity: (entity["offset"], -entity["length"]))


class _HtmlReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.size = 0
        self.open: list[tuple[str, Entity]] = []
        self.entities: list[Entity] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        kind = "spoiler" if tag == "span" and given.get("class") == "tg-spoiler" else _TAGS.get(tag)
        if kind is None:
            raise bad_request(f'can\'t parse entities: Unsupported start tag "{tag}" at byte offset {self.size}')
        entity: Entity = {"type": kind, "offset": self.size}
        if kind == "text_link":
            entity["url"] = given.get("href") or ""
        if kind == "blockquote" and "expandable" in given:
            entity["type"] = "expandable_blockquote"
        if tag == "code" and (given.get("class") or "").startswith("language-") and self.open and self.open[-1][0] == "pre":
            self.open[-1][1]["language"] = (given["class"] or "").removeprefix("language-")
        self.open.append((tag, entity))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1][0] != tag:
            raise bad_request(f'can\'t parse entities: Unmatched end tag at byte offset {self.size}, found "{tag}"')
        _, entity = self.open.pop()
        entity["length"] = self.size - entity["offset"]
        inside_pre = tag == "code" and bool(self.open) and self.open[-1][0] == "pre"
        if entity["length"] > 0 and not inside_pre:
            self.entities.append(entity)

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        self.size += units(data)


def read_keyboard(params: Params) -> dict[str, Any] | None:
    """Read and check `reply_markup`; only inline keyboards are kept with the message.

    Raises:
        Refusal: 400 `BUTTON_DATA_INVALID` and kin.
    """
    markup = params.json("reply_markup")
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard: Array of Arrays expected")
    buttons = [button for row in rows for button in row]
    if len(buttons) > MAX_ENTITIES:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    for button in buttons:
        _check_button(button)
    return {"inline_keyboard": [row for row in rows if row]} if buttons else None


def _check_button(button: Any) -> None:
    if not isinstance(button, dict) or not str(button.get("text", "")).strip():
        raise bad_request("can't parse inline keyboard button: field text must be non-empty")
    actions = [name for name in button if name not in {"text", "style", "icon_custom_emoji_id"}]
    if len(actions) != 1:
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if actions[0] == "callback_data" and not 1 <= len(str(button["callback_data"]).encode()) <= 64:
        raise bad_request("BUTTON_DATA_INVALID")
    if actions[0] == "web_app" and not str(dict(button["web_app"]).get("url", "")).startswith("https://"):
        raise bad_request("inline keyboard button Web App URL is invalid: Only HTTPS links are allowed")
    if actions[0] == "url" and not str(button["url"]).startswith(("http://", "https://", "tg://")):
        raise bad_request("inline keyboard button URL is invalid: Wrong HTTP URL")


def same_content(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether an edit would change nothing that is seen."""
    seen = ("text", "entities", "caption", "caption_entities", "reply_markup", "rich_message")
    return msgspec.json.encode([before.get(name) for name in seen]) == msgspec.json.encode([after.get(name) for name in seen])


def rich_text(piece: Any) -> str:
    """The plain words of a rich text, a block, or a list of either."""
    match piece:
        case str():
            return piece
        case list():
            return "".join(rich_text(inner) for inner in piece)
        case {"text": inner}:
            return rich_text(inner)
        case {"blocks": list(inner)}:
            return "\n\n".join(rich_text(block) for block in inner)
        case _:
            return ""
