"""Spans over OTLP (extra `otel`), through the exporter itself: its answer says what became of them.

OpenTelemetry's batch processor is left out because it drops on failure; the collector retries instead.
No OpenTelemetry global is set. Langfuse takes the same with basic auth and one more header.
Source: https://opentelemetry.io/docs/specs/otlp/ and https://langfuse.com/integrations/native/opentelemetry, read 2026-11-22.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from dealquest import __version__
from dealquest.values import Secret

from .. import names  # noqa: TID252  # a folder of one room
from ..ids import decode_span_uuid  # noqa: TID252  # see above
from ..models import SpanModel  # noqa: TID252  # see above
from ..records import Record  # noqa: TID252  # see above
from .protocol import Accepted, Outcome, Refused, Unavailable

EXPORT_TIMEOUT_S = 5.0

_AWAY = frozenset({401, 403, 404, 408, 425, 429})
_SCOPE = InstrumentationScope("dealquest", __version__, schema_url=names.SCHEMA_URL)


class OtlpSink:
    """Exports spans; trace rows have no counterpart in OTLP and are accepted unsent, their facts are on the root span.

    Args:
        endpoint: The whole address, such as `https://host/v1/traces`; from the operator.
        headers: Credentials and such.
        service: The resource's `service.name`.
        name: Its name.
        exporter: Another exporter of the SDK, instead of OTLP over HTTP.
    """

    def __init__(
        self,
        endpoint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        service: str = "dealquest",
        name: str = "otlp",
        exporter: SpanExporter | None = None,
    ) -> None:
        self.name = name
        self._status: int | None = None
        self._resource = Resource({"service.name": service}, schema_url=names.SCHEMA_URL)
        self._reopen = None if exporter is not None else lambda: self._open_exporter(endpoint, headers)
        self._exporter = exporter or self._open_exporter(endpoint, headers)

    def reset_after_fork(self) -> None:
        """Open connections of its own; the parent's belong to the parent."""
        if self._reopen is not None:
            self._exporter = self._reopen()

    def _open_exporter(self, endpoint: str, headers: Mapping[str, str] | None) -> SpanExporter:
        session = requests.Session()
        session.trust_env = False
        session.hooks["response"].append(self._note_status)
        return OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=EXPORT_TIMEOUT_S, session=session)

    def _note_status(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        self._status = answer.status_code

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:  # noqa: ARG002  # the exporter's own deadline is 5 s
        """Export once; the exporter may retry within its 5 s."""
        spans = [self.to_readable(row) for record in records if isinstance(row := record.decode(), SpanModel)]
        if not spans:
            return Accepted()
        self._status = None
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            return Accepted()
        return self._explain_failure()

    def _explain_failure(self) -> Outcome:
        status = self._status
        if status is not None and 400 <= status < 500 and status not in _AWAY:
            return Refused(f"HTTP {status}", too_large=status == 413)
        return Unavailable(f"HTTP {status}" if status is not None else "it cannot be reached")

    def to_readable(self, row: SpanModel) -> ReadableSpan:
        """Our row as a span of the SDK."""
        trace_id = row.trace_id.int
        end_ns = row.start_ns + round(row.duration_ms * 1e6)
        attributes = {key: _to_attribute(value) for key, value in row.attributes.items() if value is not None}
        for key, value in (("input.value", row.input_data), ("output.value", row.output_data)):
            if value is not None:
                attributes[key] = msgspec.json.encode(value).decode()
        attributes.setdefault(names.OPERATION, names.OPERATIONS_BY_KIND.get(row.kind, row.kind))
        events: tuple[Event, ...] = ()
        if row.error_type is not None:
            attributes[names.ERROR_TYPE] = row.error_type
            facts = {"exception.type": row.error_type, "exception.message": row.error or ""}
            events = (Event("exception", facts, end_ns),)
        bad = row.status in {"error", "cancelled"}
        return ReadableSpan(
            name=row.span_name,
            context=_to_context(trace_id, decode_span_uuid(row.span_id)),
            parent=None if row.parent_span_id is None else _to_context(trace_id, decode_span_uuid(row.parent_span_id)),
            resource=self._resource,
            attributes=attributes,
            events=events,
            kind=SpanKind.CLIENT if row.kind == "llm" else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, row.error or row.status)
            if bad
            else Status(StatusCode.OK if row.status == "ok" else StatusCode.UNSET),
            start_time=row.start_ns,
            end_time=end_ns,
            instrumentation_scope=_SCOPE,
        )

    def close(self) -> None:
        """Close the exporter's connections."""
        self._exporter.shutdown()


def langfuse_sink(host: str, *, public_key: str, secret_key: Secret, name: str = "langfuse") -> OtlpSink:
    """An `OtlpSink` for Langfuse.

    Args:
        host: Its address, such as `https://cloud.langfuse.com`; from the operator.
        public_key: The project's public key.
        secret_key: The project's secret key.
        name: Its name.
    """
    credentials = base64.b64encode(f"{public_key}:{secret_key.reveal()}".encode()).decode()
    headers = {"authorization": f"Basic {credentials}", "x-langfuse-ingestion-version": "4"}
    return OtlpSink(f"{host.rstrip('/')}/api/public/otel/v1/traces", headers=headers, name=name)


def _to_context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _to_attribute(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return list(value)
    return msgspec.json.encode(value).decode()
