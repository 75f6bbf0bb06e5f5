"""What a call cost, and whether its answer may pass as whole. Pure.

The provider's own figure wins, then the dated table; a cost that nobody knows stays unknown.
"""

from collections.abc import Sequence
from decimal import Decimal

import attrs

from dealquest.errors import PeerGarbledError, PeerRefusedError
from dealquest.values import Usage

from .messages import Ask, Attempt, Completion
from .prices import find_price, worst_case
from .routes import Route
from .spend import Reservation, SpendBudget

_NO_USAGE = Usage()


class Bill:
    """The money side of one call: a reservation for each request, settled when its answer is known."""

    def __init__(self, budget: SpendBudget | None, ask: Ask) -> None:
        self._budget = budget
        self._ask = ask

    def reserve(self, route: Route) -> Reservation:
        """Hold back the worst case of one request.

        Raises:
            LimitError: `llm.budget.exceeded`.
        """
        if self._budget is None:
            return Reservation(None, Decimal(0))
        return self._budget.reserve(worst_case(self._ask, route.model))


def put_price(completion: Completion, route: Route, attempts: Sequence[Attempt]) -> Completion:
    """A completion with what only the router knows: who was asked, how often, and the cost if the provider kept silent."""
    cost, source = completion.cost_usd, completion.cost_source
    if cost is None and completion.usage != _NO_USAGE and route.provider.kind.has_prices:
        price = find_price(route.model) or find_price(completion.model)
        if price is not None:
            cost, source = price.of(completion.usage), "prices"
    return attrs.evolve(
        completion,
        cost_usd=cost,
        cost_source=source,
        provider=route.provider.name,
        model=completion.model or route.model,
        attempts=tuple(attempts),
    )


def check_whole(completion: Completion, *, allow_truncated: bool = False) -> Completion:
    """Let only whole answers pass.

    Raises:
        PeerGarbledError: `llm.answer.truncated` when `max_tokens` cut it off, `llm.answer.paused` when the provider paused it.
        PeerRefusedError: `llm.answer.refused` when the model declined.
    """
    match completion.finish:
        case "length" if not allow_truncated:
            raise PeerGarbledError(
                "The answer was cut off; raise max_tokens or allow truncated answers.",
                code="llm.answer.truncated",
                received=completion.text,
            )
        case "pause":
            raise PeerGarbledError("The provider paused the answer.", code="llm.answer.paused", retryable=True, received=completion.text)
        case "refusal":
            raise PeerRefusedError("The model declined to answer.", code="llm.answer.refused")
    return completion


def add_up(first: Completion, second: Completion) -> Completion:
    """The second of two calls, with the tokens, cost and attempts of both."""
    known = first.cost_usd is not None and second.cost_usd is not None
    return attrs.evolve(
        second,
        usage=first.usage + second.usage,
        cost_usd=(first.cost_usd or Decimal(0)) + (second.cost_usd or Decimal(0)) if known else None,
        cost_source=second.cost_source if known else "unknown",
        attempts=first.attempts + second.attempts,
    )
