"""One PostgreSQL connection that sends a whole batch of statements and waits once.

The batch goes out in libpq's pipeline mode, so a transaction with its role, claims and statement
costs a single round trip. Knows nothing of HTTP, schemas or roles; a pool stands in `pool.py`.
Source: PostgreSQL manual, "libpq: Pipeline Mode" and "Canceling Queries in Progress", read 2026-11-22.

Rules of a batch:

1. The first error ends it: the server skips everything up to the batch's end. Without a BEGIN of its own a batch is one transaction.
2. A connection whose batch was not read to its end is never used again.
3. Names prepared in a failed batch are forgotten, because the server may not have made them.
"""

import asyncio  # noqa: TID251  # a reader that stays registered halves the cost of a wait; trio goes the anyio way
import contextlib
import select
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from psycopg import NotSupportedError, OperationalError, pq

from dealquest.errors import PeerUnavailableError

from .batch import Outcome, Query, Values, read_error, read_text

_CANCEL_S = 0.3  # part of what a caller waits beyond its deadline
# Names of an enum are looked up anew each time.
_OK, _SYNCED = pq.ConnStatus.OK, pq.ExecStatus.PIPELINE_SYNC
_FINE = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


# Each transaction says for itself that it only reads, and one that writes has no BEGIN to say so.
_WRITABLE = Query(b"SET default_transaction_read_only = off")


class Connection:
    """One session with the server; `run` may be awaited by one task at a time.

    Attributes:
        broken: True once it must not be used again.
        opened_at: When its owner opened it, by the owner's clock.
        idle_since: When its owner got it back.
    """

    def __init__(self, pg: "pq.abc.PGconn", *, max_prepared: int = 256) -> None:
        self._pg = pg
        self._socket = pg.socket
        self._max_prepared = max_prepared
        self._prepared: OrderedDict[object, bytes] = OrderedDict()
        self._next_name = 0
        self._answers: list[pq.abc.PGresult] = []
        # What this batch prepares, and which of its answers are not the caller's.
        self._fresh: list[object] = []
        self._own: list[int] = []
        self._refusal: pq.abc.PGresult | None = None
        self._pending = False
        self._done: asyncio.Future[Any] | None = None
        self._freed: Callable[[], None] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listens = False
        self.broken = False
        self.opened_at = 0.0
        self.idle_since = 0.0

    @classmethod
    async def open(cls, dsn: str, *, max_prepared: int = 256, timeout_s: float = 10.0) -> "Connection":
        """Log in.

        Raises:
            PeerUnavailableError: `engine.connect` when the server cannot be reached or refuses.
        """
        pg = pq.PGconn.connect_start(dsn.encode())
        try:
            with anyio.fail_after(timeout_s):
                await _poll(pg.connect_poll, lambda: pg.socket)
        except TimeoutError as exc:
            pg.finish()
            raise PeerUnavailableError(f"PostgreSQL did not answer within {timeout_s:g} s.", code="engine.connect") from exc
        except OperationalError as exc:
            pg.finish()
            raise PeerUnavailableError(_explain(str(exc)), code="engine.connect") from exc
        except BaseException:
            pg.finish()
            raise
        if pg.status != pq.ConnStatus.OK:
            reason = read_text(pg.get_error_message().encode())
            pg.finish()
            raise PeerUnavailableError(_explain(reason), code="engine.connect")
        pg.nonblocking = 1
        pg.notice_handler = None  # a NOTICE has no place in an answer
        pg.enter_pipeline_mode()
        connection = cls(pg, max_prepared=max_prepared)
        with contextlib.suppress(RuntimeError):  # on trio no loop of asyncio runs, and the socket is waited for through anyio
            connection._loop = asyncio.get_running_loop()
            connection._loop.add_reader(connection._socket, connection._on_readable)
            connection._listens = True
        if pg.parameter_status(b"default_transaction_read_only") == b"on":
            await connection.run((_WRITABLE,), timeout_s=timeout_s)
        return connection

    @property
    def server_version(self) -> int:
        """Such as 150018 for 15.18."""
        return self._pg.server_version

    @property
    def backend_pid(self) -> int:
        """The server process that serves this session."""
        return self._pg.backend_pid

    async def run(self, batch: Sequence[Query], *, timeout_s: float | None = None) -> Outcome:
        """Send a batch and read every answer.

        Args:
            batch: Statements in order; the first error skips the rest.
            timeout_s: Seconds until the server is told to stop; None waits as long as the caller does.

        Raises:
            TimeoutError: When `timeout_s` is over.
            PeerUnavailableError: `engine.broken` when the connection is lost: what was sent may or may not have happened.
        """
        if self._loop is None:
            if self.broken:
                raise _broken()
            return await self._run_elsewhere(batch, timeout_s)
        done: asyncio.Future[Outcome] = self._loop.create_future()
        self.begin(batch, done, None if timeout_s is None else self._loop.time() + timeout_s)
        try:
            return await done
        except PeerUnavailableError:
            self.close()
            raise
        except BaseException:
            await self.abandon()
            raise

    async def _run_elsewhere(self, batch: Sequence[Query], timeout_s: float | None) -> Outcome:
        """`run` on a loop that is not asyncio's."""
        try:
            with anyio.fail_after(timeout_s):
                sent = self._send(batch)
                while not sent:
                    await anyio.wait_writable(self._socket)
                    sent = not self._pg.flush()
                while not self._advance():
                    await anyio.wait_readable(self._socket)
        except OperationalError as exc:
            self.close()
            raise _broken() from exc
        except BaseException:
            await self.abandon()
            raise
        return self._outcome()

    async def abandon(self) -> None:
        """Drop a batch that nobody waits for any more, and the session with it (rule 2); the server is told to stop."""
        # An answer that comes meanwhile is nobody's.
        self._done = self._freed = self._deadline = None
        with anyio.CancelScope(shield=True):
            await self._cancel()
        self.close()

    def begin(
        self,
        batch: Sequence[Query],
        done: "asyncio.Future[Any]",
        deadline: float | None,
        freed: Callable[[], None] | None = None,
    ) -> None:
        """Send a batch (asyncio only). Whoever awaits `done` and gives up owes an `abandon`.

        Args:
            batch: Statements in order.
            done: Gets the outcome, `TimeoutError`, or the error of a lost connection.
            deadline: When it takes too long, by the loop's clock.
            freed: Called when the batch is over, before `done` is.
        """
        loop = self._loop
        assert loop is not None, "trio has `run`"
        self._done, self._freed = done, freed
        if self.broken:
            self._fail(OperationalError("the server closed the connection"))
            return
        try:
            if not self._send(batch):
                loop.add_writer(self._socket, self._on_writable)
        except OperationalError as exc:
            self._fail(exc)
            return
        if deadline is not None:
            self._watch(loop, deadline)

    def _send(self, batch: Sequence[Query]) -> bool:
        """Write a batch; whether the socket took all of it."""
        pg, prepared = self._pg, self._prepared
        self._answers, self._fresh, self._own, self._refusal = [], [], [], None
        for place, (sql, values, key) in enumerate(batch):
            name = prepared.get(key)
            if name is None:
                self._send_new(sql, values, key, place)
            else:
                prepared.move_to_end(key)
                pg.send_query_prepared(name, values)
        pg.pipeline_sync()
        self._pending = True
        return not pg.flush()

    def _outcome(self) -> Outcome:
        """What the answers come to."""
        answers, self._answers = self._answers, []
        if self._refusal is not None:
            for key in self._fresh:
                self._prepared.pop(key, None)
            return Outcome(results=(), error=read_error(self._refusal))
        return Outcome([answer for place, answer in enumerate(answers) if place not in self._own] if self._own else answers)

    def is_alive(self) -> bool:
        """Whether an idle connection is fit for use: an idle one that has something to read has its end to read."""
        if self._loop is None and not self.broken and select.select([self._socket], [], [], 0)[0]:
            self.broken = True
        return not self.broken

    def take_notifications(self) -> list[str]:
        """The channels that were notified since the last look; asks the socket without waiting.

        Raises:
            PeerUnavailableError: `engine.broken`.
        """
        channels: list[str] = []
        try:
            self._pg.consume_input()
            while (notice := self._pg.notifies()) is not None:
                channels.append(notice.relname.decode())
        except OperationalError as exc:
            self.close()
            raise PeerUnavailableError("The connection that listens for schema changes broke.", code="engine.broken") from exc
        return channels

    def close(self) -> None:
        """Leave without a word to the server; calling it twice is fine."""
        self.broken = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_listening()
        self._loop = None
        self._pg.finish()

    def _stop_listening(self) -> None:
        """Once only: libpq closes the socket when it hears its end, and its number may be another's by the time of `close`."""
        if self._listens and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._listens = False

    def _send_new(self, sql: bytes, values: Values, key: object, place: int) -> None:
        """Send a statement that is not prepared, and prepare it where it has a key."""
        if key is None:
            self._pg.send_query_params(sql, values)
            return
        if len(self._prepared) >= self._max_prepared:
            _, oldest = self._prepared.popitem(last=False)
            self._pg.send_query_params(b"DEALLOCATE " + oldest, ())
            self._own.append(place + len(self._own))
        name = b"q%d" % self._next_name
        self._next_name += 1
        self._prepared[key] = name
        self._fresh.append(key)
        self._pg.send_prepare(name, sql)
        self._own.append(place + len(self._own))
        self._pg.send_query_prepared(name, values)

    def _watch(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Set the deadline; a timer that waits from an earlier request serves this one too."""
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(deadline, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up what is late, or wait on for what is not."""
        self._timer = None
        if self._deadline is None:
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._ring, loop)
        elif self._done is not None and not self._done.done():
            self._done.set_exception(TimeoutError())

    def _on_readable(self) -> None:
        """Take in what arrived (asyncio only); an idle connection that hears an end is broken."""
        try:
            finished = self._advance()
        except OperationalError as exc:
            self._fail(exc)
            return
        if finished and self._done is not None:
            outcome = self._outcome()
            done = self._end()
            if done is not None and not done.done():
                done.set_result(outcome)

    def _on_writable(self) -> None:
        """Send on what the socket did not take at once (asyncio only)."""
        try:
            sent = not self._pg.flush()
        except OperationalError as exc:
            self._fail(exc)
            return
        if sent and self._loop is not None:
            self._loop.remove_writer(self._socket)

    def _fail(self, exc: OperationalError) -> None:
        """The connection is lost (asyncio only)."""
        self.broken = True
        self._stop_listening()
        done = self._end()
        if done is not None and not done.done():
            lost = _broken()
            lost.__cause__ = exc
            done.set_exception(lost)

    def _end(self) -> "asyncio.Future[Any] | None":
        """The batch is over: its owner may use the connection anew before whoever waits for the outcome wakes."""
        done, freed = self._done, self._freed
        self._done = self._freed = self._deadline = None
        if freed is not None:
            freed()
        return done

    def _advance(self) -> bool:
        """Whether the batch has been answered to its end."""
        pg = self._pg
        is_busy, get_result = pg.is_busy, pg.get_result
        pg.consume_input()
        while self._pending:
            if is_busy():
                return False
            result = get_result()
            if result is None:
                if pg.status != _OK:
                    raise OperationalError("the server closed the connection")
                continue
            status = result.status
            if status == _SYNCED:
                self._pending = False
            else:
                self._answers.append(result)
                if status not in _FINE and self._refusal is None:
                    self._refusal = result
        return True

    async def _cancel(self) -> None:
        """Ask the server to stop what this session runs; gives up after a moment, as the session is dropped anyway."""
        try:
            cancel = self._pg.cancel_conn()
        except NotSupportedError:  # libpq before 17 can only cancel by blocking
            return
        try:
            cancel.start()
            with anyio.move_on_after(_CANCEL_S):
                await _poll(cancel.poll, lambda: cancel.socket)
        except OperationalError:
            return
        finally:
            cancel.finish()


async def _poll(step: Callable[[], int], socket: Callable[[], int]) -> None:
    """Drive one of libpq's handshakes to its end."""
    while (state := step()) not in {pq.PollingStatus.OK, pq.PollingStatus.FAILED}:
        if state == pq.PollingStatus.READING:
            await anyio.wait_readable(socket())
        else:
            await anyio.wait_writable(socket())


def _explain(reason: str) -> str:
    """Libpq's reason in one line, without the server's address, which callers over HTTP need not know, and without its advice."""
    first = " ".join(reason.splitlines()[:1]).strip()
    return f"PostgreSQL cannot be reached: {first.removeprefix('connection to server ').partition(' failed: ')[2] or first}."


def _broken() -> PeerUnavailableError:
    return PeerUnavailableError("The connection to PostgreSQL broke; its answer is lost.", code="engine.broken")
