"""When to try again, and when to stop: hints, waits, attempts and a budget that calls share.

Pure state: no clock, no sleep, no chance of its own. The caller passes `now`, a `random.Random` and
the seconds that its deadline leaves, and does the waiting itself.
Source: RFC 9110 section 10.2.3 (Retry-After); Google SRE book, chapter "Handling Overload" (three
attempts per request, a tenth of a client's traffic for retries), read 2026-11-22.
"""

import math
import random
import re
from datetime import UTC, datetime

import attrs

from .messages import Headers, find_header

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_LONGEST_DATE = 40


def parse_retry_after(headers: Headers, *, now: datetime) -> float | None:
    """Read how long the peer asks to wait: `retry-after-ms`, else `retry-after` in seconds or as an HTTP date.

    Args:
        headers: The answer's headers, lower-case names.
        now: The wall time, aware; only a date is measured against it.

    Returns:
        Seconds, zero or more; None when nothing sensible was said (absent, text, negative, a date that is over).

    >>> parse_retry_after((("retry-after", "2"),), now=datetime(2026, 11, 22, tzinfo=UTC))
    2.0
    >>> parse_retry_after((("retry-after", "soon"),), now=datetime(2026, 11, 22, tzinfo=UTC)) is None
    True
    """
    milliseconds = _parse_number(find_header(headers, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = find_header(headers, "retry-after")
    seconds = _parse_number(said)
    return seconds if seconds is not None or said is None else _parse_date(said, now)


def _parse_number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text.strip()) else None


def _parse_date(text: str, now: datetime) -> float | None:
    if len(text) > _LONGEST_DATE:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # dates are rare here, and email is slow to import

    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often one call is tried on one route, and how long it waits in between.

    Attributes:
        max_attempts: Attempts per route, the first included.
        waits_s: Wait before the second attempt, the third and so on; the last one repeats.
        least_jitter: Each wait is multiplied by a number between this and 1.
        least_attempt_s: A wait or an attempt that would leave less than this of the deadline is not begun.
    """

    max_attempts: int = 3
    waits_s: tuple[float, ...] = (1.0, 3.0, 8.0)
    least_jitter: float = 0.5
    least_attempt_s: float = 1.5

    def wait_s(self, attempts: int, *, rng: random.Random, hint_s: float | None = None) -> float:
        """Seconds to wait after `attempts` tries.

        A hint is never undercut and at most a tenth plus 250 ms exceeded, so that callers told the same
        moment do not all come back in it. A hint of zero says nothing, so our own wait counts.
        """
        if hint_s is not None and hint_s > 0 and math.isfinite(hint_s):
            return hint_s + rng.uniform(0.0, 0.1 * hint_s + 0.25)
        wait = self.waits_s[min(attempts, len(self.waits_s)) - 1]
        return wait * rng.uniform(self.least_jitter, 1.0)

    def fits(self, wait_s: float, *, remaining_s: float) -> bool:
        """Whether an attempt after this wait still has a fair chance before the deadline."""
        return remaining_s - wait_s >= self.least_attempt_s

    def next_wait_s(self, attempts: int, *, rng: random.Random, remaining_s: float, hint_s: float | None = None) -> float | None:
        """Seconds to wait before the next attempt, or None when there should be none.

        Args:
            attempts: Attempts made so far, at least one.
            rng: Where jitter comes from.
            remaining_s: Seconds until the call's deadline.
            hint_s: What the peer asked for, if anything.

        >>> policy, rng = RetryPolicy(), random.Random(7)
        >>> 0.5 <= policy.next_wait_s(1, rng=rng, remaining_s=60) <= 1.0
        True
        >>> policy.next_wait_s(3, rng=rng, remaining_s=60) is None, policy.next_wait_s(1, rng=rng, remaining_s=60, hint_s=90) is None
        (True, True)
        """
        if attempts >= self.max_attempts:
            return None
        wait = self.wait_s(attempts, rng=rng, hint_s=hint_s)
        return wait if self.fits(wait, remaining_s=remaining_s) else None


class RetryBudget:
    """What all calls to one peer may spend on retries together, so that an outage is not multiplied.

    A full bucket pays ten retries; afterwards a retry must have been earned by ten successes.

    >>> budget = RetryBudget(capacity=2)
    >>> budget.take(), budget.take(), budget.take()
    (True, True, False)
    """

    __slots__ = ("_capacity", "_cost", "_refill", "_timeout_cost", "_tokens")

    def __init__(self, *, capacity: float = 10.0, refill: float = 0.1, cost: float = 1.0, timeout_cost: float = 2.0) -> None:
        self._capacity = capacity
        self._refill = refill
        self._cost = cost
        self._timeout_cost = timeout_cost
        self._tokens = capacity

    @property
    def tokens(self) -> float:
        """What is left; a retry needs at least its cost."""
        return self._tokens

    def add_success(self) -> None:
        """Earn a tenth of a retry."""
        # Rounded, so that ten successes are one whole retry in spite of binary fractions.
        self._tokens = min(self._capacity, round(self._tokens + self._refill, 9))

    def take(self, *, after_timeout: bool = False) -> bool:
        """Pay for one retry; False, and nothing paid, when the bucket does not hold it."""
        cost = self._timeout_cost if after_timeout else self._cost
        if self._tokens < cost:
            return False
        self._tokens = round(self._tokens - cost, 9)
        return True
