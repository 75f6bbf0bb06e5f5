"""CPU of one client call against plain httpx and json, in one paired run.

    python benchmarks/postgrest/client.py [--rounds 9] [--calls 200]

Over a constant in-memory transport (what the client itself costs, as with the engine in process), and over
TCP against a constant server in a child process. Prints microseconds of this process and ratios to the first row.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import attrs
import httpx
import msgspec

from dealquest.storage import Postgrest
from dealquest.wire import AiohttpTransport, HttpRequest, HttpResponse, HttpxTransport

ROW = {"id": 1, "user_id": 7, "score": 87.5, "comment": "solid opening, weak close", "created_at": "2026-11-22T12:00:00.123456+00:00"}
LIFETIME_S = 600


@attrs.frozen
class Attempt:
    id: int
    user_id: int
    score: float
    comment: str
    created_at: str


def body_of(rows: int) -> bytes:
    return msgspec.json.encode([ROW] * rows)


class ConstantHttpx(httpx.AsyncBaseTransport):
    """httpx's own seam, answering at once."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return httpx.Response(200, headers={"content-type": "application/json"}, content=self.body)


class ConstantWire:
    """Our seam, answering at once: what a rendered request costs."""

    def __init__(self, body: bytes) -> None:
        self.answered = HttpResponse(status=200, headers=(("content-type", "application/json"),), body=body)

    async def send(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002  # the answer is constant
        return self.answered

    def stream(self, request: HttpRequest) -> Any:  # noqa: ARG002  # as above
        raise AssertionError("nothing streams here")


def serve(pipe: Connection) -> None:
    """A constant HTTP server on loopback; ends with its parent, or after some minutes."""

    class Answer(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.seen = b""

        def data_received(self, data: bytes) -> None:
            self.seen += data
            while (end := self.seen.find(b"\r\n\r\n")) >= 0:
                head = self.seen[:end].lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                if len(self.seen) < end + 4 + length:
                    return
                self.seen = self.seen[end + 4 + length :]
                self.transport.write(answers[100 if b"limit=100" in head else 1])

    answers = {
        rows: b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body_of(rows)), body_of(rows))
        for rows in (1, 100)
    }

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.poll, LIFETIME_S)

    asyncio.run(main())


Call = Callable[[], Awaitable[object]]


def reads(db: Postgrest, rows: int, row: Any) -> Call:
    table = db.table("attempts")
    return lambda: table.select("id", "user_id", "score", "comment", "created_at").where(user_id=7).order("-id").limit(rows).all(row)


def writes(db: Postgrest, rows: int) -> Call:
    found: Any = [ROW] * rows if rows > 1 else ROW
    return lambda: db.table("attempts").insert(found).all()


def plain_read(client: httpx.AsyncClient, rows: int) -> Call:
    params = {"select": "id,user_id,score,comment,created_at", "user_id": "eq.7", "order": "id.desc", "limit": str(rows)}

    async def call() -> object:
        return json.loads((await client.get("/attempts", params=params)).content)

    return call


def plain_write(client: httpx.AsyncClient, rows: int) -> Call:
    found: Any = [ROW] * rows if rows > 1 else ROW

    async def call() -> object:
        return json.loads((await client.post("/attempts", json=found, headers={"prefer": "return=representation"})).content)

    return call


async def measure(calls: dict[str, Call], *, rounds: int, count: int) -> None:
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        await call()
    gc.collect()
    for number in range(rounds):
        names = list(calls) if number % 2 else list(reversed(calls))
        for name in names:
            call = calls[name]
            before = time.process_time()
            for _ in range(count):
                await call()
            spent[name].append((time.process_time() - before) / count * 1e6)
    floor = next(iter(calls))
    for name, found in spent.items():
        ratio = statistics.median(one / base for one, base in zip(found, spent[floor], strict=True))
        print(f"  {name:<44} {statistics.median(found):8.0f} us  {ratio:5.2f}")


async def main(rounds: int, count: int) -> None:
    pipe, other = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(other,), daemon=True)
    child.start()
    port = await asyncio.to_thread(pipe.recv)
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base) as plain, HttpxTransport(base) as over_httpx, AiohttpTransport(base) as over_aiohttp:
        for rows in (1, 100):
            print(f"read of {rows} rows, constant transport")
            body = body_of(rows)
            await measure(
                {
                    "httpx.AsyncClient + json": plain_read(httpx.AsyncClient(transport=ConstantHttpx(body), base_url=base), rows),
                    "Postgrest, typed rows": reads(Postgrest(ConstantWire(body)), rows, Attempt),
                    "Postgrest, dicts": reads(Postgrest(ConstantWire(body)), rows, dict),
                },
                rounds=rounds,
                count=count,
            )
        for rows in (1, 500):
            print(f"write of {rows} rows, constant transport")
            body = body_of(1)
            await measure(
                {
                    "httpx.AsyncClient + json": plain_write(httpx.AsyncClient(transport=ConstantHttpx(body), base_url=base), rows),
                    "Postgrest": writes(Postgrest(ConstantWire(body)), rows),
                },
                rounds=rounds,
                count=max(20, count // (1 if rows == 1 else 10)),
            )
        for rows in (1, 100):
            print(f"read of {rows} rows over TCP")
            await measure(
                {
                    "httpx.AsyncClient + json": plain_read(plain, rows),
                    "Postgrest over HttpxTransport, typed": reads(Postgrest(over_httpx), rows, Attempt),
                    "Postgrest over AiohttpTransport, typed": reads(Postgrest(over_aiohttp), rows, Attempt),
                },
                rounds=rounds,
                count=count,
            )
        for rows in (1, 500):
            print(f"write of {rows} rows over TCP")
            await measure(
                {
                    "httpx.AsyncClient + json": plain_write(plain, rows),
                    "Postgrest over HttpxTransport": writes(Postgrest(over_httpx), rows),
                    "Postgrest over AiohttpTransport": writes(Postgrest(over_aiohttp), rows),
                },
                rounds=rounds,
                count=max(20, count // (1 if rows == 1 else 10)),
            )
    pipe.send(None)
    child.join(5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200)
    wanted = parser.parse_args()
    asyncio.run(main(wanted.rounds, wanted.calls))
