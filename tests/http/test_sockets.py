"""What only a socket can show: heads that are slow, endless or have two readings; a stop that waits for requests."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from dealquest_http.protocol import GuardedProtocol


class Hurried(GuardedProtocol):
    """The same protocol with less patience."""

    head_s = 0.5


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers what it was sent, without reading the body of /ignore."""
    if scope["type"] == "lifespan":
        return
    body = b""
    while scope["path"] != "/ignore":
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    text = f"{scope['method']} {scope['path']} {len(body)}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, http=Hurried, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(10)


def talk(address: tuple[str, int], *parts: bytes, pause_s: float = 0.0, patience_s: float = 5.0) -> tuple[bytes, float]:
    """What the server says until it hangs up or goes quiet, and after how many seconds it hung up."""
    begun = time.monotonic()
    with socket.create_connection(address, timeout=patience_s) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
            heard = b""
            while part := connection.recv(65536):
                heard += part
        except (BrokenPipeError, ConnectionResetError):
            heard = b""
        return heard, time.monotonic() - begun


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"GET / HTTP/1.1\r\n",),
        tuple(b"GET / HTTP/1.1\r\nHost: x\r\n" if number == 0 else b"X-A: b\r\n" for number in range(40)),
        tuple(b"\r\n" for _ in range(40)),
    ],
    ids=["silent", "half a head", "a line at a time", "blank lines"],
)
def test_fault_l2_a_head_that_does_not_come_is_ended(address: tuple[str, int], parts: tuple[bytes, ...]) -> None:
    """The time runs from the connection on, however much trickles in."""
    heard, seconds = talk(address, *parts, pause_s=0.05)
    assert b" 200 " not in heard
    assert seconds < 3


def test_fault_l2_after_an_answer_the_next_head_is_timed_too(address: tuple[str, int]) -> None:
    """Half a second head, and a body that nobody wanted, end the connection; an idle one is kept."""
    first = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
    heard, seconds = talk(address, first, *(b"GET" if number == 0 else b"T" for number in range(40)), pause_s=0.05)
    assert seconds < 3
    heard, seconds = talk(address, b"POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", *([b"x"] * 40), pause_s=0.05)
    assert b"POST /ignore 0" in heard or heard == b""
    assert seconds < 3
    with socket.create_connection(address, timeout=5) as connection:
        for _ in range(2):
            connection.sendall(first)
            assert b"GET /one 0" in connection.recv(65536)
            time.sleep(0.8)


def test_fault_l2_a_slow_body_is_not_a_slow_head(address: tuple[str, int]) -> None:
    """While a request is being read, the head's clock is off; pipelined requests are answered in order."""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        time.sleep(1.0)
        connection.sendall(b"x")
        assert b"POST / 2" in connection.recv(65536)
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = b""
        while b"/b" not in heard:
            heard += connection.recv(65536)
        assert heard.index(b"/a") < heard.index(b"/b")


def test_h2_an_endless_head_is_refused(address: tuple[str, int]) -> None:
    """64 KiB are enough for a head."""
    heard, _ = talk(address, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 400_000)
    assert heard.startswith(b"HTTP/1.1 400") or heard == b""


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1,1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_h2_a_message_with_two_readings_is_refused(address: tuple[str, int], head: bytes) -> None:
    """400, and the connection ends, so that nothing behind it is read as a second request."""
    heard, _ = talk(address, head + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 400"), heard
    assert b"smuggled" not in heard


def test_h2_a_doubled_host_or_credential_is_refused(live: str) -> None:
    """What may stand once stands once: Host, Authorization, the API key."""
    at = urlsplit(live)
    assert at.hostname is not None
    assert at.port is not None
    place = (at.hostname, at.port)
    for extra in (b"Host: y\r\n", b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", b"X-Api-Key: a\r\nX-API-KEY: b\r\n"):
        heard, _ = talk(place, b"GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + extra + b"\r\n")
        assert heard.startswith(b"HTTP/1.1 400"), heard
        assert b'"error":"INVALID_INPUT"' in heard
    heard, _ = talk(place, b"GET /api/health HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 400")
