"""AssemblyAI's requests and answers as values: what to send, what an answer means. No I/O, no state.

Does not decide when to send or when to give up; that is `job`.
Source: AssemblyAI API reference, model selection, language detection, common errors, pricing and webhooks
pages (specification of 2026-03-23), read 2026-11-22.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
import msgspec

from dealquest.errors import (
    DealQuestError,
    InputError,
    NotFoundError,
    PeerGarbledError,
    PeerRefusedError,
    PeerUnavailableError,
)
from dealquest.values import Secret
from dealquest.wire import HttpRequest, HttpResponse, parse_retry_after

from .order import SpeechOrder
from .quoting import quote_peer
from .reading import read_json
from .transcript import Transcript, Word

SPEECH_MODELS = ("universal-3-pro", "universal-2")
"""Best first; the second knows the languages that the first does not (it knows en es pt fr de it)."""

USD_PER_HOUR = {"universal-3-pro": Decimal("0.21"), "universal-2": Decimal("0.15")}
"""List prices of pre-recorded sound, as published on 2026-11-22."""

SPEAKERS_USD_PER_HOUR = Decimal("0.02")

DEAREST_USD_PER_HOUR = max(USD_PER_HOUR.values()) + SPEAKERS_USD_PER_HOUR

# A long talk comes back as one JSON object: ten hours are about 100,000 words of 90 bytes, twice with speakers.
MAX_ANSWER_BYTES = 128 * 1024 * 1024
_SMALL_ANSWER_BYTES = 64 * 1024

JobStatus: TypeAlias = Literal["queued", "processing", "completed", "error"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_ADDRESS = re.compile(r"https?://\S+")
_NO_CREDIT = re.compile(r"balance|credit|top.?up|billing|payment|funds", re.IGNORECASE)
_UNKNOWN_ID = re.compile(r"lookup|not found|does not exist", re.IGNORECASE)
# With language detection on, silence is reported as a failed job; without it, as an empty text.
_NO_SPEECH = re.compile(r"no spoken audio|no speech|speech threshold", re.IGNORECASE)
_TOO_SHORT = re.compile(r"duration is too short", re.IGNORECASE)
_SERVER_FAULT = re.compile(r"server error|developers have been alerted|internal error|try again", re.IGNORECASE)

_Body = TypeVar("_Body")


class _Upload(msgspec.Struct):
    upload_url: str


class _Refusal(msgspec.Struct):
    error: str


class _HeardWord(msgspec.Struct):
    text: str
    start: float
    end: float
    confidence: float | None = None
    speaker: str | None = None


class _Job(msgspec.Struct):
    id: str
    status: str
    text: str | None = None
    words: list[_HeardWord] | None = None
    error: str | None = None
    confidence: float | None = None
    language_code: str | None = None
    language_confidence: float | None = None
    audio_duration: float | None = None
    speech_model_used: str | None = None
    speaker_labels: bool | None = None


@attrs.frozen(kw_only=True)
class JobState:
    """What an answer says about a job.

    Attributes:
        transcript_id: The job.
        status: Unknown words count as `processing`: the deadline ends them.
        transcript: Set when `completed`, silence included.
    """

    transcript_id: str
    status: JobStatus
    transcript: Transcript | None = None


@attrs.frozen(kw_only=True)
class AssemblyAIWire:
    """Builds requests for one account and reads their answers.

    Attributes:
        base_url: Where the API is; from the operator.
        key: The account's key.
        speech_models: In order of preference; the API demands the list.
    """

    base_url: str
    key: Secret
    speech_models: tuple[str, ...] = SPEECH_MODELS

    def encode_upload(self, *, size: int | None, timeout_s: float) -> HttpRequest:
        """The request that carries the sound; its body is put in by whoever sends it."""
        length = () if size is None else (("content-length", str(size)),)
        return HttpRequest(
            method="POST",
            url=f"{self.base_url}/v2/upload",
            headers=(self._authorization, ("content-type", "application/octet-stream"), *length),
            timeout_s=timeout_s,
            max_bytes=_SMALL_ANSWER_BYTES,
        )

    def encode_create(self, audio_url: str, order: SpeechOrder, *, timeout_s: float) -> HttpRequest:
        """The request that begins a job on an uploaded sound."""
        return HttpRequest(
            method="POST",
            url=f"{self.base_url}/v2/transcript",
            headers=(self._authorization, ("content-type", "application/json")),
            body=msgspec.json.encode({"audio_url": audio_url, "speech_models": self.speech_models, **_encode_order(order)}),
            timeout_s=timeout_s,
            max_bytes=_SMALL_ANSWER_BYTES,
        )

    def encode_poll(self, transcript_id: str, *, timeout_s: float) -> HttpRequest:
        """The request that asks how a job is doing."""
        return HttpRequest(
            method="GET",
            url=f"{self.base_url}/v2/transcript/{transcript_id}",
            headers=(self._authorization,),
            timeout_s=timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
        )

    @property
    def _authorization(self) -> tuple[str, str]:
        return ("authorization", self.key.reveal())

    def decode_upload(self, answer: HttpResponse, *, now: datetime) -> str:
        """The address of the uploaded sound, readable by the peer alone.

        Raises:
            PeerError: As `decode_failure` gives it, or PeerGarbledError `transcription.garbled`.
        """
        upload = self._decode(answer, _Upload, now=now)
        if len(upload.upload_url) > 4096 or _ADDRESS.fullmatch(upload.upload_url) is None:
            raise _garbled("its upload address is none")
        return upload.upload_url

    def decode_job(self, answer: HttpResponse, *, now: datetime, asked_id: str | None = None) -> JobState:
        """What the answer to a create or a poll says.

        Args:
            answer: The answer, whole.
            now: The wall time, for Retry-After.
            asked_id: The job that was asked for; an answer about another one is garbled.

        Raises:
            PeerError: As `decode_failure` gives it; or PeerGarbledError `transcription.garbled`.
            InputError: `transcription.too_short` when the job failed for that.
            PeerRefusedError: `transcription.job_failed`: the job failed and would fail again.
            PeerUnavailableError: `transcription.job_lost`: the peer failed while working; a new job may succeed.
        """
        job = self._decode(answer, _Job, now=now, asked_id=asked_id)
        if _ID.fullmatch(job.id) is None or asked_id not in {None, job.id}:
            raise _garbled("it names another job" if asked_id else "its job id is none")
        if job.status == "error":
            if _NO_SPEECH.search(job.error or ""):
                return JobState(transcript_id=job.id, status="completed", transcript=_silence(job, billed=False))
            error = self._job_error(job.error or "no reason given")
            error.reference = job.id
            raise error
        if job.status == "completed":
            return JobState(transcript_id=job.id, status="completed", transcript=_transcript(job))
        return JobState(transcript_id=job.id, status="queued" if job.status == "queued" else "processing")

    def decode_failure(self, answer: HttpResponse, *, now: datetime, asked_id: str | None = None) -> DealQuestError:
        """What an answer other than 200 means, as an error to raise.

        Classes and codes: PeerRefusedError `transcription.key_refused`, `transcription.no_credit`, `transcription.refused`;
        NotFoundError `transcription.unknown_id`; PeerUnavailableError `transcription.rate_limited`, `transcription.unavailable`.
        """
        said = quote_peer(_error_text(answer), self.key)
        status = answer.status
        if status in {401, 403}:
            return PeerRefusedError("AssemblyAI refused the key; check ASSEMBLYAI_API_KEY.", code="transcription.key_refused")
        if status == 402 or (status == 400 and _NO_CREDIT.search(said)):
            return PeerRefusedError("The AssemblyAI account has no credit; top it up, then try again.", code="transcription.no_credit")
        if asked_id is not None and (status == 404 or (status == 400 and _UNKNOWN_ID.search(said))):
            return NotFoundError("AssemblyAI knows no such transcript for this key.", code="transcription.unknown_id")
        hint_s = parse_retry_after(answer.headers, now=now)
        if status == 429:
            return PeerUnavailableError("AssemblyAI asks to slow down.", code="transcription.rate_limited", retry_after_s=hint_s)
        if status == 408 or status >= 500:
            return PeerUnavailableError(f"AssemblyAI answered HTTP {status}{said}.", code="transcription.unavailable", retry_after_s=hint_s)
        return PeerRefusedError(f"AssemblyAI refused the request with HTTP {status}{said}.", code="transcription.refused")

    def _decode(self, answer: HttpResponse, body: type[_Body], *, now: datetime, asked_id: str | None = None) -> _Body:
        if answer.status != 200:
            raise self.decode_failure(answer, now=now, asked_id=asked_id)
        try:
            return read_json(answer.body, body)
        except ValueError as exc:
            raise _garbled("it is not the JSON that was promised") from exc

    def _job_error(self, text: str) -> DealQuestError:
        if _TOO_SHORT.search(text):
            return InputError("The sound is too short to be transcribed.", code="transcription.too_short")
        said = quote_peer(text, self.key)
        if _SERVER_FAULT.search(text):
            message = f"AssemblyAI lost the job{said}. Send the sound again; a failed job is not billed."
            return PeerUnavailableError(message, code="transcription.job_lost")
        return PeerRefusedError(f"AssemblyAI could not transcribe the sound{said}.", code="transcription.job_failed")


def check_transcript_id(transcript_id: str) -> str:
    """Refuse what cannot be an id, so that it never becomes a path; raises InputError `transcription.bad_id`.

    >>> check_transcript_id("5552493-16d8-42d8-8feb-c2a16b56f6e8")
    '5552493-16d8-42d8-8feb-c2a16b56f6e8'
    """
    if _ID.fullmatch(transcript_id) is None:
        raise InputError("A transcript id is up to 100 letters, digits, - and _.", code="transcription.bad_id")
    return transcript_id


def _encode_order(order: SpeechOrder) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if len(order.languages) == 1:
        # A fixed language is not detected: faster, and silence comes back as silence.
        fields["language_code"] = order.languages[0]
    else:
        fields["language_detection"] = True
        fallback = order.fallback_language or (order.languages[0] if order.languages else None)
        options = {"expected_languages": order.languages, "fallback_language": fallback}
        if any(options.values()):
            fields["language_detection_options"] = {key: value for key, value in options.items() if value}
    if order.speaker_labels:
        fields["speaker_labels"] = True
    if order.speakers_expected is not None:
        fields["speakers_expected"] = order.speakers_expected
    if order.webhook is not None:
        fields["webhook_url"] = order.webhook.url
        fields["webhook_auth_header_name"] = order.webhook.header
        fields["webhook_auth_header_value"] = order.webhook.secret.reveal()
    return fields


def _transcript(job: _Job) -> Transcript:
    text = (job.text or "").strip()
    if not text:
        return _silence(job, billed=True)
    return Transcript(
        text=text,
        id=job.id,
        language=job.language_code,
        language_confidence=job.language_confidence,
        confidence=job.confidence,
        words=tuple(
            Word(text=word.text, start_s=word.start / 1000, end_s=word.end / 1000, confidence=word.confidence, speaker=word.speaker)
            for word in job.words or ()
        ),
        duration_s=job.audio_duration,
        cost_usd=_cost(job),
        model=job.speech_model_used,
    )


def _silence(job: _Job, *, billed: bool) -> Transcript:
    return Transcript(
        text="",
        no_speech=True,
        id=job.id,
        language=job.language_code,
        duration_s=job.audio_duration,
        cost_usd=_cost(job) if billed else Decimal(0),
        model=job.speech_model_used,
    )


def _cost(job: _Job) -> Decimal | None:
    per_hour = USD_PER_HOUR.get(job.speech_model_used or "")
    if per_hour is None or job.audio_duration is None or not 0 <= job.audio_duration < 1e7:
        return None
    per_hour += SPEAKERS_USD_PER_HOUR if job.speaker_labels else 0
    return (per_hour * Decimal(str(job.audio_duration)) / 3600).quantize(Decimal("0.000001"))


def _error_text(answer: HttpResponse) -> str:
    """The `error` of a refusal; whatever else a proxy says is not quoted."""
    try:
        return read_json(answer.body, _Refusal).error
    except ValueError:
        return ""


def _garbled(what: str) -> PeerGarbledError:
    return PeerGarbledError(f"AssemblyAI's answer cannot be used: {what}.", code="transcription.garbled", retryable=True)
