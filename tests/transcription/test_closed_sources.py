"""A source that was let go of gives nothing more, whatever kind it is."""

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from dealquest.transcription.sound import SoundLimits
from dealquest.transcription.source import open_sound

VOICE_PATH = Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg"
VOICE = VOICE_PATH.read_bytes()


class Plain:
    """Chunks of somebody who never heard of closing."""

    def __init__(self) -> None:
        self._chunks = [VOICE[:500], VOICE[500:]]

    def __aiter__(self) -> "Plain":
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)


@pytest.mark.parametrize("source", [VOICE, VOICE_PATH, Plain], ids=["bytes", "file", "chunks"])
async def test_a_body_that_was_closed_is_not_read_on(source: object) -> None:
    """What was read before stays; reading after the end is an error, and a source without a close needs none."""
    sound = await open_sound(source, SoundLimits(), usd_per_hour=Decimal("0.23"), duration_s=None)  # type: ignore[arg-type]  # all three are sources
    async with sound.open(lambda _: None) as body:
        assert VOICE.startswith(await anext(aiter(body)))
    with pytest.raises(anyio.ClosedResourceError):
        await anext(aiter(body))
