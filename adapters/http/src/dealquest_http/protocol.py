"""uvicorn's HTTP protocol with a clock on the head, and with nothing kept while idle: what no ASGI application can see.

Rules: while no request is being answered, exactly one timer runs. uvicorn's own ends a connection that is
idle after an answer; ours ends one that has said nothing yet, is in the middle of a head, or goes on
sending a body that nobody wanted. A head has a size limit. Bodies and readers: `guards/body_limit.py`.
Source: uvicorn 0.54, `protocols/http/httptools_impl.py`; RFC 9112 section 9.5, read 2026-11-22.
"""

import asyncio  # noqa: TID251  # uvicorn's protocols are asyncio's
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_S = 10.0
MAX_HEAD_BYTES = 64 * 1024


class GuardedProtocol(HttpToolsProtocol):
    """Ends slow and endless heads."""

    head_s: ClassVar[float] = HEAD_S

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The head's time begins with the connection."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing outlives the connection."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then see whether a head is still owed."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._is_answering():
            return
        if self._head_timer is None:
            self._await_head()
        elif self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response(f"The head of this request is larger than {MAX_HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._head_arrived()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Between two requests a connection keeps nothing of the last one: ten thousand idle ones are cheap."""
        super().on_response_complete()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.response_complete and not cycle.more_body and not self.pipeline:
            self.cycle = self.scope = self.headers = None  # type: ignore[assignment]  # as uvicorn itself begins
            self.url = b""

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.head_s, self.timeout_keep_alive_handler)

    def _head_arrived(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
