"""Bytes for each queued span, growth in an outage, and what the import costs.

python benchmarks/tracing/memory.py          # 5 s of outage
python benchmarks/tracing/memory.py 60       # the bar's 60 s
"""

import gc
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dealquest.testing.trace_sinks import MoodySink, away
from dealquest.tracing import Collector, MemoryRecorder, Tracer, installed_tracer, span, trace

KEPT = 100_000
IMPORT = "import time; start = time.process_time(); import {}; print((time.process_time() - start) * 1000)"


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def bytes_per_span() -> float:
    recorder = MemoryRecorder(keep=KEPT)
    with installed_tracer(Tracer(recorder, otel=False)), trace("bench"):
        gc.collect()
        before = rss_bytes()
        for _ in range(KEPT):
            with span("step", one=1, two="two", three=3.0, four="four", five=5):
                pass
        return (rss_bytes() - before) / KEPT


def outage_growth(seconds: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        collector = Collector([MoodySink(mood=away)], spool=Path(folder))
        tracer = Tracer(collector, otel=False)
        with installed_tracer(tracer), trace("warm"):
            pass
        before = rss_bytes()
        ends_at = time.monotonic() + seconds
        with installed_tracer(tracer):
            while time.monotonic() < ends_at:
                with trace("run"):
                    for _ in range(20):
                        with span("step", text="x" * 200):
                            pass
                time.sleep(0.01)
        grown = rss_bytes() - before
        emitted = collector.read_accounts()["moody"].emitted
        collector.close(0.1)
    print(f"outage of {seconds:g} s            {grown / 2**20:7.1f} MB grown, {emitted} records emitted")
    return grown


def import_ms(module: str) -> float:
    runs = [subprocess.run([sys.executable, "-c", IMPORT.format(module)], capture_output=True, text=True, check=True) for _ in range(5)]
    return min(float(run.stdout) for run in runs)


def main() -> None:
    logging.disable()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    print(f"bytes per kept span       {bytes_per_span():7.0f}")
    outage_growth(seconds)
    for module in ("dealquest.tracing", "opentelemetry.sdk.trace"):
        print(f"import {module:24} {import_ms(module):5.0f} ms CPU")


if __name__ == "__main__":
    main()
