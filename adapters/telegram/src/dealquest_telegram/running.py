"""Starting the bot from settings: what `dealquest bot` calls. Loads aiogram, which the rest of the package avoids."""

import logging
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.abc

from dealquest.errors import DealQuestError, SettingsError
from dealquest.settings import Settings
from dealquest.values import Clock, Secret, SystemClock

from .boundary import Conversation, Person
from .loading import load_aiogram
from .setaside import SetAsideFile

logger = logging.getLogger("dealquest.telegram")

MENU: Mapping[str, str] = {
    "start": "Begin, or see where you are",
    "learn": "Lessons and their scenarios",
    "train": "Practise a scenario",
    "stats": "Your progress",
    "help": "What I can do",
    "cancel": "Leave the open scenario",
}
SIMULATION_PORT = 8088


async def run_bot(
    settings: Settings,
    turns: Conversation,
    *,
    once: bool = False,
    simulate: bool = False,
    clock: Clock | None = None,
    careful: bool = False,
    port: int = SIMULATION_PORT,
) -> None:
    """Run the Telegram bot until SIGTERM or Ctrl-C.

    Args:
        settings: Token, Bot API server, access lists, data folder.
        turns: The durable conversation.
        once: Answer what waits, then return.
        simulate: Start an offline Bot API server with a chat page and talk to that instead of Telegram.
        clock: Where time comes from.
        careful: Make every answer an edit of a placeholder, so that no crash shows an answer twice.
        port: Port of the chat page.

    Raises:
        SettingsError: `telegram.no_token` without TELEGRAM_BOT_TOKEN, `telegram.token_refused` when Telegram does not take it.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        token, api_base = settings.telegram_bot_token, settings.telegram_api_base
        if simulate:
            from .testing import BotApiServer  # noqa: PLC0415  # a server that only a simulation needs

            server = await stack.enter_async_context(BotApiServer(port=port, clock=clock))
            token, api_base = Secret(server.token), server.base_url
            print(f"Open {server.base_url}/ in a browser and write to the bot. Ctrl-C ends it.")  # noqa: T201  # the command's output
        if token is None:
            raise SettingsError(
                "TELEGRAM_BOT_TOKEN is not set. Get a token from BotFather, or try the bot with --simulate.", code="telegram.no_token"
            )
        load_aiogram()
        from .bot import TelegramBot  # noqa: PLC0415  # needs aiogram
        from .calls import BotCalls  # noqa: PLC0415

        calls = BotCalls(token, api_base)
        stack.push_async_callback(calls.aclose)
        set_aside = SetAsideFile(settings.home / "telegram-set-aside.jsonl", clock)
        bot = TelegramBot(turns, calls, clock=clock, admit=_admit(settings), set_aside=set_aside, careful=careful)
        if once:
            await bot.run_once()
            return
        async with anyio.create_task_group() as group:
            stop = anyio.Event()
            group.start_soon(_stop_on_signal, stop)
            group.start_soon(_introduce, calls)
            try:
                await bot.run(stop)
            finally:
                with anyio.move_on_after(2, shield=True):
                    await turns.drop_lease(f"poll:{bot.source}")
                group.cancel_scope.cancel()
