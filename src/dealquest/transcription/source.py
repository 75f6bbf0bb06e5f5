"""Where sound comes from: a file, bytes in memory, or chunks that arrive. Checked before the first byte is sent.

Holds one chunk at a time, so a large file costs no memory. Knows nothing of HTTP.
"""

import os
import stat
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import BinaryIO, Protocol, Self, TypeAlias

import anyio
import attrs
from anyio import to_thread

from dealquest.errors import InputError

from .sound import HEAD_BYTES, TAIL_BYTES, SoundLimits, SoundMeter, check_duration, check_kind, check_size, measure_duration

CHUNK_BYTES = 256 * 1024
CLOSING_S = 5.0

AudioSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | AsyncIterable[bytes] | Callable[[], AsyncIterable[bytes]]
"""A path, the bytes, chunks that can be read once, or a function that opens the chunks anew for each attempt."""


class Reader(Protocol):
    """One pass over a sound: chunks, and what is left open is closed at the end."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks in order."""
        ...

    async def aclose(self) -> None:
        """Let go of the file or the source."""
        ...


@attrs.define(kw_only=True)
class Sound:
    """A source that was looked at and may be sent.

    Attributes:
        kind: Container, such as `ogg`; also the usual file suffix. None when it is not known.
        size: Bytes; None when the source does not say.
        can_open: Whether `open` works: always for files and bytes, once for chunks that arrive.
        sent_bytes: How far the latest pass came.
    """

    kind: str | None
    size: int | None
    can_open: bool = True
    sent_bytes: int = 0
    _open: Callable[[], Reader] = attrs.field(repr=False)
    _reopens: bool
    _meter: Callable[[], SoundMeter] = attrs.field(repr=False)

    def open(self, on_bytes: Callable[[int], None]) -> "SoundBody":
        """Begin a pass; `on_bytes` hears the bytes so far after each chunk."""
        assert self.can_open
        self.can_open = self._reopens

        def note(sent: int) -> None:
            self.sent_bytes = sent
            on_bytes(sent)

        return SoundBody(self._open(), self._meter(), note)


class SoundBody:
    """One metered pass over a sound, as a request body. Use it as a context manager: it closes what it reads from.

    An object and not a generator: an abandoned upload must leave nothing to the garbage collector. Some transports
    read a body in a task of their own that outlives a broken exchange, so closing waits for a read that is under way.
    """

    def __init__(self, reader: Reader, meter: SoundMeter, on_bytes: Callable[[int], None]) -> None:
        self._reader = reader
        self._chunks: AsyncIterator[bytes] | None = None
        self._meter = meter
        self._on_bytes = on_bytes
        self._reading = anyio.Lock()
        self._closed = False
        self.failure: InputError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        with anyio.move_on_after(CLOSING_S, shield=True):
            async with self._reading:
                await self._reader.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        async with self._reading:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._chunks is None:
                self._chunks = aiter(self._reader)
            try:
                chunk = await anext(self._chunks)
                self._meter.feed(chunk)
            except InputError as exc:
                self.failure = exc  # a transport may wrap what its body raises; the owner looks here
                raise
        self._on_bytes(self._meter.seen_bytes)
        return chunk


async def open_sound(source: AudioSource, limits: SoundLimits, *, usd_per_hour: Decimal, duration_s: float | None = None) -> Sound:
    """Look at a source: is it there, is it sound, is it within the limits?

    Args:
        source: See `AudioSource`.
        limits: What is accepted.
        usd_per_hour: The peer's highest price, for the cost limit.
        duration_s: The length the caller was told, if any; what the bytes themselves say counts too.

    Raises:
        InputError: `transcription.unreadable`, `.empty`, `.too_large`, `.too_short`, `.too_long`, `.not_audio`, `.bad_option`.
    """
    longest_s = limits.longest_s(usd_per_hour)
    check_duration(duration_s, limits, longest_s=longest_s)
    if isinstance(source, (bytes, bytearray, memoryview)):
        look = _look_at_bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        look = await _look_at_file(anyio.Path(source))
    else:
        look = await _look_at_chunks(source)
    try:
        kind = check_kind(look.head, limits)
        if look.size is not None:
            check_size(look.size, limits)
            check_duration(measure_duration(look.head, look.tail, look.size), limits, longest_s=longest_s)
    except InputError:
        await look.open().aclose()
        raise
    return Sound(
        kind=kind,
        size=look.size,
        open=look.open,
        reopens=look.reopens,
        meter=lambda: SoundMeter(look.head, limits, longest_s=longest_s),
    )


@attrs.frozen(kw_only=True)
class _Look:
    """What the first look at a source found, and how to read it."""

    head: bytes
    tail: bytes = b""
    size: int | None = None
    open: Callable[[], Reader]
    reopens: bool = True


def _look_at_bytes(source: bytes | bytearray | memoryview) -> _Look:
    whole = memoryview(source).cast("B")
    return _Look(
        head=bytes(whole[:HEAD_BYTES]),
        tail=bytes(whole[max(0, len(whole) - TAIL_BYTES) :]),
        size=len(whole),
        open=lambda: _BytesReader(whole),
    )


async def _look_at_file(path: anyio.Path) -> _Look:
    if str(path).startswith(("http:/", "https:/")):
        raise InputError("This is an address, not a file: pass a path, bytes or chunks.", code="transcription.unreadable")
    try:
        # Opening a pipe waits, where no deadline reaches, until somebody writes.
        if stat.S_ISFIFO((await path.stat()).st_mode):
            raise InputError(f"{path.name!r} is a pipe, not a file: pass what it yields as chunks.", code="transcription.unreadable")
        async with await path.open("rb") as file:
            head = await file.read(HEAD_BYTES)
            size = await file.seek(0, os.SEEK_END)
            await file.seek(max(0, size - TAIL_BYTES))
            tail = await file.read(TAIL_BYTES)
    except (OSError, ValueError) as exc:
        raise _unreadable(path, exc) from exc
    return _Look(head=head, tail=tail, size=size, open=lambda: _FileReader(path, size))


async def _look_at_chunks(source: AsyncIterable[bytes] | Callable[[], AsyncIterable[bytes]]) -> _Look:
    if not callable(source):
        only = _ChunksReader(source)
        return _Look(head=await only.peek(HEAD_BYTES), open=lambda: only, reopens=False)
    peeked = _ChunksReader(source())
    head = await peeked.peek(HEAD_BYTES)
    waiting = [peeked]  # the pass that was looked at is the first one to be read
    return _Look(head=head, open=lambda: waiting.pop() if waiting else _ChunksReader(source()))


def _unreadable(path: anyio.Path, exc: OSError | ValueError) -> InputError:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "it cannot be read"
    return InputError(f"Cannot read {path.name!r}: {reason}.", code="transcription.unreadable")


class _BytesReader:
    def __init__(self, whole: memoryview) -> None:
        self._whole = whole
        self._at = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._at >= len(self._whole):
            raise StopAsyncIteration
        chunk = bytes(self._whole[self._at : self._at + CHUNK_BYTES])
        self._at += len(chunk)
        return chunk

    async def aclose(self) -> None:
        return


class _FileReader:
    """Reads exactly the size that was announced; a file that shrinks or grows meanwhile is an error, not a torn upload.

    The file is opened and closed in the worker thread itself: a transport may cancel the task that waits for it, and
    what a thread returns to nobody would stay open.
    """

    def __init__(self, path: anyio.Path, size: int) -> None:
        self._path = path
        self._left = size
        self._guard = threading.Lock()
        self._file: BinaryIO | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        try:
            chunk = await to_thread.run_sync(self._read, min(CHUNK_BYTES, self._left))
        except OSError as exc:
            raise _unreadable(self._path, exc) from exc
        if not chunk:
            raise InputError(f"{self._path.name!r} became shorter while it was sent.", code="transcription.unreadable")
        self._left -= len(chunk)
        return chunk

    def _read(self, size: int) -> bytes:
        with self._guard:
            if self._closed:
                return b""
            if self._file is None:
                self._file = open(self._path, "rb")  # noqa: SIM115, PTH123  # closed by _close, whoever waits for us or not
            return self._file.read(size)

    async def aclose(self) -> None:
        await to_thread.run_sync(self._close)

    def _close(self) -> None:
        with self._guard:
            self._closed = True
            if self._file is not None:
                self._file.close()


class _ChunksReader:
    """Chunks of any size from elsewhere, in pieces of at most `CHUNK_BYTES`."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._ready = b""
        self._at = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def peek(self, wanted: int) -> bytes:
        """The first bytes, without using them up."""
        parts, have = [], 0
        with suppress(StopAsyncIteration):
            while have < wanted:
                parts.append(await self._pull())
                have += len(parts[-1])
        self._ready = b"".join(parts)
        return bytes(self._ready[:wanted])

    async def __anext__(self) -> bytes:
        while self._at >= len(self._ready):
            self._ready, self._at = await self._pull(), 0
        piece = bytes(self._ready[self._at : self._at + CHUNK_BYTES])
        self._at += len(piece)
        return piece

    async def _pull(self) -> bytes:
        try:
            return await anext(self._chunks)
        except OSError as exc:  # left as it is, a transport would take it for a fault of the peer's connection
            raise InputError(f"The source of the sound broke off ({type(exc).__name__}).", code="transcription.unreadable") from exc

    async def aclose(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
