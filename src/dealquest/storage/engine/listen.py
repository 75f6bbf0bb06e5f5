"""Schema changes that PostgreSQL announces, looked for when a request comes: no task runs in between.

Source: PostgreSQL manual, "NOTIFY", read 2026-11-22.
"""

from dealquest.errors import PeerUnavailableError
from dealquest.values import Clock

from .batch import Query
from .driver import Connection
from .fragments import quote

_EVERY_S = 0.05


class Listener:
    """One connection that listens.

    Args:
        dsn: libpq's connection text.
        channel: Channel that announces changes; empty listens to none.
        clock: Where time comes from.
    """

    def __init__(self, dsn: str, channel: str, clock: Clock) -> None:
        self._dsn = dsn
        self._channel = channel
        self._clock = clock
        self._connection: Connection | None = None
        self._looked_at = 0.0
        self._changed = False

    async def open(self) -> None:
        """Log in and listen.

        Raises:
            PeerUnavailableError: `engine.connect` when PostgreSQL cannot be reached.
        """
        if not self._channel:
            return
        connection = await Connection.open(self._dsn)
        await connection.run((Query(sql=f"LISTEN {quote(self._channel)}".encode()),))
        self._connection = connection

    def close(self) -> None:
        """Listen no more; calling it twice is fine."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def is_due(self, now: float) -> bool:
        """Whether the last look is long enough ago."""
        return now - self._looked_at >= _EVERY_S and self._connection is not None

    async def look(self) -> bool:
        """Whether the catalog has changed since `settle`; a lost connection is opened again, and counts as a notice.

        Raises:
            PeerUnavailableError: `engine.connect` when PostgreSQL cannot be reached.
        """
        self._looked_at = self._clock.monotonic()
        try:
            if self._connection is not None and self._connection.take_notifications():
                self._changed = True
        except PeerUnavailableError:
            self._changed = True
            await self.open()
        return self._changed

    def settle(self) -> None:
        """The catalog was read again."""
        self._changed = False
