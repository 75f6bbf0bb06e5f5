"""A process that is killed: emits spans and says each span's id once its end has returned.

emitter.py <spool> <durability> <base url, or none> <spans a second> <seconds>
"""

import sys
import time
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from dealquest.tracing import Collector, Limits, PostgrestSink, Span, Tracer, installed_tracer, span, trace
from dealquest.tracing.ids import encode_span_uuid


def main() -> None:
    spool, durability, url, rate, seconds = sys.argv[1:]
    sink = PostgrestSink.over_http(url)
    collector = Collector([sink], spool=Path(spool), durability=cast("Any", durability), limits=Limits(export_interval_s=0.1))
    ends_at = time.monotonic() + float(seconds)
    with installed_tracer(Tracer(collector)), trace("run") as run:
        assert isinstance(run, Span)
        trace_id = UUID(run.trace_id).int
        while time.monotonic() < ends_at:
            with span("step", text="x" * 50) as step:
                pass
            assert isinstance(step, Span)
            sys.stdout.write(f"{encode_span_uuid(trace_id, step.span_id)} {time.monotonic():.4f}\n")
            sys.stdout.flush()
            time.sleep(1 / float(rate))


if __name__ == "__main__":
    main()
