"""Which Telegram id a listed name belongs to, in one small file of the data folder: the port of `decide_access`."""

from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dealquest.errors import SettingsError


class NameFile:
    """Claims as a JSON object; for one bot process, which the poll lease makes sure of.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owners: dict[str, int] | None = None
        self._lock = anyio.Lock()

    async def owners(self) -> Mapping[str, int]:
        """Every claimed name and its owner's id."""
        if self._owners is None:
            self._owners = await anyio.to_thread.run_sync(self._read)
        return self._owners

    async def claim(self, name: str, telegram_id: int) -> int:
        """Give a free name to an id; the id that owns it now."""
        async with self._lock:
            owners = {**await self.owners()}
            owner = owners.setdefault(name, telegram_id)
            if owner == telegram_id:
                await anyio.to_thread.run_sync(self._write, owners)
                self._owners = owners
            return owner

    def _read(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, OSError) as exc:
            raise SettingsError(f"{self._path.name} in the data folder cannot be read; mend or remove it.", code="telegram.names") from exc

    def _write(self, owners: dict[str, int]) -> None:
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(msgspec.json.encode(owners))
            new.replace(self._path)
        except OSError as exc:
            raise SettingsError(f"{self._path.name} in the data folder cannot be written.", code="telegram.names") from exc
