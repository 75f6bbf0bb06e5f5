"""Run a plan, go on with a run that stopped, read one back. The journal is the only state.

The budget is the router's own: the worst case of each request is reserved before it is sent, the judges' included.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from anyio.from_thread import start_blocking_portal

from dealquest.errors import DealQuestError, InputError
from dealquest.llm import Router
from dealquest.values import Clock, SystemClock
from dealquest.wire import Transport

from .access import Access, MakeRouter
from .journal import SYNC_S, Journal
from .journal_lines import EndLine, Failure, Line
from .ledger import Ledger
from .loading import Source
from .manifest import case_lines, make_manifest
from .metering import ModelLimit
from .performing import Executor, Job, LocalExecutor, Task, Work
from .planning import JUDGE_CHECK, Plan, plan
from .progress import Progress, Standing, Where, choose_progress
from .rebuilding import check_same, rebuild_plan
from .results import Run
from .scores import GiveScore, Scorer
from .subjects import AsyncAnswer, FunctionSubject, Subject

CONCURRENCY = 16
RUNS_FOLDER = "runs"

_latest: list[Run] = []


def _dollars(amount: Decimal | float | str) -> Decimal:
    try:
        return Decimal(str(amount))
    except InvalidOperation as exc:
        raise InputError("budget_usd is a number of dollars, zero or more", code="evals.input.budget") from exc


@attrs.frozen(kw_only=True)
class Means:
    """How a plan is carried out; nothing here changes what its numbers mean.

    Attributes:
        journal: The file; a new one under `runs/` when left out.
        concurrency: Tasks under way at one time.
        budget_usd: The most that may be spent, over all sessions of the journal; None for no limit.
        llm: A router to use as it is, or a function that makes one with `budget`, `limits` and `transport`, such as
            `Router.from_env` or `functools.partial(Router, routes)`.
        transport: How to reach the models; the fastest one that works here when left out.
        limits: Model → what it may be asked.
        cache: A folder that keeps models' answers.
        replay: Whether only answers from that folder are taken.
        executor: Where the work is done; this event loop when left out.
        progress: Where progress is shown.
        sync_s: Seconds after which journal lines are forced to the disk.
        name: The run's.
        clock: Where time comes from.
    """

    journal: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    concurrency: int = CONCURRENCY
    budget_usd: Decimal | None = attrs.field(default=None, converter=attrs.converters.optional(_dollars))
    llm: Router | MakeRouter | None = None
    transport: Transport | None = None
    limits: Mapping[str, ModelLimit] = attrs.field(factory=dict)
    cache: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    replay: bool = False
    executor: Executor | None = None
    progress: Where | Progress = "auto"
    sync_s: float = SYNC_S
    name: str = ""
    clock: Clock = attrs.Factory(SystemClock)

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be kept."""
        if not 1 <= self.concurrency <= 4096:
            raise InputError("concurrency lies between 1 and 4096", code="evals.input.concurrency")
        if self.budget_usd is not None and not (self.budget_usd.is_finite() and self.budget_usd >= 0):
            raise InputError("budget_usd is a number of dollars, zero or more", code="evals.input.budget")
        if isinstance(self.llm, Router) and (self.budget_usd is not None or self.cache is not None or self.transport is not None):
            raise InputError(
                "a finished router keeps its own budget and connections: give llm a function that makes one, such as "
                "functools.partial(Router, routes), or leave out budget_usd, cache and transport",
                code="evals.input.router",
            )
        if self.replay and self.cache is None:
            raise InputError("replay=True takes its answers from a folder: say which with cache=", code="evals.input.cache")


async def run(
    suite: Source,
    *,
    models: Sequence[str] = (),
    prompts: Mapping[str, str] | None = None,
    subjects: Sequence[Subject | AsyncAnswer] = (),
    scorers: Sequence[Scorer | GiveScore] | None = None,
    repeats: int = 1,
    judge_check: int = JUDGE_CHECK,
    seed: int = 0,
    **means: Any,
) -> Run:
    """Evaluate.

    Args:
        suite: What `load` takes.
        models: Models that play the seller, each with each prompt.
        prompts: Name → standing orders; the house's own when left out.
        subjects: Further subjects, or async functions of a case.
        scorers: Who gives points; `signals()` when left out. Plain functions of case and answer are taken too.
        repeats: Answers a case and subject.
        judge_check: On the anchors of how many scenarios each judge is checked; 0 checks none.
        seed: Of every choice by chance.
        **means: How it is carried out; the fields of `Means`.

    Returns:
        The run, also when its budget or disk ended early: then `stopped` says so, and `resume` goes on.

    Raises:
        InputError: `evals.input.*`, `evals.suite.*`, `evals.case.no_scenario`, before anything is sent.
        ConflictError: `evals.journal.busy`; `evals.resume.changed` when the journal belongs to another plan.
        SettingsError: Models are asked for, and no provider is configured.
    """
    planned = plan(
        suite,
        models=models,
        prompts=prompts,
        subjects=subjects,
        scorers=scorers,
        repeats=repeats,
        judge_check=judge_check,
        seed=seed,
    )
    return await carry_out(planned, _means(means))


def run_sync(suite: Source, **options: Any) -> Run:
    """`run` for plain code, also inside a running event loop: it works in a thread of its own; arguments as for `run`."""
    return _block(partial(run, suite, **options))


async def resume(
    journal: str | Path,
    *,
    suite: Source | None = None,
    subjects: Sequence[Subject | AsyncAnswer] = (),
    scorers: Sequence[Scorer | GiveScore] = (),
    retry_failed: bool = True,
    **means: Any,
) -> Run:
    """Go on with a run; nothing that is finished is asked or paid for again.

    Args:
        journal: Its file.
        suite: Only where the journal cannot rebuild it: scenarios of a pack that was never a file.
        subjects: Those that are functions; models and recorded answers are rebuilt from the journal.
        scorers: Those that are functions, classes or comparisons with given answers.
        retry_failed: Whether answers and scores that failed are asked for again.
        **means: As for `run`.

    Raises:
        NotFoundError: `evals.journal.unknown`.
        InputError: `evals.journal.invalid`; `evals.resume.missing` when a function has to be given.
        ConflictError: `evals.resume.changed` when suite, subjects or scorers are no longer the same.
    """
    ledger = Ledger.from_file(Path(journal))
    planned = rebuild_plan(ledger, suite=suite, subjects=subjects, scorers=scorers)
    return await carry_out(planned, _means({**means, "journal": journal}), retry_failed=retry_failed)


def resume_sync(journal: str | Path, **options: Any) -> Run:
    """`resume` for plain code; see `run_sync`."""
    return _block(partial(resume, journal, **options))


def read(journal: str | Path) -> Run:
    """Read a run back, finished or not, without the network.

    Raises:
        NotFoundError: `evals.journal.unknown`.
        InputError: `evals.journal.invalid`.
    """
    return Run(Ledger.from_file(Path(journal)), path=Path(journal))


def last() -> Run | None:
    """The run that this process began last, finished or not: what is left after an interrupt."""
    return _latest[0] if _latest else None


async def carry_out(planned: Plan, means: Means, *, retry_failed: bool = True) -> Run:
    """Do what is left of a plan; see `run` and `resume`."""
    now = means.clock.now()
    path = means.journal or Path(RUNS_FOLDER) / f"{_file_name(planned.suite.name)}-{now:%Y%m%dT%H%M%S%f}.jsonl"
    # What is already there must be of this plan before a byte is added.
    ledger = Ledger.from_file(path) if path.is_file() and path.stat().st_size else Ledger()
    check_same(ledger, planned)
    if means.executor is None:
        _access(planned, means).check()
    progress = choose_progress(means.progress)
    with Journal(path, sync_s=means.sync_s) as journal:
        session = _Session(planned, means, ledger, journal, progress)
        result = Run(ledger, path=path, plan=planned)
        _latest[:] = [result]
        await session.work(_tasks(planned, ledger, retry_failed=retry_failed))
        return result


class _Session:
    """One time of working on a journal."""

    def __init__(self, planned: Plan, means: Means, ledger: Ledger, journal: Journal, progress: Progress) -> None:
        self._plan = planned
        self._means = means
        self._ledger = ledger
        self._journal = journal
        self._progress = progress
        self._began = means.clock.monotonic()
        self._fresh = 0
        self._failed = ledger.failed
        self._total = 0

    async def work(self, tasks: Sequence[Task]) -> None:
        """Do the tasks, and write how the session ended."""
        checks = sum(1 for _ in self._plan.checks())
        self._total = self._plan.size * (1 + len(self._plan.scorers)) + checks
        # Manifest and cases go in one write: a journal has all of its head, or none.
        manifest = make_manifest(self._plan, name=self._means.name or self._plan.suite.name, now=self._means.clock.now())
        head: list[Line] = [manifest, *(() if self._ledger.cases else case_lines(self._plan))]
        self._journal.write(*head)
        for line in head:
            self._ledger.take(line)
        work = Work(
            subjects=self._plan.subjects,
            scorers=self._plan.scorers,
            concurrency=self._means.concurrency,
            limits=dict(self._means.limits),
            access=_access(self._plan, self._means),
        )
        limit = self._means.budget_usd
        budget_usd = None if limit is None else limit - self._ledger.spent_usd
        executor = self._means.executor or LocalExecutor()
        stopped: Failure | None = None
        try:
            await executor.execute(work, tasks, self._emit, budget_usd=budget_usd)
        except DealQuestError as exc:
            if exc.code not in {"llm.budget.exceeded", "evals.journal.full"}:
                raise
            stopped = Failure(code=exc.code, message=exc.message)
        finally:
            self._progress.close(self._standing())
        self._finish(stopped)

    def _emit(self, line: Line) -> None:
        self._journal.write(line)
        self._ledger.take(line)
        if getattr(line, "failure", None) is not None:
            self._failed += 1
        self._fresh += hasattr(line, "failure")
        self._progress.update(self._standing())

    def _standing(self) -> Standing:
        ledger = self._ledger
        done = len(ledger.answers) + len(ledger.scores) + len(ledger.checks) + len(ledger.failed_answers) * len(self._plan.scorers)
        return Standing(
            done=done,
            total=max(done, self._total),
            fresh=self._fresh,
            failed=self._failed,
            spent_usd=self._ledger.spent_usd,
            elapsed_s=self._means.clock.monotonic() - self._began,
        )

    def _finish(self, stopped: Failure | None) -> None:
        finished = sum(1 for line in self._ledger.answers.values() if line.failure is None)
        end = EndLine(
            at=self._means.clock.now(),
            wall_s=round(self._means.clock.monotonic() - self._began, 3),
            finished=finished,
            left=self._plan.size - finished,
            stopped=stopped,
        )
        if stopped is None or stopped.code != "evals.journal.full":
            self._journal.write(end)
        self._ledger.take(end)


def _tasks(planned: Plan, ledger: Ledger, *, retry_failed: bool) -> list[Task]:
    """What is left to do, in the plan's order; judges are examined last."""

    def is_done(line: Any) -> bool:
        return line is not None and (line.failure is None or not retry_failed)

    tasks: list[Task] = []
    everyone = tuple(range(len(planned.scorers)))
    for sample in planned.samples():
        answer = ledger.answers.get(sample.key)
        if not is_done(answer):
            tasks.append(Job(sample=sample, scorers=everyone))
            continue
        open_scorers = tuple(place for place in everyone if not is_done(ledger.scores.get((sample.key, planned.scorers[place].name))))
        if answer is not None and answer.failure is None and open_scorers:
            tasks.append(Job(sample=sample, answer=answer, scorers=open_scorers))
    checks = planned.checks()
    tasks.extend(c for c in checks if not is_done(ledger.checks.get((planned.scorers[c.scorer].name, c.case.id, c.variant))))
    return tasks


def _access(planned: Plan, means: Means) -> Access:
    widest = max([1, *(len(scorer.judges) for scorer in planned.scorers)])
    # A function may ask models that nobody told of; it gets them where the caller said how to reach them.
    may_ask = any(isinstance(found, FunctionSubject) for found in planned.subjects) and means.llm is not None
    return Access(
        is_needed=bool(planned.calls) or may_ask,
        calls_at_once=means.concurrency * widest,
        llm=means.llm,
        transport=means.transport,
        cache=means.cache,
        replay=means.replay,
    )


def _means(options: Mapping[str, Any]) -> Means:
    known = {field.name for field in attrs.fields(Means)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise InputError(f"no option is called {unknown[0]!r}; there are {', '.join(sorted(known))}", code="evals.input.option")
    return Means(**options)


def _block(call: Callable[[], Any]) -> Run:
    # A loop of its own in a thread of its own: it works in a cell, where a loop is already running, without patching that one.
    with start_blocking_portal() as portal:
        future = portal.start_task_soon(call)
        try:
            done: Run = future.result()
        except BaseException:
            future.cancel()
            raise
        return done


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:60] or "run"
