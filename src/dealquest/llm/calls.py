"""Carry out one call: walk the routes, hold the money, tell the observer.

Sleeping and sending happen here and below; what to do next is decided by `Journey`, which is pure.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Generic, TypeVar

import anyio
import attrs

from dealquest.errors import DealQuestError
from dealquest.wire import RetryPolicy, Timer

from .answer_stream import AnswerStream
from .billing import Bill, put_price
from .failures import Failure
from .health import Health
from .journey import GiveUp, Journey, Try, Wait
from .messages import Ask, Completion
from .observing import CallWatch, Observer
from .routes import Route
from .sending import Limits, OpenAnswer, Sender
from .spend import Reservation, SpendBudget

R = TypeVar("R", Completion, OpenAnswer)


@attrs.frozen(kw_only=True)
class _Won(Generic[R]):
    """The answer that was taken, and how it was reached."""

    answer: R
    route: Route
    held: Reservation
    journey: Journey


@attrs.frozen(kw_only=True)
class Calls:
    """Carries out calls; several routers may share its sender and health."""

    sender: Sender
    health: Health
    timer: Timer
    policy: RetryPolicy
    rng: random.Random
    limits: Limits
    observer: Observer
    budget: SpendBudget | None
    warn: Callable[[str, str, str], None]

    async def complete(self, ask: Ask, routes: Sequence[Route], deadline_at: float) -> Completion:
        """Wait for a whole answer."""
        watch = self.observer.call_started(ask, routes, streamed=False)
        bill = Bill(self.budget, ask)

        async def send(route: Route, limit_s: float) -> Completion | Failure:
            return await self.sender.send(ask, route, limit_s)

        try:
            won = await self._race(send, routes, deadline_at, bill=bill, watch=watch, discard=lambda _: None)
            completion = put_price(won.answer, won.route, won.journey.attempts)
            won.held.settle(completion.cost_usd)
        except BaseException as exc:
            watch.call_ended(None, exc)
            raise
        watch.call_ended(completion, None)
        return completion

    def stream(self, ask: Ask, routes: Sequence[Route], deadline_at: float) -> AnswerStream:
        """Begin to answer when the stream is first read."""
        watch = self.observer.call_started(ask, routes, streamed=True)
        bill = Bill(self.budget, ask)
        begun: list[_Won[OpenAnswer]] = []

        async def send(route: Route, limit_s: float) -> OpenAnswer | Failure:
            return await self.sender.open(ask, route, limit_s)

        async def open_answer() -> tuple[OpenAnswer, float]:
            won = await self._race(send, routes, deadline_at, bill=bill, watch=watch, discard=OpenAnswer.abort)
            begun.append(won)
            return won.answer, deadline_at

        def finish(completion: Completion) -> Completion:
            won = begun[0]
            priced = put_price(completion, won.route, won.journey.attempts)
            won.held.settle(priced.cost_usd)
            watch.call_ended(priced, None)
            return priced

        def fail(error: BaseException | None) -> None:
            # Whatever was begun and not finished may have been charged: the reservation counts as spent.
            for won in begun:
                won.held.settle(None, provider=won.route.provider, generation=won.answer.request_id)
            watch.call_ended(None, error)

        return AnswerStream(open_answer, finish, fail)

    async def _race(
        self,
        attempt: Callable[[Route, float], Awaitable[R | Failure]],
        routes: Sequence[Route],
        deadline_at: float,
        *,
        bill: Bill,
        watch: CallWatch,
        discard: Callable[[R], None],
    ) -> _Won[R]:
        """Walk the routes; with hedging, begin a second walk on the other routes when the first is slow."""
        after_s = self.limits.hedge_after_s
        if after_s is None or len(routes) < 2:
            return await self._walk(attempt, self._journey(routes, deadline_at), bill, watch)
        won: list[_Won[R]] = []
        errors: list[DealQuestError] = []
        first_failed = anyio.Event()

        async def run(own: Sequence[Route], delay_s: float, scope: anyio.CancelScope) -> None:
            if delay_s:
                with self.timer.limit(delay_s):
                    await first_failed.wait()
            try:
                found = await self._walk(attempt, self._journey(own, deadline_at), bill, watch)
            except DealQuestError as exc:
                errors.append(exc)
                first_failed.set()
                return
            if won:
                found.held.settle(None)
                discard(found.answer)
                return
            won.append(found)
            scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(run, routes, 0.0, group.cancel_scope)
                group.start_soon(run, routes[1:], after_s, group.cancel_scope)
        except BaseException:
            for found in won:
                discard(found.answer)
            raise
        if not won:
            raise errors[0]
        return won[0]

    def _journey(self, routes: Sequence[Route], deadline_at: float) -> Journey:
        return Journey(routes, health=self.health, policy=self.policy, rng=self.rng, deadline_at=deadline_at)

    async def _walk(
        self, attempt: Callable[[Route, float], Awaitable[R | Failure]], journey: Journey, bill: Bill, watch: CallWatch
    ) -> _Won[R]:
        while True:
            match journey.next(self.timer.monotonic()):
                case GiveUp(error):
                    raise error
                case Wait(seconds):
                    await self.timer.sleep(seconds)
                case Try(route, limit_s):
                    held = Reservation(None, Decimal(0))
                    try:
                        held = bill.reserve(route)
                        answer = await attempt(route, limit_s)
                    except BaseException:
                        # Cancelled while the provider may be at work: the reservation counts as spent.
                        held.settle(None)
                        journey.abandoned(self.timer.monotonic())
                        watch.attempt_ended(journey.attempts[-1])
                        raise
                    if isinstance(answer, Failure):
                        held.settle(None if answer.sent else Decimal(0))
                        journey.failed(answer, self.timer.monotonic())
                        watch.attempt_ended(journey.attempts[-1])
                        for model, served in journey.successions:
                            self.warn(model, served, "the server does not serve it")
                        continue
                    journey.succeeded(self.timer.monotonic())
                    watch.attempt_ended(journey.attempts[-1])
                    return _Won(answer=answer, route=route, held=held, journey=journey)
