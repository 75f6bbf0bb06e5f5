"""What a sound is, how large and how long, from its bytes alone (B6)."""

import io
import itertools
import struct
import wave
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import InputError
from dealquest.transcription import SoundLimits
from dealquest.transcription.sound import (
    HEAD_BYTES,
    TAIL_BYTES,
    SoundMeter,
    check_duration,
    check_kind,
    detect_kind,
    measure_duration,
)

VOICE = (Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg").read_bytes()
VOICE_S = 5.212


def make_wav(seconds: float, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(int(seconds * rate) * 2))
    return buffer.getvalue()


def make_flac_head(seconds: float, rate: int = 16000) -> bytes:
    packed = (rate << 44) | (0 << 41) | (15 << 36) | int(seconds * rate)
    return b"fLaC" + b"\x80\x00\x00\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16)


def measure(sound: bytes) -> float | None:
    return measure_duration(sound[:HEAD_BYTES], sound[-TAIL_BYTES:], len(sound))


def feed_whole(meter: SoundMeter, sound: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut % (len(sound) + 1) for cut in cuts), len(sound)]
    for start, end in itertools.pairwise(edges):
        meter.feed(sound[start:end])


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (VOICE, "ogg"),
        (make_wav(1), "wav"),
        (make_flac_head(1), "flac"),
        (b"ID3\x04" + bytes(20), "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\x00\x00\x00\x20ftypM4A ", "m4a"),
        (b"\x1a\x45\xdf\xa3webm", "webm"),
        (b"#!AMR\n", "amr"),
        (b"FORM\x00\x00\x00\x00AIFF", "aiff"),
        (b"\x47" + bytes(187) + b"\x47" + bytes(10), "ts"),
    ],
)
def test_a_container_is_known_by_its_first_bytes(head: bytes, kind: str) -> None:
    """Every kind of sound we promise is recognised."""
    assert detect_kind(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"PK\x03\x04" + bytes(40),
        b"\x1f\x8b\x08" + bytes(40),
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"<html>",
        b'{"a": 1}',
        b"MZ" + bytes(60),
        bytes(600),
    ],
)
def test_b6_what_is_no_sound_is_refused(head: bytes) -> None:
    """Archives, pictures, documents and pages never leave the house as sound."""
    with pytest.raises(InputError) as caught:
        check_kind(head, SoundLimits())
    assert caught.value.code == "transcription.not_audio"
    assert check_kind(head, SoundLimits(known_types_only=False)) is None


def test_an_empty_sound_is_refused() -> None:
    """Nothing is nothing, whatever types are allowed."""
    with pytest.raises(InputError) as caught:
        check_kind(b"", SoundLimits(known_types_only=False))
    assert caught.value.code == "transcription.empty"


def test_durations_are_read_from_the_container() -> None:
    """Ogg, WAV and FLAC tell their length without being decoded."""
    assert measure(VOICE) == pytest.approx(VOICE_S, abs=0.01)
    assert measure(make_wav(2.5)) == pytest.approx(2.5)
    assert measure(make_flac_head(7.25)) == pytest.approx(7.25)
    assert measure(b"ID3" + bytes(1000)) is None


def test_b6_a_wav_that_lies_about_its_length_is_not_believed() -> None:
    """A size field of four gigabytes on two seconds of data measures two seconds."""
    sound = bytearray(make_wav(2))
    sound[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert measure(bytes(sound)) == pytest.approx(2)


def test_b6_a_voice_note_that_is_too_long_is_refused_before_sending() -> None:
    """A known duration beyond the limit, of length or of cost, stops at once; so does one of no length."""
    limits = SoundLimits(max_duration_s=3, max_cost_usd=Decimal("0.0001"))
    with pytest.raises(InputError) as caught:
        check_duration(5.2, limits, longest_s=limits.longest_s(Decimal(0)))
    assert caught.value.code == "transcription.too_long"
    assert limits.longest_s(Decimal("0.36")) == pytest.approx(1.0)
    with pytest.raises(InputError) as caught:
        check_duration(0.0, limits, longest_s=3)
    assert caught.value.code == "transcription.too_short"
    check_duration(None, limits, longest_s=3)


@pytest.mark.parametrize("duration_s", [float("nan"), float("inf"), -1.0])
def test_b6_a_nonsense_duration_is_refused(duration_s: float) -> None:
    """A duration that is no length never passes for an unknown one."""
    with pytest.raises(InputError):
        check_duration(duration_s, SoundLimits(), longest_s=10)


@given(st.lists(st.integers(0, 100_000), max_size=30))
def test_b6_chunking_never_matters_to_the_meter(cuts: list[int]) -> None:
    """However the bytes arrive, the same size and duration are measured."""
    meter = SoundMeter(VOICE[:HEAD_BYTES], SoundLimits(), longest_s=100)
    feed_whole(meter, VOICE, cuts)
    assert meter.seen_bytes == len(VOICE)
    assert meter.seen_s == pytest.approx(VOICE_S, abs=0.01)


@given(
    st.binary(max_size=3000), st.lists(st.integers(0, 5000), max_size=8), st.sampled_from([b"", VOICE[:200], b"OggS", make_wav(0.1)[:60]])
)
def test_b6_no_bytes_upset_the_meter(junk: bytes, cuts: list[int], start: bytes) -> None:
    """Damaged and hostile streams are counted, never an exception of another kind."""
    sound = start + junk
    meter = SoundMeter(sound[:HEAD_BYTES], SoundLimits(), longest_s=1e12)
    feed_whole(meter, sound, cuts)
    assert meter.seen_bytes == len(sound)
    measure(sound)
    detect_kind(sound)


@pytest.mark.parametrize(
    ("limits", "code"),
    [(SoundLimits(max_bytes=4000), "transcription.too_large"), (SoundLimits(max_duration_s=2), "transcription.too_long")],
)
def test_b6_a_limit_crossed_while_sending_stops_the_sound(limits: SoundLimits, code: str) -> None:
    """A source without a size is still stopped at the byte, or the page, where the limit lies."""
    meter = SoundMeter(VOICE[:HEAD_BYTES], limits, longest_s=limits.max_duration_s)
    with pytest.raises(InputError) as caught:
        feed_whole(meter, VOICE, list(range(0, len(VOICE), 100)))
    assert caught.value.code == code
    assert meter.seen_bytes < len(VOICE)


def test_b6_a_wav_is_timed_while_it_is_sent() -> None:
    """Seconds of WAV follow from its bytes."""
    sound = make_wav(4)
    meter = SoundMeter(sound[:HEAD_BYTES], SoundLimits(), longest_s=2)
    with pytest.raises(InputError, match="longer than"):
        meter.feed(sound)


def test_a_chained_or_foreign_stream_does_not_shorten_the_measure() -> None:
    """Pages of another stream are skipped, so they cannot move the clock back."""
    other = bytearray(VOICE)
    at = 0
    while (at := other.find(b"OggS", at)) >= 0:
        other[at + 14 : at + 18] = b"\x01\x02\x03\x04"
        at += 4
    assert measure(VOICE + bytes(other)) == pytest.approx(VOICE_S, abs=0.01)


def make_ogg_page(body: bytes, granule: int, serial: bytes = b"vorb") -> bytes:
    lacing = [255] * (len(body) // 255) + [len(body) % 255]
    return b"OggS\x00\x00" + granule.to_bytes(8, "little") + serial + bytes(8) + bytes([len(lacing), *lacing]) + body


def test_vorbis_is_timed_at_its_own_rate() -> None:
    """Vorbis counts samples at the rate it names, before sending and while sending."""
    head = make_ogg_page(b"\x01vorbis" + bytes(4) + b"\x01" + (16000).to_bytes(4, "little") + bytes(14), 0)
    sound = head + b"".join(make_ogg_page(bytes(4000), 16000 * second) for second in range(1, 6))
    assert measure(sound) == pytest.approx(5)
    meter = SoundMeter(sound[:HEAD_BYTES], SoundLimits(), longest_s=100)
    feed_whole(meter, sound, list(range(0, len(sound), 37)))
    assert meter.seen_s == pytest.approx(5)


@pytest.mark.parametrize(
    "sound",
    [
        make_ogg_page(b"\x80theora" + bytes(30), 0),
        make_ogg_page(b"\x01vorbis" + bytes(30), 0),
        make_flac_head(0),
        b"fLaC\x00",
        b"RIFF\x00\x00\x00\x00WAVEjunk",
        b"OggS",
    ],
    ids=["theora", "rate-0", "flac-unknown", "flac-short", "wav-short", "ogg-short"],
)
def test_a_length_that_is_not_told_is_unknown(sound: bytes) -> None:
    """No container is guessed at: what it does not say is None, never zero and never a fault."""
    assert measure(sound) is None
