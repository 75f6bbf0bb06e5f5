"""Read a provider's JSON, whatever it sends: what has the wrong type counts as absent."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from dealquest.values import Json, JsonObject, Usage

ABSURD_COUNT = 10**9
"""So many tokens no call has."""


def as_text(value: Json) -> str:
    """A text, or nothing when the peer sent something else."""
    return value if isinstance(value, str) else ""


def as_object(value: Json) -> JsonObject:
    """A JSON object, or an empty one when the peer sent something else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> Sequence[Json]:
    """A JSON array, or an empty one when the peer sent something else."""
    return value if isinstance(value, list) else []


def as_count(value: Json) -> int:
    """A number of tokens: never negative, never absurd, whatever the peer sent."""
    return min(value, ABSURD_COUNT) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def as_usage(usage: Usage) -> Usage:
    """The tokens as the peer counted them; none at all when one of the counts is absurd, since what is not believed is not billed."""
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    return usage if max(counts) < ABSURD_COUNT else Usage()


def read_cost(cost: Json) -> Decimal | None:
    """A price in USD, or None when it is no sensible number.

    >>> read_cost(0.0012), read_cost(-1), read_cost(True)
    (Decimal('0.0012'), None, None)
    """
    if isinstance(cost, bool) or not isinstance(cost, int | float | str):
        return None
    try:
        usd = Decimal(str(cost))
    except InvalidOperation:
        return None
    return usd if usd.is_finite() and 0 <= usd < 1_000_000 else None
