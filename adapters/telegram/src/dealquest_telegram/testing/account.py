"""What the server knows of one bot: chats, messages, the queue of updates, files, faults of the day. No I/O.

Rules of the queue, as the public server keeps them: an update stays until a `getUpdates` asks for a later
offset; a negative offset counts from the end and forgets the rest; a kind the bot did not ask for never enters.
Source: https://core.telegram.org/bots/api#getting-updates, read 2026-11-22.
"""

import asyncio  # noqa: TID251  # a server on aiohttp is bound to asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from dealquest.values import Clock, SystemClock

from .refusal import Refusal, bad_request

Message = dict[str, Any]

NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
MAX_QUEUED = 100_000


@attrs.frozen(kw_only=True)
class Stamp:
    """One thing the bot did in a chat, in order: a message sent, edited or deleted."""

    kind: str
    message: Message


@attrs.define(kw_only=True)
class Chat:
    """One chat: who it is with, what was written, whether the bot may write."""

    info: dict[str, Any]
    messages: dict[int, Message] = attrs.field(factory=dict)
    log: list[Stamp] = attrs.field(factory=list)
    actions: list[str] = attrs.field(factory=list)
    draft: str | None = None
    blocked: bool = False


@attrs.define(kw_only=True)
class Query:
    """A button press that waits for its answer."""

    chat_id: int
    answer: dict[str, Any] | None = None


@attrs.frozen(kw_only=True)
class StoredFile:
    """A file the server holds; `size` may lie on purpose, `content` never does."""

    path: str
    content: bytes = attrs.field(repr=False)
    size: int | None


@attrs.define(kw_only=True)
class Webhook:
    """Where updates are pushed instead of being fetched."""

    url: str
    secret: str
    max_connections: int
    last_error: str = ""


@attrs.frozen(kw_only=True)
class Queued:
    """One update as it will stand on the wire; raw, so that a broken one can be queued too."""

    update_id: int
    chat_id: int
    raw: bytes = attrs.field(repr=False)


class Account:
    """The bot's side of the world.

    Args:
        token: The bot's token; its number is the bot's id.
        username: The bot's name without @.
        clock: Dates of messages.
    """

    def __init__(self, token: str, *, username: str = "dealquest_bot", clock: Clock | None = None) -> None:
        self.token = token
        self.clock = clock or SystemClock()
        self.me: dict[str, Any] = {
            "id": int(token.partition(":")[0]),
            "is_bot": True,
            "first_name": "dealquest",
            "username": username,
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_inline_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": False,
            "allows_users_to_create_topics": False,
        }
        self.chats: dict[int, Chat] = {}
        self.queries: dict[str, Query] = {}
        self.files: dict[str, StoredFile] = {}
        self.commands: dict[str, list[dict[str, Any]]] = {}
        self.menu_buttons: dict[int, dict[str, Any]] = {}
        self.allowed_updates: list[str] = []
        self.webhook: Webhook | None = None
        self.queue: deque[Queued] = deque()
        self.history: list[Queued] = []
        self.bell = asyncio.Event()
        self.next_update_id = 100_000_001
        self._message_ids = itertools.count(1)
        self._serial = itertools.count(1)

    def ring(self) -> None:
        """Wake everyone who waits for something to happen."""
        self.bell.set()
        self.bell = asyncio.Event()

    def serial(self, prefix: str) -> str:
        """A new id that never repeats on this server."""
        return f"{prefix}{next(self._serial):08d}"

    # Updates

    def queue_update(self, kind: str, body: dict[str, Any], *, chat_id: int) -> int | None:
        """Queue an update, unless the bot did not ask for its kind; its id when queued."""
        wanted = self.allowed_updates
        if (kind not in wanted) if wanted else (kind in NOT_BY_DEFAULT):
            return None
        update_id = self.next_update_id
        self.queue_raw(msgspec.json.encode({"update_id": update_id, kind: body}), update_id=update_id, chat_id=chat_id)
        return update_id

    def queue_raw(self, raw: bytes, *, update_id: int, chat_id: int = 0) -> None:
        """Queue bytes as they are: the way to test what a bot does with a poisonous update."""
        if len(self.queue) >= MAX_QUEUED:
            raise bad_request("too many updates are queued on this test server")
        queued = Queued(update_id=update_id, chat_id=chat_id, raw=raw)
        self.queue.append(queued)
        self.history.append(queued)
        self.next_update_id = max(self.next_update_id, update_id + 1)
        self.ring()

    def redeliver(self, updates: Sequence[Queued]) -> None:
        """Put updates in front of the queue once more, whatever was confirmed."""
        self.queue.extendleft(reversed(updates))
        self.ring()

    def confirm(self, offset: int) -> None:
        """Forget what an offset confirms."""
        if offset < 0:
            while len(self.queue) > -offset:
                self.queue.popleft()
        elif offset > 0:
            while self.queue and self.queue[0].update_id < offset:
                self.queue.popleft()

    # Chats

    def add_chat(self, info: dict[str, Any]) -> Chat:
        """Make a chat the bot can write to."""
        return self.chats.setdefault(info["id"], Chat(info=info))

    def chat_to_write(self, chat_id: int) -> Chat:
        """The chat of an outgoing call.

        Raises:
            Refusal: 400 for an unknown chat, 403 when the user blocked the bot.
        """
        chat = self.chats.get(chat_id)
        if chat is None:
            raise bad_request("chat not found")
        if chat.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        return chat

    def user_message(self, chat: Chat, sender: dict[str, Any], content: dict[str, Any]) -> Message:
        """Store what a user wrote and queue it for the bot."""
        message = self._message(chat, sender, content)
        self.queue_update("message", message, chat_id=chat.info["id"])
        return message

    def bot_message(self, chat: Chat, content: dict[str, Any]) -> Message:
        """Store what the bot sent."""
        message = self._message(chat, self.sender(), content)
        chat.draft = None
        self.log(chat, "sent", message)
        return message

    def sender(self) -> dict[str, Any]:
        """The bot as the sender of a message."""
        return {name: self.me[name] for name in ("id", "is_bot", "first_name", "username")}

    def log(self, chat: Chat, kind: str, message: Message) -> None:
        """Note what the bot did and wake those who wait for it."""
        chat.log.append(Stamp(kind=kind, message={**message}))
        self.ring()

    def store_file(self, content: bytes, *, extension: str, size: int | None = None) -> str:
        """Keep a file and give its id."""
        file_id = self.serial("file")
        self.files[file_id] = StoredFile(path=f"files/{file_id}.{extension}", content=content, size=size)
        return file_id

    def _message(self, chat: Chat, sender: dict[str, Any], content: dict[str, Any]) -> Message:
        message = {
            "message_id": next(self._message_ids),
            "from": sender,
            "chat": chat.info,
            "date": int(self.clock.now().timestamp()),
            **content,
        }
        chat.messages[message["message_id"]] = message
        return message
