"""aiogram's session with a short way for frequent calls: plain values go out as JSON, and no model is built of the answer.

aiogram makes a model of each call, a form of the model, and a model of each answer: for a message of which only the
id is wanted that is most of the cost of sending it. Refusals take aiogram's own way, so its errors stay its errors.
Source: https://core.telegram.org/bots/api#making-requests and aiogram 3.31 `client/session`, read 2026-11-22.
"""

from http import HTTPStatus
from typing import Any, ClassVar, cast

import msgspec
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods.base import Response, TelegramMethod
from aiohttp import ClientError, ClientTimeout

_JSON = {"Content-Type": "application/json"}


class _AnyCall(TelegramMethod[Any]):
    """Stands for a call in the words of aiogram's errors."""

    __returning__: ClassVar[Any] = Any
    __api_method__: ClassVar[str] = "call"


class _Answer(msgspec.Struct):
    ok: bool
    result: Any = None


_read_answer = msgspec.json.Decoder(_Answer).decode
# pydantic forgets a parametrised model that nobody holds, and builds it anew for the next refusal.
_REFUSAL = Response[Any]


class LeanSession(AiohttpSession):
    """Sends a call by its name."""

    async def call(self, bot: Bot, method: str, values: dict[str, Any], *, timeout_s: float) -> Any:
        """One call.

        Args:
            bot: Whose token is used.
            method: The Bot API's name of it.
            values: Parameters as JSON values; those that are None are left out.
            timeout_s: Seconds until it is given up.

        Returns:
            The decoded `result`.

        Raises:
            AiogramError: The server refuses, or does not answer.
        """
        session = await self.create_session()
        body = msgspec.json.encode({name: value for name, value in values.items() if value is not None})
        called = _AnyCall()
        try:
            async with session.post(
                self.api.api_url(token=bot.token, method=method), data=body, headers=_JSON, timeout=ClientTimeout(total=timeout_s)
            ) as response:
                raw = await response.read()
        except TimeoutError as exc:
            raise TelegramNetworkError(method=called, message="Request timeout error") from exc
        except ClientError as exc:
            raise TelegramNetworkError(method=called, message=type(exc).__name__) from exc
        if response.status == HTTPStatus.OK:
            try:
                answer = _read_answer(raw)
            except (msgspec.DecodeError, RecursionError):
                pass  # whatever is wrong with it, aiogram says so below
            else:
                if answer.ok:
                    return answer.result
        return cast("Any", self.check_response(bot=bot, method=called, status_code=response.status, content=_text(raw)).result)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
