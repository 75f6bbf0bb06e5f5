"""AssemblyAI and a Whisper server on loopback, on the true wire: what a test of speech needs, offline.

They check every request as strictly as the peers do and hash every byte of sound; they understand no speech: the
text they answer is scripted.
Source: AssemblyAI API reference (specification of 2026-03-23) and OpenAI "Create transcription", read 2026-11-22.
"""

import hashlib
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import urlsplit

import attrs
import msgspec

from .loopback import Arrival, LoopbackServer, Reply

KNOWN_SPEECH_MODELS = frozenset({"universal-3-pro", "universal-2"})
_CREATE_FIELDS: dict[str, type] = {
    "audio_url": str,
    "speech_models": list,
    "language_code": str,
    "language_detection": bool,
    "language_detection_options": dict,
    "speaker_labels": bool,
    "speakers_expected": int,
    "webhook_url": str,
    "webhook_auth_header_name": str,
    "webhook_auth_header_value": str,
}
_SILENCE = "language_detection cannot be performed on files with no spoken audio."


@attrs.frozen(kw_only=True)
class JobScript:
    """How a job goes.

    Attributes:
        text: What was said; empty is silence, reported the way the peer does for what was asked.
        queued_s: Seconds in `queued`.
        processing_s: Seconds in `processing` after that.
        error: Makes the job fail with this text, inside a 200.
        language: What detection finds.
        duration_s: Length of the sound, in whole seconds as the peer counts.
        speakers: Labels that the words get in turn when speaker labels are asked for.
    """

    text: str = "We could start next week."
    queued_s: float = 0.0
    processing_s: float = 0.0
    error: str | None = None
    language: str = "en"
    duration_s: int = 3
    speakers: tuple[str, ...] = ("A",)


@attrs.frozen(kw_only=True)
class ReceivedSound:
    """A sound that arrived whole."""

    size: int
    sha256: str
    is_chunked: bool


@attrs.define(kw_only=True)
class ReceivedJob:
    """A job that was created; instants are of the machine's monotonic clock."""

    id: str
    order: dict[str, Any]
    script: JobScript
    created_at: float
    looks: int = 0

    @property
    def done_at(self) -> float:
        """When it is ready."""
        return self.created_at + self.script.queued_s + self.script.processing_s


class AssemblyAIServer(LoopbackServer):
    """AssemblyAI's `/v2/upload` and `/v2/transcript`. Routes for `fail`: `upload`, `create`, `poll`.

    Args:
        key: The key that is accepted.
        script: How every job goes; a test may change `script` between jobs.
        balance_usd: Below zero, jobs are refused as the peer refuses them: with a 400.

    Attributes:
        sounds: What was uploaded.
        jobs: By id.
    """

    def __init__(self, *, key: str = "speech-key-0123456789", script: JobScript | None = None, balance_usd: float = 1.0) -> None:
        super().__init__()
        self.key = key
        self.script = script or JobScript()
        self.balance_usd = balance_usd
        self.sounds: list[ReceivedSound] = []
        self.jobs: dict[str, ReceivedJob] = {}
        self._audio_urls: set[str] = set()
        self._numbers = itertools.count(1)

    def route_of(self, method: str, path: str) -> str:
        """`upload`, `create` or `poll`."""
        if method == "POST":
            return "upload" if path == "/v2/upload" else "create"
        return "poll"

    def answer(self, arrival: Arrival) -> Reply:
        """Answer as the peer would."""
        if arrival.header("authorization") != self.key:
            for _ in arrival.chunks():
                pass
            return Reply.json({"error": "Authentication error, API token missing/invalid"}, status=401)
        match arrival.method, arrival.path.split("/")[1:]:
            case "POST", ["v2", "upload"]:
                return self._upload(arrival)
            case "POST", ["v2", "transcript"]:
                return self._create(b"".join(arrival.chunks()))
            case "GET", ["v2", "transcript", transcript_id]:
                return self._look(transcript_id)
        return super().answer(arrival)

    def _upload(self, arrival: Arrival) -> Reply:
        sound = _receive(arrival.chunks(), is_chunked=arrival.is_chunked)
        if arrival.header("content-type") != "application/octet-stream":
            self.violations.append("an upload that is not application/octet-stream")
        if not sound.size:
            return Reply.json({"error": "Upload failed, please try again."}, status=422)
        self.sounds.append(sound)
        audio_url = f"https://cdn.assemblyai.test/upload/{sound.sha256[:32]}-{next(self._numbers)}"
        self._audio_urls.add(audio_url)
        return Reply.json({"upload_url": audio_url})

    def _create(self, body: bytes) -> Reply:
        if self.balance_usd < 0:
            return Reply.json({"error": "Your current account balance is negative. Please top up to continue using the API."}, status=400)
        order = msgspec.json.decode(body)
        fault = self._fault_in(order)
        if fault:
            self.violations.append(fault)
            return Reply.json({"error": fault}, status=400)
        job = ReceivedJob(id=f"job-{next(self._numbers):08x}", order=order, script=self.script, created_at=time.monotonic())
        self.jobs[job.id] = job
        if "webhook_url" in order:
            timer = threading.Timer(job.done_at - job.created_at, self._notify, (job,))
            timer.daemon = True
            timer.start()
        return Reply.json({"id": job.id, "status": "queued", "audio_url": order["audio_url"], "text": None, "words": None, "error": None})

    def _fault_in(self, order: Any) -> str | None:
        if not isinstance(order, dict):
            return "The request is no JSON object"
        for name, value in order.items():
            if name not in _CREATE_FIELDS or not isinstance(value, _CREATE_FIELDS[name]):
                return f"Invalid endpoint schema: {name}"
        if order.get("audio_url") not in self._audio_urls:
            return "audio_url is none of the uploaded ones"
        models = order.get("speech_models")
        if not models or not KNOWN_SPEECH_MODELS.issuperset(models):
            return '"speech_models" must be a non-empty list of known models'
        if "language_code" in order and order.get("language_detection"):
            return "language_code and language_detection exclude each other"
        options = order.get("language_detection_options", {})
        if not {"expected_languages", "fallback_language"}.issuperset(options):
            return "Invalid endpoint schema: language_detection_options"
        return None

    def _look(self, transcript_id: str) -> Reply:
        job = self.jobs.get(transcript_id)
        if job is None:
            return Reply.json({"error": "Transcript lookup error, transcript id not found"}, status=400)
        job.looks += 1
        age_s = time.monotonic() - job.created_at
        plain = {"id": job.id, "audio_url": job.order["audio_url"], "text": None, "words": None, "error": None}
        if age_s < job.script.queued_s:
            return Reply.json({**plain, "status": "queued"})
        if time.monotonic() < job.done_at:
            return Reply.json({**plain, "status": "processing"})
        return Reply.json({**plain, **_outcome(job)})

    def _notify(self, job: ReceivedJob) -> None:
        """Call the webhook: 2xx ends it, 4xx gives it up, anything else is tried again."""
        parts = urlsplit(job.order["webhook_url"])
        headers = {"content-type": "application/json"}
        if "webhook_auth_header_name" in job.order:
            headers[job.order["webhook_auth_header_name"]] = job.order["webhook_auth_header_value"]
        body = msgspec.json.encode({"transcript_id": job.id, "status": "error" if job.script.error else "completed"})
        for _ in range(10):
            if self.is_stopping:
                return
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
            try:
                connection.request("POST", parts.path, body, headers)
                if connection.getresponse().status < 500:
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()


class WhisperServer(LoopbackServer):
    """A server with OpenAI's `/audio/transcriptions`. The route for `fail` is `transcribe`.

    Args:
        key: The key that is demanded; None for an open server.
        script: How every call goes; `queued_s` and `processing_s` both delay the answer.

    Attributes:
        sounds: What was sent.
        orders: The form fields of each call.
    """

    def __init__(self, *, key: str | None = "whisper-key-0123456789", script: JobScript | None = None) -> None:
        super().__init__()
        self.key = key
        self.script = script or JobScript()
        self.sounds: list[ReceivedSound] = []
        self.orders: list[dict[str, list[str]]] = []

    @property
    def base_url(self) -> str:
        """Up to and including the version."""
        return f"{super().base_url}/v1"

    def route_of(self, method: str, path: str) -> str:  # noqa: ARG002  # there is one route only
        """Always `transcribe`."""
        return "transcribe"

    def answer(self, arrival: Arrival) -> Reply:
        """Answer as such a server would."""
        body = b"".join(arrival.chunks())
        if self.key is not None and arrival.header("authorization") != f"Bearer {self.key}":
            return Reply.json({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, status=401)
        if (arrival.method, arrival.path) != ("POST", "/v1/audio/transcriptions"):
            return super().answer(arrival)
        head = f"content-type: {arrival.header('content-type')}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + body)
        order: dict[str, list[str]] = {}
        sound: ReceivedSound | None = None
        for part in form.iter_parts():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            name = part.get_param("name", header="content-disposition")
            if name == "file":
                sound = _receive(iter((content,)), is_chunked=arrival.is_chunked)
            else:
                order.setdefault(str(name), []).append(content.decode())
        if sound is None or "model" not in order:
            self.violations.append("a form without file or model")
            return Reply.json({"error": {"message": "you must provide a file and a model"}}, status=400)
        self.sounds.append(sound)
        self.orders.append(order)
        time.sleep(self.script.queued_s + self.script.processing_s)
        return self._heard(order)

    def _heard(self, order: dict[str, list[str]]) -> Reply:
        script = self.script
        if script.error is not None:
            return Reply.json({"error": {"message": script.error}})
        if order.get("response_format") == ["json"]:
            return Reply.json({"text": script.text})
        silent = not script.text
        segment = {
            "id": 0,
            "start": 0.0,
            "end": float(script.duration_s),
            "text": script.text or " Thank you.",
            "avg_logprob": -1.4 if silent else -0.105,
            "no_speech_prob": 0.93 if silent else 0.01,
        }
        words = [
            {"word": word["text"], "start": word["start"] / 1000, "end": word["end"] / 1000} for word in _words(script, speakers=False)
        ]
        return Reply.json(
            {
                "task": "transcribe",
                "language": {"en": "english", "ru": "russian"}.get(script.language, script.language),
                "duration": float(script.duration_s),
                "text": segment["text"],
                "segments": [segment],
                "words": words,
            }
        )


def _receive(chunks: Iterator[bytes], *, is_chunked: bool) -> ReceivedSound:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return ReceivedSound(size=size, sha256=digest.hexdigest(), is_chunked=is_chunked)


def _words(script: JobScript, *, speakers: bool) -> list[dict[str, Any]]:
    texts = script.text.split()
    step = script.duration_s * 1000 // max(len(texts), 1)
    labels = itertools.cycle(script.speakers)
    return [
        {
            "text": text,
            "start": at * step,
            "end": (at + 1) * step - 20,
            "confidence": 0.97,
            "speaker": next(labels) if speakers else None,
        }
        for at, text in enumerate(texts)
    ]


def _outcome(job: ReceivedJob) -> dict[str, Any]:
    script, order = job.script, job.order
    detects = bool(order.get("language_detection"))
    if script.error is not None or (not script.text and detects):
        return {"status": "error", "error": script.error or _SILENCE, "audio_duration": script.duration_s}
    language = script.language if detects else order.get("language_code", "en_us")
    return {
        "status": "completed",
        "text": script.text,
        "words": _words(script, speakers=bool(order.get("speaker_labels"))),
        "confidence": 0.97 if script.text else 0.0,
        "language_code": language,
        "language_confidence": 0.99 if detects else None,
        "audio_duration": script.duration_s,
        "speech_model_used": "universal-3-pro" if language.partition("_")[0] in {"en", "es", "pt", "fr", "de", "it"} else "universal-2",
        "speaker_labels": bool(order.get("speaker_labels")),
    }
