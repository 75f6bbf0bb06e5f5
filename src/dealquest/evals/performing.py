"""Do the work of a plan on one event loop: lanes take samples in turn; each result is handed on as journal lines.

What a subject or a scorer raises becomes part of the record. Only what makes going on pointless ends the work: an
exhausted budget, a full disk.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol, TypeAlias

import anyio
import anyio.lowlevel
import attrs

from dealquest.errors import DealQuestError, LimitError
from dealquest.tracing import span
from dealquest.wire import SystemTimer, Timer

from .access import Access
from .caching import repetition
from .cases import Case
from .journal_lines import AnswerLine, Call, CheckLine, Failure, Line, ScoreLine
from .metering import Gates, Meter, ModelLimit, Models
from .planning import Check, Sample
from .scorers import reorder, reword
from .scores import Score, Scorer
from .subjects import Answer, Subject

STOPS = frozenset({"llm.budget.exceeded", "evals.journal.full"})
MAX_MESSAGE_CHARS = 400
RAMP_S = 0.002
"""Between the starts of two lanes. Lanes that start together stay together: their answers arrive at once, and each waits for the
work on all the others, wave after wave."""

Emit: TypeAlias = Callable[[Line], None]


@attrs.frozen(kw_only=True)
class Job:
    """What is left to do for one sample.

    Attributes:
        sample: Which.
        answer: The answer, where it was given before.
        scorers: Places of the scorers that have not scored it.
    """

    sample: Sample
    answer: AnswerLine | None = None
    scorers: tuple[int, ...] = ()


Task: TypeAlias = Job | Check


@attrs.frozen(kw_only=True)
class Work:
    """What all tasks of a run share; it can be sent to another process when its subjects and scorers can.

    Attributes:
        subjects: What is under test.
        scorers: Who gives points.
        concurrency: Tasks under way at one time.
        limits: Model → what it may be asked.
        access: The way to the models.
    """

    subjects: tuple[Subject, ...]
    scorers: tuple[Scorer, ...]
    concurrency: int
    limits: Mapping[str, ModelLimit]
    access: Access


class Executor(Protocol):
    """Where tasks are done."""

    async def execute(self, work: Work, tasks: Sequence[Task], emit: Emit, *, budget_usd: Decimal | None) -> None:
        """Do all tasks and emit their lines.

        Args:
            work: What they share.
            tasks: What is to be done.
            emit: Takes each line as soon as it is there.
            budget_usd: What may be spent; None for no limit.

        Raises:
            LimitError: One of `STOPS`: what is left stays undone.
        """
        ...


class LocalExecutor:
    """This event loop.

    Args:
        timer: Where time comes from.
    """

    def __init__(self, timer: Timer | None = None) -> None:
        self._timer = timer or SystemTimer()

    async def execute(self, work: Work, tasks: Sequence[Task], emit: Emit, *, budget_usd: Decimal | None) -> None:
        """See `Executor`."""
        async with work.access.open(budget_usd) as models:
            stop, _ = await work_off(work, tasks, emit, models, self._timer)
        if stop is not None:
            raise stop


async def work_off(
    work: Work, tasks: Sequence[Task], emit: Emit, models: Models | None, timer: Timer
) -> tuple[DealQuestError | None, list[Task]]:
    """Do tasks in lanes.

    Returns:
        Why the work ended early, and what was left then.
    """
    lane = _Lane(work, models, Gates(work.limits, timer), emit, timer)
    left = deque(tasks)
    stops: list[DealQuestError] = []
    running = min(work.concurrency, len(tasks))

    async def run_lane(place: int, scope: anyio.CancelScope) -> None:
        nonlocal running
        if place:
            await timer.sleep(place * RAMP_S)
        while left and not stops:
            task = left.popleft()
            try:
                await lane.do(task)
            except _Unfinished as exc:
                left.appendleft(exc.task)
                running -= 1
                # Money that others hold back may come free when they are done: only the last lane gives up for all.
                if exc.error.code != "llm.budget.exceeded" or not running:
                    stops.append(exc.error)
                if exc.error.code == "evals.journal.full":
                    scope.cancel()  # nothing that is still under way could be kept
                return
            # A subject that never waits must not keep the others, or the user's interrupt, waiting.
            await anyio.lowlevel.checkpoint()
        running -= 1

    async with anyio.create_task_group() as group:
        for place in range(running):
            group.start_soon(run_lane, place, group.cancel_scope)
    return (stops[0] if stops else None), list(left)


class _Unfinished(Exception):  # noqa: N818  # no error of anybody's: it carries a task back
    """A task that was not finished, as it is now, and why all work ends."""

    def __init__(self, task: Task, error: DealQuestError) -> None:
        super().__init__(error.code)
        self.task = task
        self.error = error


class _Lane:
    """Does single tasks; all lanes share one."""

    def __init__(self, work: Work, models: Models | None, gates: Gates, emit: Emit, timer: Timer) -> None:
        self._work = work
        self._models = models
        self._gates = gates
        self._emit = emit
        self._timer = timer

    async def do(self, task: Task) -> None:
        """Do one task.

        Raises:
            _Unfinished: The work ends here.
        """
        if isinstance(task, Check):
            try:
                with repetition(0):
                    self._emit(await self._check(task))
            except LimitError as exc:
                raise _Unfinished(task, exc) from exc
            return
        with repetition(task.sample.repeat):
            await self._do(task)

    async def _do(self, job: Job) -> None:
        sample, line, left = job.sample, job.answer, list(job.scorers)
        opened = span("evaluate", case=sample.case.id, subject=self._work.subjects[sample.subject].name, repeat=sample.repeat)
        try:
            async with opened as here:
                if line is None:
                    given = await self._answer(sample)
                    given.trace = here.trace_id
                    self._emit(given)
                    line = given
                answer = Answer(text=line.text, turns=line.turns, data=line.data)
                while left and line.failure is None:
                    self._emit(await self._score(sample, answer, self._work.scorers[left[0]]))
                    del left[0]
        except LimitError as exc:
            raise _Unfinished(Job(sample=sample, answer=line, scorers=tuple(left)), exc) from exc

    async def _answer(self, sample: Sample) -> AnswerLine:
        subject = self._work.subjects[sample.subject]
        meter = Meter(self._models, self._gates)
        line = AnswerLine(key=sample.key, case=sample.case.id, subject=subject.name, repeat=sample.repeat)
        began = self._timer.monotonic()
        try:
            answer = await subject.answer(sample.case, meter)
        except Exception as exc:  # noqa: BLE001  # the thing under test is foreign code, and its failure is a result
            line.failure = failure_of(exc, "evals.subject.raised")
        else:
            line.text, line.turns, line.data = answer.text, answer.turns, answer.data
            if answer.cost_usd is not None:
                meter.calls.append(Call(cost_usd=answer.cost_usd, cost_source="subject"))
        line.calls = tuple(meter.calls)
        line.wait_s = round(sum(call.wait_s for call in meter.calls), 4)
        line.elapsed_s = round(self._timer.monotonic() - began - line.wait_s, 4)
        return line

    async def _score(self, sample: Sample, answer: Answer, scorer: Scorer) -> ScoreLine:
        line = ScoreLine(key=sample.key, scorer=scorer.name)
        score, line.calls, line.failure = await self._ask_scorer(scorer, sample.case, answer)
        if score is not None:
            line.points, line.parts, line.note, line.facts = score.points, score.parts, score.note, score.facts
        return line

    async def _check(self, check: Check) -> CheckLine:
        scorer = self._work.scorers[check.scorer]
        case = check.case
        if check.variant != "plain" and case.scenario is not None:
            case = attrs.evolve(case, scenario=(reorder if check.variant == "reordered" else reword)(case.scenario))
        line = CheckLine(scorer=scorer.name, case=case.id, variant=check.variant, label=check.label, words=len(case.answer.split()))
        score, line.calls, line.failure = await self._ask_scorer(scorer, case, Answer(text=case.answer))
        if score is not None:
            line.points, line.parts = score.points, score.parts
        return line

    async def _ask_scorer(self, scorer: Scorer, case: Case, answer: Answer) -> tuple[Score | None, tuple[Call, ...], Failure | None]:
        meter = Meter(self._models, self._gates)
        try:
            score = await scorer.score(case, answer, meter)
        except Exception as exc:  # noqa: BLE001  # a scorer may be foreign code, and its failure is a result
            return None, tuple(meter.calls), failure_of(exc, "evals.scorer.raised")
        return score, tuple(meter.calls), None


def failure_of(error: Exception, code: str) -> Failure:
    """What is written down of an error.

    Args:
        error: What was raised.
        code: For errors that have none of ours.

    Raises:
        LimitError: The error itself, when it ends the work.
    """
    if isinstance(error, DealQuestError):
        if isinstance(error, LimitError) and error.code in STOPS:
            raise error
        return Failure(code=error.code, message=error.message[:MAX_MESSAGE_CHARS], retryable=error.retryable)
    return Failure(code=code, message=f"{type(error).__name__}: {error}"[:MAX_MESSAGE_CHARS])
