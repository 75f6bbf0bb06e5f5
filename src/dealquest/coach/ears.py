"""A voice message as text, through whichever transcriber the operator has set up."""

from collections.abc import AsyncIterator, Callable

from dealquest.transcription import Transcriber

from .dialogue import Heard

HEARING_DEADLINE_S = 90.0


class TranscriberEars:
    """Hears with a transcriber; the language is detected, and the user's own one is taken when that fails."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber

    async def hear(self, chunks: Callable[[], AsyncIterator[bytes]], *, language: str, duration_s: float | None) -> Heard:
        """What was said; see `coach.effects.Ears`."""
        transcript = await self._transcriber.transcribe(
            chunks, fallback_language=language.split("-", maxsplit=1)[0] or None, duration_s=duration_s, deadline_s=HEARING_DEADLINE_S
        )
        return Heard(text=transcript.text, language=transcript.language or "")
