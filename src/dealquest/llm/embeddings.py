"""Texts to vectors, and the list of what a provider serves: two single requests beside the conversation.

No fallback and no retry: an embedding of another model would be of no use beside the stored ones.
Source: openrouter.ai/docs (`POST /embeddings`, `GET /models`), the same paths of OpenAI-compatible servers, read 2026-11-22.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation

import attrs
import msgspec

from dealquest.errors import InputError, PeerGarbledError
from dealquest.values import Json, JsonObject, Usage, Usd
from dealquest.wire import HttpRequest, Transport

from .failures import judge_answer
from .prices import DEAREST, find_price
from .reading import as_count, as_list, as_object, as_text, as_usage, read_cost
from .routes import Provider, Route

TIMEOUT_S = 60.0
MAX_BYTES = 64 * 1024 * 1024
_MILLION = 1_000_000


@attrs.frozen(kw_only=True)
class Embeddings:
    """One vector a text, in the order of the texts.

    Attributes:
        vectors: The vectors.
        model: Who made them, as the server says.
        usage: Tokens; there are only input tokens.
        cost_usd: What it cost; None when nobody knows.
    """

    vectors: tuple[tuple[float, ...], ...] = attrs.field(repr=False)
    model: str
    usage: Usage
    cost_usd: Usd | None = None


@attrs.frozen(kw_only=True)
class ListedModel:
    """A model as its provider lists it; prices in USD per million tokens, None where it names none."""

    id: str
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    input_usd: Decimal | None = None
    output_usd: Decimal | None = None


def worst_case_of_texts(texts: Sequence[str], model: str) -> Usd:
    """The most that embedding these texts can cost: every byte a token.

    >>> f"{worst_case_of_texts(['ab'], 'openai/gpt-oss-120b'):.8f}"
    '0.00000030'
    """
    return sum(len(text.encode()) for text in texts) * (find_price(model) or DEAREST).input / _MILLION


async def embed(texts: Sequence[str], route: Route, transport: Transport, *, dimensions: int | None, now: datetime) -> Embeddings:
    """Ask one server for the vectors of some texts.

    Raises:
        InputError: `llm.input.empty` without texts; `llm.input.model` for a server that makes no embeddings.
        PeerError: As `Router.complete` raises.
    """
    if not texts or not all(texts):
        raise InputError("There is no text to embed, or one of them is empty.", code="llm.input.empty")
    if not route.provider.kind.makes_embeddings:
        raise InputError(f"{route.provider.name} makes no embeddings; ask a model at OpenRouter.", code="llm.input.model")
    body: dict[str, Json] = {"model": route.model, "input": list(texts)}
    if dimensions is not None:
        body["dimensions"] = dimensions
    content = as_object(await _ask(route.provider, transport, "POST", "/embeddings", body, now=now))
    vectors: dict[int, tuple[float, ...]] = {}
    for raw in as_list(content.get("data")):
        row = as_object(raw)
        vectors[as_count(row.get("index"))] = tuple(
            float(number) for number in as_list(row.get("embedding")) if isinstance(number, int | float) and not isinstance(number, bool)
        )
    if sorted(vectors) != list(range(len(texts))) or not all(vectors.values()):
        raise PeerGarbledError("The server did not give one vector for each text.", code="llm.answer.garbled")
    told = as_object(content.get("usage"))
    usage = as_usage(Usage(input_tokens=as_count(told.get("prompt_tokens"))))
    cost, price = read_cost(told.get("cost")), find_price(route.model)
    if cost is None and price is not None and usage.input_tokens:
        cost = price.of(usage)
    ordered = tuple(vectors[index] for index in range(len(texts)))
    return Embeddings(vectors=ordered, model=as_text(content.get("model")) or route.model, usage=usage, cost_usd=cost)


async def list_models(provider: Provider, transport: Transport, *, now: datetime) -> tuple[ListedModel, ...]:
    """What a provider serves.

    Raises:
        PeerError: As `Router.complete` raises.
    """
    content = as_object(await _ask(provider, transport, "GET", provider.kind.models_path, None, now=now))
    return tuple(_read_model(as_object(raw)) for raw in as_list(content.get("data")) if as_text(as_object(raw).get("id")))


def _read_model(facts: JsonObject) -> ListedModel:
    kinds, prices = as_object(facts.get("architecture")), as_object(facts.get("pricing"))
    name = as_text(facts["id"])
    known = find_price(name)
    return ListedModel(
        id=name,
        inputs=_texts(kinds.get("input_modalities")),
        outputs=_texts(kinds.get("output_modalities")),
        input_usd=_per_million(prices.get("prompt"), known.input if known else None),
        output_usd=_per_million(prices.get("completion"), known.output if known else None),
    )


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(text for text in as_list(value) if isinstance(text, str)) or ("text",)


def _per_million(told: Json, otherwise: Usd | None) -> Usd | None:
    try:
        price = Decimal(as_text(told))
    except InvalidOperation:
        return otherwise
    return price * _MILLION if price.is_finite() and price >= 0 else otherwise


async def _ask(provider: Provider, transport: Transport, method: str, path: str, body: Json, *, now: datetime) -> Json:
    content_type = () if body is None else (("content-type", "application/json"),)
    request = HttpRequest(
        method=method,
        url=provider.base_url + path,
        headers=(("accept", "application/json"), *content_type, *provider.credentials),
        body=b"" if body is None else msgspec.json.encode(body),
        timeout_s=TIMEOUT_S,
        max_bytes=MAX_BYTES,
    )
    answer = await transport.send(request)
    if answer.status != 200:
        raise judge_answer(answer.status, answer.headers, answer.body, now=now).error
    content: Json = answer.json()
    return content
