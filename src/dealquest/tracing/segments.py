"""Where lines wait: append-only segments, on disk or in memory, read by offset; both kinds offer the same.

A file segment survives its process. A write that fails half way is cut back, and the segment takes no more.
"""

import errno
import os
from pathlib import Path

from .records import Record, decode_line

SEGMENT_BYTES = 1024 * 1024


class MemorySegment:
    """Lines in memory: without a spool, or while the disk refuses. Offsets count lines."""

    durable = False
    """Whether it survives the process."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.records = 0
        self.size = 0
        self.full = False

    def append(self, lines: list[bytes]) -> None:
        """Add lines."""
        self.lines.extend(lines)
        self.records += len(lines)
        self.size += sum(map(len, lines))
        self.full = self.size >= SEGMENT_BYTES

    def read(self, offset: int, max_records: int, max_bytes: int) -> tuple[list[Record], int, int]:
        """Records from an offset on, the offset after them, and how many lines were torn: none here."""
        found: list[Record] = []
        taken = 0
        for line in self.lines[offset : offset + max_records]:
            if found and taken + len(line) > max_bytes:
                break
            record = decode_line(line)
            assert record is not None, "a line in memory is whole"
            found.append(record)
            taken += len(line)
        return found, offset + len(found), 0

    def delete(self) -> None:
        """Forget the lines."""
        self.lines = []


class FileSegment:
    """The same in a file that only its owner can read. Offsets count bytes."""

    durable = True

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self.path = path
        self._fsync = fsync
        self._fd = -1
        self.records = 0
        self.size = 0
        self.full = False

    def create(self) -> None:
        """Make the file.

        Raises:
            OSError: The disk refused.
        """
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def adopt(self) -> int:
        """Count the records of a file that another process left; how many of its lines are torn."""
        self.size = self.path.stat().st_size
        self.full = True
        torn = offset = 0
        while offset < self.size:
            found, offset, broken = self.read(offset, 10_000, SEGMENT_BYTES)
            self.records += len(found)
            torn += broken
        return torn

    def append(self, lines: list[bytes]) -> None:
        """Add lines, all or none.

        Raises:
            OSError: The disk refused.
        """
        data = b"".join(lines)
        try:
            written = os.write(self._fd, data)
            if written == len(data) and self._fsync:
                os.fdatasync(self._fd)
        except OSError:
            self._give_up()
            raise
        if written != len(data):
            self._give_up()
            raise OSError(errno.ENOSPC, "the disk took a part only")
        self.size += len(data)
        self.records += len(lines)
        self.full = self.size >= SEGMENT_BYTES

    def _give_up(self) -> None:
        self.full = True
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:
            # What was half written stays as a torn tail; the checksum finds it.
            return

    def read(self, offset: int, max_records: int, max_bytes: int) -> tuple[list[Record], int, int]:
        """Records from an offset on, the offset after them, and how many lines were torn."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            wanted = min(self.size - offset, max_bytes)
            data = os.pread(fd, wanted, offset)
            if b"\n" not in data and len(data) == wanted < self.size - offset:
                data = os.pread(fd, self.size - offset, offset)
        finally:
            os.close(fd)
        found: list[Record] = []
        torn = position = 0
        while position < len(data) and len(found) < max_records:
            end = data.find(b"\n", position)
            if end < 0:
                if offset + len(data) >= self.size:
                    torn, position = torn + 1, len(data)
                break
            record = decode_line(data[position : end + 1])
            if record is None:
                torn += 1
            else:
                found.append(record)
            position = end + 1
        return found, offset + position, torn

    def close(self) -> None:
        """Close the handle that appends."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def delete(self) -> None:
        """Forget the lines, and the file with them."""
        self.close()
        self.path.unlink(missing_ok=True)
