"""The hook through which somebody else watches calls: tracing, a counter, a test. Nothing is sent from here."""

from collections.abc import Sequence
from typing import Protocol

from .messages import Ask, Attempt, Completion
from .routes import Route


class CallWatch(Protocol):
    """Watches one call. What it raises would reach the caller: keep it simple."""

    def attempt_ended(self, attempt: Attempt) -> None:
        """A request was answered, failed or was cancelled."""
        ...

    def call_ended(self, completion: Completion | None, error: BaseException | None) -> None:
        """The call is over: answered, failed or cancelled."""
        ...


class Observer(Protocol):
    """Is told about every call."""

    def call_started(self, ask: Ask, routes: Sequence[Route], *, streamed: bool) -> CallWatch:
        """A call begins."""
        ...


class SilentWatch:
    """Watches nothing."""

    def attempt_ended(self, attempt: Attempt) -> None:
        """Ignored."""

    def call_ended(self, completion: Completion | None, error: BaseException | None) -> None:
        """Ignored."""


class SilentObserver:
    """Watches nobody."""

    def call_started(self, ask: Ask, routes: Sequence[Route], *, streamed: bool) -> CallWatch:  # noqa: ARG002  # the protocol's shape
        """Ignored."""
        return SilentWatch()
