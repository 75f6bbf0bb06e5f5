"""`AssemblyAITranscriber`: drives a `TranscriptionJob` over a transport. The edge; all knowledge is in `job` and `assemblyai_wire`."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import attrs

from dealquest.errors import DealQuestError, InputError, SettingsError
from dealquest.settings import ASSEMBLYAI_BASE_URL, Settings, load_settings
from dealquest.values import Secret
from dealquest.wire import RetryPolicy, SystemTimer, Timer, Transport, TransportSource

from .assemblyai_wire import DEAREST_USD_PER_HOUR, SPEECH_MODELS, AssemblyAIWire, check_transcript_id
from .defaults import DEADLINE_S, ignore_progress
from .job import Call, Finished, Pause, PollPlan, TranscriptionJob
from .order import SpeechOrder, Webhook, check_deadline, check_order
from .sound import SoundLimits
from .source import AudioSource, Sound, open_sound
from .spans import CallSpan, call_span
from .transcript import OnProgress, Progress, Transcript


class AssemblyAITranscriber:
    """A `Transcriber` over AssemblyAI.

    Args:
        key: The account's key.
        base_url: Where the API is; from the operator.
        transport: What carries requests. When left out, one is opened at the first call and closed with this object.
        limits: What sounds are accepted.
        speech_models: In order of preference.
        retry: How often upload and create are tried.
        polls: When a job is looked at.
        timer: Where time and waiting come from.
        rng: Where jitter comes from.
    """

    def __init__(
        self,
        key: Secret,
        *,
        base_url: str = ASSEMBLYAI_BASE_URL,
        transport: Transport | None = None,
        limits: SoundLimits | None = None,
        speech_models: Sequence[str] = SPEECH_MODELS,
        retry: RetryPolicy | None = None,
        polls: PollPlan | None = None,
        timer: Timer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not speech_models:
            raise InputError("At least one speech model is needed: the API has no default.", code="transcription.bad_option")
        self._wire = AssemblyAIWire(base_url=base_url.rstrip("/"), key=key, speech_models=tuple(speech_models))
        self._transport = TransportSource(transport)
        self._limits = limits or SoundLimits()
        self._retry = retry or RetryPolicy()
        self._polls = polls or PollPlan()
        self._timer = timer or SystemTimer()
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ASSEMBLYAI_API_KEY and ASSEMBLYAI_BASE_URL.

        Raises:
            SettingsError: `transcription.not_configured` when there is no key; `settings.invalid`.
        """
        return cls.from_settings(load_settings(environ))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The same for settings that were read already; raises as `from_env`."""
        if settings.assemblyai_api_key is None:
            raise SettingsError("Speech to text is off: set ASSEMBLYAI_API_KEY.", code="transcription.not_configured")
        return cls(settings.assemblyai_api_key, base_url=settings.assemblyai_base_url)

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
        """Upload a sound, wait for its transcript and return it.

        Args:
            source: A path, the bytes, chunks (read once, so not repeated after a fault), or a function that opens the chunks.
            languages: Codes to expect; one fixes the language, none lets it be detected among all.
            fallback_language: Used when detection finds none of the expected; the first of them when left out.
            speaker_labels: Whether words say who spoke; costs a little more.
            speakers_expected: How many speakers, when known.
            duration_s: Length of the sound in seconds, when the caller knows it; checked against the limits.
            deadline_s: Seconds for everything. A job that is not ready then goes on at the peer: see `resume`.
            on_progress: Told of every step; its `transcript_id` is what `resume` needs after a crash or a cancellation.

        Raises:
            InputError: The sound or an option was refused, before or while sending; nothing was billed.
            LimitError: `transcription.deadline`, or `transcription.queued` at the account's concurrency limit.
            PeerError: The peer refused, failed or could not be reached.
            UnknownOutcomeError: `transcription.create_unknown`: a job may have been begun.
        """
        order = check_order(
            languages=languages,
            fallback_language=fallback_language,
            speaker_labels=speaker_labels,
            speakers_expected=speakers_expected,
        )
        job = self._new_job(deadline_s, order=order)
        return await self._finish(job, deadline_s, on_progress, source=source, duration_s=duration_s)

    async def resume(self, transcript_id: str, *, deadline_s: float = DEADLINE_S, on_progress: OnProgress = ignore_progress) -> Transcript:
        """Go on with a job that exists: after an error, a crash, a webhook's notice, in another process too.

        Raises:
            InputError: `transcription.bad_id`.
            NotFoundError: `transcription.unknown_id`.
            LimitError, PeerError: As `transcribe`.
        """
        job = self._new_job(deadline_s, transcript_id=check_transcript_id(transcript_id))
        return await self._finish(job, deadline_s, on_progress)

    async def submit(
        self,
        source: AudioSource,
        *,
        languages: Sequence[str] = (),
        fallback_language: str | None = None,
        speaker_labels: bool = False,
        speakers_expected: int | None = None,
        webhook: Webhook | None = None,
        duration_s: float | None = None,
        deadline_s: float = DEADLINE_S,
        on_progress: OnProgress = ignore_progress,
    ) -> str:
        """Upload a sound and begin its job, without waiting for the text.

        Args:
            source: As in `transcribe`.
            languages: As in `transcribe`.
            fallback_language: As in `transcribe`.
            speaker_labels: As in `transcribe`.
            speakers_expected: As in `transcribe`.
            webhook: Where the peer tells that the job is done; check its call with `verify_webhook`, then `resume` the id.
            duration_s: As in `transcribe`.
            deadline_s: Seconds for upload and creation.
            on_progress: As in `transcribe`.

        Returns:
            The job's id. Keep it: `resume` fetches the transcript.
        """
        order = check_order(
            languages=languages,
            fallback_language=fallback_language,
            speaker_labels=speaker_labels,
            speakers_expected=speakers_expected,
            webhook=webhook,
        )
        job = self._new_job(deadline_s, order=order)
        with self._span(job):
            with self._timer.limit(deadline_s):
                sound = await self._look_at(source, duration_s, job)
                while job.transcript_id is None:
                    await self._advance(job, sound, on_progress)
                return job.transcript_id
            raise job.deadline_error()

    def _new_job(self, deadline_s: float, *, order: SpeechOrder | None = None, transcript_id: str | None = None) -> TranscriptionJob:
        return TranscriptionJob(
            self._wire,
            order=order,
            transcript_id=transcript_id,
            deadline=self._timer.monotonic() + check_deadline(deadline_s),
            rng=self._rng,
            retry=self._retry,
            polls=self._polls,
        )

    async def _look_at(self, source: AudioSource, duration_s: float | None, job: TranscriptionJob) -> Sound:
        sound = await open_sound(source, self._limits, usd_per_hour=DEAREST_USD_PER_HOUR, duration_s=duration_s)
        job.size = sound.size
        return sound

    async def _finish(
        self,
        job: TranscriptionJob,
        deadline_s: float,
        on_progress: OnProgress,
        *,
        source: AudioSource | None = None,
        duration_s: float | None = None,
    ) -> Transcript:
        with self._span(job) as span:
            with self._timer.limit(deadline_s):
                sound = None if source is None else await self._look_at(source, duration_s, job)
                while (transcript := await self._advance(job, sound, on_progress)) is None:
                    pass
                span.note_transcript(transcript)
                return transcript
            raise job.deadline_error()

    async def _advance(self, job: TranscriptionJob, sound: Sound | None, on_progress: OnProgress) -> Transcript | None:
        """Do what the job says next."""
        match job.next_step(self._timer.monotonic()):
            case Finished(transcript):
                return transcript
            case Pause(wait_s):
                await self._timer.sleep(wait_s)
            case Call(request=request, sends_sound=False):
                try:
                    answer = await self._transport.get().send(request)
                except DealQuestError as exc:
                    job.receive_failure(exc, now=self._timer.monotonic())
                else:
                    job.receive(answer, now=self._timer.monotonic(), wall_now=self._timer.now())
                    on_progress(_progress_of(job, sound))
            case Call() as call:
                assert sound is not None
                await self._send_sound(call, job, sound, on_progress)
        return None

    async def _send_sound(self, call: Call, job: TranscriptionJob, sound: Sound, on_progress: OnProgress) -> None:
        def on_bytes(sent: int) -> None:
            on_progress(Progress(stage="uploading", sent_bytes=sent, total_bytes=sound.size))

        async with sound.open(on_bytes) as body:
            try:
                answer = await self._transport.get().send(attrs.evolve(call.request, body=body))
            except DealQuestError as exc:
                if body.failure is not None:
                    raise body.failure from body.failure.__cause__  # not from what the transport made of it
                job.receive_failure(exc, now=self._timer.monotonic(), can_resend=sound.can_open)
            else:
                job.receive(answer, now=self._timer.monotonic(), wall_now=self._timer.now(), can_resend=sound.can_open)

    @contextmanager
    def _span(self, job: TranscriptionJob) -> Iterator[CallSpan]:
        with call_span(self._wire.speech_models[0], provider="assemblyai") as span:
            try:
                yield span
            finally:
                # Also when the caller leaves or the job fails: the trace is where its id is looked for.
                if job.transcript_id is not None:
                    span.note_id(job.transcript_id)


def _progress_of(job: TranscriptionJob, sound: Sound | None) -> Progress:
    if sound is None:
        return Progress(stage=job.stage, transcript_id=job.transcript_id)
    return Progress(stage=job.stage, sent_bytes=sound.sent_bytes, total_bytes=sound.size, transcript_id=job.transcript_id)
