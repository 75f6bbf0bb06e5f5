"""Read traces back from the tables of a PostgREST base, or from the engine in this process."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec

from dealquest.errors import InputError, NotFoundError, PeerGarbledError, PeerRefusedError, PeerUnavailableError
from dealquest.wire import Headers, HttpRequest, Transport

from .models import SPAN_COLUMNS, TRACE_COLUMNS, SpanModel, TraceModel
from .story import Trace, assemble

PAGE_ROWS = 1000
READ_BYTES = 64 * 1024 * 1024


class RemoteTraces:
    """Traces in the tables of a PostgREST base.

    Args:
        transport: Answers requests.
        prefix: What stands before the table's name.
        headers: Sent with each request.
        timeout_s: For each request.
    """

    def __init__(self, transport: Transport, *, prefix: str = "", headers: Headers = (), timeout_s: float = 30.0) -> None:
        self._transport = transport
        self._prefix = prefix.rstrip("/")
        self._headers = headers
        self._timeout_s = timeout_s

    async def list_traces(self, *, limit: int = 20, pipeline: str | None = None) -> list[TraceModel]:
        """The newest rows of `pipeline_traces`.

        Raises:
            InputError: `tracing.pipeline_name` for a name with anything but letters, digits, `_`, `-`, `.` and blanks.
            PeerUnavailableError, PeerRefusedError, PeerGarbledError: `tracing.read`.
        """
        wanted = ""
        if pipeline is not None:
            if not pipeline or not all(character.isalnum() or character in "_-. " for character in pipeline):
                raise InputError("A pipeline's name has letters, digits, _, -, . and blanks.", code="tracing.pipeline_name")
            wanted = f"&pipeline_name=eq.{pipeline.replace(' ', '%20')}"
        query = f"select={','.join(TRACE_COLUMNS)}&order=start_time.desc&limit={limit}{wanted}"
        return await self._get("pipeline_traces", query, TraceModel)

    async def read_trace(self, trace_id: UUID) -> Trace:
        """One trace with all its spans.

        Raises:
            NotFoundError: `tracing.unknown_trace`.
            PeerUnavailableError, PeerRefusedError, PeerGarbledError: `tracing.read`.
        """
        rows = await self._get("pipeline_traces", f"select={','.join(TRACE_COLUMNS)}&trace_id=eq.{trace_id}", TraceModel)
        spans = [span async for span in self._pages(trace_id)]
        if not rows and not spans:
            raise NotFoundError(f"No trace {trace_id}.", code="tracing.unknown_trace")
        return assemble(spans, rows)[0]

    async def _pages(self, trace_id: UUID) -> AsyncIterator[SpanModel]:
        offset = 0
        while True:
            # A numeric column of PostgreSQL arrives as a JSON number; as text it keeps every digit.
            query = f"select={','.join(SPAN_COLUMNS)}&trace_id=eq.{trace_id}&order=start_ns,span_id&limit={PAGE_ROWS}&offset={offset}"
            page = await self._get("pipeline_spans", query, SpanModel)
            for span in page:
                yield span
            if len(page) < PAGE_ROWS:
                return
            offset += PAGE_ROWS

    async def _get(self, table: str, query: str, model: type[Any]) -> list[Any]:
        answer = await self._transport.send(
            HttpRequest(
                method="GET",
                url=f"{self._prefix}/{table}?{query}",
                headers=self._headers,
                timeout_s=self._timeout_s,
                max_bytes=READ_BYTES,
            )
        )
        if answer.status >= 500:
            raise PeerUnavailableError(f"Reading {table} failed with HTTP {answer.status}.", code="tracing.read")
        if answer.status >= 400:
            raise PeerRefusedError(f"Reading {table} was refused with HTTP {answer.status}; only project_admin may.", code="tracing.read")
        try:
            rows: list[Any] = msgspec.json.decode(answer.body, type=list[model])  # type: ignore[valid-type]  # a class at run time
        except msgspec.DecodeError as exc:
            raise PeerGarbledError(f"Rows of {table} are not what was asked for.", code="tracing.read") from exc
        return rows
