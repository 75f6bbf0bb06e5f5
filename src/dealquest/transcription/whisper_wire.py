"""The OpenAI-compatible `/audio/transcriptions` request and answer as values. No I/O, no state.

Source: the OpenAI API reference "Create transcription" (verbose_json, timestamp_granularities), the server of
faster-whisper, read 2026-11-22.
"""

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Self

import attrs
import msgspec

from dealquest.errors import DealQuestError, PeerGarbledError, PeerRefusedError, PeerUnavailableError
from dealquest.values import Secret
from dealquest.wire import HttpRequest, HttpResponse, parse_retry_after

from .order import SpeechOrder
from .quoting import quote_peer
from .reading import read_json
from .source import SoundBody
from .transcript import Transcript, Word

MAX_ANSWER_BYTES = 64 * 1024 * 1024

# The model's own rule for a stretch without speech; without it, silence comes back as a polite phrase.
_SILENT_ABOVE = 0.6
_UNSURE_BELOW = -1.0

_NO_CREDIT = re.compile(r"insufficient_quota|credit|billing|balance", re.IGNORECASE)

# Servers answer with the language's English name; these are the ones that our users speak most.
_CODES = {
    "arabic": "ar", "bulgarian": "bg", "chinese": "zh", "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en",
    "estonian": "et", "finnish": "fi", "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi", "hungarian": "hu",
    "indonesian": "id", "italian": "it", "japanese": "ja", "kazakh": "kk", "korean": "ko", "latvian": "lv", "lithuanian": "lt",
    "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "serbian": "sr",
    "slovak": "sk", "slovenian": "sl", "spanish": "es", "swedish": "sv", "thai": "th", "turkish": "tr", "ukrainian": "uk",
    "vietnamese": "vi",
}  # fmt: skip


class _HeardWord(msgspec.Struct):
    word: str
    start: float
    end: float
    probability: float | None = None


class _Segment(msgspec.Struct):
    start: float = 0.0
    end: float = 0.0
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    words: list[_HeardWord] | None = None


class _Usage(msgspec.Struct):
    cost: float | None = None
    seconds: float | None = None


class _Answer(msgspec.Struct):
    text: str
    language: str | None = None
    duration: float | None = None
    words: list[_HeardWord] | None = None
    segments: list[_Segment] | None = None
    usage: _Usage | None = None


@attrs.frozen(kw_only=True)
class WhisperWire:
    """Builds the request for one server and reads its answer.

    Attributes:
        base_url: Up to and including the version, such as `http://127.0.0.1:8000/v1`.
        key: The server's key, if it wants one.
        model: The model's name there.
        with_words: Whether to ask for words with times; a server that only knows plain answers refuses it.
        usd_per_minute: What the server charges; None when it is not known.
    """

    base_url: str
    key: Secret | None
    model: str
    with_words: bool = True
    usd_per_minute: Decimal | None = None

    def encode(self, order: SpeechOrder, *, kind: str | None, size: int | None, boundary: str, timeout_s: float) -> "MultipartRequest":
        """The request around a sound.

        Args:
            order: What was asked for.
            kind: The container; servers go by the file's suffix.
            size: Bytes of the sound; None sends it chunked.
            boundary: Text that stands between the parts; from chance, so that no sound can contain it.
            timeout_s: Seconds for the whole exchange.
        """
        fields = [("model", self.model), ("response_format", "verbose_json" if self.with_words else "json")]
        if self.with_words:
            fields += [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]
        if len(order.languages) == 1:
            fields.append(("language", order.languages[0].partition("_")[0]))
        before = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields)
        before += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="sound.{kind or "bin"}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        after = f"\r\n--{boundary}--\r\n"
        headers = [("content-type", f"multipart/form-data; boundary={boundary}")]
        if self.key is not None:
            headers.append(("authorization", f"Bearer {self.key.reveal()}"))
        if size is not None:
            headers.append(("content-length", str(len(before.encode()) + size + len(after.encode()))))
        request = HttpRequest(
            method="POST",
            url=f"{self.base_url}/audio/transcriptions",
            headers=tuple(headers),
            timeout_s=timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
        )
        return MultipartRequest(request, before.encode(), after.encode())

    def decode(self, answer: HttpResponse, *, now: datetime) -> Transcript:
        """The transcript that the answer holds.

        Raises:
            PeerError: As `decode_failure` gives it; PeerGarbledError `transcription.garbled`.
        """
        if answer.status != 200:
            raise self.decode_failure(answer, now=now)
        try:
            heard = read_json(answer.body, _Answer)
        except ValueError as exc:
            message = f"The speech server's answer holds no text{quote_peer(_error_text(answer.body), self.key)}."
            raise PeerGarbledError(message, code="transcription.garbled", retryable=True) from exc
        segments = heard.segments or []
        text = " ".join(heard.text.split())
        silent = not text or (bool(segments) and all(_is_silent(segment) for segment in segments))
        words = heard.words or [word for segment in segments for word in segment.words or []]
        duration_s = heard.duration if heard.duration is not None else heard.usage.seconds if heard.usage else None
        language = heard.language.strip().lower() if heard.language else None
        return Transcript(
            text="" if silent else text,
            no_speech=silent,
            id=answer.header("x-request-id"),
            language=_CODES.get(language, language) if language else None,
            confidence=None if silent else _confidence(segments),
            words=() if silent else tuple(_word(word) for word in words),
            duration_s=duration_s,
            cost_usd=self._cost(heard.usage, duration_s),
            model=self.model,
        )

    def decode_failure(self, answer: HttpResponse, *, now: datetime) -> DealQuestError:
        """What an answer other than 200 means; the same codes as AssemblyAI's."""
        said, status = quote_peer(_error_text(answer.body), self.key), answer.status
        if status in {401, 403}:
            return PeerRefusedError("The speech server refused the key.", code="transcription.key_refused")
        if status == 402 or (status == 429 and _NO_CREDIT.search(said)):
            return PeerRefusedError("The speech server's account has no credit.", code="transcription.no_credit")
        hint_s = parse_retry_after(answer.headers, now=now)
        if status == 429:
            return PeerUnavailableError("The speech server asks to slow down.", code="transcription.rate_limited", retry_after_s=hint_s)
        if status == 408 or status >= 500:
            message = f"The speech server answered HTTP {status}{said}."
            return PeerUnavailableError(message, code="transcription.unavailable", retry_after_s=hint_s)
        return PeerRefusedError(f"The speech server refused the request with HTTP {status}{said}.", code="transcription.refused")

    def _cost(self, usage: _Usage | None, duration_s: float | None) -> Decimal | None:
        if usage is not None and usage.cost is not None:
            return Decimal(str(usage.cost))
        if self.usd_per_minute is None or duration_s is None or not 0 <= duration_s < 1e7:
            return None
        return (self.usd_per_minute * Decimal(str(duration_s)) / 60).quantize(Decimal("0.000001"))


@attrs.frozen
class MultipartRequest:
    """A request that still wants its sound."""

    _request: HttpRequest
    _before: bytes
    _after: bytes

    def carry(self, sound: SoundBody) -> HttpRequest:
        """The request with the sound inside."""
        return attrs.evolve(self._request, body=_MultipartBody(self._before, sound, self._after))


class _MultipartBody:
    """An object and not a generator, as `SoundBody` is and for its reason."""

    def __init__(self, before: bytes, sound: SoundBody, after: bytes) -> None:
        self._before = before
        self._sound = sound
        self._after = after

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._before:
            part, self._before = self._before, b""
            return part
        try:
            return await anext(aiter(self._sound))
        except StopAsyncIteration:
            if not self._after:
                raise
            part, self._after = self._after, b""
            return part


def _is_silent(segment: _Segment) -> bool:
    return (segment.no_speech_prob or 0.0) > _SILENT_ABOVE and (segment.avg_logprob or 0.0) < _UNSURE_BELOW


def _confidence(segments: list[_Segment]) -> float | None:
    """The mean token probability, each segment weighted by its length."""
    known = [(segment.avg_logprob, max(segment.end - segment.start, 0.001)) for segment in segments if segment.avg_logprob is not None]
    if not known:
        return None
    return sum(math.exp(min(logprob, 0.0)) * length for logprob, length in known) / sum(length for _, length in known)


def _word(word: _HeardWord) -> Word:
    return Word(text=word.word.strip(), start_s=word.start, end_s=word.end, confidence=word.probability)


class _Detail(msgspec.Struct):
    message: str = ""
    code: str | None = None


class _Refusal(msgspec.Struct):
    error: _Detail | str | None = None
    detail: str | None = None


def _error_text(body: bytes) -> str:
    """What a refusal says, in OpenAI's shape or FastAPI's; anything else is not quoted."""
    try:
        refusal = read_json(body, _Refusal)
    except ValueError:
        return ""
    if isinstance(refusal.error, _Detail):
        return " ".join(filter(None, (refusal.error.code, refusal.error.message)))
    return refusal.error or refusal.detail or ""
