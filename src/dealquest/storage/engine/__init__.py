"""PostgREST's dialect on PostgreSQL inside this process; loaded when it is first asked for."""

from typing import TYPE_CHECKING, Any

from .config import EngineConfig

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Engine", "EngineConfig"]


def __getattr__(name: str) -> Any:
    """Import the PostgreSQL driver only for those who open an engine."""
    if name == "Engine":
        from .engine import Engine  # noqa: PLC0415  # lazy on purpose

        return Engine
    raise AttributeError(name)
