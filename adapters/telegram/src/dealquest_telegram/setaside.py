"""What could not be understood, kept for a person to look at: JSON lines in the data folder, of limited size."""

import logging
from pathlib import Path

import msgspec

from dealquest.values import Clock

logger = logging.getLogger("dealquest.telegram")

MAX_FILE_BYTES = 10_000_000
MAX_RAW_CHARACTERS = 100_000


class SetAsideFile:
    """Appends to one file; when it is full it is moved to `.old`, whose former content goes.

    Args:
        path: The file; its folder is made where needed.
        clock: For the time of each line.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def __call__(self, update_id: int | None, raw: str, reason: str) -> None:
        """Keep one update; a full disk is logged and ends nothing."""
        line = {"at": self._clock.now().isoformat(), "update_id": update_id, "reason": reason, "raw": raw[:MAX_RAW_CHARACTERS]}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > MAX_FILE_BYTES:
                self._path.replace(self._path.with_suffix(".old"))
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")
        except OSError as exc:
            logger.warning("Update %s could not be kept: %s", update_id, exc.strerror)
