"""A small load generator: keep-alive connections over raw asyncio streams, so that it costs less than what it measures."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence


def request(method: str, path: str, *, headers: dict[str, str] | None = None, body: object = None) -> bytes:
    """The bytes of one request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(content)}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, content: bytes) -> tuple[int, bytes]:
        """Status and body of one exchange."""
        self.writer.write(content)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return int(head[9:12]), await self.reader.readexactly(length)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def throughput(port: int, content: bytes, *, connections: int, seconds: float, status: int = 200) -> float:
    """Answers a second over so many connections."""
    opened = [await Connection.open(port) for _ in range(connections)]
    done, until = 0, time.perf_counter() + seconds

    async def work(connection: Connection) -> None:
        nonlocal done
        while time.perf_counter() < until:
            found, body = await connection.ask(content)
            assert found == status, body
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*map(work, opened))
    spent = time.perf_counter() - begun
    for connection in opened:
        await connection.close()
    return done / spent


async def latencies(port: int, content: bytes, *, seconds: float, pause_s: float) -> list[float]:
    """Milliseconds of one caller's requests, one after the other."""
    connection, found, until = await Connection.open(port), [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        status, _ = await connection.ask(content)
        assert status == 200, status
        found.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(pause_s)
    await connection.close()
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
