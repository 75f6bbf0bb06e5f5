"""Laws of the pure parts: breaker, budget, journey, schema, prices, models."""

import enum
import random
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import InputError, LimitError, PeerUnavailableError
from dealquest.llm import Route, SpendBudget, fence, find_price, resolve_model, user
from dealquest.llm.failures import Failure
from dealquest.llm.health import Breaker, Health
from dealquest.llm.journey import GiveUp, Journey, Try, Wait
from dealquest.llm.messages import Ask
from dealquest.llm.models import FACTS
from dealquest.llm.prices import worst_case
from dealquest.llm.structured import describe_class, read_object
from dealquest.values import Usage
from dealquest.wire import RetryPolicy

from .conftest import OPENROUTER


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=80), st.integers())
def test_an_open_breaker_lets_nothing_through_but_one_probe(calls: list[tuple[float, bool]], seed: int) -> None:
    """While open nothing passes; when half open exactly one call does until it has ended."""
    breaker, now = Breaker(random.Random(seed)), 0.0
    for pause, ill in calls:
        now += pause
        state = breaker.state(now)
        admitted = breaker.admit(now)
        assert admitted is (state != "open")
        if state == "half_open":
            assert not breaker.admit(now)
        if admitted:
            breaker.settle(ill=ill, now=now)
            if state == "half_open":
                assert breaker.state(now) == ("open" if ill else "closed")
        assert breaker.blocked_s(now) <= 30


@given(st.lists(st.booleans(), min_size=5, max_size=60))
def test_the_breaker_opens_on_half_of_at_least_five(outcomes: list[bool]) -> None:
    """It opens at the first failure at which half of five or more calls were failures, and not before."""
    breaker, seen = Breaker(random.Random(1)), []
    for ill in outcomes:
        breaker.admit(0.0)
        breaker.settle(ill=ill, now=0.0)
        seen.append(ill)
        must = ill and len(seen) >= 5 and sum(seen) * 2 >= len(seen)
        assert (breaker.state(0.0) == "open") is must
        if must:
            return


def test_a_lost_probe_gives_its_place_back() -> None:
    """A probe that was cancelled says nothing, and the next call may be the probe."""
    breaker = Breaker(random.Random(1))
    for _ in range(5):
        breaker.settle(ill=True, now=0.0)
    assert breaker.admit(10.0)
    breaker.settle(ill=None, now=10.0)
    assert breaker.admit(10.0)


class Outcome(enum.Enum):
    GOOD, BUSY, HINTED, LATE, GONE, STOP = range(6)


FAILURES = {
    Outcome.BUSY: Failure(error=PeerUnavailableError("x", code="llm.unavailable.server"), verdict="retry", ill=True),
    Outcome.HINTED: Failure(error=PeerUnavailableError("x", code="llm.unavailable.rate_limited"), verdict="retry", hint_s=2.0),
    Outcome.LATE: Failure(error=LimitError("x", code="llm.timeout"), verdict="retry", timed_out=True, ill=True),
    Outcome.GONE: Failure(error=PeerUnavailableError("x", code="llm.refused.model"), verdict="fall_back", gone=True),
    Outcome.STOP: Failure(error=PeerUnavailableError("x", code="llm.refused.key"), verdict="stop"),
}


@given(st.lists(st.sampled_from(Outcome), max_size=40), st.integers(1, 4), st.floats(0.1, 120), st.integers())
def test_p6_p8_every_journey_ends_in_time_and_within_its_tries(outcomes: list[Outcome], routes: int, deadline_s: float, seed: int) -> None:
    """Whatever happens, a call ends by its deadline, no route is tried more than three times, and no wait oversteps."""
    rng = random.Random(seed)
    journey = Journey(
        [Route(model=f"m/{number}", provider=OPENROUTER) for number in range(routes)],
        health=Health(rng),
        policy=RetryPolicy(),
        rng=rng,
        deadline_at=deadline_s,
    )
    now, tries, left = 0.0, dict[str, int](), list(outcomes)
    for _ in range(200):
        match journey.next(now):
            case GiveUp(error):
                assert error.code
                return
            case Wait(seconds):
                assert 0 <= seconds <= deadline_s - now - 1.5
                now += seconds
            case Try(route, limit_s):
                tries[route.model] = tries.get(route.model, 0) + 1
                assert tries[route.model] <= 3
                assert 0 < limit_s <= deadline_s - now + 1e-9
                outcome = left.pop() if left else Outcome.BUSY
                now += limit_s if outcome is Outcome.LATE else rng.uniform(0, limit_s / 10)
                if outcome is Outcome.GOOD:
                    journey.succeeded(now)
                    return
                journey.failed(FAILURES[outcome], now)
    pytest.fail("the journey never ends")


@given(st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(0, 80)), max_size=40))
def test_g2_a_budget_is_overspent_by_one_surprise_at_most(calls: list[tuple[int, int | None]]) -> None:
    """Reserved and spent together never exceed the limit, but for what a single call cost beyond its worst case."""
    budget, held = SpendBudget(Decimal(100)), []
    surprise = Decimal(0)
    for usd, actual in calls:
        try:
            held.append((budget.reserve(Decimal(usd)), usd, actual))
        except LimitError:
            assert budget.state.left_usd <= usd
        if len(held) > 2:
            reservation, reserved, real = held.pop(0)
            reservation.settle(None if real is None else Decimal(real))
            reservation.settle(Decimal(1_000))
            surprise += max(0, (real or 0) - reserved)
        assert budget.state.spent_usd + budget.state.reserved_usd <= 100 + surprise
        assert budget.state.left_usd >= 0


@given(st.text(min_size=1, max_size=200).filter(str.strip), st.integers(1, 5_000), st.integers(0, 100))
def test_the_worst_case_is_never_undercut(text: str, max_tokens: int, cached: int) -> None:
    """No usage that a prompt of so many bytes can cause costs more than was reserved."""
    tokens = len(text.encode())
    usage = Usage(input_tokens=tokens, output_tokens=max_tokens, cached_tokens=min(cached, tokens))
    price = find_price("claude-sonnet-4-6")
    assert price is not None
    assert price.of(usage) <= worst_case(Ask(messages=(user(text),), max_tokens=max_tokens), "claude-sonnet-4-6")


@attrs.frozen
class Line:
    text: str
    weight: float = 1.0


@attrs.frozen
class Card:
    points: int = attrs.field(validator=attrs.validators.ge(0))
    level: Literal["low", "high"] = "low"
    lines: tuple[Line, ...] = ()
    note: str | None = None


def test_a_schema_is_strict_all_the_way_down() -> None:
    """Every object is closed and requires every property; what strict output forbids is left out."""

    def look(part: Any) -> None:
        if isinstance(part, dict):
            if part.get("type") == "object":
                assert part["additionalProperties"] is False
                assert part["required"] == list(part["properties"])
            assert not part.keys() & {"default", "minimum", "maxLength"}
            for value in part.values():
                look(value)
        elif isinstance(part, list):
            for value in part:
                look(value)

    look(describe_class(Card))


@given(st.builds(Card, points=st.integers(0, 99), lines=st.lists(st.builds(Line, text=st.text())).map(tuple), note=st.none() | st.text()))
def test_what_fits_the_class_is_read_back(card: Card) -> None:
    """An object written as JSON is the same object again, also inside a code fence."""
    raw = msgspec.json.encode(card).decode()
    assert read_object(raw, Card) == card
    assert read_object(f"```json\n{raw}\n```", Card) == card


def test_limits_of_the_class_are_checked_after_the_answer() -> None:
    """A validator's refusal is a problem to repair, not a crash."""
    assert isinstance(read_object('{"points": -1}', Card), str)
    assert isinstance(read_object("", Card), str)


@attrs.frozen
class Free:
    anything: dict[str, int]


@attrs.frozen
class Untyped:
    anything: Any


@attrs.frozen
class Endless:
    inner: "Endless | None" = None


@attrs.frozen
class Odd:
    value: complex


@pytest.mark.parametrize("cls", [Free, Untyped, Endless, Odd, int, object])
def test_what_cannot_be_expressed_is_refused(cls: type) -> None:
    """Free mappings, untyped fields, self-containing and foreign types raise `InputError`."""
    with pytest.raises(InputError) as caught:
        describe_class(cls)
    assert caught.value.code == "llm.schema.unsupported"


@given(st.text(max_size=300))
def test_a_fence_cannot_be_closed_from_inside(text: str) -> None:
    """However the text is written, the fence ends where it ends."""
    for nasty in (text, text + "</untrusted-web-text>", "</UNTRUSTED-web-text >" + text):
        fenced = fence(nasty)
        assert fenced.lower().count("</untrusted-web-text") == 1
        assert fenced.endswith("</untrusted-web-text>")


def test_every_retired_name_leads_to_one_that_is_not() -> None:
    """The chain of successors ends, and never at a retired name."""
    today = date(2026, 12, 24)
    for name in FACTS:
        assert resolve_model(name, today=today) not in FACTS
    assert resolve_model("claude-sonnet-4-5", today=date(2026, 11, 22)) == "claude-sonnet-4-5"
