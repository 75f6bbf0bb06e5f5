"""A model behind a socket: an OpenAI-compatible server on loopback that streams, can be slow, and sees who hangs up.

It answers chat completions, embeddings and the list of models; it understands nothing.
"""

import contextlib
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import msgspec

_POLL_S = 0.02


class ModelServer:
    """Answers while the context is open.

    Attributes:
        words: The pieces of every answer.
        pause_s: Seconds before each piece.
        status: What to answer instead of 200.
        breaks_after: Pieces after which a stream is cut off; None to end it well.
        calls: Tools that it asks for instead of saying words: name to arguments.
        usage: Tokens and cost that are told.
        requests: Bodies that arrived, in order.
        hung_up: Answers that nobody wanted any more.
    """

    def __init__(self) -> None:
        self.words: Sequence[str] = ("Hello", " ", "there.")
        self.pause_s = 0.0
        self.status = 200
        self.breaks_after: int | None = None
        self.calls: dict[str, dict[str, Any]] = {}
        self.usage: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0002}
        self.requests: list[dict[str, Any]] = []
        self.hung_up = 0
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": _POLL_S}, daemon=True)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: ModelServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is an observation, not a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """The list of models."""
        listed = [
            {"id": "zeta/one", "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
            {"id": "anthropic/claude-sonnet-4.6", "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]}},
            {"id": "openai/gpt-oss-120b"},
        ]
        self._answer({"data": listed})

    def do_POST(self) -> None:
        """An answer or vectors."""
        owner = self.server.owner
        asked = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        owner.requests.append(asked)
        if owner.status != 200:
            self._answer({"error": {"message": "scripted", "code": owner.status}}, status=owner.status)
        elif self.path.endswith("/embeddings"):
            rows = [{"index": index, "embedding": [index + 0.5, -1.0]} for index in range(len(asked["input"]))]
            self._answer({"data": rows, "model": asked["model"], "usage": {"prompt_tokens": 7}})
        elif asked.get("stream"):
            self._stream(asked)
        elif self._waits_for(len(owner.words)):
            message = {"role": "assistant", "content": None if owner.calls else "".join(owner.words)} | self._calls()
            choice = {"index": 0, "finish_reason": "tool_calls" if owner.calls else "stop", "message": message}
            self._answer({"id": "gen-1", "model": asked["model"], "choices": [choice], "usage": owner.usage})

    def _answer(self, content: Any, *, status: int = 200) -> None:
        body = msgspec.json.encode(content)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, asked: dict[str, Any]) -> None:
        owner = self.server.owner
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for index, word in enumerate(() if owner.calls else owner.words):
            if owner.breaks_after == index:
                return
            if not self._waits_for(1):
                return
            self._event({"id": "gen-1", "model": asked["model"], "choices": [{"index": 0, "delta": {"content": word}}]})
        self._event(
            {
                "id": "gen-1",
                "model": asked["model"],
                "choices": [{"index": 0, "delta": self._calls(), "finish_reason": "tool_calls" if owner.calls else "stop"}],
                "usage": owner.usage,
            }
        )
        self.wfile.write(b"data: [DONE]\n\n")

    def _calls(self) -> dict[str, Any]:
        calls = [
            {
                "index": index,
                "id": f"call_{index}",
                "type": "function",
                "function": {"name": name, "arguments": msgspec.json.encode(given).decode()},
            }
            for index, (name, given) in enumerate(self.server.owner.calls.items())
        ]
        return {"tool_calls": calls} if calls else {}

    def _event(self, content: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + msgspec.json.encode(content) + b"\n\n")
        self.wfile.flush()

    def _waits_for(self, pieces: int) -> bool:
        """Be slow; whether the client still listens afterwards."""
        owner = self.server.owner
        left_s = owner.pause_s * pieces
        while left_s > 0 and not owner.stopping.is_set():
            self.connection.settimeout(_POLL_S)
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(1):
                    owner.hung_up += 1
                    self.close_connection = True
                    return False
            left_s -= _POLL_S
        self.connection.settimeout(None)
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""
