"""A bounded set of connections, lent one at a time, first come first served.

Opens connections when they are needed, drops broken ones, and never queues without end.
"""

import asyncio  # noqa: TID251  # a bare future is the cheapest wait; trio goes the anyio way
import math
from collections import deque

import anyio

from dealquest.errors import LimitError
from dealquest.values import Clock, SystemClock

from .driver import Connection


class Pool:
    """Up to `size` connections; whoever waits longer than `wait_s` is turned away.

    Args:
        dsn: libpq's connection text.
        size: Most connections at once.
        wait_s: Seconds a caller waits for one.
        max_waiting: Callers that may wait at once; the next is turned away at once.
        max_prepared: Statements each connection keeps prepared.
        max_age_s: Seconds after which a connection is not lent again; None for no limit.
        max_idle_s: Seconds that a connection may lie idle; None for no limit.
        clock: Where time comes from.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int,
        wait_s: float,
        max_waiting: int,
        max_prepared: int,
        max_age_s: float | None = None,
        max_idle_s: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._dsn = dsn
        self._size = size
        self._wait_s = wait_s
        self._max_waiting = max_waiting
        self._max_prepared = max_prepared
        self._max_age_s = math.inf if max_age_s is None else max_age_s
        self._max_idle_s = math.inf if max_idle_s is None else max_idle_s
        self._clock = clock or SystemClock()
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[_Turn] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    @property
    def idle(self) -> int:
        """Connections that nobody uses now."""
        return len(self._idle)

    def take_idle(self) -> Connection | None:
        """Lend a connection that lies idle, if there is one; who comes later does not overtake who waits."""
        return None if self._waiting else self._pick()

    async def take(self, timeout_s: float | None = None) -> Connection:
        """Lend a connection; give it back with `give_back`, whatever happened.

        Args:
            timeout_s: Seconds that the caller has for a wait and a new connection together; None leaves both to their own limits.

        Raises:
            LimitError: `engine.pool_timeout` after `wait_s`, `engine.pool_full` when too many wait already.
            PeerUnavailableError: `engine.connect` when a new connection cannot be made.
            TimeoutError: After `timeout_s`.
        """
        connection = self.take_idle()
        if connection is not None:
            return connection
        started = self._clock.monotonic()
        if self._waiting or self._open >= self._size:
            turn = await self._queue(timeout_s)
            if turn.connection is not None:
                if turn.connection.is_alive():
                    return turn.connection
                turn.connection.close()  # it ended on its way to us; its place is ours
        else:
            self._open += 1
        with anyio.fail_after(None if timeout_s is None else timeout_s - (self._clock.monotonic() - started)):
            return await self._make()

    def give_back(self, connection: Connection) -> None:
        """Take a connection back; a broken one leaves its place to a new one."""
        now = self._clock.monotonic()
        if connection.broken or self._closed or now - connection.opened_at > self._max_age_s:
            connection.close()
            self._hand_on(None)
        else:
            connection.idle_since = now
            self._hand_on(connection)

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            self._idle.pop().close()
            self._open -= 1

    def _pick(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._clock.monotonic() - connection.idle_since <= self._max_idle_s and connection.is_alive():
                return connection
            connection.close()
            self._open -= 1
        return None

    async def _make(self) -> Connection:
        """Fill the place that is already counted."""
        try:
            connection = await Connection.open(self._dsn, max_prepared=self._max_prepared)
        except BaseException:
            self._hand_on(None)
            raise
        connection.opened_at = self._clock.monotonic()
        return connection

    def _hand_on(self, connection: Connection | None) -> None:
        """Pass a connection, or the bare place for one, to whoever waits longest."""
        if self._waiting:
            self._waiting.popleft().serve(connection)
        elif connection is not None:
            self._idle.append(connection)
        else:
            self._open -= 1

    async def _queue(self, timeout_s: float | None) -> "_Turn":
        if len(self._waiting) >= self._max_waiting:
            raise LimitError("Too many requests wait for a database connection.", code="engine.pool_full", retryable=True, retry_after_s=1)
        own = timeout_s is not None and timeout_s < self._wait_s
        wait_s = timeout_s if timeout_s is not None and own else self._wait_s
        loop = _find_loop()
        turn = _Turn(loop)
        self._waiting.append(turn)
        try:
            if turn.future is None or loop is None:
                with anyio.fail_after(wait_s):
                    await turn.event.wait()
            else:
                turn.deadline = loop.time() + wait_s
                self._watch(loop, turn.deadline)
                await turn.future
        except BaseException as exc:
            if turn.served:
                self._hand_on(turn.connection)
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(exc, TimeoutError) and not own:
                message = "Timed out acquiring connection from connection pool."
                raise LimitError(message, code="engine.pool_timeout", retryable=True) from exc
            raise
        return turn

    def _watch(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """See to it that a timer rings by then; one serves all who wait (asyncio only)."""
        if self._timer is None or self._timer.when() > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(deadline, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Turn away who has waited too long; callers may have less time than the pool's, so the queue is not in order."""
        self._timer = None
        now = loop.time()
        for turn in [turn for turn in self._waiting if turn.deadline <= now]:
            self._waiting.remove(turn)
            turn.refuse()
        if self._waiting:
            self._timer = loop.call_at(min(turn.deadline for turn in self._waiting), self._ring, loop)


class _Turn:
    """A place in the queue. On asyncio it waits for a bare future, which costs a tenth of an event with a deadline."""

    __slots__ = ("connection", "deadline", "event", "future", "served")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.connection: Connection | None = None
        self.served = False
        self.deadline = math.inf
        self.future = None if loop is None else loop.create_future()
        if loop is None:
            self.event = anyio.Event()

    def serve(self, connection: Connection | None) -> None:
        """End the wait with a connection, or the place for one."""
        self.connection = connection
        self.served = True
        if self.future is None:
            self.event.set()
        elif not self.future.done():
            self.future.set_result(None)

    def refuse(self) -> None:
        """End the wait without one."""
        if self.future is not None and not self.future.done():
            self.future.set_exception(TimeoutError())


def _find_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # on trio
        return None
