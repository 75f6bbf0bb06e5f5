"""One transcription on AssemblyAI as a state machine: it says what to do next and reads each answer. No I/O, no clock.

The rules:
1. upload → create → poll until `completed` or `error`; `resume` begins at poll.
2. One deadline over everything. Nothing is begun after it, and every request gets at most what is left of it.
3. An upload is repeated after a transient fault if its source can be opened again. It costs nothing but time.
4. A create is repeated only when no job can have come of it: no connection, 429, 500, 503. After any other
   doubt (a timeout, a broken connection, an answer that is unreadable or too large) its fate is unknown, and a
   second job would be billed.
5. A job that exists is paid for, so nothing transient ends the polling but the deadline.
6. Every error that leaves here carries the id of the job, once there is one, as its `reference`.

Source: the polling and retry policy of our contract for speech; SRE book, "Handling Overload", read 2026-11-22.
"""

import random
from datetime import datetime
from typing import Literal, TypeAlias, TypeVar

import attrs

from dealquest.errors import (
    DealQuestError,
    InputError,
    LimitError,
    PeerError,
    UnknownOutcomeError,
)
from dealquest.wire import HttpRequest, HttpResponse, RetryPolicy

from .assemblyai_wire import AssemblyAIWire, JobState
from .order import SpeechOrder
from .transcript import Stage, Transcript

MAX_CREATE_S = 30.0
MAX_POLL_S = 15.0
_MEANS_NO_JOB = frozenset({429, 500, 503})


@attrs.frozen(kw_only=True)
class PollPlan:
    """How long to wait before each look at a job.

    Attributes:
        waits_s: Before the first look, the second and so on; the last one repeats.
        brisk_s: While a job is younger than `brisk_for_s`, no wait is longer than this.
        brisk_for_s: Age in seconds at which the plain waits take over.

    >>> plan = PollPlan()
    >>> tuple(plan.wait_s(look, age_s=age) for look, age in ((0, 0), (1, 0.3), (2, 0.8), (3, 1.6), (9, 30)))
    (0.3, 0.5, 0.8, 0.9, 1.5)
    """

    waits_s: tuple[float, ...] = (0.3, 0.5, 0.8, 1.2, 1.5)
    brisk_s: float = 0.9
    brisk_for_s: float = 10.0

    def wait_s(self, looks: int, *, age_s: float) -> float:
        """Seconds to wait after so many looks at a job of this age."""
        wait = self.waits_s[min(looks, len(self.waits_s) - 1)]
        return min(wait, self.brisk_s) if age_s < self.brisk_for_s else wait


@attrs.frozen(kw_only=True)
class Call:
    """Send this request, then give the answer to `receive` or the failure to `receive_failure`."""

    request: HttpRequest
    sends_sound: bool = False


@attrs.frozen
class Pause:
    """Wait so many seconds, then ask again."""

    wait_s: float


@attrs.frozen
class Finished:
    """There it is."""

    transcript: Transcript


Step: TypeAlias = Call | Pause | Finished

_Error = TypeVar("_Error", bound=DealQuestError)


class TranscriptionJob:
    """The state of one transcription.

    Args:
        wire: Builds requests and reads answers.
        order: What was asked for; not needed when resuming.
        transcript_id: An existing job to go on with.
        deadline: The instant, on the clock whose readings are passed as `now`, after which nothing is begun.
        rng: Where the jitter of waits comes from.
        retry: How often upload and create are tried.
        polls: When to look.

    Attributes:
        size: Bytes of the sound; set it before the first step when it is known.
        stage: Where the job is, in words for a user.
        transcript_id: The peer's id, from the moment the job exists.
    """

    def __init__(
        self,
        wire: AssemblyAIWire,
        *,
        deadline: float,
        rng: random.Random,
        order: SpeechOrder | None = None,
        transcript_id: str | None = None,
        retry: RetryPolicy | None = None,
        polls: PollPlan | None = None,
    ) -> None:
        self._wire = wire
        self._order = order or SpeechOrder()
        self._deadline = deadline
        self._rng = rng
        self._retry = retry or RetryPolicy()
        self._polls = polls or PollPlan()
        self._doing: Literal["upload", "create", "poll"] = "poll" if transcript_id else "upload"
        self._audio_url = ""
        self._attempts = 0
        self._not_before = 0.0
        self._looks = 0
        self._born: float | None = None
        self._last_doubt: DealQuestError | None = None
        self._transcript: Transcript | None = None
        self._create_sent = False
        # Every job is born queued; only one that a look found so is waiting for its turn.
        self._seen_waiting = False
        self.size: int | None = None
        self.transcript_id = transcript_id
        self.stage: Stage = "processing" if transcript_id else "uploading"

    def next_step(self, now: float) -> Step:
        """What to do now.

        Raises:
            LimitError: As `deadline_error` gives it.
        """
        if self._transcript is not None:
            return Finished(self._transcript)
        left = self._deadline - now
        if left <= 0:
            raise self.deadline_error() from self._last_doubt
        if self._not_before > now:
            return Pause(min(self._not_before - now, left))
        if self._doing == "upload":
            return Call(request=self._wire.encode_upload(size=self.size, timeout_s=left), sends_sound=True)
        if self._doing == "create":
            self._create_sent = True
            return Call(request=self._wire.encode_create(self._audio_url, self._order, timeout_s=min(left, MAX_CREATE_S)))
        assert self.transcript_id is not None
        return Call(request=self._wire.encode_poll(self.transcript_id, timeout_s=min(left, MAX_POLL_S)))

    def receive(self, answer: HttpResponse, *, now: float, wall_now: datetime, can_resend: bool = False) -> None:
        """Read the answer to the last `Call`.

        Args:
            answer: The answer, whole.
            now: The instant of the deadline's clock.
            wall_now: The wall time, for Retry-After.
            can_resend: Whether the sound's source can be opened again.

        Raises:
            DealQuestError: What ends the job for good; its `reference` is the job's id, if there is one.
        """
        try:
            if self._doing == "upload":
                self._audio_url = self._wire.decode_upload(answer, now=wall_now)
                self._begin("create")
                return
            state = self._wire.decode_job(answer, now=wall_now, asked_id=self.transcript_id)
        except DealQuestError as exc:
            self._fail(exc, now=now, can_resend=can_resend, means_no_job=answer.status in _MEANS_NO_JOB or not exc.retryable)
        else:
            self._follow(state, now=now)

    def receive_failure(self, failure: DealQuestError, *, now: float, can_resend: bool = False) -> None:
        """The last `Call` brought no answer. Raises like `receive`."""
        was_not_sent = failure.code == "wire.connect" or isinstance(failure, InputError)
        self._fail(failure, now=now, can_resend=can_resend, means_no_job=was_not_sent)

    def deadline_error(self) -> LimitError | UnknownOutcomeError:
        """What the end of the deadline means at this point; the edge raises it when it has to cut a request short.

        A job that exists is not `retryable`: a second call would be billed again, `resume` is not.
        """
        if self._create_sent:
            return self._unknown_create()
        why = f" The last attempt failed: {self._last_doubt.message}" if self._last_doubt else ""
        if self.transcript_id is None:
            message = f"The deadline ended before a job was begun; nothing was billed. Allow more time for large sounds.{why}"
            return LimitError(message, code="transcription.deadline", retryable=True)
        if self._seen_waiting:
            message = (
                f"Transcript {self.transcript_id} is still queued: the account's concurrency limit is reached. Resume it by its id.{why}"
            )
            return self._tag(LimitError(message, code="transcription.queued"))
        message = f"Transcript {self.transcript_id} is not ready yet. Resume it by its id.{why}"
        return self._tag(LimitError(message, code="transcription.deadline"))

    def _begin(self, doing: Literal["create", "poll"]) -> None:
        self._doing = doing
        self._attempts = 0
        self._last_doubt = None

    def _follow(self, state: JobState, *, now: float) -> None:
        self.transcript_id = state.transcript_id
        self._create_sent = False
        self._last_doubt = None
        if state.transcript is not None:
            self._transcript = state.transcript
            self.stage = "done"
            return
        self.stage = "queued" if state.status == "queued" else "processing"
        if self._doing == "create":
            self._begin("poll")
        else:
            self._seen_waiting = state.status == "queued"
        self._wait_for_look(now)

    def _wait_for_look(self, now: float, *, least_s: float = 0.0) -> None:
        if self._born is None:
            self._born = now
        wait = self._polls.wait_s(self._looks, age_s=now - self._born)
        self._looks += 1
        self._not_before = now + max(wait, least_s)

    def _fail(self, failure: DealQuestError, *, now: float, can_resend: bool, means_no_job: bool) -> None:
        self._tag(failure)
        transient = failure.retryable and (isinstance(failure, PeerError) or failure.code == "wire.timeout")
        if failure.code == "transcription.job_lost":
            raise failure
        if self._doing == "poll":
            if not transient:
                raise failure
            self._last_doubt = failure
            hint_s = failure.retry_after_s or 0.0
            if hint_s >= self._deadline - now:
                error = self.deadline_error()
                error.retry_after_s = failure.retry_after_s
                raise error from failure
            self._wait_for_look(now, least_s=hint_s)
            return
        if self._doing == "create":
            if not means_no_job:
                raise self._unknown_create() from failure
            self._create_sent = False
        self._attempts += 1
        wait = self._retry.next_wait_s(self._attempts, rng=self._rng, remaining_s=self._deadline - now, hint_s=failure.retry_after_s)
        if wait is None and failure.code == "wire.timeout":
            raise self.deadline_error() from failure
        if not transient or wait is None or (self._doing == "upload" and not can_resend):
            raise failure
        self._last_doubt = failure
        self._not_before = now + wait

    def _unknown_create(self) -> UnknownOutcomeError:
        message = "It is not known whether the job was begun: the answer was lost. Trying again may be billed twice."
        return UnknownOutcomeError(message, code="transcription.create_unknown")

    def _tag(self, error: _Error) -> _Error:
        error.reference = self.transcript_id or error.reference
        return error
