"""Rows appended to a file, one JSON object a line: `{"kind": "s", "row": {...}}`, kinds as in the spool."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from ..records import Record  # noqa: TID252  # a folder of one room
from .protocol import Accepted, Outcome, Unavailable


class JsonlSink:
    """Appends to a file that only its owner can read. After a crash the last batch may stand there twice; readers take each id once.

    Args:
        path: The file; its folder is made when missing.
        name: Its name.
    """

    def __init__(self, path: str | Path, *, name: str = "jsonl") -> None:
        self.name = name
        self._path = Path(path)
        self._fd = -1
        self._lock = threading.Lock()

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:  # noqa: ARG002  # a disk takes no deadline
        """Append; what was written half way is cut off again."""
        data = b"".join(b'{"kind":"%s","row":%s}\n' % (record.kind.encode(), record.body) for record in records)
        with self._lock:
            try:
                if self._fd < 0:
                    self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                before = os.fstat(self._fd).st_size
                if os.write(self._fd, data) != len(data):
                    os.ftruncate(self._fd, before)
                    return Unavailable("the disk is full")
            except OSError as exc:
                return Unavailable(f"the file cannot be written ({exc.strerror or exc})")
        return Accepted()

    def reset_after_fork(self) -> None:
        """Take a lock of its own; a parent's thread may have held the old one."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
