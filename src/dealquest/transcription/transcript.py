"""What comes out of speech: text with words and times, what it cost, and how far a job is.

Values only; no wire, no I/O.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, TypeAlias

import attrs

Stage: TypeAlias = Literal["uploading", "queued", "processing", "done"]


@attrs.frozen(kw_only=True)
class Word:
    """One word as it was heard.

    Attributes:
        text: The word with its punctuation.
        start_s: Seconds from the beginning of the sound.
        end_s: Seconds from the beginning of the sound.
        confidence: 0 to 1, where the peer says it.
        speaker: The peer's label, such as `A`, when speaker labels were asked for.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None
    speaker: str | None = None


@attrs.frozen(kw_only=True)
class Transcript:
    """A finished transcription. Silence is a result, not a failure: look at `no_speech`.

    Attributes:
        text: All that was said; empty when `no_speech`.
        no_speech: Whether the peer listened to the whole sound and heard nobody speak.
        id: The peer's id of the job; None where the peer keeps no jobs.
        language: Language code as the peer names it, such as `en` or `en_us`.
        language_confidence: 0 to 1, when the language was detected.
        confidence: 0 to 1, over the whole text.
        words: In order, with times.
        duration_s: Length of the sound in seconds, as the peer measured (and bills) it.
        cost_usd: What it costs: the peer's own figure, else our dated price table; None when neither knows.
        model: The model that listened.
    """

    text: str
    no_speech: bool = False
    id: str | None = None
    language: str | None = None
    language_confidence: float | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = attrs.field(default=(), repr=False)
    duration_s: float | None = None
    cost_usd: Decimal | None = None
    model: str | None = None


@attrs.frozen(kw_only=True)
class Progress:
    """How far a transcription is. Keep `transcript_id` as soon as it is there: `resume` goes on with it.

    Attributes:
        stage: `uploading`; `queued` (every job begins so; where it lasts, the account's concurrency limit is reached);
            `processing`; `done`.
        sent_bytes: Bytes of sound handed to the connection in this attempt.
        total_bytes: Size of the sound; None when the source does not say.
        transcript_id: The peer's id, from the moment the job exists.
    """

    stage: Stage
    sent_bytes: int = 0
    total_bytes: int | None = None
    transcript_id: str | None = None


OnProgress: TypeAlias = Callable[[Progress], None]
