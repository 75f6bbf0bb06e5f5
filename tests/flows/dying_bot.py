"""A bot that dies right after one named call: `dying_bot.py POINT ARMED`; it lives until the file ARMED exists.

Points are SQL functions (`receive_and_take`, `take_update`, `save_step`, `finish_turn`, `mark_sent`) and calls to Telegram
(`send`, `edit`). It dies as by `kill -9`: nothing is closed, handed back or said.
"""

import os
import sys
from collections.abc import Awaitable, Generator
from pathlib import Path
from typing import Any

import anyio
import attrs

from dealquest.coach.turns import Call, Records
from dealquest.compose import open_kit
from dealquest.settings import load_settings
from dealquest.values import SystemClock
from dealquest_telegram.loading import load_aiogram

load_aiogram()

from dealquest_telegram.bot import TelegramBot  # noqa: E402  # after the light import
from dealquest_telegram.calls import BotCalls  # noqa: E402  # see above
from dealquest_telegram.media import TelegramMedia  # noqa: E402  # see above
from dealquest_telegram.setaside import SetAsideRows  # noqa: E402  # see above

POINT, ARMED = sys.argv[1], Path(sys.argv[2])


def die_at(point: str, result: Any) -> Any:
    if point == POINT and result is not None and ARMED.exists():
        os._exit(9)
    return result


class DyingCall:
    def __init__(self, name: str, call: Call) -> None:
        self._name = name
        self._call = call

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._sent(self._call).__await__()

    def repeatable(self) -> Awaitable[Any]:
        return self._sent(self._call.repeatable())

    async def _sent(self, call: Awaitable[Any]) -> Any:
        result = await call
        if self._name == "receive_updates":
            result = {"new": result, "claim": None}
        return die_at(self._name, True if self._name in {"save_step", "note_placeholder"} else result)


@attrs.frozen
class DyingRecords:
    records: Records

    def rpc(self, name: str, /, **arguments: Any) -> Any:
        if name == "take_lease":
            arguments["lease_s"] = min(arguments["lease_s"], 1.5)  # so that the next process need not wait long
        if name == "receive_and_take" and POINT == "take_update":
            # Store alone, so that the claim is a step of its own, as it is when every worker is taken.
            return DyingCall("receive_updates", self.records.rpc("receive_updates", updates=arguments["updates"]))
        if name == "save_step":
            name_of_point = "save_step" if arguments["for_step"].startswith("effect") else "note_placeholder"
            return DyingCall(name_of_point, self.records.rpc(name, **arguments))
        return DyingCall(name, self.records.rpc(name, **arguments))


class DyingCalls(BotCalls):
    async def send(self, *arguments: Any, **options: Any) -> int:
        sent: int = die_at("send", await super().send(*arguments, **options))
        return sent

    async def edit(self, *arguments: Any, **options: Any) -> None:
        await super().edit(*arguments, **options)
        die_at("edit", True)


async def main() -> None:
    settings = load_settings()
    assert settings.telegram_bot_token is not None
    async with open_kit(settings) as kit:
        records: Any = DyingRecords(kit.records)
        calls = DyingCalls(settings.telegram_bot_token, settings.telegram_api_base)
        worker = f"dying:{os.getpid()}"
        turns = attrs.evolve(kit, records=records).turns(worker=worker, lease_s=15.0, hold_s=60.0, media=TelegramMedia(calls))

        async def admit(_: Any) -> bool:
            return True

        bot = TelegramBot(turns, calls, clock=SystemClock(), admit=admit, set_aside=SetAsideRows(kit.records), careful=True)
        await bot.run(anyio.Event())


anyio.run(main)
