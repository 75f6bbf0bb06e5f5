"""The kinds of servers a model is asked at, a row each: all that one does differently from another beside its dialect.

A new provider that speaks a known dialect is one row here and its variables in `settings`; a new dialect is one codec file too,
`<dialect>_wire.py`, with the three functions of `sending.Codec`.
Source: openrouter.ai/docs, platform.claude.com/docs, platform.openai.com/docs, read 2026-11-22.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs

from .models import CLAUDE_MODEL

Dialect: TypeAlias = str
"""How a server wants to be spoken to: the codec file's name without `_wire`."""


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of server.

    Attributes:
        name: What settings, keys and traces call it.
        dialect: How it wants to be spoken to.
        address: The setting that holds its address.
        key: The setting that holds the operator's key.
        key_header: The header that carries the key; `authorization` carries it as a bearer.
        needs_key: Whether it answers nobody without one; else its address alone switches it on.
        model: What is asked for when nobody names a model; empty takes the operator's default.
        serves: The names of models that belong to it when several kinds are configured.
        key_path: Says whether a key is good, for no token.
        key_facts: The field of that answer that holds the facts; empty where they stand at the top.
        models_path: Lists what it serves.
        takes_own_keys: Whether users may bring a key for it.
        routes_itself: Whether it chooses among servers behind one model, and takes OpenRouter's options for that.
        makes_embeddings: Whether it has `/embeddings`.
        has_prices: Whether public prices hold for it; what runs at home costs what it costs.
    """

    name: str
    dialect: Dialect = "chat"
    address: str
    key: str
    key_header: str = "authorization"
    needs_key: bool = True
    model: str = ""
    serves: re.Pattern[str]
    key_path: str = "/models"
    key_facts: str = ""
    models_path: str = "/models"
    takes_own_keys: bool = False
    routes_itself: bool = False
    makes_embeddings: bool = True
    has_prices: bool = True


_ROWS = (
    Kind(
        name="openrouter",
        address="openrouter_base_url",
        key="openrouter_api_key",
        serves=re.compile(r".+/.+"),
        key_path="/key",
        key_facts="data",
        takes_own_keys=True,
        routes_itself=True,
    ),
    Kind(
        name="openai",
        address="openai_base_url",
        key="openai_api_key",
        needs_key=False,
        serves=re.compile(r".+"),
        has_prices=False,
    ),
    Kind(
        name="anthropic",
        dialect="claude",
        address="anthropic_base_url",
        key="anthropic_api_key",
        key_header="x-api-key",
        model=CLAUDE_MODEL,
        serves=re.compile(r"claude-.+"),
        key_path="/v1/models?limit=1",
        models_path="/v1/models?limit=1000",
        takes_own_keys=True,
        makes_embeddings=False,
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ROWS})
"""By name, the preferred one first."""


def kinds_that_serve(model: str) -> list[Kind]:
    """Whose model a name looks like: the kind with the narrowest names first.

    >>> [kind.name for kind in kinds_that_serve("claude-sonnet-4-6")], [kind.name for kind in kinds_that_serve("openai/gpt-oss-120b")]
    (['anthropic', 'openai'], ['openrouter', 'openai'])
    """
    fitting = [kind for kind in _ROWS if kind.serves.fullmatch(model)]
    return sorted(fitting, key=lambda kind: len(kind.serves.pattern), reverse=True)
