"""Spans lost and doubled, by id, when the sink fails for a while: every kind of outage at once, 200 spans a second each.

python benchmarks/tracing/loss.py            # 5 s of outage
python benchmarks/tracing/loss.py 30         # the bar's 30 s
"""

import logging
import sys
import tempfile
import threading
import time
from pathlib import Path

from dealquest.testing.trace_server import TraceTables, Weather
from dealquest.tracing import Collector, PostgrestSink, Tracer

RATE = 200
KINDS: tuple[Weather | str, ...] = ("fine", "503", "400", "hang", "slow", "reply_lost", "refused", "down at exit")


def emit(tracer: Tracer, seconds: float) -> int:
    count, ends_at = 0, time.monotonic() + seconds
    while time.monotonic() < ends_at:
        with tracer.start_run("run", "step", {}):
            pass
        count += 1
        time.sleep(1 / RATE)
    return count


def one(kind: str, seconds: float, spool: Path, results: dict[str, str]) -> None:
    first = TraceTables()
    first.slow_s = 0.5
    with first:
        collector = Collector([PostgrestSink.over_http(first.base_url)], spool=spool)
        tracer = Tracer(collector, otel=False)
        emitted = emit(tracer, 1)
        collector.flush()
        if kind not in {"refused", "down at exit", "fine"}:
            first.weather = kind  # type: ignore[assignment]  # one of its literals
            emitted += emit(tracer, seconds)
            first.weather = "fine"
        elif kind == "fine":
            emitted += emit(tracer, seconds)
    stored = dict(first.spans)
    # The old connections are cut as well: a kept one would survive a closed socket.
    if kind in {"refused", "down at exit"}:
        emitted += emit(tracer, seconds)
    start = time.monotonic()
    closing = 0.0
    if kind == "down at exit":
        collector.close(2.0)
        closing = time.monotonic() - start
        with TraceTables() as second, Collector([PostgrestSink.over_http(second.base_url)], spool=spool) as successor:
            time.sleep(0.2)
            successor.flush(60)
            stored |= second.spans
        dead = 0
    else:
        with TraceTables(first.port) as second:
            second.tables["pipeline_spans"].update(stored)
            left = collector.flush(60)
            closing = time.monotonic() - start
            dead = collector.read_accounts()["postgrest"].dead
            collector.close(1)
            stored |= second.spans
            assert not left, left
    results[kind] = f"{kind:14} emitted {emitted:6}  lost {emitted - len(stored):4}  dead {dead:3}  caught up or closed in {closing:5.2f} s"


def main() -> None:
    logging.disable()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    results: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        threads = [threading.Thread(target=one, args=(kind, seconds, Path(folder) / kind, results)) for kind in KINDS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(*(results[kind] for kind in KINDS), sep="\n")


if __name__ == "__main__":
    main()
