"""`WhisperTranscriber`: any server with OpenAI's `/audio/transcriptions`, such as a Whisper of your own. One request, one answer."""

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self

from dealquest.errors import DealQuestError, InputError, LimitError, NotFoundError, PeerError, SettingsError
from dealquest.settings import Settings, load_settings
from dealquest.values import Secret
from dealquest.wire import RetryPolicy, SystemTimer, Timer, Transport, TransportSource

from .assemblyai_wire import check_transcript_id
from .defaults import DEADLINE_S, ignore_progress
from .order import SpeechOrder, check_deadline, check_order
from .sound import SoundLimits
from .source import AudioSource, Sound, open_sound
from .spans import call_span
from .transcript import OnProgress, Progress, Transcript
from .whisper_wire import WhisperWire

OPENAI_MAX_BYTES = 25 * 1024 * 1024
"""What the best-known server takes; pass `limits` for one that takes more."""


class WhisperTranscriber:
    """A `Transcriber` over an OpenAI-compatible server.

    Args:
        base_url: Up to and including the version, such as `http://127.0.0.1:8000/v1`; from the operator.
        key: The server's key, if it wants one.
        model: The model's name there.
        with_words: Whether to ask for words with times.
        usd_per_minute: What the server charges; None when it is not known.
        transport: What carries requests. When left out, one is opened at the first call and closed with this object.
        limits: What sounds are accepted.
        retry: How often a call is tried.
        timer: Where time and waiting come from.
        rng: Where jitter and boundaries come from.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: Secret | None = None,
        model: str = "whisper-1",
        with_words: bool = True,
        usd_per_minute: Decimal | None = None,
        transport: Transport | None = None,
        limits: SoundLimits | None = None,
        retry: RetryPolicy | None = None,
        timer: Timer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._wire = WhisperWire(base_url=base_url.rstrip("/"), key=key, model=model, with_words=with_words, usd_per_minute=usd_per_minute)
        self._transport = TransportSource(transport)
        self._limits = limits or SoundLimits(max_bytes=OPENAI_MAX_BYTES)
        self._retry = retry or RetryPolicy()
        self._timer = timer or SystemTimer()
        self._rng = rng or random.SystemRandom()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read WHISPER_BASE_URL, WHISPER_API_KEY and WHISPER_MODEL.

        Raises:
            SettingsError: `transcription.not_configured` when there is no address; `settings.invalid`.
        """
        return cls.from_settings(load_settings(environ))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The same for settings that were read already; raises as `from_env`."""
        if settings.whisper_base_url is None:
            raise SettingsError("No speech server of your own: set WHISPER_BASE_URL.", code="transcription.not_configured")
        return cls(settings.whisper_base_url, key=settings.whisper_api_key, model=settings.whisper_model)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the own transport; one that was handed in stays open."""
        await self._transport.aclose()

    async def transcribe(
        self,
        source: AudioSource,
        *,
        languages: Sequence[str] = (),
        fallback_language: str | None = None,
        speaker_labels: bool = False,
        speakers_expected: int | None = None,
        duration_s: float | None = None,
        deadline_s: float = DEADLINE_S,
        on_progress: OnProgress = ignore_progress,
    ) -> Transcript:
        """Send a sound and return its transcript.

        Args:
            source: As everywhere: a path, the bytes, chunks, or a function that opens the chunks.
            languages: One fixes the language. With several or none the server finds out among all that it knows.
            fallback_language: Checked, but such a server has no use for it.
            speaker_labels: Refused: such a server does not tell speakers apart.
            speakers_expected: Goes with `speaker_labels`.
            duration_s: Length in seconds, when known; checked against the limits.
            deadline_s: Seconds for everything, repeats included.
            on_progress: Told of every chunk sent.

        Raises:
            InputError: The sound or an option was refused.
            LimitError: `transcription.deadline`.
            PeerError: The server refused, failed or could not be reached.
        """
        order = check_order(
            languages=languages,
            fallback_language=fallback_language,
            speaker_labels=speaker_labels,
            speakers_expected=speakers_expected,
        )
        if speaker_labels:
            raise InputError("This speech server does not tell speakers apart; leave speaker_labels out.", code="transcription.bad_option")
        deadline = self._timer.monotonic() + check_deadline(deadline_s)
        usd_per_hour = (self._wire.usd_per_minute or Decimal(0)) * 60
        with call_span(self._wire.model, provider="openai") as span:
            with self._timer.limit(deadline_s):
                sound = await open_sound(source, self._limits, usd_per_hour=usd_per_hour, duration_s=duration_s)
                transcript = await self._try(order, sound, deadline, on_progress)
                span.note_transcript(transcript)
                return transcript
            raise _deadline_error()

    async def resume(
        self,
        transcript_id: str,
        *,
        deadline_s: float = DEADLINE_S,  # noqa: ARG002  # the role's signature
        on_progress: OnProgress = ignore_progress,  # noqa: ARG002  # the role's signature
    ) -> Transcript:
        """Such a server keeps no jobs, so it knows none.

        Raises:
            NotFoundError: `transcription.unknown_id`, always.
        """
        check_transcript_id(transcript_id)
        raise NotFoundError("This speech server keeps no transcripts; send the sound again.", code="transcription.unknown_id")

    async def _try(self, order: SpeechOrder, sound: Sound, deadline: float, on_progress: OnProgress) -> Transcript:
        attempts = 0
        while True:
            try:
                return await self._send(order, sound, deadline, on_progress)
            except (PeerError, LimitError) as exc:
                attempts += 1
                left = deadline - self._timer.monotonic()
                wait = self._retry.next_wait_s(attempts, rng=self._rng, remaining_s=left, hint_s=exc.retry_after_s)
                if wait is None and exc.code == "wire.timeout":
                    raise _deadline_error() from exc
                if not exc.retryable or wait is None or not sound.can_open:
                    raise
            await self._timer.sleep(wait)

    async def _send(self, order: SpeechOrder, sound: Sound, deadline: float, on_progress: OnProgress) -> Transcript:
        def on_bytes(sent: int) -> None:
            on_progress(Progress(stage="uploading", sent_bytes=sent, total_bytes=sound.size))

        request = self._wire.encode(
            order,
            kind=sound.kind,
            size=sound.size,
            boundary=f"dealquest-{self._rng.getrandbits(128):032x}",
            timeout_s=max(deadline - self._timer.monotonic(), 0.001),
        )
        async with sound.open(on_bytes) as body:
            try:
                answer = await self._transport.get().send(request.carry(body))
            except DealQuestError:
                if body.failure is not None:
                    raise body.failure from body.failure.__cause__  # not from what the transport made of it
                raise
        transcript = self._wire.decode(answer, now=self._timer.now())
        on_progress(Progress(stage="done", sent_bytes=sound.sent_bytes, total_bytes=sound.size, transcript_id=transcript.id))
        return transcript


def _deadline_error() -> LimitError:
    message = "No transcript before the deadline. Allow more time, or send a shorter sound."
    return LimitError(message, code="transcription.deadline", retryable=True)
