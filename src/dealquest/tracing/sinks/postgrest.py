"""Rows for any PostgREST base: one request a batch, joined from stored lines.

Spans are written once (`ignore-duplicates`), so a repeated batch doubles nothing. A trace's first row never
overwrites its last one; the last one merges. The sink speaks through a `Transport` on an event loop: either the
host's own (`run`, for the engine in process) or one on a thread of this sink (`over_http`).
Source: https://docs.postgrest.org/en/v14/references/api/tables_views.html, read 2026-11-22.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from dealquest.errors import DealQuestError
from dealquest.values import Secret
from dealquest.wire import Headers, HttpRequest, HttpResponse, Transport

from ..models import SPAN_COLUMNS, TRACE_COLUMNS  # noqa: TID252  # a folder of one room
from ..records import Record, RecordKind  # noqa: TID252  # see above
from .protocol import Accepted, Outcome, Refused, Unavailable

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from anyio.from_thread import BlockingPortal

ANSWER_BYTES = 64 * 1024
START_S = 5.0
GRACE_S = 0.25

_AWAY = frozenset({401, 403, 404, 405, 408, 421, 425, 429})
# Codes that blame the schema or our right to it: an operator mends them, no row is at fault.
_SCHEMA_CODES = ("PGRST", "42", "3D", "3F", "53", "57", "08", "28", "25")

_TARGETS: dict[RecordKind, tuple[str, str, tuple[str, ...], str]] = {
    "s": ("pipeline_spans", "span_id", SPAN_COLUMNS, "ignore-duplicates"),
    "b": ("pipeline_traces", "trace_id", TRACE_COLUMNS, "ignore-duplicates"),
    "e": ("pipeline_traces", "trace_id", TRACE_COLUMNS, "merge-duplicates"),
}


class PostgrestSink:
    """Writes `pipeline_traces` and `pipeline_spans`.

    Args:
        transport: Answers requests on the host's event loop; `run` must be running there, as `async with collector` sees to.
        prefix: What stands before the table's name in the URL; a whole address for a transport without a base.
        headers: Sent with each request, for a transport that brings no credentials of its own.
        name: Its name.
        open_transport: Instead of `transport`: opens one on the event loop of a thread of this sink.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        prefix: str = "",
        headers: Headers = (),
        name: str = "postgrest",
        open_transport: Callable[[], AbstractAsyncContextManager[Transport]] | None = None,
    ) -> None:
        self.name = name
        self.own_thread = open_transport is not None
        self._transport = transport
        self._open_transport = open_transport
        self._prefix = prefix.rstrip("/")
        self._headers: Headers = (*headers, ("content-type", "application/json"))
        self.reset_after_fork()

    @classmethod
    def over_http(cls, base_url: str, *, api_key: Secret | None = None, headers: Headers = (), name: str = "postgrest") -> "PostgrestSink":
        """A sink for a remote PostgREST with a thread and connections of its own.

        Args:
            base_url: What stands before the table's name; from the operator, never from a request.
            api_key: Sent as bearer and as `apikey`.
            headers: Further headers.
            name: Its name.
        """

        def open_transport() -> AbstractAsyncContextManager[Transport]:
            from dealquest.wire import HttpxTransport  # noqa: PLC0415  # httpx costs 0.1 s and only those with a socket pay

            keys: Headers = () if api_key is None else (("authorization", f"Bearer {api_key.reveal()}"), ("apikey", api_key.reveal()))
            return HttpxTransport(base_url, headers=(*keys, *headers))

        return cls(open_transport=open_transport, name=name)

    def reset_after_fork(self) -> None:
        """Forget a parent's thread and connections."""
        self._portal: BlockingPortal | None = None
        self._absence = "its event loop is not running"
        self._stopping: Any = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    async def run(self, *, task_status: "TaskStatus[None] | None" = None) -> None:
        """Serve deliveries on this event loop until cancelled."""
        import anyio  # noqa: PLC0415  # loaded by those who have an event loop
        from anyio.from_thread import BlockingPortal  # noqa: PLC0415  # see above

        async with AsyncExitStack() as stack:
            if self._open_transport is not None:
                self._transport = await stack.enter_async_context(self._open_transport())
            portal = await stack.enter_async_context(BlockingPortal())
            self._stopping = anyio.Event()
            self._portal = portal
            self._ready.set()
            if task_status is not None:
                task_status.started()
            try:
                await self._stopping.wait()
                await portal.stop(cancel_remaining=True)
            finally:
                self._portal = None

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:
        """Send one request."""
        if self.own_thread and (self._thread is None or not self._thread.is_alive()):
            self._start_thread(min(START_S, timeout_s))
        portal = self._portal
        if portal is None:
            return Unavailable(self._absence)
        try:
            future: Future[Outcome] = portal.start_task_soon(self._send, records, timeout_s)
        except RuntimeError:
            return Unavailable("its event loop has ended")
        try:
            return future.result(timeout_s + GRACE_S)
        except FutureTimeoutError:
            future.cancel()
            return Unavailable("its event loop is busy")
        except CancelledError:
            return Unavailable("its event loop is ending")

    def _start_thread(self, wait_s: float) -> None:
        self._ready.clear()
        self._thread = threading.Thread(target=self._serve, name=f"dealquest-{self.name}-loop", daemon=True)
        self._thread.start()
        self._ready.wait(wait_s)

    def _serve(self) -> None:
        import anyio  # noqa: PLC0415  # loaded by those who have an event loop

        try:
            anyio.run(self.run)
        except (DealQuestError, OSError) as exc:
            self._absence = f"its transport cannot be opened ({type(exc).__name__})"
        finally:
            self._ready.set()

    async def _send(self, records: Sequence[Record], timeout_s: float) -> Outcome:
        table, key, columns, resolution = _TARGETS[records[0].kind]
        request = HttpRequest(
            method="POST",
            url=f"{self._prefix}/{table}?on_conflict={key}&columns={','.join(columns)}",
            headers=(*self._headers, ("prefer", f"resolution={resolution},return=minimal")),
            body=b"[" + b",".join(record.body for record in records) + b"]",
            timeout_s=timeout_s,
            max_bytes=ANSWER_BYTES,
        )
        assert self._transport is not None, "set before the portal is"
        try:
            answer = await self._transport.send(request)
        except DealQuestError as exc:
            return Unavailable(f"{exc.code}", exc.retry_after_s)
        return read_answer(answer)

    def close(self) -> None:
        """End the sink's own thread and connections; a host's event loop is left alone."""
        portal, stopping, thread = self._portal, self._stopping, self._thread
        if thread is not None and portal is not None and stopping is not None:
            try:
                portal.start_task_soon(stopping.set)
            except RuntimeError:
                return
            thread.join(1.0)


def read_answer(answer: HttpResponse) -> Outcome:
    """What an answer means for the rows: 4xx blames them unless it names the schema, our key, or the moment.

    >>> read_answer(HttpResponse(status=201))
    Accepted()
    """
    status = answer.status
    if 200 <= status < 300:
        return Accepted()
    code = _read_code(answer)
    reason = f"HTTP {status}" + (f" {code}" if code else "")
    if status == 413:
        return Refused(reason, too_large=True)
    if status in _AWAY or status >= 500 or status < 400 or code.startswith(_SCHEMA_CODES):
        return Unavailable(reason, _read_retry_after(answer))
    return Refused(reason)


def _read_code(answer: HttpResponse) -> str:
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return ""
    code = body.get("code") if isinstance(body, dict) else None
    return code[:20] if isinstance(code, str) and code.isalnum() else ""


def _read_retry_after(answer: HttpResponse) -> float | None:
    text = answer.header("retry-after") or ""
    return float(text) if text.isdigit() and len(text) < 10 else None
