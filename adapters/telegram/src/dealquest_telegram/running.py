"""Serving one bot from settings, on a conversation that is open. aiogram is loaded here and nowhere earlier."""

import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from dealquest.auth import AccessPolicy, decide_access
from dealquest.coach.dialogue import Person
from dealquest.errors import DealQuestError, SettingsError
from dealquest.settings import Settings
from dealquest.values import Clock, Secret, SystemClock

from .boundary import Conversation
from .loading import load_aiogram
from .names import NameFile
from .setaside import SetAsideFile

if TYPE_CHECKING:
    from .bot import TelegramBot
    from .calls import BotCalls
    from .webhook import WebhookAddress

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
HEALTH_EVERY_S = 5.0
LAST_WORDS_S = 2.0


async def serve_telegram(
    settings: Settings,
    turns: Conversation,
    *,
    once: bool = False,
    simulate: bool = False,
    careful: bool = False,
    clock: Clock | None = None,
    stop: anyio.Event | None = None,
    port: int = SIMULATION_PORT,
    webhook: "WebhookAddress | None" = None,
    admit: Callable[[Person], Awaitable[bool]] | None = None,
) -> None:
    """Run the bot on a durable conversation that is open already.

    Args:
        settings: Token, Bot API server, access lists, data folder.
        turns: The durable conversation.
        once: Answer what waits, then return.
        simulate: Start an offline Bot API server with a chat page, and talk to that instead of Telegram.
        careful: Make every answer an edit of a placeholder, so that no crash shows an answer twice.
        clock: Where time comes from.
        stop: Ends the bot; SIGTERM and SIGINT do when left out.
        port: Port of the chat page.
        webhook: Have updates pushed to this address; polling when left out.
        admit: Who may use the bot; the settings' lists, with claims in the data folder, when left out.

    Raises:
        SettingsError: `telegram.no_token` without TELEGRAM_BOT_TOKEN, `telegram.token_refused` when Telegram does not take it.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        token, api_base = settings.telegram_bot_token, settings.telegram_api_base
        if simulate:
            from .testing import BotApiServer  # noqa: PLC0415  # a server that only a simulation needs

            # The store knows the ids of earlier simulations, so these begin later.
            first_id = int(clock.now().timestamp() * 100)
            try:
                server = await stack.enter_async_context(BotApiServer(port=port, clock=clock, first_update_id=first_id))
            except OSError as exc:
                raise SettingsError(f"Port {port} for the chat page cannot be opened ({exc.strerror}).", code="telegram.port") from exc
            token, api_base = Secret(server.token), server.base_url
            print(f"Open {server.base_url}/ in a browser and write to the bot. Ctrl-C ends it.", flush=True)  # noqa: T201  # the command's output
        if token is None:
            raise SettingsError(
                "TELEGRAM_BOT_TOKEN is not set. Get a token from BotFather, or try the bot with --simulate.", code="telegram.no_token"
            )
        _prepare_folder(settings.home)
        load_aiogram()
        from .bot import TelegramBot  # noqa: PLC0415  # needs aiogram
        from .calls import BotCalls  # noqa: PLC0415  # needs aiogram

        calls = BotCalls(token, api_base)
        stack.push_async_callback(calls.aclose)
        set_aside = SetAsideFile(settings.home / "telegram-set-aside.jsonl", clock)
        bot = TelegramBot(turns, calls, clock=clock, admit=admit or _Door(settings), set_aside=set_aside, careful=careful)
        if once:
            await calls.drop_webhook()
            await bot.run_once()
            return
        await _serve_until(bot, calls, settings, stop, webhook)


async def _serve_until(
    bot: "TelegramBot", calls: "BotCalls", settings: Settings, stop: anyio.Event | None, webhook: "WebhookAddress | None"
) -> None:
    from .intake import Intake  # noqa: PLC0415  # needs aiogram
    from .webhook import WebhookReceiver  # noqa: PLC0415  # needs aiogram

    refusal: SettingsError | None = None
    async with anyio.create_task_group() as group:
        if stop is None:
            stop = anyio.Event()
            await group.start(_stop_on_signal, stop)
        group.start_soon(_introduce, calls, webhook is None)
        group.start_soon(_show_health, settings.home / "telegram-health", bot)
        try:
            await bot.run(stop, Intake.poll if webhook is None else WebhookReceiver(calls, webhook).receive)
        except SettingsError as exc:
            refusal = exc  # raised below, outside the group that would wrap it
        finally:
            with anyio.move_on_after(LAST_WORDS_S, shield=True):
                await bot.hand_over()
            group.cancel_scope.cancel()
    if refusal is not None:
        raise refusal


class _Door:
    """The same rule as the coach's `Admission`, for a conversation that comes without records of its own."""

    def __init__(self, settings: Settings) -> None:
        self._policy = AccessPolicy.from_lists(settings.allowed_usernames, settings.admin_usernames)
        self._claims = NameFile(settings.home / "telegram-names.json")
        for warning in self._policy.warnings:
            logger.warning("%s", warning)

    async def __call__(self, person: Person) -> bool:
        access = await decide_access(self._policy, self._claims, person.telegram_id or 0, person.username)
        return access.use.granted


async def _stop_on_signal(stop: anyio.Event, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                logger.warning("Ending at once.")
                signal.raise_signal(signal.SIGKILL)
            logger.info("%s: finishing what runs, then ending.", signal.Signals(number).name)
            stop.set()


async def _introduce(calls: "BotCalls", polling: bool) -> None:  # one call, above
    """Say who speaks and set the menu; the bot works without the menu."""
    try:
        logger.info("Speaking as @%s", await calls.who_am_i())
        if polling:
            await calls.drop_webhook()
        await calls.set_menu(MENU)
    except DealQuestError as exc:
        logger.warning("The command menu could not be set: %s", exc.message)


async def _show_health(path: Path, bot: "TelegramBot") -> None:
    """Touch a file while updates come in, for a container's health check."""
    while True:
        if bot.is_receiving:
            with contextlib.suppress(OSError):  # a full disk is not a reason to end
                await anyio.Path(path).touch()
        await anyio.sleep(HEALTH_EVERY_S)


def _prepare_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"The data folder {home} cannot be made ({exc.strerror}); set DEALQUEST_HOME to another.", code="telegram.home"
        ) from exc
