"""What models cost, for reservations and for providers that do not say. Pure, dated, small.

The provider's own figure always wins; this table is for what it leaves open. An unknown model is
reserved at the dearest known price and its cost is reported as unknown, never as zero.
Source: anthropic.com/pricing, openrouter.ai/models and the vendors' own pages, read 2026-11-22.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import attrs
import msgspec

from dealquest.values import Usage, Usd

from .messages import Ask, Message, Text, Tool

PRICES_READ = "2026-11-22"
_MILLION = Decimal(1_000_000)
_TOKENS_PER_MEDIA = 6_000
_TOKENS_PER_TURN = 16
_WEB_REQUEST_USD = Decimal("0.02")


@attrs.frozen(kw_only=True)
class Price:
    """USD per million tokens.

    Attributes:
        input: Fresh input.
        output: Output, reasoning included.
        cached: Input read from the cache.
        cache_write: Input written to the cache.
    """

    input: Usd
    output: Usd
    cached: Usd | None = None
    cache_write: Usd | None = None

    def of(self, usage: Usage) -> Usd:
        """What this usage costs."""
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_write is None else self.cache_write
        fresh = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
        total = fresh * self.input + usage.cached_tokens * cached + usage.cache_write_tokens * written + usage.output_tokens * self.output
        return total / _MILLION


def _price(input_usd: str, output_usd: str, cached: str | None = None, cache_write: str | None = None) -> Price:
    return Price(
        input=Decimal(input_usd),
        output=Decimal(output_usd),
        cached=Decimal(cached) if cached else None,
        cache_write=Decimal(cache_write) if cache_write else None,
    )


PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "openai/gpt-oss-120b": _price("0.15", "0.60"),
        "moonshotai/kimi-k2.5": _price("0.60", "3.00", "0.10"),
        "~google/gemini-flash-latest": _price("0.50", "3.00"),
        "x-ai/grok-4.3": _price("1.25", "2.50"),
        "claude-sonnet-4-6": _price("3.00", "15.00", "0.30", "3.75"),
        "claude-sonnet-4-5": _price("3.00", "15.00", "0.30", "3.75"),
        "claude-haiku-4-5": _price("1.00", "5.00", "0.10", "1.25"),
    }
)
DEAREST = _price("15.00", "75.00", None, "18.75")


def find_price(model: str) -> Price | None:
    """The price of a model, or None when the table does not know it; `:free` models cost nothing.

    >>> find_price("openai/gpt-oss-120b").output, find_price("nobody/knows")
    (Decimal('0.60'), None)
    """
    if model.endswith(":free"):
        return _price("0", "0")
    name = model.removeprefix("anthropic/").replace("claude-sonnet-4.6", "claude-sonnet-4-6")
    return PRICES.get(name) or next((price for known, price in PRICES.items() if name.startswith(known + "-")), None)


def worst_case(ask: Ask, model: str, *, rounds: int = 1) -> Usd:
    """The most that a question can cost: every byte a token, every token of the answer used.

    Args:
        ask: The question.
        model: Who will be asked.
        rounds: How many requests may be charged.
    """
    price = find_price(model) or DEAREST
    tokens = sum(_count_input(message) for message in ask.messages)
    tokens += len(msgspec.json.encode(ask.schema.schema)) if ask.schema else 0
    tokens += sum(_count_arguments(tool) + len(tool.description.encode()) for tool in ask.tools)
    dearest_input = max(price.input, price.cache_write or price.input)
    usd = (tokens * dearest_input + ask.max_tokens * price.output) / _MILLION
    if ask.web is not None:
        usd += ask.web.max_results * Decimal("0.01") + _WEB_REQUEST_USD + 20_000 * price.input / _MILLION
    return usd * rounds


def _count_arguments(tool: Tool) -> int:
    # What a class can say of its arguments is bounded; a thousand tokens are generous.
    return 1_000 if isinstance(tool.arguments, type) else len(msgspec.json.encode(tool.arguments))


def _count_input(message: Message) -> int:
    tokens = _TOKENS_PER_TURN + sum(len(part.text.encode()) if isinstance(part, Text) else _TOKENS_PER_MEDIA for part in message.parts)
    if message.tool_calls or message.reasoning:
        tokens += len(msgspec.json.encode([[call.arguments for call in message.tool_calls], message.reasoning]))
    return tokens
