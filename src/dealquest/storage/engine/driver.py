"""One PostgreSQL connection that sends a whole batch of statements and waits once.

The batch goes out in libpq's pipeline mode, so a transaction with its role, claims and statement
costs a single round trip. Knows nothing of HTTP, schemas or roles; a pool stands in `pool.py`.
Source: PostgreSQL manual, "libpq: Pipeline Mode" and "Canceling Queries in Progress", read 2026-11-22.

Rules of a batch:

1. The first error ends it: the server skips everything up to the batch's end.
2. A connection whose batch was not read to its end is never used again.
3. Names prepared in a failed batch are forgotten, because the server may not have made them.
"""

import asyncio  # noqa: TID251  # a reader that stays registered halves the cost of a wait; trio goes the anyio way
import select
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

import anyio
import attrs
from psycopg import NotSupportedError, OperationalError, pq

from dealquest.errors import PeerUnavailableError

Values: TypeAlias = Sequence[bytes | None]

_CANCEL_S = 0.3  # part of what a caller waits beyond its deadline
_FIELD = pq.DiagnosticField
# Names of an enum are looked up anew each time.
_OK, _SYNCED = pq.ConnStatus.OK, pq.ExecStatus.PIPELINE_SYNC
_FINE = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


class Query(NamedTuple):
    """One statement of a batch, its values as text that the server gives a type.

    Attributes:
        sql: The statement.
        values: One text or null per parameter.
        key: What a prepared statement is remembered under; None sends it unprepared.
    """

    sql: bytes
    values: Values = ()
    key: object = None


@attrs.frozen(kw_only=True)
class ServerError:
    """What PostgreSQL said when it refused; texts may hold the caller's own values."""

    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None


class Outcome(NamedTuple):
    """The answers of a batch in order, ended early by `error`."""

    results: Sequence["pq.abc.PGresult"]
    error: ServerError | None = None


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
        self._pending = False
        self._done: asyncio.Future[None] | None = None
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
            reason = _text(pg.get_error_message().encode())
            pg.finish()
            raise PeerUnavailableError(_explain(reason), code="engine.connect")
        pg.nonblocking = 1
        pg.notice_handler = None  # a NOTICE has no place in an answer
        pg.enter_pipeline_mode()
        connection = cls(pg, max_prepared=max_prepared)
        with suppress(RuntimeError):  # on trio no loop of asyncio runs, and the socket is waited for through anyio
            connection._loop = asyncio.get_running_loop()
            connection._loop.add_reader(connection._socket, connection._on_readable)
            connection._listens = True
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
        self._answers = []
        pg, prepared = self._pg, self._prepared
        fresh: list[object] = []
        # One entry per answer the server will give; True where it answers a statement of the batch.
        layout: list[bool] = []
        try:
            for sql, values, key in batch:
                name = prepared.get(key)
                if name is None:
                    self._send_new(sql, values, key, layout)
                    fresh.append(key)
                else:
                    prepared.move_to_end(key)
                    pg.send_query_prepared(name, values)
                    layout.append(True)
            pg.pipeline_sync()
            self._pending = True
            if pg.flush():
                await self._push(timeout_s)
            if self._loop is None:
                await self._read_on(timeout_s)
            elif self._pending or self.broken:  # or the whole answer was heard while a large batch was being sent
                await self._expect(self._loop, timeout_s)
        except OperationalError as exc:
            self.close()
            raise PeerUnavailableError("The connection to PostgreSQL broke; its answer is lost.", code="engine.broken") from exc
        except BaseException:
            # Rule 2: the server is told to stop, and nobody reads the rest by mistake.
            with anyio.CancelScope(shield=True):
                await self._cancel()
            self.close()
            raise
        answers, self._answers = self._answers, []
        for answer in answers:
            if answer.status not in _FINE:
                for key in fresh:
                    prepared.pop(key, None)
                return Outcome(results=(), error=_read_error(answer))
        return Outcome([answer for answer, wanted in zip(answers, layout, strict=True) if wanted] if fresh else answers)

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
        self._listens = False

    def _send_new(self, sql: bytes, values: Values, key: object, layout: list[bool]) -> None:
        """Send a statement that is not prepared, and prepare it where it has a key."""
        if key is None:
            self._pg.send_query_params(sql, values)
            layout.append(True)
            return
        if len(self._prepared) >= self._max_prepared:
            _, oldest = self._prepared.popitem(last=False)
            self._pg.send_query_params(b"DEALLOCATE " + oldest, ())
            layout.append(False)
        name = b"q%d" % self._next_name
        self._next_name += 1
        self._prepared[key] = name
        self._pg.send_prepare(name, sql)
        self._pg.send_query_prepared(name, values)
        layout += (False, True)

    async def _push(self, timeout_s: float | None) -> None:
        """Send what the socket did not take at once; a server that reads nothing is given up too."""
        with anyio.fail_after(timeout_s):
            while self._pg.flush():
                await anyio.wait_writable(self._socket)

    async def _read_on(self, timeout_s: float | None) -> None:
        """Wait for the whole answer on a loop that is not asyncio's."""
        with anyio.fail_after(timeout_s):
            while not self._advance():
                await anyio.wait_readable(self._socket)

    def _expect(self, loop: asyncio.AbstractEventLoop, timeout_s: float | None) -> "asyncio.Future[None]":
        """What is done when the whole answer was heard, or fails when that takes too long (asyncio only)."""
        if self.broken:
            raise OperationalError("the server closed the connection")
        done = self._done = loop.create_future()
        if timeout_s is not None:
            self._watch(loop, timeout_s)
        return done

    def _watch(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        """Set the deadline; a timer that waits from an earlier request serves this one too."""
        self._deadline = loop.time() + timeout_s
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(self._deadline, self._ring, loop)

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
            self.broken = True
            self._stop_listening()
            if self._done is not None and not self._done.done():
                self._done.set_exception(exc)
            return
        if finished:
            done, self._done, self._deadline = self._done, None, None
            if done is not None and not done.done():
                done.set_result(None)

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
            elif result.status == _SYNCED:
                self._pending = False
            else:
                self._answers.append(result)
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


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace").strip()


def _read_error(result: "pq.abc.PGresult") -> ServerError:
    detail, hint = result.error_field(_FIELD.MESSAGE_DETAIL), result.error_field(_FIELD.MESSAGE_HINT)
    return ServerError(
        sqlstate=_text(result.error_field(_FIELD.SQLSTATE)),
        message=_text(result.error_field(_FIELD.MESSAGE_PRIMARY)),
        detail=None if detail is None else detail.decode("utf-8", "replace"),
        hint=None if hint is None else hint.decode("utf-8", "replace"),
    )
