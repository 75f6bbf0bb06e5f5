"""The append-only journal of a run: one writer, whole lines, as many readers as you like.

Rules
1. A line is handed to the operating system before the work it tells of counts as done: kill -9 loses calls in flight only.
2. The disk is asked to keep it at most every `sync_s` seconds, and at the end: a power cut loses that much.
3. A last line without its line break is torn: readers pass it over, the next writer cuts it off.
4. A full disk ends the writing with a whole last line.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from dealquest.errors import ConflictError, InputError, LimitError, NotFoundError

from .journal_lines import Line, ManifestLine

SYNC_S = 1.0

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


class Journal:
    """Writes lines, as the only process that does; a context manager that closes the file.

    Args:
        path: The file; it is made, with its folder, where it is missing.
        sync_s: Seconds after which written lines are forced to the disk; 0 forces every line, infinite none but at the end.

    Raises:
        ConflictError: `evals.journal.busy` when another process writes to it.
        InputError: `evals.journal.unwritable` when it cannot be opened.
    """

    def __init__(self, path: Path, *, sync_s: float = SYNC_S) -> None:
        self.path = path
        self._sync_s = sync_s
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as exc:
            raise InputError(f"the journal {path.name} cannot be written: {exc.strerror}", code="evals.journal.unwritable") from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._file)
            raise ConflictError(
                f"another process writes to the journal {path.name}: wait for it, or give this run a path of its own",
                code="evals.journal.busy",
            ) from exc
        self._size = self._cut_torn_line()
        self._synced_at = time.monotonic()
        self._is_dirty = False
        self._is_full = False
        self._syncing: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def write(self, *lines: Line) -> None:
        """Append lines in one write.

        Raises:
            LimitError: `evals.journal.full` when the disk takes no more; nothing of these lines is kept.
        """
        self.write_raw(b"".join(_encoder.encode(line) + b"\n" for line in lines))

    def write_raw(self, data: bytes) -> None:
        """Append whole lines as they are; see `write`."""
        if self._is_full:
            raise _full(self.path)
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as exc:
            self._is_full = True
            os.ftruncate(self._file, self._size)
            raise _full(self.path) from exc
        self._size += len(data)
        self._is_dirty = True
        if not self._sync_s:
            os.fdatasync(self._file)
        elif time.monotonic() - self._synced_at >= self._sync_s:
            self._begin_sync()

    def close(self) -> None:
        """Force what was written to the disk and let go of the file."""
        if self._file >= 0:
            self._join_sync()
            if self._is_dirty:
                os.fdatasync(self._file)
            os.close(self._file)
            self._file = -1

    def _begin_sync(self) -> None:
        # In a thread of its own: a slow disk must not hold up the calls under way.
        self._join_sync()
        self._syncing = threading.Thread(target=os.fdatasync, args=(self._file,), daemon=True)
        self._syncing.start()
        self._synced_at = time.monotonic()

    def _join_sync(self) -> None:
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None

    def _cut_torn_line(self) -> int:
        size = os.fstat(self._file).st_size
        kept = size
        while kept and os.pread(self._file, 1, kept - 1) != b"\n":
            block = os.pread(self._file, min(kept, 4096), max(0, kept - 4096))
            kept = max(0, kept - 4096) + block.rfind(b"\n") + 1
        if kept < size:
            os.ftruncate(self._file, kept)
        return kept


def _full(path: Path) -> LimitError:
    return LimitError(
        f"the disk under the journal {path.name} is full: free some space, then evals.resume() goes on where it stopped",
        code="evals.journal.full",
    )


def decode_line(line: bytes) -> Line | None:
    """A line, or None when it is none of ours."""
    try:
        read: Line = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return read


def encode_lines(*lines: Line) -> bytes:
    """Lines as they stand in a journal."""
    return b"".join(_encoder.encode(line) + b"\n" for line in lines)


def read_lines(path: Path) -> Iterator[Line | None]:
    """Every line in order; None for one that is damaged. A torn last line is passed over.

    Raises:
        NotFoundError: `evals.journal.unknown`.
        InputError: `evals.journal.invalid` when it does not begin as a journal does.
    """
    try:
        file = path.open("rb")
    except OSError as exc:
        raise NotFoundError(f"no journal at {str(path)!r}: {exc.strerror}", code="evals.journal.unknown") from exc
    with file:
        first = file.readline()
        read = decode_line(first) if first.endswith(b"\n") else None
        if not isinstance(read, ManifestLine):
            raise InputError(f"{path.name} does not begin as a journal of evaluations does", code="evals.journal.invalid")
        yield read
        for line in file:
            if line.endswith(b"\n"):
                yield decode_line(line)
