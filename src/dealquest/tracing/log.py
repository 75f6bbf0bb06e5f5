"""The queue between the worker and the sinks: segments in order, and a cursor for each sink.

One owner appends; each sink reads and acknowledges at its own pace, so a dead sink does not hold the others.
A segment goes when every sink is past it, or when a cap on bytes or age says so; then what a sink had not
acknowledged is counted as dropped. When the disk refuses, lines wait in memory and the disk is tried again.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from .owner import Ownership, take_ownership
from .records import Record
from .segments import FileSegment, MemorySegment

DISK_RETRY_S = 2.0


@attrs.frozen
class Batch:
    """Records for one sink, and where its cursor stands after them."""

    records: tuple[Record, ...]
    segment: int
    offset: int


class _Cursor:
    """How far a sink is: a segment's number, an offset in it, and how many of its records are done."""

    __slots__ = ("done", "fd", "offset", "segment")

    def __init__(self) -> None:
        self.segment = 0
        self.offset = 0
        self.done = 0
        self.fd = -1


class Log:
    """Lines in order with a cursor for each sink. Safe to use from several threads.

    Args:
        sinks: Names of those who read.
        folder: The spool folder, made when missing; None keeps everything in memory.
        ring_bytes: Cap on lines held in memory.
        fsync: Whether each append waits for the disk; it guards against power loss, not against kill -9.
        monotonic: Seconds, for the next try after the disk refused.
        warn: Called with a reason and a message.
    """

    def __init__(
        self,
        sinks: Sequence[str],
        *,
        folder: Path | None,
        ring_bytes: int,
        fsync: bool,
        monotonic: Callable[[], float],
        warn: Callable[[str, str], None],
    ) -> None:
        self.folder = folder
        self.torn = 0
        self.dropped: dict[str, Counter[str]] = {name: Counter() for name in sinks}
        self._lock = threading.RLock()
        self._segments: dict[int, FileSegment | MemorySegment] = {}
        self._last = -1
        self._cursors = {name: _Cursor() for name in sinks}
        self._ring_bytes = ring_bytes
        self._fsync = fsync
        self._monotonic = monotonic
        self._warn = warn
        self._disk_again_at = 0.0
        self._owned: Ownership | None = None

    @classmethod
    def adopt(cls, folder: Path, owned: Ownership, sinks: Sequence[str], *, warn: Callable[[str, str], None]) -> "Log":
        """Take over what a dead process left.

        Raises:
            OSError: The folder cannot be read.
        """
        left_behind = {path.name.removeprefix("cursor-"): path for path in folder.glob("cursor-*")}
        names = [name for name in sinks if name in left_behind]
        log = cls(names, folder=folder, ring_bytes=0, fsync=False, monotonic=lambda: 0.0, warn=warn)
        log._owned = owned  # its own class
        for path in sorted(folder.glob("*.seg")):
            segment = FileSegment(path)
            log.torn += segment.adopt()
            log._last = int(path.stem)  # its own class
            log._segments[log._last] = segment  # its own class
        for name in names:
            log._restore_cursor(name, left_behind[name])  # its own class
        log.sweep()
        return log

    def _restore_cursor(self, name: str, path: Path) -> None:
        cursor = self._cursors[name]
        cursor.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        parts = os.pread(cursor.fd, 64, 0).split()
        if len(parts) == 3 and all(part.isdigit() for part in parts):
            cursor.segment, cursor.offset, cursor.done = map(int, parts)

    def append(self, lines: list[bytes]) -> None:
        """Add lines: to the disk, else to memory."""
        if not lines:
            return
        with self._lock:
            if self.folder is not None and self._monotonic() >= self._disk_again_at:
                try:
                    self._open_segment().append(lines)
                except OSError as exc:
                    if isinstance(exc, FileNotFoundError):
                        self._disown()  # the folder was deleted under us; the next try makes it anew
                    self._disk_again_at = self._monotonic() + DISK_RETRY_S
                    self._warn("disk", f"The trace spool cannot be written ({exc.strerror or exc}); spans wait in memory.")
                else:
                    return
            self._append_to_memory(lines)

    def _open_segment(self) -> FileSegment:
        last = self._segments.get(self._last)
        if isinstance(last, FileSegment) and not last.full:
            return last
        assert self.folder is not None
        if self._owned is None:
            self._own_folder()
        if isinstance(last, FileSegment):
            last.close()
        segment = FileSegment(self.folder / f"{self._last + 1:08d}.seg", fsync=self._fsync)
        segment.create()
        self._last += 1
        self._segments[self._last] = segment
        return segment

    def _own_folder(self) -> None:
        assert self.folder is not None
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._owned = take_ownership(self.folder)
        if self._owned is None:
            raise OSError("another process owns the folder")
        for name in self._cursors:
            self._open_cursor(name)

    def _open_cursor(self, name: str) -> None:
        assert self.folder is not None
        cursor = self._cursors[name]
        if cursor.fd < 0:
            cursor.fd = os.open(self.folder / f"cursor-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._store_cursor(cursor)

    def _append_to_memory(self, lines: list[bytes]) -> None:
        last = self._segments.get(self._last)
        if not isinstance(last, MemorySegment) or last.full:
            self._last += 1
            last = self._segments[self._last] = MemorySegment()
        last.append(lines)
        held = [(number, segment) for number, segment in self._segments.items() if isinstance(segment, MemorySegment)]
        size = sum(segment.size for _, segment in held)
        for number, segment in held[:-1]:
            if size <= self._ring_bytes:
                break
            size -= segment.size
            self._evict(number, "memory_full")

    def rescue(self) -> None:
        """Move lines that wait in memory to the disk, when it takes them again."""
        with self._lock:
            held = [number for number, segment in self._segments.items() if isinstance(segment, MemorySegment)]
            if self.folder is None or not held:
                return
            for number in held:
                memory = self._segments[number]
                assert isinstance(memory, MemorySegment)
                segment = FileSegment(self.folder / f"{number:08d}.seg", fsync=self._fsync)
                try:
                    if self._owned is None:
                        self._own_folder()
                    segment.create()
                    segment.append(memory.lines)
                except OSError as exc:
                    self._warn("disk", f"The trace spool cannot be written ({exc.strerror or exc}); spans wait in memory.")
                    segment.delete()
                    return
                segment.full = True
                segment.close()
                self._segments[number] = segment
                for cursor in self._cursors.values():
                    if cursor.segment == number:
                        cursor.offset = sum(map(len, memory.lines[: cursor.offset]))
                        self._store_cursor(cursor)

    def read(self, sink: str, *, max_records: int, max_bytes: int) -> Batch | None:
        """The next records for a sink, without moving its cursor.

        Raises:
            OSError: The disk cannot be read.
        """
        with self._lock:
            cursor = self._cursors.get(sink)
            if cursor is None:
                return None
            for number in sorted(number for number in self._segments if number >= cursor.segment):
                segment = self._segments[number]
                offset = cursor.offset if number == cursor.segment else 0
                end = segment.records if isinstance(segment, MemorySegment) else segment.size
                if offset >= end:
                    continue
                try:
                    records, after, _ = segment.read(offset, max_records, max_bytes)
                except FileNotFoundError:
                    self._evict(number, "spool_deleted")
                    continue
                if records:
                    return Batch(tuple(records), number, after)
            return None

    def acknowledge(self, sink: str, batch: Batch) -> bool:
        """Move a sink's cursor behind a batch; False when the batch was dropped meanwhile."""
        with self._lock:
            cursor = self._cursors[sink]
            if batch.segment < cursor.segment or batch.segment not in self._segments:
                return False
            if batch.segment > cursor.segment:
                cursor.segment, cursor.done = batch.segment, 0
            cursor.offset = batch.offset
            cursor.done += len(batch.records)
            self._store_cursor(cursor)
            self.sweep()
            return True

    def _store_cursor(self, cursor: _Cursor) -> None:
        if cursor.fd >= 0:
            try:
                os.pwrite(cursor.fd, b"%020d %020d %020d\n" % (cursor.segment, cursor.offset, cursor.done), 0)
            except OSError as exc:
                self._warn("disk", f"A cursor of the trace spool cannot be written ({exc.strerror or exc}); rows may be sent twice.")

    def count_pending(self, sink: str, *, durable: bool | None = None) -> int:
        """Records a sink has not acknowledged; only those on disk, or only those in memory, when asked."""
        with self._lock:
            cursor = self._cursors.get(sink)
            if cursor is None:
                return 0
            return sum(
                segment.records - (cursor.done if number == cursor.segment else 0)
                for number, segment in self._segments.items()
                if number >= cursor.segment and (durable is None or segment.durable is durable)
            )

    def sweep(self) -> None:
        """Delete segments that every sink is past; the last one stays open."""
        with self._lock:
            for number in [number for number in self._segments if number != self._last]:
                segment = self._segments[number]
                if all(
                    cursor.segment > number or (cursor.segment == number and cursor.done >= segment.records)
                    for cursor in self._cursors.values()
                ):
                    self._delete(number)

    def _evict(self, number: int, reason: str) -> None:
        segment = self._segments[number]
        for name, cursor in self._cursors.items():
            if cursor.segment > number:
                continue
            lost = segment.records - (cursor.done if cursor.segment == number else 0)
            self.dropped[name][reason] += lost
            if lost:
                self._warn(reason, f"{lost} spans for {name} were dropped: {reason}.")
            cursor.segment, cursor.offset, cursor.done = number + 1, 0, 0
            self._store_cursor(cursor)
        self._delete(number)

    def _delete(self, number: int) -> None:
        try:
            self._segments.pop(number).delete()
        except OSError as exc:
            self._warn("disk", f"A segment of the trace spool cannot be deleted ({exc.strerror or exc}).")

    @property
    def disk_bytes(self) -> int:
        """Bytes in segments on disk."""
        with self._lock:
            return sum(segment.size for segment in self._segments.values() if isinstance(segment, FileSegment))

    def evict_oldest(self, reason: str) -> bool:
        """Drop the oldest segment on disk that is not the open one; False when there is none."""
        with self._lock:
            numbers = [number for number, segment in self._segments.items() if isinstance(segment, FileSegment) and segment.full]
            if not numbers:
                return False
            self._evict(min(numbers), reason)
            return True

    def evict_older_than(self, wall_s: float, reason: str) -> None:
        """Drop segments whose last line was written before an instant."""
        with self._lock:
            for number, segment in list(self._segments.items()):
                if isinstance(segment, FileSegment) and segment.full and segment.path.stat().st_mtime < wall_s:
                    self._evict(number, reason)

    @property
    def is_done(self) -> bool:
        """Whether no sink has anything left."""
        return not any(self.count_pending(name) for name in self._cursors)

    def forget_memory(self, reason: str) -> dict[str, int]:
        """Drop what waits in memory, because the process ends; how many records that is for each sink."""
        with self._lock:
            lost = {name: count for name in self._cursors if (count := self.count_pending(name, durable=False))}
            for name, count in lost.items():
                self.dropped[name][reason] += count
            for number in [number for number, segment in self._segments.items() if not segment.durable]:
                self._delete(number)
            return lost

    def snapshot(self, sink: str) -> tuple[int, int, Counter[str]]:
        """What waits for a sink on disk and in memory, and what was dropped, at one moment."""
        with self._lock:
            return (
                self.count_pending(sink, durable=True),
                self.count_pending(sink, durable=False),
                Counter(self.dropped.get(sink, {})),
            )

    def close(self) -> None:
        """Give the folder up; delete it when nothing in it waits for anybody, also not for sinks of an earlier process."""
        with self._lock:
            empty = self.is_done and self._owned is not None and self.folder is not None
            others = set() if self.folder is None else {path.name.removeprefix("cursor-") for path in self.folder.glob("cursor-*")}
            empty = empty and not others - set(self._cursors)
            for segment in self._segments.values():
                if isinstance(segment, FileSegment):
                    segment.close()
            self._close_cursors()
            if empty and self.folder is not None:
                for path in [*self.folder.glob("*.seg"), *self.folder.glob("cursor-*"), self.folder / "lock"]:
                    path.unlink(missing_ok=True)
                try:
                    self.folder.rmdir()
                except OSError as exc:
                    self._warn("disk", f"A folder of the trace spool cannot be deleted ({exc.strerror or exc}).")
            if self._owned is not None:
                self._owned.release()
                self._owned = None

    def abandon(self) -> None:
        """Drop every handle without touching a file: a forked child leaves its parent's spool alone."""
        self._lock = threading.RLock()
        for segment in self._segments.values():
            if isinstance(segment, FileSegment):
                segment.close()
        self._disown()
        self._segments.clear()

    def _disown(self) -> None:
        self._close_cursors()
        if self._owned is not None:
            self._owned.release()
            self._owned = None

    def _close_cursors(self) -> None:
        for cursor in self._cursors.values():
            if cursor.fd >= 0:
                os.close(cursor.fd)
                cursor.fd = -1
