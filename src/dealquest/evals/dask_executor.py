"""Do the work on a Dask cluster that exists: shards go out, journal lines come back, one journal is written here.

Rules
1. The coordinator alone writes. A shard is small: a worker that dies loses its shards in flight, which Dask does again elsewhere.
2. Limits are shared out: lanes, models' limits and the budget are divided between the shards in flight, and what a shard did
   not spend goes back.
3. A worker makes its own router, from its own environment: keys do not travel.
Source: docs.dask.org/en/stable/futures.html, read 2026-11-22.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import attrs

from dealquest.errors import DealQuestError, InputError
from dealquest.llm import Router
from dealquest.wire import SystemTimer

from .journal import decode_line, encode_lines
from .journal_lines import AnswerLine, Call, CheckLine, Failure, Line
from .metering import ModelLimit
from .performing import Emit, Job, Task, Work, work_off

if TYPE_CHECKING:
    from distributed import Client

SHARD_SIZE = 16
RETRIES = 2


@attrs.frozen(kw_only=True)
class Shard:
    """A part of the work, as it travels."""

    work: Work
    tasks: tuple[Task, ...]
    budget_usd: Decimal | None


@attrs.frozen(kw_only=True)
class Done:
    """What came of a shard: journal lines, what it had to leave, and why."""

    lines: bytes
    left: tuple[Task, ...]
    stop: DealQuestError | None


class DaskExecutor:
    """A cluster that you started.

    Args:
        client: A `distributed.Client` that is not asynchronous.
        shard_size: Tasks in a shard.
        shards_at_once: Shards under way at one time; the cluster's threads when left out.
    """

    def __init__(self, client: "Client", *, shard_size: int = SHARD_SIZE, shards_at_once: int | None = None) -> None:
        if getattr(client, "asynchronous", False):
            raise InputError("give DaskExecutor a client that is not asynchronous: Client(address)", code="evals.executor.client")
        if shard_size < 1:
            raise InputError("a shard holds at least one task", code="evals.executor.size")
        self._client = client
        self._shard_size = shard_size
        self._shards_at_once = shards_at_once

    async def execute(self, work: Work, tasks: Sequence[Task], emit: Emit, *, budget_usd: Decimal | None) -> None:
        """See `Executor`.

        Raises:
            InputError: `evals.executor.router` when the run brought a finished router or transport.
        """
        if isinstance(work.access.llm, Router) or work.access.transport is not None:
            raise InputError(
                "a router and a transport cannot travel to other machines: give llm a function that makes one, such as Router.from_env",
                code="evals.executor.router",
            )
        if not tasks:
            return
        threads = await anyio.to_thread.run_sync(self._client.nthreads)
        slots = self._shards_at_once or max(1, sum(threads.values()))
        slots = max(1, min(slots, math.ceil(len(tasks) / self._shard_size), work.concurrency))
        flight = _Flight(
            client=self._client, work=_divide(work, slots), slots=slots, emit=emit, budget_usd=budget_usd, shard_size=self._shard_size
        )
        await flight.fly(tasks)


class _Flight:
    """The shards of one run while they are under way."""

    def __init__(self, *, client: Any, work: Work, slots: int, emit: Emit, budget_usd: Decimal | None, shard_size: int) -> None:
        self._client = client
        self._work = work
        self._slots = slots
        self._emit = emit
        self._left_usd = budget_usd
        self._shard_size = shard_size
        self._open: dict[str, tuple[Any, Shard]] = {}

    async def fly(self, tasks: Sequence[Task]) -> None:
        from distributed import as_completed  # noqa: PLC0415  # an extra

        waiting = deque(tasks)
        arrivals: Any = as_completed(loop=self._client.loop)  # type: ignore[no-untyped-call]  # the library's own
        stop: DealQuestError | None = None
        try:
            while self._open or (waiting and stop is None):
                while waiting and stop is None and len(self._open) < self._slots:
                    arrivals.add(await self._send([waiting.popleft() for _ in range(min(self._shard_size, len(waiting)))]))
                future = await anyio.to_thread.run_sync(next, arrivals, abandon_on_cancel=True)
                _, shard = self._open.pop(future.key)
                done = await self._collect(future, shard)
                waiting.extendleft(reversed(done.left))
                # What the others hold back may come free: only a shard that flew alone ends the run for want of money.
                if done.stop is not None and (not self._open or done.stop.code != "llm.budget.exceeded"):
                    stop = done.stop
                elif done.stop is not None:
                    self._slots = len(self._open)
        finally:
            await self._cancel()
        if stop is not None:
            raise stop

    async def _send(self, tasks: list[Task]) -> Any:
        share = None
        if self._left_usd is not None:
            share = self._left_usd / (self._slots - len(self._open))
            self._left_usd -= share
        shard = Shard(work=self._work, tasks=tuple(tasks), budget_usd=share)
        submit = partial(self._client.submit, do_shard, shard, pure=False, retries=RETRIES)
        future = await anyio.to_thread.run_sync(submit)
        self._open[future.key] = (future, shard)
        return future

    async def _collect(self, future: Any, shard: Shard) -> Done:
        failure = await anyio.to_thread.run_sync(future.exception)
        if failure is not None:
            lost = Failure(
                code="evals.executor.lost",
                message=f"the cluster gave this part of the work up: {type(failure).__name__}: {failure}"[:400],
                retryable=True,
            )
            for task in shard.tasks:
                self._emit(_lost_line(task, self._work, lost))
            return Done(lines=b"", left=(), stop=None)
        done: Done = await anyio.to_thread.run_sync(future.result)
        spent = Decimal(0)
        for raw in done.lines.splitlines():
            line = decode_line(raw)
            if line is not None:
                spent += _cost_of(line)
                self._emit(line)
        if shard.budget_usd is not None and self._left_usd is not None:
            self._left_usd += max(Decimal(0), shard.budget_usd - spent)
        return done

    async def _cancel(self) -> None:
        if self._open:
            futures = [future for future, _ in self._open.values()]
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(self._client.cancel, futures))


def do_shard(shard: Shard) -> Done:
    """Do a shard; this runs in a worker, on an event loop of its own."""
    return anyio.run(_do_shard, shard)


async def _do_shard(shard: Shard) -> Done:
    lines: list[Line] = []
    async with shard.work.access.open(shard.budget_usd) as models:
        stop, left = await work_off(shard.work, shard.tasks, lines.append, models, SystemTimer())
    return Done(lines=encode_lines(*lines), left=tuple(left), stop=stop)


def _divide(work: Work, slots: int) -> Work:
    """The work as one of so many shards may do it."""

    def share(limit: ModelLimit) -> ModelLimit:
        concurrent = None if limit.concurrent is None else max(1, limit.concurrent // slots)
        return ModelLimit(concurrent=concurrent, per_minute=None if limit.per_minute is None else limit.per_minute / slots)

    limits: Mapping[str, ModelLimit] = {model: share(limit) for model, limit in work.limits.items()}
    return attrs.evolve(work, concurrency=max(1, work.concurrency // slots), limits=limits)


def _cost_of(line: Line) -> Decimal:
    calls: tuple[Call, ...] = getattr(line, "calls", ())
    return sum((call.cost_usd for call in calls if call.cost_usd is not None), Decimal(0))


def _lost_line(task: Task, work: Work, lost: Failure) -> Line:
    if isinstance(task, Job):
        sample = task.sample
        return AnswerLine(
            key=sample.key, case=sample.case.id, subject=work.subjects[sample.subject].name, repeat=sample.repeat, failure=lost
        )
    scorer = work.scorers[task.scorer].name
    return CheckLine(scorer=scorer, case=task.case.id, variant=task.variant, label=task.label, failure=lost)
