"""The command `dealquest bot`: opens storage and coach, and serves Telegram with them."""

import logging
import os
import uuid

import anyio

from dealquest.compose import open_kit
from dealquest.settings import Settings

from .running import serve_telegram
from .setaside import SetAsideRows

logger = logging.getLogger("dealquest.telegram")

LEASE_S = 15.0
HOLD_S = 60.0
"""For so long the process that commits a turn may deliver its replies; a process that takes over from a dead one frees them."""


def run_bot(settings: Settings, *, once: bool = False, simulate: bool = False) -> None:
    """Run the coach as a Telegram bot until SIGTERM or Ctrl-C: the command `dealquest bot`.

    Args:
        settings: Token, Bot API server, access lists, storage.
        once: Answer what waits, then return.
        simulate: Start an offline Bot API server with a chat page, and talk to that instead of Telegram.

    Raises:
        SettingsError: `telegram.no_token`, `telegram.token_refused`, or a problem of storage.
    """
    _log_to_stderr(settings.log_level)
    anyio.run(_run_with_kit, settings, once, simulate)


async def _run_with_kit(settings: Settings, once: bool, simulate: bool) -> None:  # called once, above
    async with open_kit(settings) as kit:
        for warning in kit.admission.warnings:
            logger.warning("%s", warning)
        worker = f"telegram:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        await serve_telegram(
            settings,
            lambda media: kit.turns(worker=worker, lease_s=LEASE_S, hold_s=HOLD_S, media=media),
            once=once,
            simulate=simulate,
            admit=kit.admission.may_use,
            set_aside=SetAsideRows(kit.records),
        )


def _log_to_stderr(level: str) -> None:
    """Our own lines at the level asked for; other libraries' only from warnings on, since some write addresses."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("dealquest").setLevel(level)
