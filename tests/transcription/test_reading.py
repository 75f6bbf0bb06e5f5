"""What a peer, or whoever stands between us, may answer: one kind of failure for all of it."""

import random
from datetime import UTC, datetime

import pytest

from dealquest.errors import DealQuestError, InputError, PeerGarbledError
from dealquest.transcription import WEBHOOK_HEADER, verify_webhook
from dealquest.transcription.assemblyai_wire import AssemblyAIWire
from dealquest.transcription.job import TranscriptionJob
from dealquest.transcription.reading import read_json
from dealquest.transcription.whisper_wire import WhisperWire
from dealquest.values import Secret
from dealquest.wire import HttpResponse

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DEEP = b'{"id": "a", "status": "queued", "text": "", "more": ' + b"[" * 3900
SECRET = Secret("a-long-random-webhook-secret")


@pytest.mark.parametrize("body", [b"", b"\xff", b'{"a": "\xff"}', b"[1]", b'{"a": 1e999}', DEEP, b"[" * 50_000])
def test_whatever_is_not_the_shape_is_a_value_error(body: bytes) -> None:
    """Cut, not UTF-8, another shape, out of range, or nested without end."""
    with pytest.raises(ValueError, match=r".+"):
        read_json(body, dict[str, float])


@pytest.mark.parametrize("status", [200, 500])
def test_deep_nesting_is_a_garbled_answer_of_either_service(status: int) -> None:
    """Nesting in a field that nobody reads is no exception of another kind, in a success or a refusal."""
    answer = HttpResponse(status=status, body=DEEP)
    with pytest.raises(DealQuestError):
        AssemblyAIWire(base_url="https://api.example", key=SECRET).decode_job(answer, now=NOW)
    with pytest.raises(DealQuestError):
        WhisperWire(base_url="http://127.0.0.1:9/v1", key=None, model="small").decode(answer, now=NOW)


def test_deep_nesting_does_not_end_a_paid_job() -> None:
    """It counts as one unreadable look, and the next one brings the transcript."""
    wire = AssemblyAIWire(base_url="https://api.example", key=SECRET)
    job = TranscriptionJob(wire, transcript_id="a", deadline=60.0, rng=random.Random(1))
    job.next_step(0.0)
    job.receive(HttpResponse(status=200, body=DEEP), now=0.0, wall_now=NOW)
    job.next_step(1.0)
    job.receive(HttpResponse(status=200, body=b'{"id": "a", "status": "completed", "text": "Hi."}'), now=1.0, wall_now=NOW)
    assert job.stage == "done"


def test_a_garbled_answer_still_says_so() -> None:
    """The error of a deep answer is the one of any answer that cannot be used."""
    with pytest.raises(PeerGarbledError) as caught:
        AssemblyAIWire(base_url="https://api.example", key=SECRET).decode_job(HttpResponse(status=200, body=DEEP), now=NOW)
    assert caught.value.code == "transcription.garbled"


def test_w4_a_deep_notice_is_refused() -> None:
    """A notice within the size limit can still be nested beyond reading."""
    with pytest.raises(InputError) as caught:
        verify_webhook(((WEBHOOK_HEADER, SECRET.reveal()),), DEEP, secret=SECRET)
    assert caught.value.code == "transcription.webhook_garbled"
