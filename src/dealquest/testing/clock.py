"""A clock that stands still until somebody sleeps, then jumps: no test waits for real.

When every task is blocked, time jumps to the next thing that is due: the end of a sleep or of a time
limit. It replaces `SystemTimer` wherever a `Timer` is taken, on asyncio and trio. It does not speed
up sockets: pair it with `ScriptedTransport`.
"""

import heapq
import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from dealquest.wire import ScopeLimit

_SETTLING_ROUNDS = 8


class FrozenClock:
    """Wall and monotonic time under the test's control.

    Args:
        start: The wall time at the beginning, aware.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._numbers = itertools.count()
        self._sleepers: list[_Sleeper] = []
        self._is_driven = False
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The wall time as an aware UTC datetime."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass at once; what falls due on the way happens in order."""
        until = self._elapsed + seconds
        while self._due and self._due[0][0] <= until:
            self._jump()
        self._elapsed = until

    def set_wall(self, start: datetime) -> None:
        """Set the wall clock, as an operator or a time server does; monotonic time goes on undisturbed.

        Args:
            start: What the wall shows now, aware.
        """
        self._start = start - timedelta(seconds=self._elapsed)

    async def sleep(self, seconds: float) -> None:
        """Wait in frozen time; `slept` keeps every wait for the test to look at."""
        self.slept.append(seconds)
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = _Sleeper()
        number = self._plan(self._elapsed + seconds, sleeper.wake)
        self._sleepers.append(sleeper)
        try:
            while not sleeper.is_due:
                if self._is_driven:
                    sleeper.event = anyio.Event()
                    await sleeper.event.wait()
                else:
                    await self._drive(sleeper)
        finally:
            self._cancelled.add(number)
            self._sleepers.remove(sleeper)
            if not self._is_driven and self._sleepers:
                self._sleepers[0].event.set()
        await anyio.lowlevel.checkpoint()

    async def _drive(self, sleeper: "_Sleeper") -> None:
        # One sleeper at a time moves the clock, and only when everybody else waits.
        self._is_driven = True
        try:
            while not sleeper.is_due:
                await self._settle()
                if not sleeper.is_due:
                    self._jump()
        finally:
            self._is_driven = False

    def limit(self, seconds: float) -> ScopeLimit:
        """A block that is cancelled when frozen time passes its end."""
        scope = anyio.CancelScope()
        if seconds == math.inf:
            return ScopeLimit(scope)
        if seconds <= 0:
            scope.cancel()
            return ScopeLimit(scope)
        number = self._plan(self._elapsed + seconds, scope.cancel)
        return ScopeLimit(scope, lambda: self._cancelled.add(number))

    def _plan(self, at: float, action: Callable[[], None]) -> int:
        number = next(self._numbers)
        heapq.heappush(self._due, (at, number, action))
        return number

    def _jump(self) -> None:
        while self._due:
            at, number, action = heapq.heappop(self._due)
            if number in self._cancelled:
                self._cancelled.discard(number)
                continue
            self._elapsed = max(self._elapsed, at if at != math.inf else self._elapsed)
            action()
            return

    async def _settle(self) -> None:
        for _ in range(_SETTLING_ROUNDS):
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()


class _Sleeper:
    def __init__(self) -> None:
        self.event = anyio.Event()
        self.is_due = False

    def wake(self) -> None:
        self.is_due = True
        self.event.set()
