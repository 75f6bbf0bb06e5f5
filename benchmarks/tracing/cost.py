"""CPU per span against the floor: a slotted object, a ContextVar set and reset, two clock reads, an id, a deque append.

python benchmarks/tracing/cost.py            # ratios; each mode runs beside the floor, best of several rounds
"""

import asyncio
import http.server
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from typing import Self

from dealquest.tracing import Collector, Durability, MemoryRecorder, PostgrestSink, Tracer, installed_tracer, span, trace, traced_span

TASKS = 64
GROUPS = 40
DEPTH = 3
SPANS = TASKS * GROUPS * DEPTH

_here: ContextVar[object] = ContextVar("floor", default=None)
_bits = random.Random(1).getrandbits
_kept: deque[object] = deque(maxlen=100_000)


class Bare:
    """The floor's span."""

    __slots__ = ("attributes", "end", "id", "name", "start", "token")

    def __init__(self, name: str, **attributes: object) -> None:
        self.name = name
        self.attributes = attributes
        self.id = _bits(64)

    def __enter__(self) -> Self:
        self.token = _here.set(self)
        self.start = time.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.end = time.monotonic_ns()
        _here.reset(self.token)
        _kept.append(self)


def nested(make: Callable[..., AbstractContextManager[object]]) -> None:
    """Three spans, five attributes each."""
    for _ in range(GROUPS):
        with (
            make("a", one=1, two="two", three=3.0, four="four", five=5),
            make("b", one=1, two="two", three=3.0, four="four", five=5),
            make("c", one=1, two="two", three=3.0, four="four", five=5),
        ):
            pass


async def tasks(make: Callable[..., AbstractContextManager[object]]) -> None:
    """64 tasks with their own nesting."""

    async def one() -> None:
        nested(make)
        await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(TASKS)))


def cpu_us(run: Callable[[], None]) -> float:
    """Process CPU in microseconds for each span, worker and sender threads included."""
    start = time.process_time()
    run()
    return (time.process_time() - start) / SPANS * 1e6


def floor() -> None:
    asyncio.run(tasks(Bare))


def off() -> None:
    asyncio.run(tasks(span))


def in_memory() -> None:
    with installed_tracer(Tracer(MemoryRecorder(), otel=False)), trace("bench"):
        asyncio.run(tasks(span))


class Sink(http.server.BaseHTTPRequestHandler):
    """A local sink in a process of its own; without Nagle, which would flatter batching."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(201)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def serve() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the benchmark ends


def exported(durability: Durability, url: str) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        Collector([PostgrestSink.over_http(url)], spool=Path(folder), durability=durability) as one,
    ):
        with installed_tracer(Tracer(one, otel=False)):
            with span("warm-up"):  # the connection's own cost is not a span's
                pass
            one.flush()
            start = time.process_time()
            with trace("bench"):
                asyncio.run(tasks(span))
            left = one.flush(30)
        cost = (time.process_time() - start) / SPANS * 1e6
        assert not left, left
        return cost


async def stream_cost(traced: bool) -> float:
    async def numbers() -> AsyncIterator[int]:
        for number in range(50_000):
            yield number

    make = traced_span("numbers")(numbers) if traced else numbers
    start = time.process_time()
    async for _ in make():
        pass
    return (time.process_time() - start) / 50_000 * 1e6


def main() -> None:
    from dealquest.wire import HttpxTransport  # noqa: F401, PLC0415  # its import is no span's cost

    if sys.argv[1:] == ["serve"]:
        serve()
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, mode in (("floor", floor), ("off", off), ("in memory", in_memory)):
            best[name] = min(best.get(name, 1e9), cpu_us(mode))
        for durability in ("off", "tick", "span"):
            label = f"export, spool {durability}"
            best[label] = min(best.get(label, 1e9), exported(durability, url))
        plain = asyncio.run(stream_cost(traced=False))
        with installed_tracer(Tracer(MemoryRecorder(), otel=False)):
            best["streamed item, added"] = min(best.get("streamed item, added", 1e9), asyncio.run(stream_cost(traced=True)) - plain)
    for name, cost in best.items():
        print(f"{name:28} {cost:7.2f} us   x {cost / best['floor']:.2f} floor")
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main()
