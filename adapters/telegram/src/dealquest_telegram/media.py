"""Telegram's files for the coach: voice and photos straight from the Bot API into the transcriber or the model.

Nothing is decoded and nothing touches a disk. A size that is announced is checked before the download, and the bytes
are counted while they arrive; what kind of picture it is, its first bytes say, not its sender.
Source: https://core.telegram.org/bots/api#getfile, read 2026-11-22.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from dealquest.coach import Attachment
from dealquest.errors import InputError, LimitError, NotFoundError

from .calls import MAX_DOWNLOAD_BYTES, BotCalls

MAX_SOUND_S = 1800
"""Half an hour: more than a practice answer needs, and what one message may cost at most."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class TelegramMedia:
    """What `Event.media` of a Telegram event stands for; see `dealquest.coach.effects.Media`."""

    def __init__(self, calls: BotCalls) -> None:
        self._calls = calls

    async def fetch(self, media: Mapping[str, Any], *, max_bytes: int) -> Attachment:
        """A picture, whole.

        Raises:
            NotFoundError: `telegram.file_gone`.
            LimitError: `telegram.file_too_large`.
            InputError: `telegram.no_picture` when the bytes are of no kind that models read.
            PeerUnavailableError: `telegram.unreachable`.
        """
        data = b"".join([chunk async for chunk in self._chunks(media, min(max_bytes, MAX_DOWNLOAD_BYTES))])
        return Attachment(data=data, media_type=picture_type(data))

    async def stream(self, media: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """A sound in chunks as they arrive.

        Raises:
            LimitError: `telegram.sound_too_long`.
            InputError: `telegram.sound_empty`; `telegram.file_too_large`.
        """
        seconds = media.get("duration_s")
        if isinstance(seconds, int | float) and seconds > MAX_SOUND_S:
            raise LimitError(
                f"The recording is longer than {MAX_SOUND_S // 60} minutes; send a shorter one.", code="telegram.sound_too_long"
            )
        if seconds == 0 and media.get("size_bytes") == 0:
            raise InputError("The recording is empty.", code="telegram.sound_empty")
        try:
            async with aclosing(self._chunks(media, MAX_DOWNLOAD_BYTES)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except LimitError as exc:
            # It is the body of an upload by now. Of what a body raises, the transcriber tells only faults of the input to the user.
            raise InputError(exc.message, code=exc.code) from exc

    async def _chunks(self, media: Mapping[str, Any], max_bytes: int) -> AsyncGenerator[bytes]:
        file_id, size = media.get("file_id"), media.get("size_bytes")
        if not isinstance(file_id, str):
            raise NotFoundError("Telegram no longer has this file; send it again.", code="telegram.file_gone")
        if isinstance(size, int) and size > max_bytes:
            raise LimitError(f"The file is larger than {max_bytes // 1_000_000} MB; send a shorter one.", code="telegram.file_too_large")
        async with aclosing(self._calls.download(file_id, max_bytes=max_bytes)) as chunks:
            async for chunk in chunks:
                yield chunk


def picture_type(data: bytes) -> str:
    r"""The media type of a picture by its first bytes.

    >>> picture_type(b"\xff\xd8\xff\xe0...")
    'image/jpeg'

    Raises:
        InputError: `telegram.no_picture`.
    """
    for start, kind in _SIGNATURES:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise InputError("That file is no picture that can be read here; send a JPEG, PNG, GIF or WebP.", code="telegram.no_picture")
