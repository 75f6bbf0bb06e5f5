"""A bounded set of connections, first come first served: lent for several batches, or running one batch for whoever asks.

Opens connections when they are needed, drops broken ones, and never queues without end.
"""

import asyncio  # noqa: TID251  # a bare future is the cheapest wait; trio goes the anyio way
import math
from collections import deque
from collections.abc import Sequence

import anyio

from dealquest.errors import LimitError
from dealquest.values import Clock, SystemClock

from .batch import Outcome, Query
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
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the connections; None on trio
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
        if self._is_taken():
            turn = _Turn(_find_loop())
            await self._queue(turn, timeout_s)
            if turn.connection is not None:
                if turn.connection.is_alive():
                    return turn.connection
                turn.connection.close()  # it ended on its way to us; its place is ours
        else:
            self._open += 1
        return await self._make(None if timeout_s is None else timeout_s - (self._clock.monotonic() - started))

    async def run(self, batch: Sequence[Query], deadline: float | None = None) -> Outcome:
        """Run one transaction on the connection that is free first.

        On asyncio the batch that waits longest goes out as soon as the answer before it is in, before anybody wakes.

        Args:
            batch: Statements in order, without a BEGIN, so that the connection is clean whatever comes of them.
            deadline: When all is given up, by the pool's clock; None leaves the wait to the pool's limit and the batch without any.

        Raises:
            What `take` and `Connection.run` raise.
        """
        connection, loop = self.take_idle(), self._loop
        if loop is not None and (connection is not None or self._is_taken()):
            left_s = None if deadline is None else deadline - self._clock.monotonic()
            errand = _Errand(self, loop, batch, None if left_s is None else loop.time() + left_s)
            if connection is None:
                outcome = await self._queue(errand, left_s)
            else:
                errand.serve(connection)
                outcome = await self._hear(errand)
            if outcome is not None:
                return outcome
            connection = await self._make(None if deadline is None else deadline - self._clock.monotonic())
        elif connection is None:
            connection = await self.take(None if deadline is None else deadline - self._clock.monotonic())
        try:
            return await connection.run(batch, timeout_s=None if deadline is None else deadline - self._clock.monotonic())
        finally:
            self.give_back(connection)

    def give_back(self, connection: Connection) -> None:
        """Take a connection back; a broken one leaves its place to a new one."""
        now = self._clock.monotonic()
        if connection.broken or self._closed or now - connection.opened_at > self._max_age_s:
            connection.close()
            self.hand_on(None)
        else:
            connection.idle_since = now
            self.hand_on(connection)

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

    def _is_taken(self) -> bool:
        """Whether a connection has to be waited for."""
        return bool(self._waiting) or self._open >= self._size

    async def _make(self, timeout_s: float | None) -> Connection:
        """Fill the place that is already counted."""
        try:
            with anyio.fail_after(timeout_s):
                connection = await Connection.open(self._dsn, max_prepared=self._max_prepared)
        except BaseException:
            self.hand_on(None)
            raise
        connection.opened_at = self._clock.monotonic()
        self._loop = _find_loop()
        return connection

    def hand_on(self, connection: Connection | None) -> None:
        """Pass a connection, or the bare place for one, to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.is_gone():
                turn.serve(connection)
                return
        if connection is not None:
            self._idle.append(connection)
        else:
            self._open -= 1

    async def _queue(self, turn: "_Turn", timeout_s: float | None) -> Outcome | None:
        """Wait in the queue; an errand is run from there."""
        if len(self._waiting) >= self._max_waiting:
            raise LimitError("Too many requests wait for a database connection.", code="engine.pool_full", retryable=True, retry_after_s=1)
        own = timeout_s is not None and timeout_s < self._wait_s
        wait_s = timeout_s if timeout_s is not None and own else self._wait_s
        self._waiting.append(turn)
        if turn.loop is not None:
            turn.deadline = turn.loop.time() + wait_s
            self._watch(turn.loop, turn.deadline)
        try:
            return await self._hear(turn, wait_s)
        except TimeoutError as exc:
            if turn.served or own:
                raise
            message = "Timed out acquiring connection from connection pool."
            raise LimitError(message, code="engine.pool_timeout", retryable=True) from exc

    async def _hear(self, turn: "_Turn", wait_s: float | None = None) -> Outcome | None:
        """What a turn comes to; one that is left half-way leaves its connection to others."""
        try:
            if turn.future is not None:
                return await turn.future
            with anyio.fail_after(wait_s):
                await turn.event.wait()
        except BaseException:
            if turn.served:
                await turn.leave(self)
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        return None

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

    __slots__ = ("connection", "deadline", "event", "future", "loop", "served")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.connection: Connection | None = None
        self.served = False
        self.deadline = math.inf
        self.future: asyncio.Future[Outcome | None] | None = None if loop is None else loop.create_future()
        if loop is None:
            self.event = anyio.Event()

    def is_gone(self) -> bool:
        """Whether nobody waits any more (asyncio only, where that is known before the waiting task wakes)."""
        return self.future is not None and self.future.done()

    def serve(self, connection: Connection | None) -> None:
        """End the wait with a connection, or the place for one."""
        self.connection = connection
        self.served = True
        if self.future is None:
            self.event.set()
        else:
            self.future.set_result(None)

    def refuse(self) -> None:
        """End the wait without one."""
        if self.future is not None and not self.future.done():
            self.future.set_exception(TimeoutError())

    async def leave(self, pool: Pool) -> None:
        """Pass on what was served to somebody who had just left."""
        pool.hand_on(self.connection)


class _Errand(_Turn):
    """A batch that waits for any connection (asyncio only)."""

    __slots__ = ("batch", "expires", "has_place", "pool")

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop, batch: Sequence[Query], expires: float | None) -> None:
        # All of `_Turn`'s too, since one is made for every request.
        self.loop = loop
        self.connection = None
        self.served = False
        self.deadline = math.inf
        self.future = loop.create_future()
        self.pool = pool
        self.batch = batch
        self.expires = expires
        self.has_place = False

    def serve(self, connection: Connection | None) -> None:
        """Send the batch; without a connection the errand's owner opens one."""
        if connection is not None and self.future is not None and connection.is_alive():
            self.connection = connection
            self.served = True
            connection.begin(self.batch, self.future, self.expires, self.end)
            return
        if connection is not None:
            connection.close()  # it ended on its way to us; its place is ours
        self.has_place = True
        super().serve(None)

    def end(self) -> None:
        """The batch is over."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.pool.give_back(connection)

    async def leave(self, pool: Pool) -> None:
        """Call back what is under way; what is over has left already."""
        connection, self.connection = self.connection, None
        if connection is not None:
            try:
                await connection.abandon()
            finally:
                pool.hand_on(None)
        elif self.has_place:
            pool.hand_on(None)


def _find_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # on trio
        return None
