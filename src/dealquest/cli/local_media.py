"""Files of this machine as a channel's media: photos and sound by path, checked before they are read and while they are.

Only the terminal uses it: whoever types a path here may read that file anyway.
"""

import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio

from dealquest.coach import Attachment
from dealquest.errors import InputError, LimitError, NotFoundError

MAX_SOUND_BYTES = 25_000_000
_CHUNK_BYTES = 65_536
_PICTURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))


class LocalMedia:
    """Media whose reference is `{"path": ...}`; see `coach.effects.Media`."""

    async def fetch(self, media: Mapping[str, Any], *, max_bytes: int) -> Attachment:
        """A picture's bytes.

        Raises:
            NotFoundError: `cli.media.missing`.
            LimitError: `cli.media.too_large`.
            InputError: `cli.media.no_picture`, `cli.media.no_file`.
        """
        data = b"".join([chunk async for chunk in _read(media, max_bytes)])
        kind = next((kind for magic, kind in _PICTURES if data.startswith(magic)), None)
        if kind is None or (kind == "image/webp" and data[8:12] != b"WEBP"):
            raise InputError("That file is no JPEG, PNG, GIF or WebP picture.", code="cli.media.no_picture")
        return Attachment(data=data, media_type=kind)

    async def stream(self, media: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """A sound's bytes in chunks; the same errors but the picture's."""
        async for chunk in _read(media, MAX_SOUND_BYTES):
            yield chunk


def check_file(path: Path) -> None:
    """Say at once what is wrong with a path, before anything is stored.

    Raises:
        NotFoundError: `cli.media.missing`.
        InputError: `cli.media.no_file`.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as exc:
        raise NotFoundError(f"There is no file {path} that can be read.", code="cli.media.missing") from exc
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is no file.", code="cli.media.no_file")
    if not os.access(path, os.R_OK):
        raise NotFoundError(f"There is no file {path} that can be read.", code="cli.media.missing")


async def _read(media: Mapping[str, Any], max_bytes: int) -> AsyncIterator[bytes]:
    path = Path(str(media.get("path", "")))
    check_file(path)
    size = 0
    try:
        async with await anyio.open_file(path, "rb") as file:
            while chunk := await file.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise LimitError(f"{path.name} is larger than {max_bytes // 1_000_000} MB.", code="cli.media.too_large")
                yield chunk
    except OSError as exc:
        raise NotFoundError(f"There is no file {path} that can be read.", code="cli.media.missing") from exc
