"""Serving one bot from settings, on a conversation that is open. aiogram is loaded here and nowhere earlier."""

import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.abc
import attrs

from dealquest.auth import AccessPolicy, decide_access
from dealquest.coach import Media
from dealquest.coach.dialogue import Person, catalogue
from dealquest.errors import DealQuestError, SettingsError
from dealquest.settings import Settings
from dealquest.values import Clock, Secret, SystemClock

from .boundary import Conversation
from .loading import load_aiogram
from .names import NameFile
from .pace import Pace
from .setaside import SetAside, SetAsideFile

if TYPE_CHECKING:
    from .bot import TelegramBot
    from .calls import BotCalls

logger = logging.getLogger("dealquest.telegram")

SIMULATION_PORT = 8088
LAST_WORDS_S = 1.0

OpenTurns: TypeAlias = Callable[[Media], Conversation]
"""Makes the durable conversation, given the channel's files."""


async def serve_telegram(
    settings: Settings,
    open_turns: OpenTurns,
    *,
    once: bool = False,
    simulate: bool = False,
    clock: Clock | None = None,
    stop: anyio.Event | None = None,
    port: int = SIMULATION_PORT,
    admit: Callable[[Person], Awaitable[bool]] | None = None,
    set_aside: SetAside | None = None,
    pace: Pace | None = None,
) -> None:
    """Run the bot on a durable conversation that is open already.

    Args:
        settings: Token, Bot API server, webhook, access lists, data folder.
        open_turns: Gives the durable conversation; `lambda media: kit.turns(media=media)`.
        once: Answer what waits, then return.
        simulate: Start an offline Bot API server with a chat page, and talk to that instead of Telegram.
        clock: Where time comes from.
        stop: Ends the bot; SIGTERM and SIGINT do when left out.
        port: Port of the chat page.
        admit: Who may use the bot; the settings' lists, with claims in the data folder, when left out.
        set_aside: Keeps updates that cannot be understood; a file of the data folder does when left out.
        pace: How fast messages may go out; Telegram's limits when left out.

    Raises:
        SettingsError: `telegram.no_token` without TELEGRAM_BOT_TOKEN, `telegram.token_refused` when Telegram does not take it,
            `telegram.port` when a port cannot be opened.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        if simulate:
            settings = await _start_simulation(stack, settings, port, clock)
        token = _token(settings)
        _prepare_folder(settings.home)
        load_aiogram()
        from .bot import TelegramBot  # noqa: PLC0415  # needs aiogram
        from .calls import BotCalls  # noqa: PLC0415  # needs aiogram
        from .media import TelegramMedia  # noqa: PLC0415  # needs aiogram

        calls = BotCalls(token, settings.telegram_api_base)
        stack.push_async_callback(calls.aclose)
        bot = TelegramBot(
            open_turns(TelegramMedia(calls)),
            calls,
            clock=clock,
            admit=admit or _Door(settings),
            set_aside=set_aside or SetAsideFile(settings.home / "telegram-set-aside.jsonl", clock),
            careful=settings.telegram_careful,
            pace=pace,
        )
        if once:
            await calls.drop_webhook()
            await bot.run_once()
            return
        await _serve_until(bot, calls, settings, stop)


def _token(settings: Settings) -> Secret:
    if settings.telegram_bot_token is None:
        raise SettingsError(
            "TELEGRAM_BOT_TOKEN is not set. Get a token from BotFather, or try the bot with --simulate.", code="telegram.no_token"
        )
    return settings.telegram_bot_token


async def _start_simulation(stack: AsyncExitStack, settings: Settings, port: int, clock: Clock) -> Settings:
    """Start the offline server; the settings that lead to it."""
    from .testing import BotApiServer  # noqa: PLC0415  # a server that only a simulation needs

    # The store knows the ids of earlier simulations, so these begin later.
    first_id = int(clock.now().timestamp() * 100)
    try:
        server = await stack.enter_async_context(BotApiServer(port=port, clock=clock, first_update_id=first_id))
    except OSError as exc:
        raise SettingsError(f"Port {port} for the chat page cannot be opened ({exc.strerror}).", code="telegram.port") from exc
    print(f"Open {server.base_url}/ in a browser and write to the bot. Ctrl-C ends it.", flush=True)  # noqa: T201  # the command's output
    return attrs.evolve(
        settings, telegram_bot_token=Secret(server.token), telegram_api_base=server.base_url, telegram_webhook_url=None, mini_app_url=None
    )


async def _serve_until(bot: "TelegramBot", calls: "BotCalls", settings: Settings, stop: anyio.Event | None) -> None:
    from .health import health_port, touch_while_healthy  # noqa: PLC0415  # needs aiohttp
    from .intake import Intake  # noqa: PLC0415  # needs aiogram
    from .webhook import WebhookReceiver, webhook_address  # noqa: PLC0415  # needs aiogram

    address = webhook_address(settings)
    refusal: SettingsError | None = None
    async with health_port(settings.telegram_health_port, lambda: bot.is_receiving), anyio.create_task_group() as group:
        if stop is None:
            stop = anyio.Event()
            await group.start(_stop_on_signal, stop)
        group.start_soon(_introduce, calls, settings, address is None)
        group.start_soon(touch_while_healthy, settings.home / "telegram-health", lambda: bot.is_receiving)
        try:
            await bot.run(stop, Intake.poll if address is None else WebhookReceiver(calls, address).receive)
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


async def _introduce(calls: "BotCalls", settings: Settings, polling: bool) -> None:  # one call, above
    """Say who speaks, set the menus and the Mini App's button; the bot works without them.

    A refused token is not spoken of here: whoever receives ends the bot with it.
    """
    from .menus import set_menus  # noqa: PLC0415  # needs aiogram

    try:
        logger.info("Speaking as @%s", await calls.who_am_i())
        if polling:
            await calls.drop_webhook()
        if settings.mini_app_url is not None:
            await calls.set_app_button(catalogue("en").label("telegram.app_button"), settings.mini_app_url)
    except SettingsError:
        return
    except DealQuestError as exc:
        logger.warning("The bot could not introduce itself: %s", exc.message)
    await set_menus(calls, settings.admin_usernames)


def _prepare_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"The data folder {home} cannot be made ({exc.strerror}); set DEALQUEST_HOME to another.", code="telegram.home"
        ) from exc
