"""Passwords: hashed and verified by bcrypt in worker threads, so that the event loop never waits for one.

Few threads at once and a bounded queue behind them: a flood of sign-ins is turned away instead of taking
the machine. An account without a password costs the same work as one with.
Source: the bcrypt package's README (72 bytes, cost), read 2026-11-22.
"""

import os
from typing import Final

import anyio
import bcrypt
from anyio import to_thread

from dealquest.errors import LimitError

from .rules import MAX_PASSWORD_BYTES

COST: Final = 10
MAX_WAITING: Final = 100
# The hash of nothing anybody can send: what is verified where there is no account, at the same cost.
_NOBODY: Final = b"$2b$10$ObJ76Eya9NirIwQU/p6oKu61lqKCVOY6Xw6iF3UidVlbCKHLwjolK"


class Passwords:
    """Hashes and verifies.

    Args:
        threads: Hashes at once; one core is left to the event loop.
        max_waiting: Callers that may wait for a thread.
    """

    def __init__(self, *, threads: int | None = None, max_waiting: int = MAX_WAITING) -> None:
        self._limiter = anyio.CapacityLimiter(threads or max(1, (os.cpu_count() or 2) - 1))
        self._max_waiting = max_waiting

    async def hash(self, password: str) -> str:
        """The hash to store; `$2b$`, cost 10.

        Raises:
            LimitError: `http.busy`.
        """
        self._check_queue()
        return await to_thread.run_sync(_hash, password.encode(), limiter=self._limiter)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether this is the password; None stands for an account that has none, or is none.

        Raises:
            LimitError: `http.busy`.
        """
        self._check_queue()
        given = password.encode("utf-8", "surrogatepass")
        possible = stored is not None and len(given) <= MAX_PASSWORD_BYTES
        right = await to_thread.run_sync(_verify, given[:MAX_PASSWORD_BYTES], stored.encode() if stored else _NOBODY, limiter=self._limiter)
        return right and possible

    def _check_queue(self) -> None:
        if self._limiter.statistics().tasks_waiting >= self._max_waiting:
            raise LimitError("Too many people sign in at this moment; try again.", code="http.busy", retryable=True, retry_after_s=2)


def _hash(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(COST)).decode()


def _verify(password: bytes, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, stored)
    except ValueError:  # a stored text that is no hash opens nothing, at full price
        bcrypt.checkpw(password, _NOBODY)
        return False
