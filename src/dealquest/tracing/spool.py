"""Where records wait between the worker and the sinks: the log that this process writes, and those of dead processes.

Keeps the caps on bytes and age over all of them. Each process has a folder of its own inside the spool.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from .limits import Limits
from .log import Log
from .owner import Ownership, take_ownership


@attrs.frozen(kw_only=True)
class Waiting:
    """What the spool holds and has lost for one sink.

    Attributes:
        on_disk: Records that a kill does not lose.
        in_memory: Records that it does.
        adopted: How many of dead processes there were.
        dropped: Reason → records given up.
    """

    on_disk: int
    in_memory: int
    adopted: int
    dropped: Counter[str]


class Spool:
    """The logs of one process.

    Args:
        folder: Where spools lie; None keeps everything in memory.
        sinks: Names of those who read.
        limits: Caps on bytes and age.
        fsync: Whether each append waits for the disk.
        lock: Held while the logs or their counts change: the collector's own, so that its books are of one moment.
        warn: Called with a reason and a message.
    """

    def __init__(
        self,
        folder: Path | None,
        sinks: Sequence[str],
        *,
        limits: Limits,
        fsync: bool,
        lock: threading.RLock,
        warn: Callable[[str, str], None],
    ) -> None:
        self.torn = 0
        self._folder = folder
        self._sinks = list(sinks)
        self._limits = limits
        self._lock = lock
        self._warn = warn
        self._adopted: list[Log] = []
        self._adopted_counts: Counter[str] = Counter()
        self._gone: dict[str, Counter[str]] = {name: Counter() for name in sinks}
        own_name = f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}"
        self.own = Log(
            self._sinks,
            folder=None if folder is None else folder / own_name,
            ring_bytes=limits.queued_bytes,
            fsync=fsync,
            monotonic=time.monotonic,
            warn=warn,
        )

    @property
    def logs(self) -> tuple[Log, ...]:
        """All of them, the oldest first and our own last."""
        return (*self._adopted, self.own)

    @property
    def is_growing(self) -> bool:
        """Whether our own log has come half-way to the cap."""
        return self.own.disk_bytes > self._limits.spool_bytes // 2

    def adopt(self) -> None:
        """Take over what dead processes left."""
        if self._folder is None or not self._sinks:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder, owned in find_orphans(self._folder, self.own.folder or self._folder):
                log = Log.adopt(folder, owned, self._sinks, warn=self._warn)
                if log.is_done:
                    log.close()
                    continue
                with self._lock:
                    self.torn += log.torn
                    self._adopted_counts.update({name: log.count_pending(name) for name in self._sinks})
                    self._adopted.append(log)
        except OSError as exc:
            self._warn("disk", f"The trace spool cannot be searched ({exc.strerror or exc}).")

    def sweep(self) -> None:
        """Keep the caps, close adopted logs that are done, move to the disk what had to wait in memory."""
        logs = self.logs
        try:
            for log in logs:
                log.evict_older_than(time.time() - self._limits.spool_age_s, "spool_age")  # noqa: TID251  # files carry wall time
            while sum(log.disk_bytes for log in logs) > self._limits.spool_bytes:
                if not any(log.evict_oldest("spool_full") for log in logs):
                    break
        except OSError as exc:
            self._warn("disk", f"The trace spool cannot be swept ({exc.strerror or exc}).")
        with self._lock:
            for log in [log for log in self._adopted if log.is_done]:
                self._adopted.remove(log)
                for name, reasons in log.dropped.items():
                    self._gone[name].update(reasons)
                log.close()
        self.own.rescue()

    def count(self, sink: str) -> Waiting:
        """The books of one sink; the lock is held by the caller."""
        on_disk, in_memory, dropped = 0, 0, Counter(self._gone[sink])
        for log in self.logs:
            durable, fleeting, lost = log.snapshot(sink)
            on_disk += durable
            in_memory += fleeting
            dropped += lost
        return Waiting(on_disk=on_disk, in_memory=in_memory, adopted=self._adopted_counts[sink], dropped=dropped)

    def close(self) -> None:
        """Give the folders up; what waits in memory is lost now. The lock is held by the caller."""
        for name, lost in self.own.forget_memory("closed").items():
            self._warn("closed", f"{lost} spans for {name} were lost at the end: no spool took them.")
        for log in self.logs:
            log.close()

    def abandon(self) -> None:
        """Drop every handle without touching a file: a forked child leaves its parent's spool alone."""
        for log in self.logs:
            log.abandon()


def find_orphans(spool: Path, own: Path) -> list[tuple[Path, Ownership]]:
    """Folders that dead processes left, oldest first, each now owned by us.

    Raises:
        OSError: The spool cannot be read.
    """
    found: list[tuple[Path, Ownership]] = []
    for folder in sorted(path for path in spool.iterdir() if path.is_dir() and path != own and (path / "lock").is_file()):
        owned = take_ownership(folder)
        if owned is not None:
            found.append((folder, owned))
    return found
