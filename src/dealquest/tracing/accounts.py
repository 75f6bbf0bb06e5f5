"""What the collector keeps books about: counts, rare warnings, dead letters."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import msgspec

from .sender import Dead

WARN_EVERY_S = 60.0
DEAD_FILE_BYTES = 16 * 1024 * 1024
DEAD_IN_MEMORY = 1000

_logger = logging.getLogger("dealquest.tracing")


@attrs.frozen(kw_only=True)
class Accounts:
    """What became of every record for one sink: `emitted + adopted == delivered + spooled + queued + dead + dropped`.

    Attributes:
        emitted: Spans and trace marks handed over by this process.
        adopted: Records found in the spools of dead processes.
        delivered: Accepted by the sink.
        spooled: Waiting on disk.
        queued: Waiting in memory.
        dead: Refused by the sink for good, kept as dead letters.
        dropped: Given up, by reason.
        torn: Lines of dead processes that a kill cut in two; they were never whole and are outside of the sum.
    """

    emitted: int
    adopted: int
    delivered: int
    spooled: int
    queued: int
    dead: int
    dropped: Mapping[str, int]
    torn: int

    @property
    def balanced(self) -> bool:
        """Whether the sum is exact."""
        outcome = self.delivered + self.spooled + self.queued + self.dead + sum(self.dropped.values())
        return self.emitted + self.adopted == outcome


class Warnings:
    """Logs one warning per reason and minute; the rest is counted and said with the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def warn(self, reason: str, message: str) -> None:
        """Log, unless the same reason was logged within the minute."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(reason, -WARN_EVERY_S) < WARN_EVERY_S:
                self._silent[reason] = self._silent.get(reason, 0) + 1
                return
            self._last[reason] = now
            silent = self._silent.pop(reason, 0)
        _logger.warning("%s%s", message, f" ({silent} more like it)" if silent else "")


class DeadLetters:
    """Rows a sink refused for good: `dead-<sink>.jsonl` in the spool folder, or the last thousand in memory.

    Args:
        folder: The spool folder, if any.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.kept: deque[tuple[str, Dead]] = deque(maxlen=DEAD_IN_MEMORY)

    def bury(self, sink: str, dead: Sequence[Dead]) -> None:
        """Keep dead letters.

        Raises:
            OSError: The disk refused.
        """
        if self._folder is None:
            self.kept.extend((sink, letter) for letter in dead)
            return
        path = self._folder / f"dead-{sink}.jsonl"
        lines = [
            msgspec.json.encode({"kind": letter.record.kind, "reason": letter.reason, "row": msgspec.Raw(letter.record.body)})
            for letter in dead
        ]
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, b"\n".join(lines) + b"\n")
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if size > DEAD_FILE_BYTES:
            path.replace(path.with_suffix(".old.jsonl"))
