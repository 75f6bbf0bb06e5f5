"""What kind of sound this is, how large and how long, told from its bytes as they pass.

Reads container headers only and decodes nothing, so a crafted file cannot make it work or grow.
Durations are known for Ogg (Opus, Vorbis), WAV and FLAC; other kinds are bounded by size alone.
Source: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), RFC 9639 (FLAC), the RIFF WAVE layout, read 2026-11-22.
"""

import math
from decimal import Decimal

import attrs

from dealquest.errors import InputError

HEAD_BYTES = 512
TAIL_BYTES = 128 * 1024  # an Ogg page is at most 65,307 bytes, so the last whole one is in here

_OPUS_RATE = 48_000
_OGG_HEADER = 27
_UNKNOWN_GRANULE = (1 << 64) - 1

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"OggS", "ogg"),
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "m4a"),
    (0, b"\x1a\x45\xdf\xa3", "webm"),
    (0, b"#!AMR", "amr"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"\x30\x26\xb2\x75", "wma"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"FLV\x01", "flv"),
    (8, b"AVI ", "avi"),
)


@attrs.frozen(kw_only=True)
class SoundLimits:
    """What is accepted; checked before the first byte is sent and again while sending.

    Attributes:
        max_bytes: Largest sound.
        max_duration_s: Longest sound.
        min_duration_s: Shortest sound; the peer refuses below it.
        max_cost_usd: Dearest sound, at the peer's highest price per hour; None for no limit.
        known_types_only: Whether bytes that look like no sound we know are refused.
    """

    max_bytes: int = 2_200_000_000
    max_duration_s: float = 36_000.0
    min_duration_s: float = 0.16
    max_cost_usd: Decimal | None = None
    known_types_only: bool = True

    def longest_s(self, usd_per_hour: Decimal) -> float:
        """The longest duration that both limits allow, at a price.

        >>> SoundLimits(max_cost_usd=Decimal("0.21")).longest_s(Decimal("0.42"))
        1800.0
        """
        if self.max_cost_usd is None or not usd_per_hour:
            return self.max_duration_s
        return min(self.max_duration_s, float(self.max_cost_usd / usd_per_hour * 3600))


def detect_kind(head: bytes) -> str | None:
    """Name the container by its first bytes; the name is also the usual file suffix.

    >>> detect_kind(b"OggS" + bytes(30)), detect_kind(b"PK" + bytes(30))
    ('ogg', None)
    """
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # An MPEG frame starts with eleven set bits; layer 0 is AAC in ADTS.
        return "aac" if head[1] & 0x06 == 0 else "mp3"
    if len(head) > 188 and head[0] == head[188] == 0x47:
        return "ts"
    return None


def measure_duration(head: bytes, tail: bytes, size: int) -> float | None:
    """Tell the length of a whole sound from its two ends.

    Args:
        head: The first bytes, `HEAD_BYTES` at least or all there are.
        tail: The last bytes, `TAIL_BYTES` at least or all there are.
        size: Bytes in all.

    Returns:
        Seconds; None when the container does not say.
    """
    kind = detect_kind(head)
    if kind == "wav":
        return _wav_duration(head, size)
    if kind == "flac":
        return _flac_duration(head)
    if kind == "ogg":
        clock = _OggClock.from_head(head)
        return clock.last_page_s(tail) if clock else None
    return None


def _wav_duration(head: bytes, size: int) -> float | None:
    """Data bytes ÷ bytes per second; a size field of a stream that never knew its length is not believed."""
    rate, at = 0, 12
    while at + 8 <= len(head):
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt " and at + 20 <= len(head):
            rate = int.from_bytes(head[at + 16 : at + 20], "little")
        if name == b"data":
            return min(length, size - at - 8) / rate if rate else None
        at += 8 + length + length % 2
    return None


def _flac_duration(head: bytes) -> float | None:
    if len(head) < 26 or head[4] & 0x7F:  # the first block is STREAMINFO
        return None
    rate = int.from_bytes(head[18:21], "big") >> 4
    samples = int.from_bytes(head[21:26], "big") & ((1 << 36) - 1)
    return samples / rate if rate and samples else None


@attrs.frozen
class _OggClock:
    """Turns granule positions of one logical stream into seconds."""

    serial: bytes
    rate: int
    skip: int

    @classmethod
    def from_head(cls, head: bytes) -> "_OggClock | None":
        if len(head) < _OGG_HEADER + 1:
            return None
        body = head[_OGG_HEADER + head[26] :]
        if body.startswith(b"OpusHead") and len(body) >= 12:
            return cls(head[14:18], _OPUS_RATE, int.from_bytes(body[10:12], "little"))
        if body.startswith(b"\x01vorbis") and len(body) >= 16:
            rate = int.from_bytes(body[12:16], "little")
            return cls(head[14:18], rate, 0) if rate else None
        return None

    def page_s(self, header: bytes) -> float | None:
        """The instant a page ends at; None for a page of another stream or without an end."""
        granule = int.from_bytes(header[6:14], "little")
        if header[14:18] != self.serial or granule == _UNKNOWN_GRANULE or granule >= 1 << 63:
            return None
        return max(0, granule - self.skip) / self.rate

    def last_page_s(self, tail: bytes) -> float | None:
        at = len(tail)
        while (at := tail.rfind(b"OggS", 0, at)) >= 0:
            if at + 18 <= len(tail) and (instant := self.page_s(tail[at:])) is not None:
                return instant
        return None


class SoundMeter:
    """Counts a sound that passes by, and stops it where a limit is crossed.

    Args:
        head: The sound's first bytes, `HEAD_BYTES` or all there are; they are fed again with the rest.
        limits: What is accepted.
        longest_s: The longest duration in seconds, cost limit included.
    """

    def __init__(self, head: bytes, limits: SoundLimits, *, longest_s: float) -> None:
        self._limits = limits
        self._longest_s = longest_s
        self._clock = _OggClock.from_head(head) if detect_kind(head) == "ogg" else None
        self._wav_bytes_per_s = int.from_bytes(head[28:32], "little") if head[8:16] == b"WAVEfmt " else 0
        self._page = b""
        self._to_skip = 0
        self.seen_bytes = 0
        self.seen_s = 0.0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            InputError: `transcription.too_large` or `transcription.too_long`.
        """
        self.seen_bytes += len(chunk)
        check_size(self.seen_bytes, self._limits)
        if self._wav_bytes_per_s:
            self.seen_s = self.seen_bytes / self._wav_bytes_per_s
        elif self._clock:
            self._walk_pages(chunk, self._clock)
        check_longest(self.seen_s, self._longest_s)

    def _walk_pages(self, chunk: bytes, clock: _OggClock) -> None:
        """Follow Ogg from page to page: each header tells where the next one is, so payload is skipped unread."""
        at = 0
        while at < len(chunk):
            if self._to_skip:
                step = min(self._to_skip, len(chunk) - at)
                self._to_skip -= step
                at += step
                continue
            wanted = _OGG_HEADER if len(self._page) < _OGG_HEADER else _OGG_HEADER + self._page[26]
            part = chunk[at : at + wanted - len(self._page)]
            self._page += part
            at += len(part)
            if len(self._page) < _OGG_HEADER or len(self._page) < _OGG_HEADER + self._page[26]:
                continue
            if not self._page.startswith(b"OggS"):
                self._clock = None  # lost step with a damaged stream; its size still bounds it
                return
            instant = clock.page_s(self._page)
            if instant is not None:
                self.seen_s = max(self.seen_s, instant)
            self._to_skip = sum(self._page[_OGG_HEADER:])
            self._page = b""


def check_size(size: int, limits: SoundLimits) -> None:
    """Refuse what is larger than allowed, with `transcription.too_large`."""
    if size > limits.max_bytes:
        raise InputError(
            f"The sound is larger than {limits.max_bytes:,} bytes; send a shorter or more compressed one.", code="transcription.too_large"
        )


def check_kind(head: bytes, limits: SoundLimits) -> str | None:
    """Name the container, or refuse with `transcription.empty` or `transcription.not_audio`."""
    if not head:
        raise InputError("The sound is empty: there is nothing to transcribe.", code="transcription.empty")
    kind = detect_kind(head)
    if kind is None and limits.known_types_only:
        raise InputError("This is no sound that we know (Ogg, WAV, MP3, M4A, FLAC, WebM and the like).", code="transcription.not_audio")
    return kind


def check_longest(duration_s: float, longest_s: float) -> None:
    """Refuse what is longer than allowed, with `transcription.too_long`."""
    if duration_s > longest_s:
        raise InputError(f"The sound is longer than the {longest_s:g} s that are allowed here.", code="transcription.too_long")


def check_duration(duration_s: float | None, limits: SoundLimits, *, longest_s: float) -> None:
    """Refuse a known duration that is too short or too long; an unknown one passes."""
    if duration_s is None:
        return
    if not math.isfinite(duration_s) or duration_s < 0:
        raise InputError("The duration must be a number of seconds, zero or more.", code="transcription.bad_option")
    check_longest(duration_s, longest_s)
    if duration_s < limits.min_duration_s:
        raise InputError(
            f"The sound is shorter than {limits.min_duration_s:g} s: there is nothing to understand.", code="transcription.too_short"
        )
