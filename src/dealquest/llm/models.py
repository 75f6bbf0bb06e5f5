"""Which of the names people use are served today, and what follows those that are not. Pure.

One dated table. A name that is not in it passes unchanged; a retired one is asked for under its
successor's name, and a 404 walks the same chain.
Source: platform.claude.com model deprecations; openrouter.ai/docs model aliases; docs.x.ai migration
notice of May 2026; read 2026-11-22.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Literal, TypeAlias

import attrs

DEFAULT_MODEL = "openai/gpt-oss-120b"
CLAUDE_MODEL = "claude-sonnet-4-20250514"
RESEARCH_MODEL = "x-ai/grok-4.1-fast"

ModelState: TypeAlias = Literal["served", "ageing", "gone", "unknown"]


@attrs.frozen(kw_only=True)
class ModelFact:
    """What is known of a name.

    Attributes:
        successor: What to ask for instead.
        ends: The day from which it is not served; None for a name that never was one.
        note: Why, for the warning and for doctor.
    """

    successor: str
    ends: date | None
    note: str


FACTS: Mapping[str, ModelFact] = MappingProxyType(
    {
        "claude-sonnet-4-20250514": ModelFact(
            successor="claude-sonnet-4-6", ends=date(2026, 6, 15), note="retired by Anthropic on 15 June 2026"
        ),
        "claude-sonnet-4-5-20250929": ModelFact(successor="claude-sonnet-4-6", ends=date(2026, 11, 30), note="retires on 30 November 2026"),
        "claude-sonnet-4-5": ModelFact(successor="claude-sonnet-4-6", ends=date(2026, 11, 30), note="retires on 30 November 2026"),
        "anthropic/claude-sonnet-4": ModelFact(
            successor="anthropic/claude-sonnet-4.6", ends=date(2026, 6, 15), note="retired by Anthropic on 15 June 2026"
        ),
        "x-ai/grok-4.1-fast": ModelFact(
            successor="x-ai/grok-4.3", ends=date(2026, 5, 15), note="retired by xAI on 15 May 2026; the successor costs more"
        ),
        "google/gemini-flash": ModelFact(
            successor="~google/gemini-flash-latest", ends=None, note="not a model's name; the alias of the newest one is used"
        ),
    }
)
# Where a 404 leads although the name is not retired in the table.
_NEXT: Mapping[str, str] = MappingProxyType(
    {"claude-sonnet-4-6": "claude-sonnet-5", "anthropic/claude-sonnet-4.6": "anthropic/claude-sonnet-5"}
)


def resolve_model(name: str, *, today: date) -> str:
    """The name to ask for today.

    >>> resolve_model("claude-sonnet-4-20250514", today=date(2026, 11, 22))
    'claude-sonnet-4-6'
    >>> resolve_model("openai/gpt-oss-120b", today=date(2026, 11, 22))
    'openai/gpt-oss-120b'
    """
    for _ in range(len(FACTS)):
        fact = FACTS.get(name)
        if fact is None or (fact.ends is not None and today < fact.ends):
            break
        name = fact.successor
    return name


def successor_of(name: str) -> str | None:
    """What to ask for when the server says that it does not serve this name."""
    fact = FACTS.get(name)
    return fact.successor if fact is not None else _NEXT.get(name)


def state_of(name: str, *, today: date) -> ModelState:
    """What the table says of a name; `unknown` when it says nothing.

    >>> state_of("x-ai/grok-4.1-fast", today=date(2026, 11, 22))
    'gone'
    """
    fact = FACTS.get(name)
    if fact is None:
        return "unknown"
    return "ageing" if fact.ends is not None and today < fact.ends else "gone"
