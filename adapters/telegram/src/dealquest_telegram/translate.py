"""An update of the Bot API as an `Event`, and a reply's buttons as an inline keyboard. No I/O, no decision.

Updates are decoded one by one, so that a poisonous one spoils none of its neighbours; what cannot be stored in a
database (lone surrogates, NUL, numbers beyond 52 bits) is replaced or refused here. Only what the bot looks at is read:
whatever else Telegram adds or changes costs nothing and breaks nothing.
Source: https://core.telegram.org/bots/api#update, read 2026-11-22.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs
import msgspec

from dealquest.coach.dialogue import Button, Event, EventKind, Person

WANTED_UPDATES = ("message", "callback_query")
"""The kinds of updates the bot asks for; no other kind is sent to it."""

LARGEST_ID = 2**52
MAX_TEXT = 8192  # twice what Telegram lets a user send


@attrs.frozen(kw_only=True)
class Incoming:
    """An event, with what only the adapter needs: the press to answer, and whether the chat is private."""

    event: Event
    private: bool
    callback_id: str | None = None


@attrs.frozen(kw_only=True)
class Ignored:
    """An update that is fine and of no concern, such as a message in a channel."""

    update_id: int


@attrs.frozen(kw_only=True)
class Undecodable:
    """An update that no event can be made of; it is set aside with its raw text."""

    update_id: int | None
    reason: str


Decoded: TypeAlias = Incoming | Ignored | Undecodable


class _User(msgspec.Struct, frozen=True):
    id: int
    is_bot: bool
    first_name: str
    username: str | None = None
    language_code: str | None = None


class _Chat(msgspec.Struct, frozen=True):
    id: int
    type: str


class _File(msgspec.Struct, frozen=True):
    """A voice message, a sound file or a document."""

    file_id: str
    file_size: int | None = None
    file_name: str | None = None
    mime_type: str | None = None
    duration: int | float | None = None


class _PhotoSize(msgspec.Struct, frozen=True):
    file_id: str
    width: int
    height: int
    file_size: int | None = None


class _Message(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    message_id: int
    chat: _Chat
    sender: _User | None = None
    text: str | None = None
    caption: str | None = None
    voice: _File | None = None
    audio: _File | None = None
    photo: list[_PhotoSize] = []
    document: _File | None = None


class _Press(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    id: str
    sender: _User
    message: _Message | None = None
    data: str | None = None


class _Update(msgspec.Struct, frozen=True):
    message: _Message | None = None
    callback_query: _Press | None = None


def decode_update(raw: Any, *, source: str) -> Decoded:
    """Read one update as it stands in the answer of `getUpdates` or in the body of a webhook.

    Args:
        raw: The decoded JSON.
        source: The name of the channel for the event, such as `telegram:123`.
    """
    update_id = raw.get("update_id") if isinstance(raw, Mapping) else None
    if not isinstance(update_id, int) or isinstance(update_id, bool) or not 0 < update_id < LARGEST_ID:
        return Undecodable(update_id=None, reason="it has no update_id")
    try:
        update = msgspec.convert(raw, _Update)
    except (msgspec.ValidationError, RecursionError) as exc:
        return Undecodable(update_id=update_id, reason=f"it does not have the shape of an update: {exc}")
    if update.message is not None:
        found = _from_message(update_id, update.message, source)
    elif update.callback_query is not None:
        found = _from_press(update_id, update.callback_query, source)
    else:
        return Ignored(update_id=update_id)
    if isinstance(found, Incoming) and not _fits(found.event):
        return Undecodable(update_id=update_id, reason="its ids are out of range")
    return found


def encode_keyboard(rows: tuple[tuple[Button, ...], ...]) -> dict[str, Any] | None:
    """A reply's buttons as the Bot API spells them; None where there are none."""
    keyboard = [[{"text": button.label, "callback_data": button.data} for button in row] for row in rows if row]
    return {"inline_keyboard": keyboard} if keyboard else None


def storable(text: str) -> str:
    r"""The text without what no database takes.

    >>> storable("a\x00b\ud83d")
    'a\ufffdb\ufffd'
    """
    return "".join("\ufffd" if mark == "\0" or "\ud800" <= mark <= "\udfff" else mark for mark in text)


def _from_message(update_id: int, message: _Message, source: str) -> Decoded:
    if message.sender is None or message.sender.is_bot:
        return Ignored(update_id=update_id)
    kind, media = _media(message)
    event = Event(
        source=source,
        chat=str(message.chat.id),
        update_id=update_id,
        user=_person(message.sender),
        kind=kind,
        text=storable((message.text or message.caption or "")[:MAX_TEXT]),
        message_id=message.message_id,
        media=media,
    )
    return Incoming(event=event, private=message.chat.type == "private")


def _from_press(update_id: int, press: _Press, source: str) -> Decoded:
    # A press on a message that is too old still says in which chat it was.
    if press.message is None:
        return Ignored(update_id=update_id)
    event = Event(
        source=source,
        chat=str(press.message.chat.id),
        update_id=update_id,
        user=_person(press.sender),
        kind="button",
        text=storable((press.data or "")[:MAX_TEXT]),
        message_id=press.message.message_id,
    )
    return Incoming(event=event, private=press.message.chat.type == "private", callback_id=press.id)


def _person(user: _User) -> Person:
    return Person(
        telegram_id=user.id,
        username=storable(user.username) if user.username else None,
        first_name=storable(user.first_name)[:256],
        language=storable(user.language_code or "en")[:35],
    )


def _media(message: _Message) -> tuple[EventKind, dict[str, Any] | None]:
    if message.text is not None:
        return "text", None
    if (sound := message.voice or message.audio) is not None:
        return "voice", _file(sound.file_id, sound.file_size, mime_type=sound.mime_type, duration_s=sound.duration)
    if message.photo:
        largest = _largest(message.photo)
        return "photo", _file(largest.file_id, largest.file_size, mime_type="image/jpeg", width=largest.width, height=largest.height)
    document = message.document
    if document is not None and (document.mime_type or "").startswith("image/"):
        return "photo", _file(document.file_id, document.file_size, mime_type=document.mime_type, name=document.file_name)
    return "other", None


def _largest(sizes: list[_PhotoSize]) -> _PhotoSize:
    return max(sizes, key=lambda size: (size.file_size or 0, size.width * size.height))


def _file(file_id: str, size: int | None, **known: Any) -> dict[str, Any]:
    facts = {"file_id": file_id, "size_bytes": size, **known}
    return {name: storable(value) if isinstance(value, str) else value for name, value in facts.items() if value is not None}


def _fits(event: Event) -> bool:
    numbers = [int(event.chat), event.user.telegram_id or 0, event.message_id or 0]
    return all(-LARGEST_ID < number < LARGEST_ID for number in numbers) and event.user.telegram_id != 0
