"""The calls the bot makes, with aiogram's errors mapped to ours: the one edge to Telegram. It repeats nothing.

No error here holds the token: addresses of files contain it, so aiogram's own words about them are dropped.
Source: https://core.telegram.org/bots/api#making-requests, read 2026-11-22.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from http import HTTPStatus
from typing import Any

import attrs
from aiogram import Bot
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import BotCommand, BotCommandScopeChat, BufferedInputFile, InlineKeyboardMarkup, MenuButtonWebApp, WebAppInfo
from aiohttp import ClientError, ClientResponseError

from dealquest.coach.dialogue import Document
from dealquest.errors import (
    ConflictError,
    DealQuestError,
    LimitError,
    NotFoundError,
    PeerGarbledError,
    PeerRefusedError,
    PeerUnavailableError,
    SettingsError,
)
from dealquest.values import Secret

from .render import Part
from .session import LeanSession

CALL_TIMEOUT_S = 15
DOWNLOAD_TIMEOUT_S = 60
MAX_DOWNLOAD_BYTES = 20_000_000


Keyboard = dict[str, Any]
"""An inline keyboard as the Bot API spells it."""


@attrs.frozen(kw_only=True)
class Undecoded(Exception):  # noqa: N818  # never leaves the adapter: the poll loop looks into it
    """The body of an answer that is no JSON, or not of the Bot API's shape."""

    body: Any = attrs.field(repr=False)


class BotCalls:
    """One bot at one Bot API server; close it with `aclose()`.

    Args:
        token: The bot's token.
        api_base: Where the Bot API is reached, such as `https://api.telegram.org`.
    """

    def __init__(self, token: Secret, api_base: str) -> None:
        self._session = LeanSession(api=TelegramAPIServer.from_base(api_base.replace("{", "").replace("}", "")), timeout=CALL_TIMEOUT_S)
        self._bot = Bot(token.reveal(), session=self._session)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    @property
    def bot_id(self) -> int:
        """The bot's id, the number before the colon of the token."""
        return self._bot.id

    async def who_am_i(self) -> str:
        """The bot's name without @.

        Raises:
            SettingsError: `telegram.token_refused`.
        """
        with mapped_errors():
            me = await self._bot.get_me()
        return me.username or me.first_name

    async def fetch(self, *, offset: int, limit: int, timeout_s: int, kinds: Sequence[str]) -> list[Any]:
        """The next updates, undecoded; everything before `offset` is confirmed.

        Raises:
            Undecoded: The answer is not JSON of the right shape; it holds the raw body.
            SettingsError: `telegram.token_refused`.
            ConflictError: `telegram.conflict` while another poller or a webhook is active.
            PeerUnavailableError: `telegram.flood` with the seconds to wait, `telegram.unreachable`.
        """
        wanted = {"offset": offset, "limit": limit, "timeout": timeout_s, "allowed_updates": list(kinds)}
        with mapped_errors(keep_body=True):
            updates: list[Any] = await self._session.call(self._bot, "getUpdates", wanted, timeout_s=timeout_s + CALL_TIMEOUT_S)
        return updates

    async def send(self, chat: str, part: Part, keyboard: Keyboard | None = None, *, plain: bool = False) -> int:
        """Send a message; its id. `plain` leaves the entities out."""
        return _id_of(await self._call("sendMessage", chat_id=int(chat), **_content(part, plain=plain), reply_markup=keyboard))

    async def edit(self, chat: str, message_id: int, part: Part, keyboard: Keyboard | None = None, *, plain: bool = False) -> None:
        """Make a message say something else; it is fine when it says that already."""
        content = {**_content(part, plain=plain), "reply_markup": keyboard}
        await self._edit(chat_id=int(chat), message_id=message_id, **content)

    async def send_rich(self, chat: str, blocks: Sequence[Any], keyboard: Keyboard | None = None) -> int:
        """Send a long formatted message; its id.

        Raises:
            NotFoundError: `telegram.unknown_method` where the server has no rich messages.
        """
        return _id_of(await self._call("sendRichMessage", chat_id=int(chat), rich_message={"blocks": blocks}, reply_markup=keyboard))

    async def edit_rich(self, chat: str, message_id: int, blocks: Sequence[Any], keyboard: Keyboard | None = None) -> None:
        """Make a message a long formatted one."""
        await self._edit(chat_id=int(chat), message_id=message_id, rich_message={"blocks": blocks}, reply_markup=keyboard)

    async def send_draft(self, chat: str, draft_id: int, part: Part) -> None:
        """Show a text that is still being written; it vanishes with the next message, or after half a minute.

        Raises:
            NotFoundError: `telegram.unknown_method` where the server has no drafts.
        """
        await self._call("sendMessageDraft", chat_id=int(chat), draft_id=draft_id, **_content(part, plain=False))

    async def send_document(self, chat: str, document: Document, keyboard: Keyboard | None = None) -> int:
        """Send a file; the id of its message."""
        file = BufferedInputFile(document.content.encode(), filename=document.name)
        markup = None if keyboard is None else InlineKeyboardMarkup.model_validate(keyboard)
        with mapped_errors():
            message = await self._bot.send_document(int(chat), file, reply_markup=markup)
        return message.message_id

    async def _edit(self, **values: Any) -> None:
        try:
            await self._call("editMessageText", **values)
        except PeerRefusedError as exc:
            if exc.code != "telegram.not_modified":
                raise

    async def _call(self, method: str, **values: Any) -> Any:
        with mapped_errors():
            return await self._session.call(self._bot, method, values, timeout_s=CALL_TIMEOUT_S)

    async def delete(self, chat: str, message_id: int) -> None:
        """Take a message away.

        Raises:
            NotFoundError: `telegram.message_gone` when it is not there any more.
            PeerRefusedError: `telegram.not_deleted` when Telegram keeps it.
        """
        await self._call("deleteMessage", chat_id=int(chat), message_id=message_id)

    async def answer_press(self, callback_id: str, text: str = "", *, alert: bool = False) -> None:
        """Stop a button's spinner, with a few words where given."""
        await self._call("answerCallbackQuery", callback_query_id=callback_id, text=text or None, show_alert=alert)

    async def show_busy(self, chat: str) -> None:
        """Show for five seconds that an answer is being written."""
        await self._call("sendChatAction", chat_id=int(chat), action="typing")

    async def set_menu(self, commands: Mapping[str, str], *, language: str = "", chat: int | None = None) -> None:
        """Set the command menu, name to description: everybody's, a language's, or one chat's."""
        menu = [BotCommand(command=name, description=words) for name, words in commands.items()]
        scope = None if chat is None else BotCommandScopeChat(chat_id=chat)
        with mapped_errors():
            await self._bot.set_my_commands(menu, scope=scope, language_code=language or None)

    async def set_app_button(self, label: str, url: str) -> None:
        """Put a button that opens the Mini App beside the message field."""
        with mapped_errors():
            await self._bot.set_chat_menu_button(menu_button=MenuButtonWebApp(text=label, web_app=WebAppInfo(url=url)))

    async def drop_webhook(self) -> None:
        """Make polling possible; waiting updates stay."""
        with mapped_errors():
            await self._bot.delete_webhook()

    async def set_webhook(self, url: str, secret: Secret, *, kinds: Sequence[str], connections: int) -> None:
        """Have updates pushed to an address of ours."""
        with mapped_errors():
            await self._bot.set_webhook(url, secret_token=secret.reveal(), allowed_updates=list(kinds), max_connections=connections)

    async def download(self, file_id: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES) -> AsyncGenerator[bytes]:
        """A file's bytes as they arrive, counted on the way: the size that was announced is not trusted.

        Raises:
            LimitError: `telegram.file_too_large`.
            NotFoundError: `telegram.file_gone` when the server no longer has it.
        """
        with mapped_errors():
            file = await self._bot.get_file(file_id)
        if (file.file_size or 0) > max_bytes:
            raise _too_large(max_bytes)
        if not file.file_path:
            raise NotFoundError("Telegram no longer has this file; send it again.", code="telegram.file_gone")
        url = self._session.api.file_url(self._bot.token, file.file_path)
        seen = 0
        with mapped_errors():
            async with aclosing(self._session.stream_content(url, timeout=DOWNLOAD_TIMEOUT_S)) as chunks:
                async for chunk in chunks:
                    seen += len(chunk)
                    if seen > max_bytes:
                        raise _too_large(max_bytes)
                    yield chunk


def _content(part: Part, *, plain: bool) -> dict[str, Any]:
    return {"text": part.text, "entities": None if plain or not part.entities else part.entities}


def _id_of(message: Any) -> int:
    try:
        return int(message["message_id"])
    except (TypeError, KeyError, ValueError):
        raise PeerGarbledError(
            "The Bot API server answered a sent message without its id.", code="telegram.garbled", retryable=True
        ) from None


def _too_large(max_bytes: int) -> LimitError:
    return LimitError(f"The file is larger than {max_bytes // 1_000_000} MB; send a shorter one.", code="telegram.file_too_large")


_REFUSALS: tuple[tuple[str, type[DealQuestError], str, str], ...] = (
    ("message is not modified", PeerRefusedError, "telegram.not_modified", "The message says that already."),
    ("message to edit not found", NotFoundError, "telegram.message_gone", "The message to edit is gone."),
    ("message can't be edited", NotFoundError, "telegram.message_gone", "The message can no longer be edited."),
    ("message can't be deleted", PeerRefusedError, "telegram.not_deleted", "Telegram does not let the bot delete this message."),
    ("message to delete not found", NotFoundError, "telegram.message_gone", "The message to delete is gone."),
    ("message_id_invalid", NotFoundError, "telegram.message_gone", "The message to edit is gone."),
    ("chat not found", PeerRefusedError, "telegram.chat_gone", "The chat does not exist, or never wrote to the bot."),
    ("user is deactivated", PeerRefusedError, "telegram.chat_gone", "The user's account is gone."),
    ("query is too old", NotFoundError, "telegram.press_gone", "The press on a button is too old to be answered."),
    ("file is too big", LimitError, "telegram.file_too_large", "The file is larger than Telegram gives to bots; send a shorter one."),
    ("wrong file_id", NotFoundError, "telegram.file_gone", "Telegram no longer has this file; send it again."),
    ("entit", PeerRefusedError, "telegram.entities_refused", "Telegram refused the formatting of a message."),
)


@contextmanager
def mapped_errors(*, keep_body: bool = False) -> Iterator[None]:
    """Turn aiogram's errors into ours, without an address and so without the token."""
    try:
        yield
    except TelegramRetryAfter as exc:
        raise PeerUnavailableError(
            f"Telegram asks to wait {exc.retry_after} s.", code="telegram.flood", retry_after_s=float(exc.retry_after)
        ) from None
    except (TelegramUnauthorizedError, TelegramNotFound) as exc:
        if isinstance(exc, TelegramNotFound) and "method not found" in exc.message:
            raise NotFoundError("This Bot API server does not know the method.", code="telegram.unknown_method") from None
        raise SettingsError(
            "Telegram refuses the bot's token. Check TELEGRAM_BOT_TOKEN with BotFather.", code="telegram.token_refused"
        ) from None
    except TelegramForbiddenError:
        raise PeerRefusedError("The user blocked the bot, or the chat is closed to it.", code="telegram.blocked") from None
    except TelegramConflictError as exc:
        raise ConflictError(f"Another process reads this bot's updates: {exc.message[:200]}", code="telegram.conflict") from None
    except TelegramBadRequest as exc:
        raise _refusal(exc.message) from None
    except ClientResponseError as exc:
        # Only a download meets this one, and its text holds the file's address.
        if exc.status == HTTPStatus.NOT_FOUND:
            raise NotFoundError("Telegram no longer has this file; send it again.", code="telegram.file_gone") from None
        raise PeerUnavailableError(f"The file could not be read (HTTP {exc.status}).", code="telegram.unreachable") from None
    except (TelegramNetworkError, TelegramServerError, ClientError, TimeoutError, OSError) as exc:
        raise PeerUnavailableError(f"The Bot API server gave no answer ({type(exc).__name__}).", code="telegram.unreachable") from None
    except ClientDecodeError as exc:
        if keep_body:
            raise Undecoded(body=exc.data) from None
        raise PeerGarbledError(
            "The Bot API server answered something that cannot be read.", code="telegram.garbled", retryable=True
        ) from None
    except TelegramAPIError as exc:
        raise _refusal(exc.message) from None
    except AiogramError as exc:
        raise PeerGarbledError(f"aiogram could not make sense of an answer ({type(exc).__name__}).", code="telegram.garbled") from None


def _refusal(words: str) -> DealQuestError:
    folded = words.casefold()
    for mark, error, code, message in _REFUSALS:
        if mark in folded:
            return error(message, code=code)
    return PeerRefusedError(f"Telegram refused a call: {words[:200]}", code="telegram.refused")
