"""A real HTTP/1.1 server on loopback in a thread, with scripted faults: what a double of a peer stands on.

It speaks to any event loop and any client, reads bodies strictly (length or chunks, never both), and fails on
command below HTTP: reset, hang, cut. It knows no peer's rules; those are in the doubles built on it.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import attrs
import msgspec

from dealquest.wire import Headers

FaultKind: TypeAlias = Literal["answer", "reset", "hang", "cut"]

_READ_BYTES = 256 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends RST


@attrs.frozen(kw_only=True)
class Fault:
    """What happens to one request in place of its answer.

    Attributes:
        kind: `answer` with `status`; `reset` the connection once `after_bytes` of the body were read; `hang` until the
            client leaves; `cut` the answer in the middle.
        status: Of an `answer`.
        headers: Of an `answer`.
        body: Of an `answer`.
        after_bytes: How much of the request's body is read before a `reset`.
    """

    kind: FaultKind = "answer"
    status: int = 503
    headers: Headers = ()
    body: bytes = b'{"error": "scripted"}'
    after_bytes: int = 0


@attrs.frozen(kw_only=True)
class Arrival:
    """One request that arrived; its body is still on the wire."""

    method: str
    path: str
    headers: Headers
    chunks: Callable[[], Iterator[bytes]] = attrs.field(repr=False)
    is_chunked: bool = False

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


@attrs.frozen(kw_only=True)
class Reply:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    headers: Headers = ()

    @classmethod
    def json(cls, content: Any, *, status: int = 200) -> Self:
        """A JSON answer."""
        return cls(status=status, body=msgspec.json.encode(content), headers=(("content-type", "application/json"),))


class LoopbackServer:
    """Serves `answer` on 127.0.0.1 while the context is open.

    Attributes:
        requests: `METHOD /path` of every request, in order.
        clients_gone: Exchanges that the client left before they were over.
        violations: What no well-behaved client does; a test ends with asserting that it is empty.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.clients_gone = 0
        self.violations: list[str] = []
        self._faults: dict[str, list[Fault]] = {}
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, route: str, *faults: Fault) -> None:
        """Let the next requests of a route meet these faults, one each; see `route_of`."""
        self._faults.setdefault(route, []).extend(faults)

    def route_of(self, method: str, path: str) -> str:
        """The name by which faults are scripted."""
        return f"{method} {path}"

    def answer(self, arrival: Arrival) -> Reply:
        """Answer one request; runs in a thread of its own."""
        return Reply.json({"error": f"nothing at {arrival.path}"}, status=404)

    def take_fault(self, route: str) -> Fault | None:
        """The next fault of a route, used up."""
        faults = self._faults.get(route)
        return faults.pop(0) if faults else None

    @property
    def is_stopping(self) -> bool:
        """Whether whoever waits should leave."""
        return self._stopping.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them, so nothing outlives the context
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: LoopbackServer) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is an observation, not a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True
    # Buffered, and flushed by the base class after each request: head and body leave in one packet.
    wbufsize = -1

    def _serve(self) -> None:
        owner = self.server.owner
        owner.requests.append(f"{self.command} {self.path}")
        headers = tuple((name.lower(), value.strip()) for name, value in self.headers.items())
        chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        if chunked and self.headers.get("content-length") is not None:
            owner.violations.append("a body with a length and chunks")
        arrival = Arrival(method=self.command, path=self.path, headers=headers, chunks=self._chunks, is_chunked=chunked)
        fault = owner.take_fault(owner.route_of(self.command, self.path))
        try:
            if fault is not None and fault.kind != "cut":
                self._misbehave(fault)
                return
            reply = owner.answer(arrival)
            self._send(reply, cut=fault is not None)
        except (ConnectionError, EOFError, ValueError):
            owner.clients_gone += 1
            self.close_connection = True

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # the names that the base class calls

    def _chunks(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(20).strip(), 16):
                yield self._exactly(size)
                if self.rfile.readline(3) != b"\r\n":
                    raise ValueError("a chunk without its end")
            self.rfile.readline(3)
            return
        left = int(self.headers.get("content-length", "0"))
        while left:
            chunk = self._exactly(min(left, _READ_BYTES))
            left -= len(chunk)
            yield chunk

    def _exactly(self, size: int) -> bytes:
        chunk = self.rfile.read(size)
        if len(chunk) < size:
            raise EOFError
        return chunk

    def _misbehave(self, fault: Fault) -> None:
        if fault.kind == "answer":
            for _ in self._chunks():
                pass
            self._send(Reply(status=fault.status, body=fault.body, headers=fault.headers))
            return
        self.close_connection = True
        if fault.kind == "reset":
            if fault.after_bytes:
                self.rfile.read1(fault.after_bytes)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.rfile.close()
            self.wfile.close()
            self.connection.close()
            return
        for _ in self._chunks():
            pass
        self.connection.settimeout(0.05)
        while not self.server.owner.is_stopping:
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    raise ConnectionError

    def _send(self, reply: Reply, *, cut: bool = False) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if cut else reply.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or cut

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""
