"""Photos and voice messages of events that are not answered yet: files of this machine, until their turn is done.

An upload comes with its event, and the process that took it works on it; a caller who repeats the event brings it again.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from dealquest.coach import Attachment
from dealquest.errors import LimitError, NotFoundError

CHUNK_BYTES = 64 * 1024
KEEP_S = 24 * 3600.0


class Uploads:
    """`Media` in a folder.

    Args:
        folder: Made when the first upload comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, chat: str, name: str, data: bytes, media_type: str) -> dict[str, Any]:
        """Store an upload; what to put into the event's `media`."""
        # A name of ours: what the caller calls the event never reaches the file system.
        key = hashlib.sha256(f"{chat}\n{name}".encode()).hexdigest()
        await to_thread.run_sync(self._write, key, data)
        return {"upload": key, "type": media_type, "size": len(data)}

    async def drop(self, media: Mapping[str, Any] | None) -> None:
        """Forget an upload whose turn is done."""
        if media is not None and "upload" in media:
            await anyio.Path(self._path(media)).unlink(missing_ok=True)

    async def sweep(self, *, now_s: float) -> None:
        """Forget uploads whose events were never finished here."""
        await to_thread.run_sync(self._sweep, now_s)

    async def fetch(self, media: Mapping[str, Any], *, max_bytes: int) -> Attachment:
        """The upload's bytes.

        Raises:
            NotFoundError: `http.coach.upload_gone`.
            LimitError: `http.coach.upload_too_large`.
        """
        if int(media.get("size", 0)) > max_bytes:
            raise LimitError(f"The upload is larger than {max_bytes} bytes.", code="http.coach.upload_too_large")
        try:
            data = await anyio.Path(self._path(media)).read_bytes()
        except FileNotFoundError as exc:
            raise _gone() from exc
        return Attachment(data=data, media_type=str(media["type"]))

    async def stream(self, media: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The same in chunks."""
        try:
            file = await anyio.open_file(self._path(media), "rb")
        except FileNotFoundError as exc:
            raise _gone() from exc
        async with file:
            while chunk := await file.read(CHUNK_BYTES):
                yield chunk

    def _path(self, media: Mapping[str, Any]) -> Path:
        return self._folder / str(media["upload"])

    def _write(self, key: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._folder / f"{key}.part"
        part.write_bytes(data)
        part.replace(self._folder / key)

    def _sweep(self, now_s: float) -> None:
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if now_s - path.stat().st_mtime > KEEP_S:
                    path.unlink(missing_ok=True)


def _gone() -> NotFoundError:
    return NotFoundError("The upload is not here any more; please send it again.", code="http.coach.upload_gone")
