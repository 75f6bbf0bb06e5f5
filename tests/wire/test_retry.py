"""Hints, waits, attempts and the shared retry budget (P6, P7, U3)."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.wire import RetryBudget, RetryPolicy, parse_retry_after

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        ((("retry-after", "2"),), 2.0),
        ((("retry-after", " 1.5 "),), 1.5),
        ((("retry-after", "0"),), 0.0),
        ((("retry-after", "1000000000"),), 1e9),
        ((("retry-after", format_datetime(NOW + timedelta(seconds=30), usegmt=True)),), 30.0),
        ((("retry-after", "Sunday, 22-Nov-26 12:00:05 GMT"),), 5.0),
        ((("retry-after", "Sun, 22 Nov 2026 14:00:05 +0200"),), 5.0),
        ((("retry-after", "Sun, 22 Nov 2026 12:00:05 -0000"),), 5.0),
        ((("retry-after", "Sun, 22 Nov 2026 12:00:05".ljust(36) + " GMT"),), 5.0),
        ((("retry-after", "Sun, 22 Nov 2026 12:00:05".ljust(37) + " GMT"),), None),
        ((("retry-after", format_datetime(NOW, usegmt=True)),), 0.0),
        ((("retry-after-ms", "250"), ("retry-after", "9")), 0.25),
        ((("retry-after-ms", "soon"), ("retry-after", "9")), 9.0),
        ((("retry-after", "-1"),), None),
        ((("retry-after", format_datetime(NOW - timedelta(seconds=30), usegmt=True)),), None),
        ((("retry-after", "soon"),), None),
        ((("retry-after", "1e9"),), None),
        ((("retry-after", "nan"),), None),
        ((("retry-after", "inf"),), None),
        ((("retry-after", "٣"),), None),
        ((("retry-after", "9" * 400),), None),
        ((("retry-after", "Sun, 99 Nov 2026 12:00:05 GMT"),), None),
    ],
)
def test_u3_every_form_of_retry_after_is_read(headers: tuple[tuple[str, str], ...], seconds: float | None) -> None:
    """Seconds, milliseconds and dates of any zone are understood; nonsense, the past and dates of over 40 characters are nothing said."""
    assert parse_retry_after(headers, now=NOW) == seconds


@given(st.text(max_size=60), st.text(max_size=60))
def test_u3_no_header_breaks_the_reader(seconds: str, milliseconds: str) -> None:
    """Whatever stands in the headers, the answer is None or a number of seconds from zero up."""
    found = parse_retry_after((("retry-after", seconds), ("retry-after-ms", milliseconds)), now=NOW)
    assert found is None or found >= 0


@given(st.integers(), st.floats(min_value=1e-3, max_value=1e6))
def test_p7_a_hint_is_a_lower_bound_and_hardly_exceeded(seed: int, hint_s: float) -> None:
    """The wait is never shorter than asked, and at most a tenth plus 250 ms longer."""
    wait = RetryPolicy().wait_s(1, rng=random.Random(seed), hint_s=hint_s)
    assert hint_s <= wait <= hint_s * 1.1 + 0.25 + 1e-9


@given(st.integers(), st.integers(min_value=1, max_value=9))
def test_own_waits_are_one_three_eight_with_jitter(seed: int, attempts: int) -> None:
    """Without a hint the waits are 1, 3, 8 s times half to one."""
    whole = (1.0, 3.0, 8.0)[min(attempts, 3) - 1]
    for hint_s in (None, 0.0):
        wait = RetryPolicy().wait_s(attempts, rng=random.Random(seed), hint_s=hint_s)
        assert whole / 2 <= wait <= whole


def test_p6_there_are_at_most_three_attempts() -> None:
    """After the third attempt no wait is offered, however much time is left."""
    offered = [RetryPolicy().next_wait_s(done, rng=random.Random(1), remaining_s=1e6) for done in (1, 2, 3, 4)]
    assert [wait is not None for wait in offered] == [True, True, False, False]


@given(st.integers(), st.floats(min_value=0, max_value=100), st.none() | st.floats(min_value=0, max_value=200))
def test_p8_no_wait_is_begun_that_the_deadline_cannot_hold(seed: int, remaining_s: float, hint_s: float | None) -> None:
    """An offered wait always leaves the least an attempt needs."""
    wait = RetryPolicy().next_wait_s(1, rng=random.Random(seed), remaining_s=remaining_s, hint_s=hint_s)
    assert wait is None or remaining_s - wait >= 1.5


def test_p8_what_an_attempt_needs_is_enough() -> None:
    """A wait that leaves the least an attempt needs is begun, and one that leaves less is not."""
    policy = RetryPolicy()
    assert policy.fits(1.0, remaining_s=2.5)
    assert not policy.fits(1.0, remaining_s=2.49)


def test_p7_a_hint_decides_the_next_wait() -> None:
    """What the peer asked for is waited for in place of our own wait."""
    wait = RetryPolicy().next_wait_s(1, rng=random.Random(1), remaining_s=60, hint_s=20)
    assert wait is not None
    assert 20 <= wait <= 22.25


@given(st.lists(st.sampled_from(["success", "retry", "timeout"]), max_size=300))
def test_p6_retries_never_exceed_the_bucket_plus_a_tenth_of_successes(events: list[str]) -> None:
    """Whatever happens, what retries cost is bounded by ten plus a tenth of the successes."""
    budget, spent, earned = RetryBudget(), 0.0, 0
    for event in events:
        if event == "success":
            budget.add_success()
            earned += 1
        elif budget.take(after_timeout=event == "timeout"):
            spent += 2 if event == "timeout" else 1
        assert 0 <= budget.tokens <= 10
        assert spent <= 10 + earned / 10 + 1e-6


def test_ten_successes_earn_one_whole_retry() -> None:
    """An empty bucket pays again after exactly ten successes."""
    budget = RetryBudget()
    while budget.take():
        pass
    for _ in range(9):
        budget.add_success()
    assert not budget.take()
    budget.add_success()
    assert budget.take()


def test_p6_a_retry_costs_one_and_after_a_timeout_two() -> None:
    """The bucket begins with ten, and what is paid is taken to the tenth."""
    budget = RetryBudget()
    assert budget.take(after_timeout=True)
    assert budget.tokens == 8
    budget.add_success()
    assert budget.take()
    assert budget.tokens == 7.1
