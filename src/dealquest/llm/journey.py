"""One call's way over its routes: what to do next, and when to give up. Pure: `now` is passed in.

Rules:
1. Nothing is begun that the deadline cannot hold, but for the first attempt.
2. A route is tried at most three times; an attempt may use 60 % of what remains while others wait.
3. A hinted wait is not waited for while another route is ready; switching never waits.
4. A retry is paid for from the key's budget; one that the peer itself has dated is free.
5. A stop ends the call; a model that is gone is followed by its successor.
"""

import random
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from dealquest.errors import DealQuestError, LimitError, PeerUnavailableError, RoutesExhaustedError
from dealquest.wire import RetryPolicy

from .failures import Failure
from .health import Health
from .messages import Attempt
from .models import successor_of
from .routes import Provider, Route

SHARE_OF_NOT_LAST = 0.6


@attrs.frozen
class Try:
    """Ask this route, for at most this long."""

    route: Route
    limit_s: float


@attrs.frozen
class Wait:
    """Do nothing for a while."""

    seconds: float


@attrs.frozen
class GiveUp:
    """Raise this."""

    error: DealQuestError


Move: TypeAlias = Try | Wait | GiveUp


@attrs.define
class _Leg:
    route: Route
    attempts: int = 0
    not_before: float = 0.0


class Journey:
    """The state of one call.

    Args:
        routes: Where to ask, the preferred one first.
        health: What is known of them.
        policy: How often and how long.
        rng: Where jitter comes from.
        deadline_at: When the call is over, on the monotonic clock.
    """

    def __init__(self, routes: Sequence[Route], *, health: Health, policy: RetryPolicy, rng: random.Random, deadline_at: float) -> None:
        self._legs = [_Leg(route) for route in routes]
        self._seen = {(route.provider, route.model) for route in routes}
        self._health = health
        self._policy = policy
        self._rng = rng
        self.deadline_at = deadline_at
        self._leg: _Leg | None = None
        self._started = 0.0
        self._wait_s: float | None = None
        self._stopped: DealQuestError | None = None
        self._errors: dict[tuple[Provider, str], DealQuestError] = {}
        self.attempts: list[Attempt] = []
        self.successions: list[tuple[str, str]] = []

    def next(self, now: float) -> Move:
        """What to do now."""
        remaining = self.deadline_at - now
        if self._stopped is not None:
            return GiveUp(self._stopped)
        if self._wait_s is not None:
            wait, self._wait_s = self._wait_s, None
            return Wait(wait)
        if remaining <= 0 or (self.attempts and remaining < self._policy.least_attempt_s):
            return GiveUp(self._final(now))
        for leg in self._legs:
            if leg.not_before <= now and self._health.breaker(leg.route).admit(now):
                self._leg, self._started = leg, now
                leg.attempts += 1
                return Try(leg.route, self._limit_for(leg, remaining))
        patience = self._shortest_wait(now)
        if patience is not None and self._policy.fits(patience, remaining_s=remaining):
            return Wait(patience)
        return GiveUp(self._final(now))

    def _limit_for(self, leg: _Leg, remaining: float) -> float:
        share = SHARE_OF_NOT_LAST if any(other is not leg for other in self._legs) else 1.0
        return min(remaining * share, leg.route.attempt_s or remaining)

    def _shortest_wait(self, now: float) -> float | None:
        # A route that is down is not waited for; one that only asked for patience is.
        waits = []
        for leg in self._legs:
            breaker = self._health.breaker(leg.route)
            if breaker.state(now) == "closed" and (breaker.cooling_s(now) > 0 or leg.not_before > now):
                spread = self._rng.uniform(0.0, 0.25)
                waits.append(max(leg.not_before - now, breaker.cooling_s(now) + spread if breaker.cooling_s(now) else 0.0))
        return min(waits, default=None)

    def succeeded(self, now: float) -> None:
        """The attempt that `next` asked for brought an answer."""
        leg = self._end(now, "ok")
        self._health.breaker(leg.route).settle(ill=False, now=now)
        self._health.budget(leg.route.provider).add_success()

    def abandoned(self, now: float) -> None:
        """The attempt was cancelled from outside; it says nothing about the route."""
        leg = self._end(now, "cancelled")
        self._health.breaker(leg.route).settle(ill=None, now=now)

    def failed(self, failure: Failure, now: float) -> None:
        """The attempt failed."""
        leg = self._end(now, failure.error.code)
        failure.error.add_note(f"asked: {leg.route}")
        self._errors[leg.route.provider, leg.route.model] = failure.error
        breaker = self._health.breaker(leg.route)
        breaker.settle(ill=True if failure.ill else None, now=now)
        if failure.hint_s:
            breaker.cool(failure.hint_s, now=now)
        if failure.verdict == "stop":
            self._stopped = failure.error
        elif failure.gone:
            self._follow(leg, failure)
        elif failure.verdict == "fall_back" or not self._plan_retry(leg, failure, now):
            self._legs.remove(leg)

    def _end(self, now: float, outcome: str) -> _Leg:
        assert self._leg is not None
        leg, self._leg = self._leg, None
        elapsed = now - self._started
        self.attempts.append(Attempt(provider=leg.route.provider.name, model=leg.route.model, outcome=outcome, elapsed_s=elapsed))
        return leg

    def _follow(self, leg: _Leg, failure: Failure) -> None:
        place = self._legs.index(leg)
        self._legs.remove(leg)
        known = successor_of(leg.route.model)
        for name in (*((known,) if known else ()), *failure.successors):
            if (leg.route.provider, name) not in self._seen:
                self._seen.add((leg.route.provider, name))
                self.successions.append((leg.route.model, name))
                self._legs.insert(place, _Leg(attrs.evolve(leg.route, model=name)))
                return

    def _plan_retry(self, leg: _Leg, failure: Failure, now: float) -> bool:
        if failure.timed_out and len(self._legs) > 1:
            return False
        wait = self._policy.next_wait_s(leg.attempts, rng=self._rng, remaining_s=self.deadline_at - now, hint_s=failure.hint_s)
        if wait is None:
            return False
        is_dated = failure.error.code == "llm.unavailable.rate_limited" and failure.hint_s is not None
        if not is_dated and not self._health.budget(leg.route.provider).take(after_timeout=failure.timed_out):
            return False
        if failure.hint_s:
            leg.not_before = now + wait
        else:
            self._wait_s = wait
        return True

    def _final(self, now: float) -> DealQuestError:
        for leg in self._legs:
            key = (leg.route.provider, leg.route.model)
            if key not in self._errors:
                blocked = self._health.breaker(leg.route).blocked_s(now)
                self._errors[key] = PeerUnavailableError(
                    f"{leg.route.model} at {leg.route.provider.name} is resting after failures.",
                    code="llm.unavailable.resting",
                    retry_after_s=blocked or None,
                )
        errors = list(self._errors.values())
        if self.deadline_at - now <= 0 or not errors:
            late = LimitError("No answer before the call's deadline.", code="llm.deadline", retryable=True)
            late.__cause__ = errors[-1] if errors else None
            return late
        if len(errors) == 1:
            return errors[0]
        hints = [error.retry_after_s for error in errors if error.retry_after_s is not None]
        exhausted = RoutesExhaustedError(
            f"None of {len(errors)} routes answered: " + ", ".join(f"{model}: {error.code}" for (_, model), error in self._errors.items()),
            code="llm.routes.exhausted",
            failures=errors,
            retryable=any(error.retryable for error in errors),
            retry_after_s=min(hints, default=None),
        )
        for (provider, model), error in self._errors.items():
            exhausted.add_note(f"{Route(model=model, provider=provider)}: {error.message}")
        return exhausted
