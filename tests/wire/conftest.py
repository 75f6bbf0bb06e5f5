"""A server on loopback that misbehaves on request, by path."""

import contextlib
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from dealquest.wire import AiohttpTransport, HttpxTransport, NetworkTransport


class Upstream:
    """What the server saw."""

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.connections = 0
        self.requests = 0

    async def wait_for_open(self, at_most: int) -> None:
        """Wait until no more than so many connections are open; fails after 3 s."""
        with anyio.fail_after(3):
            while self.open > at_most:  # noqa: ASYNC110  # the server's side of a socket has no event to wait for
                await anyio.sleep(0.01)

    async def serve(self, stream: SocketStream) -> None:
        self.open += 1
        self.connections += 1
        try:
            async with stream:
                with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    while True:
                        await self._answer(stream)
        finally:
            self.open -= 1

    async def _answer(self, stream: SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        path = lines[0].split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += await stream.receive()
        self.requests += 1
        await ACTIONS[path.split("?")[0]](stream, path, headers, body)


def plain(body: bytes, *extra: str, status: str = "200 OK") -> bytes:
    return ("\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *extra]) + "\r\n\r\n").encode() + body


async def _echo(stream: SocketStream, path: str, headers: dict[str, str], body: bytes) -> None:
    await stream.send(plain(json.dumps({"path": path, "headers": headers, "body": body.decode()}).encode()))


async def _gzip(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(gzip.compress(b"packed" * 100), "content-encoding: gzip"))


async def _bomb(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(gzip.compress(b"\0" * 50_000_000), "content-encoding: gzip"))


async def _no_gzip(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(b"this is not packed", "content-encoding: gzip"))


async def _half_gzip(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(gzip.compress(b"packed" * 100)[:-12], "content-encoding: gzip"))


async def _slow_gzip(stream: SocketStream, *_: object) -> None:
    # The head of the packing alone unpacks to nothing.
    packed = gzip.compress(b"packed" * 100)
    await stream.send(plain(packed, "content-encoding: gzip")[: -len(packed) + 10])
    await anyio.sleep(0.05)
    await stream.send(packed[10:])


async def _brotli(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(b"whatever", "content-encoding: br"))


async def _large(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(b"x" * 300_000))


async def _endless(stream: SocketStream, *_: object) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await stream.send(b"400\r\n" + b"y" * 1024 + b"\r\n")


async def _reset(stream: SocketStream, *_: object) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()
    raise anyio.EndOfStream


async def _drop(stream: SocketStream, *_: object) -> None:
    raise anyio.EndOfStream


async def _cut(stream: SocketStream, *_: object) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
    raise anyio.EndOfStream


async def _garbage(stream: SocketStream, *_: object) -> None:
    await stream.send(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    raise anyio.EndOfStream


async def _hang(stream: SocketStream, *_: object) -> None:
    # Ends when the client hangs up.
    await stream.receive()


async def _drip(stream: SocketStream, *_: object) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(100):
        await stream.send(b".")
        await anyio.sleep(0.05)


async def _redirect(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(b"", "location: /echo", status="302 Found"))


async def _once(stream: SocketStream, *_: object) -> None:
    # Promises to stay, and closes all the same.
    await stream.send(plain(b"bye"))
    raise anyio.EndOfStream


async def _cookie(stream: SocketStream, *_: object) -> None:
    await stream.send(plain(b"", "set-cookie: taste=sweet"))


async def _events(stream: SocketStream, *_: object) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for piece in (b"one", b"two", b"three"):
        await stream.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await stream.send(b"0\r\n\r\n")


ACTIONS: dict[str, Callable[..., Awaitable[None]]] = {
    "/echo": _echo,
    "/gzip": _gzip,
    "/bomb": _bomb,
    "/no-gzip": _no_gzip,
    "/half-gzip": _half_gzip,
    "/slow-gzip": _slow_gzip,
    "/brotli": _brotli,
    "/large": _large,
    "/endless": _endless,
    "/reset": _reset,
    "/drop": _drop,
    "/cut": _cut,
    "/garbage": _garbage,
    "/hang": _hang,
    "/drip": _drip,
    "/redirect": _redirect,
    "/once": _once,
    "/cookie": _cookie,
    "/events": _events,
}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """The server, on a free port of the loopback interface."""
    server = Upstream()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.serve)
        yield server
        group.cancel_scope.cancel()


@pytest.fixture(params=["httpx", "aiohttp"])
async def transport(request: pytest.FixtureRequest, upstream: Upstream, anyio_backend: str) -> AsyncIterator[NetworkTransport]:
    """Each network transport, bound to the server; aiohttp knows asyncio only, so trio meets httpx twice."""
    kind = AiohttpTransport if request.param == "aiohttp" and anyio_backend == "asyncio" else HttpxTransport
    async with kind(upstream.url, headers=(("x-base", "yes"),)) as made:
        yield made
