"""What is known of a route's health, shared by all calls. Pure state: `now` and chance are passed in.

Rules of the breaker, one per (provider, model):
closed     lets everything through and counts the last 30 s;
open       from 5 calls with at least half of them ill: lets nothing through, 5 s at first, then twice
           as long each time up to 30 s, shortened by jitter;
half open  after that: one probe passes; if it is well the breaker closes, if ill it opens again.
Beside it stands the cooling: when the peer says "not before", nobody asks before.
"""

import random
from collections import deque
from typing import Any, Literal, TypeAlias

import attrs

from dealquest.wire import RetryBudget

from .routes import Provider, Route

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]

WINDOW_S = 30
LEAST_CALLS = 5
FIRST_OPEN_S = 5.0
LONGEST_OPEN_S = 30.0
LONGEST_COOLING_S = 300.0
_MOST_ROUTES = 1_024


class Breaker:
    """Stops asking a route that is down, and finds out with one call when it is back."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        # Calls are counted by the second: second, calls, ill ones.
        self._seconds: deque[list[int]] = deque()
        self._calls = self._ills = 0
        self._open_s = 0.0
        self._open_until: float | None = None
        self._cool_until = 0.0
        self._probing = False

    def state(self, now: float) -> BreakerState:
        """Where it stands."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def cooling_s(self, now: float) -> float:
        """Seconds for which the peer asked to be left alone."""
        return max(0.0, self._cool_until - now)

    def blocked_s(self, now: float) -> float:
        """Seconds until a call may pass; zero when one may now."""
        open_s = max(0.0, (self._open_until or 0.0) - now)
        return max(open_s, self.cooling_s(now))

    def admit(self, now: float) -> bool:
        """Whether a call may pass; in the half-open state the one that passes is the probe."""
        if self.blocked_s(now) > 0 or self._probing:
            return False
        self._probing = self._open_until is not None
        return True

    def cool(self, seconds: float, *, now: float) -> None:
        """The peer asked to wait."""
        self._cool_until = max(self._cool_until, now + min(seconds, LONGEST_COOLING_S))

    def settle(self, *, ill: bool | None, now: float) -> None:
        """A call that was admitted has ended: well, ill, or (None) without saying anything about the route."""
        was_probe, self._probing = self._probing, False
        if ill is None:
            return
        if was_probe and not ill:
            self._open_until, self._open_s = None, 0.0
            self._forget()
            return
        if was_probe:
            self._open(now)
            return
        self._count(ill=ill, second=int(now))
        if ill and self._open_until is None and self._calls >= LEAST_CALLS and self._ills * 2 >= self._calls:
            self._open(now)

    def _count(self, *, ill: bool, second: int) -> None:
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
            while self._seconds[0][0] < second - WINDOW_S:
                _, calls, ills = self._seconds.popleft()
                self._calls -= calls
                self._ills -= ills
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += ill
        self._calls += 1
        self._ills += ill

    def _forget(self) -> None:
        self._seconds.clear()
        self._calls = self._ills = 0

    def _open(self, now: float) -> None:
        self._open_s = min(LONGEST_OPEN_S, self._open_s * 2) if self._open_s else FIRST_OPEN_S
        self._open_until = now + self._open_s * self._rng.uniform(0.7, 1.0)
        self._forget()


@attrs.frozen(kw_only=True)
class RouteState:
    """A look at one route's health."""

    provider: str
    model: str
    breaker: BreakerState
    blocked_s: float
    retry_tokens: float


class Health:
    """The breakers of all routes and the retry budgets of all keys."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._breakers: dict[tuple[Provider, str], Breaker] = {}
        self._budgets: dict[Provider, RetryBudget] = {}

    def breaker(self, route: Route) -> Breaker:
        """The breaker of a route."""
        key = (route.provider, route.model)
        found = self._breakers.get(key)
        if found is None:
            _forget_oldest(self._breakers)
            found = self._breakers[key] = Breaker(self._rng)
        return found

    def budget(self, provider: Provider) -> RetryBudget:
        """The retry budget of a provider's key."""
        found = self._budgets.get(provider)
        if found is None:
            _forget_oldest(self._budgets)
            found = self._budgets[provider] = RetryBudget()
        return found

    def states(self, now: float) -> tuple[RouteState, ...]:
        """Every route that was used, for people to look at."""
        return tuple(
            RouteState(
                provider=provider.name,
                model=model,
                breaker=breaker.state(now),
                blocked_s=breaker.blocked_s(now),
                retry_tokens=self.budget(provider).tokens,
            )
            for (provider, model), breaker in self._breakers.items()
        )


def _forget_oldest(known: dict[Any, Any]) -> None:
    # Users' own keys come and go; what is forgotten starts anew in good health.
    if len(known) >= _MOST_ROUTES:
        del known[next(iter(known))]
