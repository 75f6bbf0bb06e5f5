"""What could not be understood, kept for a person to look at: rows beside the inbox, or JSON lines in the data folder."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import anyio.to_thread
import msgspec

from dealquest.coach import Records
from dealquest.coach.dialogue import storable
from dealquest.errors import InputError, PeerRefusedError
from dealquest.values import Clock

logger = logging.getLogger("dealquest.telegram")

MAX_FILE_BYTES = 10_000_000
MAX_RAW_CHARACTERS = 100_000

SetAside: TypeAlias = Callable[[str, int | None, str, str], Awaitable[None]]
"""Keeps one update: the channel, its number where it is known, its raw text, and why."""


class SetAsideRows:
    """Rows of `updates_set_aside`, which outlive the machine; a repeat changes nothing, and a month later they go.

    Args:
        records: Storage with the rights of the service role.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def __call__(self, source: str, update_id: int | None, raw: str, reason: str) -> None:
        """Keep one update.

        Raises:
            PeerError: Storage cannot be reached; the update must not be confirmed.
        """
        kept = {"for_source": source, "for_update_id": update_id, "raw": storable(raw)[:MAX_RAW_CHARACTERS], "reason": storable(reason)}
        try:
            await self._records.rpc("set_aside_update", **kept).repeatable()
        except (InputError, PeerRefusedError) as exc:
            logger.warning("Update %s could not be kept: %s", update_id, exc.message)


class SetAsideFile:
    """Appends to one file; when it is full it is moved to `.old`, whose former content goes.

    Args:
        path: The file; its folder is made where needed.
        clock: For the time of each line.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    async def __call__(self, source: str, update_id: int | None, raw: str, reason: str) -> None:
        """Keep one update; a full disk is logged and ends nothing."""
        line = {"at": self._clock.now().isoformat(), "source": source, "update_id": update_id, "reason": reason}
        try:
            await anyio.to_thread.run_sync(self._append, msgspec.json.encode({**line, "raw": storable(raw)[:MAX_RAW_CHARACTERS]}))
        except OSError as exc:
            logger.warning("Update %s could not be kept: %s", update_id, exc.strerror)

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size > MAX_FILE_BYTES:
            self._path.replace(self._path.with_suffix(".old"))
        with self._path.open("ab") as file:
            file.write(line + b"\n")
