"""The methods of the Bot API that change or read the account, each with the public server's checks and words. No I/O.

`getUpdates` and the webhook methods wait for things and live in `server.py`.
Source: https://core.telegram.org/bots/api#available-methods (Bot API 10.3), read 2026-11-22.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from .account import Account, Chat, Message
from .entities import read_keyboard, read_text, rich_text, same_content, units
from .params import Params, Upload
from .refusal import Refusal, bad_request

MAX_TEXT = 4096
MAX_CAPTION = 1024
MAX_RICH_TEXT = 32_768
MAX_RICH_BLOCKS = 500
MAX_DOWNLOAD_BYTES = 20_000_000
MAX_UPLOAD_BYTES = 50_000_000
MAX_PHOTO_BYTES = 10_000_000
MAX_TOAST = 200

CHAT_ACTIONS = frozenset(
    {
        "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
        "choose_sticker", "find_location", "record_video_note", "upload_video_note",
    }
)  # fmt: skip

Method = Callable[[Account, Params], Any]


def get_me(account: Account, params: Params) -> Any:  # noqa: ARG001  # every method has one shape
    """Who the bot is."""
    return account.me


def send_message(account: Account, params: Params) -> Message:
    """Send a text."""
    chat = account.chat_to_write(params.integer("chat_id"))
    if not params.text("text"):
        raise bad_request("message text is empty")
    text, entities = read_text(params, "text", limit=MAX_TEXT, too_long="message is too long")
    if not text:
        raise bad_request("text must be non-empty")
    content: dict[str, Any] = {"text": text, **_optional(entities=entities, reply_markup=read_keyboard(params))}
    return account.bot_message(chat, {**content, **_reply_to(chat, params)})


def edit_message_text(account: Account, params: Params) -> Message:
    """Replace a text of the bot's own."""
    chat, message = _own_message(account, params, "edit")
    if params.json("rich_message") is not None:
        content = {"rich_message": _rich(params), **_optional(reply_markup=read_keyboard(params))}
    else:
        if not params.text("text"):
            raise bad_request("message text is empty")
        text, entities = read_text(params, "text", limit=MAX_TEXT, too_long="MESSAGE_TOO_LONG")
        if not text:
            raise bad_request("text must be non-empty")
        content = {"text": text, **_optional(entities=entities, reply_markup=read_keyboard(params))}
    return _replace(account, chat, message, content, drop=("text", "entities", "reply_markup", "rich_message"))


def edit_message_reply_markup(account: Account, params: Params) -> Message:
    """Replace the buttons under a message."""
    chat, message = _own_message(account, params, "edit")
    return _replace(account, chat, message, _optional(reply_markup=read_keyboard(params)), drop=("reply_markup",))


def delete_message(account: Account, params: Params) -> bool:
    """Delete a message, the user's own included (private chats allow it)."""
    chat = account.chat_to_write(params.integer("chat_id"))
    message = chat.messages.pop(params.integer("message_id"), None)
    if message is None:
        raise bad_request("message to delete not found")
    account.log(chat, "deleted", message)
    return True


def answer_callback_query(account: Account, params: Params) -> bool:
    """Answer a button press; possible once."""
    query = account.queries.get(params.text("callback_query_id"))
    if query is None or query.answer is not None:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    text = params.text("text")
    if len(text) > MAX_TOAST:
        raise bad_request("MESSAGE_TOO_LONG")
    query.answer = {"text": text, "show_alert": params.flag("show_alert")}
    account.ring()
    return True


def send_chat_action(account: Account, params: Params) -> bool:
    """Show that the bot is busy."""
    chat = account.chat_to_write(params.integer("chat_id"))
    action = params.text("action")
    if action not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat.actions.append(action)
    account.ring()
    return True


def send_message_draft(account: Account, params: Params) -> bool:
    """Stream a part of an answer; private chats only."""
    chat = account.chat_to_write(params.integer("chat_id"))
    if chat.info["type"] != "private":
        raise bad_request("drafts are allowed in private chats only")
    if params.integer("draft_id") == 0:
        raise bad_request("draft identifier must be non-zero")
    chat.draft, _ = read_text(params, "text", limit=MAX_TEXT, too_long="message is too long")
    account.ring()
    return True


def send_rich_message(account: Account, params: Params) -> Message:
    """Send a long formatted message."""
    chat = account.chat_to_write(params.integer("chat_id"))
    return account.bot_message(chat, {"rich_message": _rich(params), **_optional(reply_markup=read_keyboard(params))})


def send_photo(account: Account, params: Params) -> Message:
    """Send a picture."""
    file_id, size = _sent_file(account, params, "photo", max_bytes=MAX_PHOTO_BYTES)
    photo = [{"file_id": file_id, "file_unique_id": f"u{file_id}", "width": 640, "height": 480, "file_size": size}]
    return _send_file(account, params, {"photo": photo})


def send_document(account: Account, params: Params) -> Message:
    """Send a file."""
    file_id, size = _sent_file(account, params, "document", max_bytes=MAX_UPLOAD_BYTES)
    upload = params.upload("document")
    named = {"file_name": upload.name, "mime_type": upload.mime_type} if upload else {}
    return _send_file(account, params, {"document": {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": size, **named}})


def send_voice(account: Account, params: Params) -> Message:
    """Send a voice note."""
    file_id, size = _sent_file(account, params, "voice", max_bytes=MAX_UPLOAD_BYTES)
    voice = {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": size, "duration": params.integer("duration")}
    return _send_file(account, params, {"voice": voice})


def get_file(account: Account, params: Params) -> dict[str, Any]:
    """Where a file can be downloaded."""
    file_id = params.text("file_id")
    stored = account.files.get(file_id)
    if stored is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    if (stored.size or 0) > MAX_DOWNLOAD_BYTES:
        raise bad_request("file is too big")
    return {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_path": stored.path, **_optional(file_size=stored.size)}


def set_my_commands(account: Account, params: Params) -> bool:
    """Set the command menu of one scope and language."""
    commands = params.json("commands", [])
    if not isinstance(commands, list) or len(commands) > 100:
        raise bad_request("can't parse commands")
    for command in commands:
        if not isinstance(command, dict) or re.fullmatch(r"[a-z0-9_]{1,32}", str(command.get("command", "")).removeprefix("/")) is None:
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(str(command.get("description", ""))) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    account.commands[_menu_key(params)] = commands
    return True


def get_my_commands(account: Account, params: Params) -> list[dict[str, Any]]:
    """Read the command menu of one scope and language."""
    return account.commands.get(_menu_key(params), [])


def delete_my_commands(account: Account, params: Params) -> bool:
    """Clear the command menu of one scope and language."""
    account.commands.pop(_menu_key(params), None)
    return True


def set_chat_menu_button(account: Account, params: Params) -> bool:
    """Set the button beside the message field."""
    account.menu_buttons[params.integer("chat_id")] = params.json("menu_button", {"type": "default"})
    return True


METHODS: dict[str, Method] = {
    name.casefold(): method
    for name, method in {
        "getMe": get_me,
        "sendMessage": send_message,
        "editMessageText": edit_message_text,
        "editMessageReplyMarkup": edit_message_reply_markup,
        "deleteMessage": delete_message,
        "answerCallbackQuery": answer_callback_query,
        "sendChatAction": send_chat_action,
        "sendMessageDraft": send_message_draft,
        "sendRichMessage": send_rich_message,
        "sendPhoto": send_photo,
        "sendDocument": send_document,
        "sendVoice": send_voice,
        "getFile": get_file,
        "setMyCommands": set_my_commands,
        "getMyCommands": get_my_commands,
        "deleteMyCommands": delete_my_commands,
        "setChatMenuButton": set_chat_menu_button,
    }.items()
}


def _optional(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _menu_key(params: Params) -> str:
    scope = params.json("scope", {"type": "default"})
    return msgspec.json.encode([scope, params.text("language_code")], order="sorted").decode()


def _own_message(account: Account, params: Params, verb: str) -> tuple[Chat, Message]:
    chat = account.chat_to_write(params.integer("chat_id"))
    message = chat.messages.get(params.integer("message_id"))
    if message is None:
        raise bad_request(f"message to {verb} not found")
    if message["from"]["id"] != account.me["id"]:
        raise bad_request(f"message can't be {verb}ed")
    return chat, message


def _replace(account: Account, chat: Chat, message: Message, content: dict[str, Any], *, drop: tuple[str, ...]) -> Message:
    after = {**{name: value for name, value in message.items() if name not in drop}, **content}
    if same_content(message, after):
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same "
            "as a current content and reply markup of the message"
        )
    after["edit_date"] = int(account.clock.now().timestamp())
    chat.messages[message["message_id"]] = after
    account.log(chat, "edited", after)
    return after


def _reply_to(chat: Chat, params: Params) -> dict[str, Any]:
    wanted = params.json("reply_parameters") or {}
    if not isinstance(wanted, dict) or not wanted.get("message_id"):
        return {}
    target = chat.messages.get(wanted["message_id"])
    if target is None:
        if wanted.get("allow_sending_without_reply"):
            return {}
        raise bad_request("message to be replied not found")
    return {"reply_to_message": {name: value for name, value in target.items() if name != "reply_to_message"}}


def _sent_file(account: Account, params: Params, field: str, *, max_bytes: int) -> tuple[str, int]:
    upload: Upload | None = params.upload(field)
    if upload is None:
        known = account.files.get(params.text(field))
        if known is None:
            raise bad_request("wrong remote file identifier specified: this server fetches no addresses")
        return params.text(field), len(known.content)
    if not upload.content:
        raise bad_request("file must be non-empty")
    if len(upload.content) > max_bytes:
        raise Refusal(413, "Request Entity Too Large")
    extension = upload.name.rpartition(".")[2] if "." in upload.name else "bin"
    safe = extension if re.fullmatch(r"[A-Za-z0-9]{1,8}", extension) else "bin"
    return account.store_file(upload.content, extension=safe, size=len(upload.content)), len(upload.content)


def _send_file(account: Account, params: Params, content: dict[str, Any]) -> Message:
    chat = account.chat_to_write(params.integer("chat_id"))
    caption, entities = read_text(params, "caption", limit=MAX_CAPTION, too_long="message caption is too long")
    return account.bot_message(
        chat, {**content, **_optional(caption=caption, caption_entities=entities, reply_markup=read_keyboard(params))}
    )


def _rich(params: Params) -> dict[str, Any]:
    message = params.json("rich_message")
    if not isinstance(message, dict):
        raise bad_request("object expected as rich message")
    given = [name for name in ("html", "markdown", "blocks") if message.get(name)]
    if len(given) != 1:
        raise bad_request("rich message must have exactly one of html, markdown and blocks")
    if given == ["blocks"]:
        blocks = message["blocks"]
        size = units(rich_text(blocks))
    else:
        source = str(message[given[0]])
        size = units(source)
        plain = re.sub(r"<[^>]*>", "", source) if given == ["html"] else source
        blocks = [{"type": "paragraph", "text": part} for part in plain.split("\n\n") if part.strip()]
    if size > MAX_RICH_TEXT:
        raise bad_request("rich message is too long")
    if _count_blocks(blocks) > MAX_RICH_BLOCKS:
        raise bad_request("rich message has too many blocks")
    return {"blocks": blocks}


def _count_blocks(blocks: Any) -> int:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) and block.get("type") for block in blocks):
        raise bad_request("rich message block must be an object with a type")
    return sum(1 + _count_blocks(block.get("blocks", [])) for block in blocks)
