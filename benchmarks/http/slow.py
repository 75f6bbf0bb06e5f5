"""Slow callers against `dealquest serve`: 200 slow heads, 200 slow bodies, 200 silent, 200 that do not read.

    .venv/bin/python benchmarks/http/slow.py

Prints after how many seconds the last of each kind was ended, and the p99 of an ordinary caller before and meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from load import latencies, percentile, request
from servers import data_home, ours

from dealquest.storage.embedded import EmbeddedPostgres

EACH = 200
GIVE_UP_S = 60.0
HEAD = b"POST /api/auth/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n"


async def slow_head() -> AsyncIterator[bytes]:
    yield HEAD
    while True:
        await asyncio.sleep(1)
        yield b"X-Slow: 1\r\n"


async def slow_body() -> AsyncIterator[bytes]:
    yield HEAD + b"\r\n"
    while True:
        await asyncio.sleep(1)
        yield b"{"


async def silent() -> AsyncIterator[bytes]:
    return
    yield b""  # an iterator of nothing


async def hold(port: int, parts: Callable[[], AsyncIterator[bytes]]) -> float:
    """Seconds until the server ended this connection."""
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        async for part in parts():
            writer.write(part)
            await writer.drain()

    writing = asyncio.create_task(write())
    try:
        async with asyncio.timeout(GIVE_UP_S):
            while await reader.read(65536):
                pass
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        writer.close()
    return time.perf_counter() - begun


async def measure(port: int) -> None:
    asked = request("GET", "/api/auth/public-config")
    before = percentile(await latencies(port, asked, seconds=5, pause_s=0.01), 0.99)
    kinds = {"slow heads": slow_head, "slow bodies": slow_body, "silent": silent}
    holding = {name: asyncio.gather(*(hold(port, kind) for _ in range(EACH))) for name, kind in kinds.items()}
    await asyncio.sleep(1)
    during = percentile(await latencies(port, asked, seconds=8, pause_s=0.01), 0.99)
    for name, bar in (("silent", 10), ("slow heads", 10), ("slow bodies", 30)):
        print(f"{EACH} {name:<12} ended within {max(await holding[name]):5.1f} s   bar {bar} s (plus what the machine's load adds)")
    print(f"p99 of an ordinary caller {before:.1f} ms before, {during:.1f} ms meanwhile, ratio {during / before:.2f}   bar 2")


def main() -> None:
    with data_home() as home, EmbeddedPostgres(home), ours(home) as server:
        asyncio.run(measure(server.port))


if __name__ == "__main__":
    main()
