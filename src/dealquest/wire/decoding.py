"""Undo gzip and deflate without ever holding more than the caller allowed.

A small body can unpack to a thousand times its size in one step, so the unpacking itself is
bounded, not only its sum.
Source: RFC 9110 section 8.4.1 (content codings); RFC 1950, RFC 1952, read 2026-11-22.
"""

import zlib

from dealquest.errors import LimitError, PeerGarbledError

ACCEPT_ENCODING = "gzip, deflate"


class BodyDecoder:
    """Counts what it hands out and stops at `max_bytes`.

    Args:
        content_encoding: The header's text; empty or `identity` passes bytes through.
        max_bytes: Largest decoded body, in bytes.

    Raises:
        PeerGarbledError: `wire.encoding` when the peer uses a coding that was not offered.
    """

    __slots__ = ("_inflate", "_left", "_max_bytes")

    def __init__(self, content_encoding: str | None, *, max_bytes: int) -> None:
        coding = (content_encoding or "identity").strip().lower()
        if coding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise PeerGarbledError("The peer packed its answer in a way that was not offered.", code="wire.encoding")
        # 32 is added so that zlib recognises both the gzip and the zlib head by itself.
        self._inflate = None if coding in {"", "identity"} else zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._max_bytes = max_bytes
        self._left = max_bytes

    def decode(self, chunk: bytes) -> bytes:
        """Unpack the next chunk.

        Raises:
            LimitError: `wire.too_large` beyond `max_bytes`.
            PeerGarbledError: `wire.encoding` when the packing is broken.
        """
        if self._inflate is not None:
            try:
                # One byte more than allowed is enough to know.
                chunk = self._inflate.decompress(chunk, self._left + 1)
            except zlib.error as exc:
                raise PeerGarbledError("The peer's answer is packed wrongly.", code="wire.encoding", retryable=True) from exc
        self._left -= len(chunk)
        if self._left < 0:
            raise LimitError(f"The answer is larger than {self._max_bytes} bytes.", code="wire.too_large")
        return chunk

    def finish(self) -> None:
        """Check that a packed body was whole.

        Raises:
            PeerGarbledError: `wire.encoding` when it was cut short.
        """
        if self._inflate is not None and not self._inflate.eof and self._left < self._max_bytes:
            raise PeerGarbledError("The peer's answer was cut short inside its packing.", code="wire.encoding", retryable=True)
