"""Who owns a spool folder: the process that holds the lock of its file `lock`.

`flock` frees itself when the process dies, also by kill -9. Where the file system has no locks
(network disks), a process id with its start time stands in the file instead.
"""

import errno
import fcntl
import os
from pathlib import Path

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class Ownership:
    """A held lock. It ends with `release()` or with the process."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def release(self) -> None:
        """Give the folder up. In a forked child this leaves the parent's lock alone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take_ownership(folder: Path) -> Ownership | None:
    """Lock a folder; None when a living process holds it.

    Raises:
        OSError: When the lock file cannot be made.
    """
    path = folder / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as exc:
        if exc.errno not in _NO_LOCKS or is_alive(os.pread(fd, 64, 0)):
            os.close(fd)
            if exc.errno in _NO_LOCKS:
                return None
            raise
    os.pwrite(fd, describe_process(os.getpid()).ljust(64), 0)
    return Ownership(path, fd)


def describe_process(pid: int) -> bytes:
    """A process id and its start time, which tells it from a later process with the same id."""
    return b"%d %s" % (pid, _read_start(pid))


def is_alive(description: bytes) -> bool:
    """Whether the process that wrote a description still runs."""
    parts = description.split()
    if len(parts) != 2 or not parts[0].isdigit():
        return False
    start = _read_start(int(parts[0]))
    return start not in {b"", b"-"} and start == parts[1]


def _read_start(pid: int) -> bytes:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return b"-"
    # The command's name may hold blanks and brackets; the start time is the 20th field after it.
    return stat.rpartition(b")")[2].split()[19]
