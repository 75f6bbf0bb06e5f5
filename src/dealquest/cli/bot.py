"""`dealquest bot`: the same dialogue on Telegram. The adapter is a package of its own and loads only here."""

from dealquest.errors import SettingsError
from dealquest.settings import load_settings


def bot(*, once: bool = False, simulate: bool = False) -> None:
    """Run the coach as a Telegram bot, by long polling, until it is told to stop.

    Args:
        once: Handle what waits, deliver it, and leave; for hosts that start it from time to time.
        simulate: Start an offline Bot API server with a chat page for the browser, and run the bot against it.
    """
    try:
        from dealquest_telegram import run_bot  # an adapter, and aiogram takes seconds to load
    except ModuleNotFoundError as exc:
        raise SettingsError(
            "The Telegram adapter is not installed: pip install 'dealquest[telegram]'; in a clone, scripts/test installs everything.",
            code="telegram.missing",
        ) from exc
    run_bot(load_settings(), once=once, simulate=simulate)
