"""A clock that can also wait: the one thing a test replaces so that nothing sleeps for real."""

import math
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import anyio

from dealquest.values import Clock, SystemClock


class TimeLimit(Protocol):
    """A block that is cancelled when its time is over. Leave it, then ask `expired`.

    Enter and leave it within one `await`ed call: it must not stay open across a `yield`.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None: ...

    @property
    def expired(self) -> bool:
        """Whether the block was cut short by this limit."""
        ...


class Timer(Clock, Protocol):
    """Wall time, monotonic time, waiting and time limits from one source."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def limit(self, seconds: float) -> TimeLimit:
        """A block that may take this long; infinite is allowed."""
        ...


class SystemTimer(SystemClock):
    """The machine's own time, on asyncio and trio."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    def limit(self, seconds: float) -> "ScopeLimit":
        """A block that may take this long; infinite is allowed."""
        return ScopeLimit(anyio.CancelScope(deadline=math.inf if seconds == math.inf else anyio.current_time() + seconds))


class ScopeLimit:
    """A time limit made of an anyio cancel scope.

    Args:
        scope: The scope; whoever made it decides when it is cancelled.
        on_exit: Called when the block is left.
    """

    __slots__ = ("_on_exit", "_scope")

    def __init__(self, scope: "anyio.CancelScope", on_exit: Callable[[], None] | None = None) -> None:
        self._scope = scope
        self._on_exit = on_exit

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        if self._on_exit is not None:
            self._on_exit()
        return self._scope.__exit__(kind, error, trace)

    @property
    def expired(self) -> bool:
        """Whether the block was cut short by this limit."""
        return self._scope.cancelled_caught
