"""The span of those whom nobody traces: shared by all, and every call does nothing."""

from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from dealquest.values import Usage

from .capture import Capture


class NoSpan:
    """What `span()` gives while nobody traces: every call does nothing."""

    __slots__ = ()
    trace_id = ""
    traceparent = ""
    status = "unset"

    @property
    def attributes(self) -> dict[str, Any]:
        """A fresh dict that nobody reads."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def end(self, error: BaseException | None = None) -> None:
        """Do nothing."""

    def record_error(self, error: BaseException) -> None:
        """Do nothing."""

    def set(self, name: str, value: object) -> None:
        """Do nothing."""

    def set_input(self, value: object, *, capture: Capture | None = None) -> None:
        """Do nothing."""

    def set_output(self, value: object, *, capture: Capture | None = None) -> None:
        """Do nothing."""

    def record_usage(
        self, usage: Usage, *, cost_usd: Decimal | None = None, cost_source: str = "local", price_table: str | None = None
    ) -> None:
        """Do nothing."""

    def mark_first_content(self) -> None:
        """Do nothing."""


NO_SPAN = NoSpan()
