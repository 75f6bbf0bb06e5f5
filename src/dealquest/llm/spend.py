"""A budget in USD that is never overspent by more than one call's surprise. Pure state.

The worst case is reserved before anything is sent and replaced by the real cost afterwards. A reply
that was lost counts as spent, because the provider may have charged for it.
"""

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from dealquest.errors import InputError, LimitError
from dealquest.values import Usd

if TYPE_CHECKING:
    from .routes import Provider

MOST_ESTIMATES = 1000


@attrs.frozen(kw_only=True)
class SpendState:
    """A look at a budget."""

    limit_usd: Usd
    spent_usd: Usd
    reserved_usd: Usd

    @property
    def left_usd(self) -> Usd:
        """What may still be reserved."""
        return max(Decimal(0), self.limit_usd - self.spent_usd - self.reserved_usd)


@attrs.frozen(kw_only=True)
class Estimate:
    """A worst case that was booked because nobody knew the cost; the provider can be asked by the generation's id."""

    provider: "Provider"
    generation: str
    usd: Usd


class SpendBudget:
    """Money for calls; share one between routers to share the limit.

    Args:
        limit_usd: The most that may be spent.

    Raises:
        InputError: `llm.input.budget` when the limit is negative or no number.

    >>> budget = SpendBudget(Decimal("1.00"))
    >>> held = budget.reserve(Decimal("0.40"))
    >>> held.settle(Decimal("0.10")); budget.state.left_usd
    Decimal('0.90')
    """

    def __init__(self, limit_usd: Usd) -> None:
        if not limit_usd.is_finite() or limit_usd < 0:
            raise InputError("A budget is a Decimal of USD, zero or more.", code="llm.input.budget")
        self._limit = limit_usd
        self._spent = Decimal(0)
        self._reserved = Decimal(0)
        self._estimates: deque[Estimate] = deque(maxlen=MOST_ESTIMATES)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """What was booked at its worst case and may still be corrected, oldest first."""
        return tuple(self._estimates)

    def correct(self, estimate: Estimate, actual: Usd) -> None:
        """Book the real cost in an estimate's place; an estimate counts once."""
        if estimate in self._estimates:
            self._estimates.remove(estimate)
            self._spent += max(Decimal(0), actual) - estimate.usd

    @property
    def state(self) -> SpendState:
        """Where it stands."""
        return SpendState(limit_usd=self._limit, spent_usd=self._spent, reserved_usd=self._reserved)

    def reserve(self, usd: Usd) -> "Reservation":
        """Hold back the worst case of one request.

        Raises:
            LimitError: `llm.budget.exceeded` when that is more than is left.
        """
        if self._spent + self._reserved + usd > self._limit:
            left = self.state.left_usd
            raise LimitError(
                f"The budget has {left:.4f} USD left and this call may cost {usd:.4f}; raise the budget or lower max_tokens.",
                code="llm.budget.exceeded",
            )
        self._reserved += usd
        return Reservation(self, usd)

    def _settle(self, reserved: Usd, actual: Usd) -> None:
        self._reserved -= reserved
        self._spent += actual


class Reservation:
    """Money held back for one request; settle it once."""

    __slots__ = ("_budget", "_usd")

    def __init__(self, budget: SpendBudget | None, usd: Usd) -> None:
        self._budget = budget
        self._usd = usd

    def settle(self, actual: Usd | None, *, provider: "Provider | None" = None, generation: str = "") -> None:
        """Book the real cost; None means that nobody knows, and the worst case counts as spent.

        Args:
            actual: USD, where the cost is known.
            provider: Who may be asked for the cost later, by `generation`.
            generation: The provider's id of this answer, where it was seen.
        """
        budget, self._budget = self._budget, None
        if budget is not None:
            if actual is None and provider is not None and generation:
                budget._estimates.append(Estimate(provider=provider, generation=generation, usd=self._usd))  # noqa: SLF001  # see below
            budget._settle(self._usd, self._usd if actual is None else max(Decimal(0), actual))  # noqa: SLF001  # the budget's other half
