"""The dealquest coach on Telegram: the adapter between the Bot API and the dialogue.

Importing this package loads neither aiogram nor a database driver; `run_bot` does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .command import run_bot
    from .running import serve_telegram

__all__ = ["run_bot", "serve_telegram"]


_HOMES = {"run_bot": "command", "serve_telegram": "running"}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
