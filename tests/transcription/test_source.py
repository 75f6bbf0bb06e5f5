"""Files, bytes and chunks as sources of sound: looked at first, read in pieces, closed in the end."""

import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from dealquest.errors import InputError
from dealquest.transcription import AudioSource, SoundLimits
from dealquest.transcription.source import CHUNK_BYTES, Sound, open_sound

VOICE_PATH = Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg"
VOICE = VOICE_PATH.read_bytes()

pytestmark = pytest.mark.anyio


class Chunks:
    """Chunks that can be read once, and remember whether they were closed."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)
        self.closed = 0

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def aclose(self) -> None:
        self.closed += 1


async def look(source: AudioSource, limits: SoundLimits | None = None, duration_s: float | None = None) -> Sound:
    return await open_sound(source, limits or SoundLimits(), usd_per_hour=Decimal("0.23"), duration_s=duration_s)


async def read(sound: Sound) -> bytes:
    async with sound.open(lambda _: None) as body:
        return b"".join([chunk async for chunk in body])


@pytest.mark.parametrize(
    "source", [VOICE_PATH, str(VOICE_PATH), VOICE, bytearray(VOICE), memoryview(VOICE)], ids=["path", "str", "bytes", "bytearray", "view"]
)
async def test_files_and_bytes_can_be_sent_again(source: AudioSource) -> None:
    """What lies still gives the same bytes on every pass, and says how many."""
    sound = await look(source)
    assert (sound.kind, sound.size) == ("ogg", len(VOICE))
    assert [await read(sound), await read(sound)] == [VOICE, VOICE]
    assert sound.can_open


async def test_chunks_are_read_once_and_closed() -> None:
    """Chunks that arrive give one pass, nothing of the first look is lost, and their source is closed."""
    chunks = Chunks(VOICE[:3], b"", VOICE[3:100], VOICE[100:])
    sound = await look(chunks)
    assert (sound.kind, sound.size, sound.can_open) == ("ogg", None, True)
    assert await read(sound) == VOICE
    assert not sound.can_open
    assert chunks.closed == 1


async def test_a_function_opens_the_chunks_anew() -> None:
    """A source that can be reopened is reopened, and the peeked pass is not wasted."""
    opened: list[Chunks] = []

    def open_chunks() -> Chunks:
        opened.append(Chunks(VOICE[:700], VOICE[700:]))
        return opened[-1]

    sound = await look(open_chunks)
    assert [await read(sound), await read(sound)] == [VOICE, VOICE]
    assert sound.can_open
    assert len(opened) == 2
    assert [chunks.closed for chunks in opened] == [1, 1]


async def test_pieces_are_small_whatever_the_source_gives() -> None:
    """One chunk of megabytes leaves in pieces."""
    huge = VOICE + bytes(3 * CHUNK_BYTES)
    for source in (huge, Chunks(huge)):
        sound = await look(source)
        async with sound.open(lambda _: None) as body:
            assert max([len(chunk) async for chunk in body]) <= CHUNK_BYTES


async def test_progress_counts_the_bytes() -> None:
    """The callback hears how many bytes have left, up to the last."""
    heard: list[int] = []
    async with (await look(VOICE)).open(heard.append) as body:
        async for _ in body:
            pass
    assert heard[-1] == len(VOICE)


@pytest.mark.parametrize(
    ("source", "limits", "duration_s", "code"),
    [
        (b"", SoundLimits(), None, "empty"),
        (b"PK\x03\x04zip bomb", SoundLimits(), None, "not_audio"),
        (VOICE, SoundLimits(max_bytes=100), None, "too_large"),
        (VOICE, SoundLimits(max_duration_s=5), None, "too_long"),
        (VOICE, SoundLimits(max_cost_usd=Decimal("0.0003")), None, "too_long"),
        (VOICE, SoundLimits(min_duration_s=6), None, "too_short"),
        (VOICE, SoundLimits(), 0.0, "too_short"),
        (VOICE, SoundLimits(), 36_001.0, "too_long"),
        (VOICE, SoundLimits(), float("nan"), "bad_option"),
        ("/no/such/file.ogg", SoundLimits(), None, "unreadable"),
        ("with\0nul", SoundLimits(), None, "unreadable"),
        (VOICE_PATH.parent, SoundLimits(), None, "unreadable"),
        ("https://example.org/a.ogg", SoundLimits(), None, "unreadable"),
    ],
)
async def test_b6_bad_sounds_are_refused_before_sending(
    source: AudioSource, limits: SoundLimits, duration_s: float | None, code: str
) -> None:
    """Empty, foreign, too large, too long, too dear, too short, missing: each has its own reason."""
    with pytest.raises(InputError) as caught:
        await look(source, limits, duration_s)
    assert caught.value.code == f"transcription.{code}"


async def test_refused_chunks_are_closed() -> None:
    """A source that is not taken is not left open either."""
    chunks = Chunks(b"<html>")
    with pytest.raises(InputError):
        await look(chunks)
    assert chunks.closed == 1


async def test_b6_chunks_without_a_size_stop_at_the_limit() -> None:
    """A size field that is absent does not help: the bytes are counted as they pass."""
    sound = await look(Chunks(*(VOICE[at : at + 500] for at in range(0, len(VOICE), 500))), SoundLimits(max_bytes=3000))
    with pytest.raises(InputError) as caught:
        await read(sound)
    assert caught.value.code == "transcription.too_large"


async def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    """A torn upload is never sent as a whole one."""
    path = tmp_path / "voice.ogg"
    path.write_bytes(VOICE)
    sound = await look(path)
    path.write_bytes(VOICE[:2000])
    with pytest.raises(InputError) as caught:
        await read(sound)
    assert caught.value.code == "transcription.unreadable"
    path.unlink()
    with pytest.raises(InputError) as caught:
        await read(sound)
    assert caught.value.code == "transcription.unreadable"


async def test_a_file_that_grows_meanwhile_is_sent_as_it_was(tmp_path: Path) -> None:
    """Exactly the announced size leaves."""
    path = tmp_path / "voice.ogg"
    path.write_bytes(VOICE)
    sound = await look(path)
    path.write_bytes(VOICE + VOICE)
    assert await read(sound) == VOICE


async def test_a_plain_async_generator_is_a_source() -> None:
    """What developers write first works."""

    async def generate() -> AsyncIterator[bytes]:
        for at in range(0, len(VOICE), 1000):
            yield VOICE[at : at + 1000]

    assert await read(await look(generate())) == VOICE


async def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """Opening one would wait for a writer, and no deadline could end that."""
    pipe = tmp_path / "pipe.ogg"
    os.mkfifo(pipe)
    with anyio.fail_after(5), pytest.raises(InputError) as caught:
        await look(pipe)
    assert caught.value.code == "transcription.unreadable"


@pytest.mark.parametrize("good", [0, 1])
async def test_a_source_that_breaks_is_named_as_such(good: int) -> None:
    """Its fault is the caller's, at the first look and while sending; it is not blamed on the peer's connection."""

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(good):
            yield VOICE
        raise ConnectionResetError("the source's own")

    async def read() -> None:
        async with (await look(broken())).open(lambda _: None) as body:
            async for _ in body:
                pass

    with pytest.raises(InputError) as caught:
        await read()
    assert caught.value.code == "transcription.unreadable"
    assert isinstance(caught.value.__cause__, ConnectionResetError)
