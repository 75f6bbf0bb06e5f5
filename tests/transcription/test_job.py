"""The state machine of one transcription: what comes next, and when it ends. No clock runs here."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import (
    DealQuestError,
    InputError,
    LimitError,
    NotFoundError,
    PeerError,
    PeerGarbledError,
    PeerUnavailableError,
    UnknownOutcomeError,
)
from dealquest.testing import fail
from dealquest.transcription import PollPlan
from dealquest.transcription.assemblyai_wire import AssemblyAIWire
from dealquest.transcription.job import Call, Finished, Pause, TranscriptionJob
from dealquest.transcription.order import SpeechOrder
from dealquest.values import Secret
from dealquest.wire import HttpResponse

WALL = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WIRE = AssemblyAIWire(base_url="https://api.example", key=Secret("k" * 20))
LITERAL = PollPlan(brisk_for_s=0.0)


class Drive:
    """Plays a job against answers, in time that only moves when the job pauses."""

    def __init__(self, *, transcript_id: str | None = None, deadline: float = 60.0, polls: PollPlan | None = None) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.sent: list[str] = []
        self.timeouts: list[float] = []
        self.job = TranscriptionJob(
            WIRE, order=SpeechOrder(), transcript_id=transcript_id, deadline=deadline, rng=random.Random(1), polls=polls
        )

    def to_call(self) -> Call:
        while isinstance(step := self.job.next_step(self.now), Pause):
            assert step.wait_s > 0
            self.waits.append(round(step.wait_s, 6))
            self.now += step.wait_s
        assert isinstance(step, Call)
        self.sent.append(f"{step.request.method} {step.request.url.rpartition('/v2/')[2]}")
        self.timeouts.append(step.request.timeout_s)
        return step

    def give(self, content: Any = None, status: int = 200, *, took_s: float = 0.0, can_resend: bool = True, **headers: str) -> None:
        self.to_call()
        self.now += took_s
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        answer = HttpResponse(status=status, body=body, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))
        self.job.receive(answer, now=self.now, wall_now=WALL, can_resend=can_resend)

    def lose(self, failure: DealQuestError, *, took_s: float = 0.0, can_resend: bool = True) -> None:
        self.to_call()
        self.now += took_s
        self.job.receive_failure(failure, now=self.now, can_resend=can_resend)

    def repeat(self, way: Callable[[], None]) -> None:
        for _ in range(100):
            way()

    def upload(self) -> None:
        self.give({"upload_url": "https://cdn.example/x"})

    def create(self) -> None:
        self.give({"id": "job-1", "status": "queued"})

    def look(self, status: str = "processing", **fields: Any) -> None:
        self.give({"id": "job-1", "status": status, **fields})


def started(**options: Any) -> Drive:
    drive = Drive(**options)
    drive.upload()
    drive.create()
    return drive


def test_upload_create_poll() -> None:
    """The happy way: three kinds of request in order, and the id is there as soon as the job is."""
    drive = Drive()
    assert drive.job.stage == "uploading"
    drive.upload()
    assert drive.job.transcript_id is None
    drive.create()
    assert (drive.job.transcript_id, drive.job.stage) == ("job-1", "queued")
    drive.look()
    assert drive.job.stage == "processing"
    drive.look("completed", text="Hello.")
    step = drive.job.next_step(drive.now)
    assert isinstance(step, Finished)
    assert step.transcript.text == "Hello."
    assert drive.sent == ["POST upload", "POST transcript", "GET transcript/job-1", "GET transcript/job-1"]


def test_the_plain_waits_are_those_of_the_contract() -> None:
    """0.3, 0.5, 0.8, 1.2, then 1.5 seconds, when brisk looking is switched off."""
    drive = started(polls=LITERAL)
    for _ in range(7):
        drive.look()
    assert drive.waits == [0.3, 0.5, 0.8, 1.2, 1.5, 1.5, 1.5]


def test_a_young_job_is_looked_at_more_often() -> None:
    """In a job's first ten seconds no wait is longer than 0.9 s; afterwards the plain ones count."""
    drive = started()
    for _ in range(15):
        drive.look()
    assert drive.waits[:4] == [0.3, 0.5, 0.8, 0.9]
    assert max(drive.waits[:12]) == 0.9
    assert drive.waits[-1] == 1.5


def test_resume_looks_at_once() -> None:
    """A resumed job may be ready, so the first look waits for nothing and uploads nothing."""
    drive = Drive(transcript_id="job-1")
    drive.look("completed", text="Hello.")
    assert drive.waits == []
    assert drive.sent == ["GET transcript/job-1"]


FAULTS: list[Callable[[Drive, bool], None]] = [
    lambda drive, again: drive.give({"error": "busy"}, 503, can_resend=again),
    lambda drive, again: drive.give({"error": "slow"}, 429, can_resend=again),
    lambda drive, again: drive.give({"error": "oh"}, 500, can_resend=again),
    lambda drive, again: drive.give(b"<html>bad gateway</html>", 502, can_resend=again),
    lambda drive, again: drive.give(b"<html>fine</html>", 200, can_resend=again),
    lambda drive, again: drive.lose(fail("wire.broken"), can_resend=again),
    lambda drive, again: drive.lose(fail("wire.connect"), can_resend=again),
    lambda drive, again: drive.lose(fail("wire.timeout"), took_s=0.1, can_resend=again),
]
any_fault = pytest.mark.parametrize("fault", FAULTS)


@any_fault
def test_u3_an_upload_survives_a_transient_fault(fault: Callable[[Drive, bool], None]) -> None:
    """Every passing fault of an upload is tried again, after a wait."""
    drive = Drive()
    fault(drive, True)
    drive.upload()
    assert drive.sent == ["POST upload", "POST upload"]
    assert 0.5 <= drive.waits[0] <= 1.0


@any_fault
def test_u3_a_source_that_cannot_be_opened_again_is_not_retried(fault: Callable[[Drive, bool], None]) -> None:
    """Chunks that are gone are not sent half a second time; the fault itself is the error."""
    drive = Drive()
    with pytest.raises((PeerError, LimitError)):
        fault(drive, False)
    assert drive.sent == ["POST upload"]


def test_an_upload_is_given_up_after_three_attempts() -> None:
    """A peer that stays down is not hammered."""
    drive = Drive()
    drive.give({}, 503)
    drive.give({}, 503)
    with pytest.raises(PeerUnavailableError) as caught:
        drive.give({}, 503)
    assert caught.value.code == "transcription.unavailable"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_create_is_retried_where_no_job_can_have_come_of_it(status: int) -> None:
    """Refused creates are sent again, without a second upload."""
    drive = Drive()
    drive.upload()
    drive.give({"error": "no"}, status)
    drive.create()
    assert drive.sent == ["POST upload", "POST transcript", "POST transcript"]


def test_a_create_without_a_connection_is_retried() -> None:
    """Nothing was sent, so nothing can be doubled."""
    drive = Drive()
    drive.upload()
    drive.lose(fail("wire.connect"))
    drive.create()
    assert drive.sent.count("POST transcript") == 2


@pytest.mark.parametrize("fault", [FAULTS[number] for number in (3, 4, 5, 7)])
def test_a_create_whose_answer_was_lost_is_never_repeated(fault: Callable[[Drive, bool], None]) -> None:
    """A second job would be billed: the doubt is an error of its own."""
    drive = Drive()
    drive.upload()
    with pytest.raises(UnknownOutcomeError) as caught:
        fault(drive, True)
    assert caught.value.code == "transcription.create_unknown"
    assert not caught.value.retryable


@any_fault
def test_a_paid_job_is_never_given_up_for_a_fault(fault: Callable[[Drive, bool], None]) -> None:
    """Ten bad looks in a row do not end a job; the eleventh finds it ready."""
    drive = started()
    for _ in range(10):
        fault(drive, True)
    drive.look("completed", text="Hello.")
    assert isinstance(drive.job.next_step(drive.now), Finished)


def test_retry_after_is_a_lower_bound_for_looking() -> None:
    """A peer that asks for four seconds gets four."""
    drive = started()
    drive.give({"error": "slow"}, 429, retry_after="4")
    drive.look()
    assert drive.waits[-1] >= 4


def test_u3_a_hint_beyond_the_deadline_ends_the_waiting_at_once() -> None:
    """A peer that asks for an hour is believed: the caller gets the id and the hint now, not at the deadline."""
    drive = started()
    with pytest.raises(LimitError) as caught:
        drive.give({"error": "slow"}, 429, retry_after="3600")
    assert (caught.value.reference, caught.value.retry_after_s) == ("job-1", 3600)
    assert drive.now < 1


def test_a_key_that_was_withdrawn_ends_the_job_with_its_id() -> None:
    """A lasting refusal is not polled away, and says which job it was."""
    drive = started()
    with pytest.raises(PeerError) as caught:
        drive.give({"error": "no"}, 401)
    assert (caught.value.code, caught.value.reference) == ("transcription.key_refused", "job-1")


def test_an_unknown_id_is_not_found() -> None:
    """Resuming a job of another account, or none, says so."""
    drive = Drive(transcript_id="job-9")
    with pytest.raises(NotFoundError) as caught:
        drive.give({"error": "Transcript lookup error, transcript id not found"}, 400)
    assert caught.value.reference == "job-9"


@pytest.mark.parametrize(("status", "code"), [("queued", "transcription.queued"), ("processing", "transcription.deadline")])
def test_queued_is_told_apart_from_slow(status: str, code: str) -> None:
    """At the deadline a job that never got its turn is another answer than one that takes long; both carry the id."""
    drive = started()
    with pytest.raises(LimitError) as caught:
        drive.repeat(lambda: drive.look(status))
    assert (caught.value.code, caught.value.reference, caught.value.retryable) == (code, "job-1", False)
    assert drive.now == pytest.approx(60)
    assert "job-1" in caught.value.message


def test_a_job_that_was_never_looked_at_is_not_called_queued() -> None:
    """Every job is born queued; that alone does not mean that the account is at its limit."""
    drive = started(deadline=0.2)
    with pytest.raises(LimitError) as caught:
        drive.look()
    assert (caught.value.code, caught.value.reference) == ("transcription.deadline", "job-1")


def test_the_deadline_tells_what_the_last_look_met() -> None:
    """A job that could not be looked at says why, and is still resumable."""
    drive = started(deadline=5)
    with pytest.raises(LimitError) as caught:
        drive.repeat(lambda: drive.lose(fail("wire.connect")))
    assert "The network failed" in caught.value.message
    assert caught.value.reference == "job-1"
    assert isinstance(caught.value.__cause__, PeerUnavailableError)


def test_a_deadline_before_the_job_says_that_nothing_was_billed() -> None:
    """Without a job there is no id, and the call may simply be made again."""
    drive = Drive(deadline=2)
    with pytest.raises(LimitError) as caught:
        drive.lose(fail("wire.timeout"), took_s=2)
    assert (caught.value.code, caught.value.reference, caught.value.retryable) == ("transcription.deadline", None, True)


def test_a_deadline_during_the_create_is_a_doubt() -> None:
    """Cut off between asking and hearing, nobody knows whether there is a job."""
    drive = Drive()
    drive.upload()
    drive.to_call()
    assert isinstance(drive.job.deadline_error(), UnknownOutcomeError)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 20)), max_size=60), st.floats(0.1, 120), st.booleans())
def test_no_story_outlives_its_deadline_or_loses_the_id(story: list[tuple[int, float]], deadline: float, resumes: bool) -> None:
    """Whatever happens in whatever order: no request beyond the deadline, one create that counts, every late error with the id."""
    drive = Drive(transcript_id="job-1" if resumes else None, deadline=deadline)
    ways = [
        *FAULTS,
        lambda drive, _: drive.look(),
        lambda drive, _: drive.look("completed", text="Hello."),
    ]
    try:
        for way, took_s in story:
            if isinstance(drive.job.next_step(drive.now), Finished):
                break
            if not drive.job.transcript_id and drive.sent and way > 7:
                (drive.create if drive.job._doing == "create" else drive.upload)()
                continue
            drive.now += took_s
            ways[way](drive, True)
    except DealQuestError as exc:
        assert exc.reference == drive.job.transcript_id  # noqa: PT017  # not raising is allowed too
    assert drive.now <= deadline + sum(took_s for _, took_s in story) + 1
    assert all(0 < timeout_s <= deadline for timeout_s in drive.timeouts)


@pytest.mark.parametrize(
    "failure",
    [LimitError("too large", code="wire.too_large"), PeerGarbledError("packed otherwise", code="wire.encoding")],
    ids=["too_large", "encoding"],
)
def test_a_create_with_an_answer_that_cannot_be_taken_is_a_doubt(failure: DealQuestError) -> None:
    """The peer did answer, so a job may exist, also where the same call would meet the same answer again."""
    drive = Drive()
    drive.give({"upload_url": "https://cdn.example/x"})
    with pytest.raises(UnknownOutcomeError) as caught:
        drive.lose(failure)
    assert caught.value.code == "transcription.create_unknown"


def test_a_create_that_could_not_be_written_is_no_doubt() -> None:
    """A request that never left keeps its own error."""
    drive = Drive()
    drive.give({"upload_url": "https://cdn.example/x"})
    with pytest.raises(InputError):
        drive.lose(InputError("malformed", code="wire.bad_request"))


@pytest.mark.parametrize("said", ["File is damaged", "server error"])
def test_a_job_that_fails_at_birth_still_has_its_id(said: str) -> None:
    """The answer to the create may be the job's end already; the id is in it."""
    drive = Drive()
    drive.give({"upload_url": "https://cdn.example/x"})
    with pytest.raises(PeerError) as caught:
        drive.give({"id": "job-1", "status": "error", "error": said})
    assert caught.value.reference == "job-1"
