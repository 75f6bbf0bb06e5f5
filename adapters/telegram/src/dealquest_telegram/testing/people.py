"""Someone who writes to the bot: the Python face of the offline server for tests.

`says`, `presses`, `sends_…` act; `waits_for_…` wait for what the bot does next in this person's chat.
"""

import asyncio  # noqa: TID251  # a server on aiohttp is bound to asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import attrs

from .account import Account, Chat, Message, Query, Stamp
from .entities import rich_text, units

DEFAULT_WAIT_S = 5.0
LOOK_EVERY_S = 0.1
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Seen:
    """A message as this person sees it.

    Attributes:
        message_id: Its number in the chat.
        text: Its text, or the caption of a file, or the paragraphs of a rich message.
        buttons: Rows of labels under it.
        edited: Whether it came as an edit of an earlier message.
        raw: The message as the Bot API gives it.
    """

    message_id: int
    text: str
    buttons: tuple[tuple[str, ...], ...]
    edited: bool
    raw: Message = attrs.field(repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label, in order."""
        return tuple(label for row in self.buttons for label in row)


class SimulatedUser:
    """A person with a private chat; made by `BotApiServer.user()`."""

    def __init__(self, account: Account, user_id: int, *, first_name: str, username: str | None, language: str) -> None:
        self._account = account
        self.id = user_id
        self.info: dict[str, Any] = {"id": user_id, "is_bot": False, "first_name": first_name, "language_code": language}
        if username:
            self.info["username"] = username
        names = {name: value for name, value in self.info.items() if name in {"first_name", "username"}}
        self.chat: Chat = account.add_chat({**names, "id": user_id, "type": "private"})
        self._read = 0

    # Acting

    async def says(self, text: str) -> Message:
        """Write a text; commands are marked as the apps mark them."""
        self._read = len(self.chat.log)
        content: dict[str, Any] = {"text": text}
        if text.startswith("/") and text[1:2].isalnum():
            content["entities"] = [{"type": "bot_command", "offset": 0, "length": units(text.split(maxsplit=1)[0])}]
        return self._account.user_message(self.chat, self.info, content)

    async def presses(self, label: str) -> str:
        """Press the newest button with this label; the id of the query."""
        for message in sorted(self.chat.messages.values(), key=lambda message: -message["message_id"]):
            for row in message.get("reply_markup", {}).get("inline_keyboard", []):
                for button in row:
                    if button["text"] == label and "callback_data" in button:
                        return await self.sends_callback(button["callback_data"], message=message)
        raise AssertionError(f"No button {label!r}; there are {[seen.labels for seen in self.messages() if seen.labels]}.")

    async def sends_callback(self, data: str, *, message: Message | None = None) -> str:
        """Send callback data as they are, forged ones too; the id of the query."""
        self._read = len(self.chat.log)
        query_id = self._account.serial("query")
        self._account.queries[query_id] = Query(chat_id=self.id)
        body: dict[str, Any] = {"id": query_id, "from": self.info, "chat_instance": str(self.id), "data": data}
        if message is not None:
            body["message"] = message
        self._account.queue_update("callback_query", body, chat_id=self.id)
        return query_id

    async def sends_voice(self, content: bytes, *, duration_s: int = 3, mime_type: str = "audio/ogg", size: int | None = -1) -> Message:
        """Send a voice note; `size` may lie (None: absent)."""
        file_id = self._account.store_file(content, extension="oga", size=len(content) if size == -1 else size)
        voice = {"file_id": file_id, "file_unique_id": f"u{file_id}", "duration": duration_s, "mime_type": mime_type}
        return self._sends({"voice": voice | self._size(file_id)})

    async def sends_photo(self, content: bytes, *, caption: str = "", size: int | None = -1) -> Message:
        """Send a photo; the server gives a small size beside the full one."""
        file_id = self._account.store_file(content, extension="jpg", size=len(content) if size == -1 else size)
        small = self._account.store_file(content[:1000] or b"\0", extension="jpg", size=min(len(content), 1000))
        sizes = [
            {"file_id": small, "file_unique_id": f"u{small}", "width": 90, "height": 90} | self._size(small),
            {"file_id": file_id, "file_unique_id": f"u{file_id}", "width": 1280, "height": 1280} | self._size(file_id),
        ]
        return self._sends({"photo": sizes} | ({"caption": caption} if caption else {}))

    async def sends_document(self, content: bytes, *, name: str, mime_type: str, caption: str = "") -> Message:
        """Send a file."""
        file_id = self._account.store_file(content, extension="bin", size=len(content))
        document = {
            "file_id": file_id,
            "file_unique_id": f"u{file_id}",
            "file_name": name,
            "mime_type": mime_type,
            "file_size": len(content),
        }
        return self._sends({"document": document} | ({"caption": caption} if caption else {}))

    async def sends_other(self, kind: str, body: Any) -> Message:
        """Send any other content, such as a location, a contact or a poll."""
        return self._sends({kind: body})

    async def edits(self, message: Message, text: str) -> None:
        """Change an earlier text of one's own."""
        after = {**message, "text": text, "edit_date": message["date"]}
        self.chat.messages[message["message_id"]] = after
        self._account.queue_update("edited_message", after, chat_id=self.id)

    def blocks_bot(self) -> None:
        """Refuse everything the bot sends from now on."""
        self.chat.blocked = True

    def unblocks_bot(self) -> None:
        """Accept messages again."""
        self.chat.blocked = False

    # Seeing

    def messages(self) -> list[Seen]:
        """The bot's messages as the chat shows them now, oldest first."""
        mine = (message for message in self.chat.messages.values() if message["from"]["id"] == self._account.me["id"])
        return [_seen(message, edited="edit_date" in message) for message in mine]

    async def waits_for_reply(self, containing: str = "", *, timeout_s: float = DEFAULT_WAIT_S) -> Seen:
        """The bot's next message or edit since this person's last act, or since the last reply waited for.

        Args:
            containing: Skip replies without this text, such as a placeholder.
            timeout_s: Seconds to wait.

        Raises:
            TimeoutError: Nothing came; the message tells what did.
        """

        def look() -> Seen | None:
            while self._read < len(self.chat.log):
                stamp: Stamp = self.chat.log[self._read]
                self._read += 1
                seen = _seen(stamp.message, edited=stamp.kind == "edited")
                if stamp.kind != "deleted" and containing in seen.text:
                    return seen
            return None

        return await self._wait(look, timeout_s, f"a reply with {containing!r}" if containing else "a reply")

    async def waits_for_toast(self, query_id: str, *, timeout_s: float = DEFAULT_WAIT_S) -> str:
        """The bot's answer to a button press; blank when it only stopped the spinner."""
        answer = await self._wait(lambda: self._account.queries[query_id].answer, timeout_s, "an answer to the button")
        return str(answer["text"])

    async def waits_until(self, happened: Callable[[], object], *, timeout_s: float = DEFAULT_WAIT_S) -> None:
        """Wait until something is true of this chat or the server."""
        await self._wait(lambda: happened() or None, timeout_s, "what the test waits for")

    async def _wait(self, look: Callable[[], T | None], timeout_s: float, what: str) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    bell = self._account.bell
                    found = look()
                    if found is not None:
                        return found
                    # The bell rings for what happens on the server; a test may also wait for something beside it.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(bell.wait(), LOOK_EVERY_S)
        except TimeoutError as exc:
            shown = [seen.text[:80] for seen in self.messages()[-3:]]
            raise TimeoutError(f"{self.info['first_name']} waited {timeout_s:g} s for {what}; the last messages are {shown}.") from exc

    def _sends(self, content: dict[str, Any]) -> Message:
        self._read = len(self.chat.log)
        return self._account.user_message(self.chat, self.info, content)

    def _size(self, file_id: str) -> dict[str, int]:
        size = self._account.files[file_id].size
        return {} if size is None else {"file_size": size}


def _seen(message: Message, *, edited: bool) -> Seen:
    blocks = message.get("rich_message", {}).get("blocks", [])
    rich = "\n\n".join(rich_text(block) for block in blocks)
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return Seen(
        message_id=message["message_id"],
        text=message.get("text") or message.get("caption") or rich,
        buttons=tuple(tuple(button["text"] for button in row) for row in rows),
        edited=edited,
        raw=message,
    )
