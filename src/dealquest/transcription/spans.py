"""Each call as a span of the trace it belongs to: model, provider, length, price, id; never an address of the sound."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dealquest.values import Usage

from .transcript import Transcript

PRICE_TABLE = "2026-11-22"


class CallSpan(Protocol):
    """What a call may note about itself."""

    def note_id(self, transcript_id: str) -> None:
        """The job exists."""
        ...

    def note_transcript(self, transcript: Transcript) -> None:
        """The job is done."""
        ...


class _TracedCall:
    """Writes into a span under the names that every model call uses."""

    def __init__(self, model: str, provider: str) -> None:
        # Tracing is for programs that trace; the others do not pay for its import before the first call.
        from dealquest.tracing import llm_span, names  # noqa: PLC0415  # lazy on purpose

        self._names = names
        self.span = llm_span(model, provider=provider, operation="transcription")

    def note_id(self, transcript_id: str) -> None:
        self.span.set(self._names.RESPONSE_ID, transcript_id)

    def note_transcript(self, transcript: Transcript) -> None:
        if transcript.id is not None:
            self.note_id(transcript.id)
        self.span.set(self._names.RESPONSE_MODEL, transcript.model)
        self.span.set(self._names.AUDIO_S, transcript.duration_s)
        self.span.set("dealquest.no_speech", transcript.no_speech)
        self.span.record_usage(Usage(), cost_usd=transcript.cost_usd, price_table=PRICE_TABLE)
        self.span.set_output(transcript.text)


@contextmanager
def call_span(model: str, *, provider: str) -> Iterator[CallSpan]:
    """Open the span of one call; an error that leaves it is recorded there.

    Args:
        model: The model asked for.
        provider: Who serves it.
    """
    call = _TracedCall(model, provider)
    with call.span:
        yield call
