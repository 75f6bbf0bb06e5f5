"""Ask a provider about a key and about models, without spending a token.

Three troubles are three answers: the key is wrong, the key has no credit, the network is down.
Source: openrouter.ai/docs (`GET /key`, `GET /models`); platform.claude.com (`GET /v1/models`), read 2026-11-22.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias
from urllib.parse import quote

import attrs

from dealquest.errors import DealQuestError, PeerGarbledError
from dealquest.values import Json, Usd
from dealquest.wire import HttpRequest, HttpResponse, Transport

from .failures import judge_answer, judge_error
from .models import FACTS, ModelState, resolve_model, state_of, successor_of
from .reading import as_list, as_object, as_text, read_cost
from .routes import Provider

CHECK_TIMEOUT_S = 10.0
_MAX_BYTES = 32 * 1024 * 1024

KeyState: TypeAlias = Literal["good", "wrong", "no_credit", "unreachable"]


@attrs.frozen(kw_only=True)
class KeyCheck:
    """What a provider says of a key.

    Attributes:
        state: `good`, `wrong`, `no_credit`, or `unreachable` when nobody could say.
        provider: Whose server was asked.
        left_usd: What the key may still spend, where the provider says so.
        free_tier: Whether it only reaches free models.
        error: Why it is not good.
    """

    state: KeyState
    provider: str
    left_usd: Decimal | None = None
    free_tier: bool = False
    error: DealQuestError | None = None

    def __bool__(self) -> bool:
        return self.state == "good"


async def check_key(provider: Provider, transport: Transport, *, now: datetime) -> KeyCheck:
    """Ask whether a key is good.

    Args:
        provider: The server and the key.
        transport: How to get there.
        now: The wall time.
    """
    try:
        answer = await transport.send(_get(provider, provider.kind.key_path))
    except DealQuestError as exc:
        return KeyCheck(state="unreachable", provider=provider.name, error=judge_error(exc).error)
    if answer.status != 200:
        error = judge_answer(answer.status, answer.headers, answer.body, now=now).error
        return KeyCheck(state=_state_of_error(error), provider=provider.name, error=error)
    try:
        content, within = as_object(answer.json()), provider.kind.key_facts
        facts = as_object(content.get(within)) if within else content
    except PeerGarbledError as exc:
        return KeyCheck(state="unreachable", provider=provider.name, error=exc)
    left = facts.get("limit_remaining")
    left_usd = read_cost(max(left, 0)) if isinstance(left, int | float) and not isinstance(left, bool) else None
    state: KeyState = "no_credit" if left_usd == 0 and not facts.get("is_free_tier") else "good"
    return KeyCheck(state=state, provider=provider.name, left_usd=left_usd, free_tier=facts.get("is_free_tier") is True)


def _state_of_error(error: DealQuestError) -> KeyState:
    if error.code in {"llm.refused.key", "llm.refused.permission"}:
        return "wrong"
    return "no_credit" if error.code == "llm.refused.credit" else "unreachable"


@attrs.frozen(kw_only=True)
class ModelCheck:
    """Whether a model is served.

    Attributes:
        model: The configured name.
        provider: Whose server was asked.
        state: `served`, `ageing` (it has an end date), `gone`, or `unknown` when the server could not be asked.
        asked_as: The name that is sent today in its place.
        ends: The day on which it ends, where one is known.
        note: Why, for people.
    """

    model: str
    provider: str
    state: ModelState
    asked_as: str
    ends: date | None = None
    note: str = ""


async def check_models(models: Sequence[tuple[Provider, str]], transport: Transport, *, now: datetime) -> tuple[ModelCheck, ...]:
    """Ask which of the configured models are served; one request per provider, no tokens.

    Args:
        models: Provider and configured name, in pairs.
        transport: How to get there.
        now: The wall time.
    """
    lists: dict[Provider, dict[str, date | None] | None] = {}
    for provider, _ in models:
        if provider not in lists:
            lists[provider] = await _list_models(provider, transport)
    return tuple(_check_model(provider, name, lists[provider], now.date()) for provider, name in models)


async def _list_models(provider: Provider, transport: Transport) -> dict[str, date | None] | None:
    try:
        answer = await transport.send(_get(provider, provider.kind.models_path))
        return _read_models(answer) if answer.status == 200 else None
    except DealQuestError:
        # Unknown is an answer of its own; the key check says what is wrong with the server.
        return None


def _read_models(answer: HttpResponse) -> dict[str, date | None]:
    served: dict[str, date | None] = {}
    for raw in as_list(as_object(answer.json()).get("data")):
        model = as_object(raw)
        ends = _read_day(model.get("expiration_date"))
        for name in (model.get("id"), model.get("canonical_slug")):
            if isinstance(name, str):
                served[name] = ends
    return served


def _read_day(text: Json) -> date | None:
    try:
        return date.fromisoformat(as_text(text)[:10])
    except ValueError:
        return None


def _check_model(provider: Provider, name: str, served: dict[str, date | None] | None, today: date) -> ModelCheck:
    asked_as = resolve_model(name, today=today)
    fact = FACTS.get(name)
    note, ends = (fact.note, fact.ends) if fact else ("", None)
    known = state_of(name, today=today)
    state: ModelState
    if known == "gone":
        state = "gone"
    elif served is None:
        state = known
    elif asked_as not in served and not asked_as.startswith("~") and ":" not in asked_as:
        state, asked_as = "gone", successor_of(asked_as) or asked_as
        note = note or "the server does not list it"
    else:
        ends = served.get(asked_as) or ends
        state = "served" if ends is None else "ageing" if today < ends else "gone"
    return ModelCheck(model=name, provider=provider.name, state=state, asked_as=asked_as, ends=ends, note=note)


async def find_cost(provider: Provider, transport: Transport, generation: str) -> Usd | None:
    """What one answer cost, asked of the provider afterwards; None while it does not say.

    Source: https://openrouter.ai/docs/api-reference/get-a-generation, read 2026-11-22.
    """
    if not provider.kind.routes_itself:
        return None  # nobody else can be asked
    try:
        answer = await transport.send(_get(provider, f"/generation?id={quote(generation, safe='')}"))
        total = as_object(as_object(answer.json()).get("data")).get("total_cost") if answer.status == 200 else None
    except DealQuestError:
        return None
    return read_cost(total)


def _get(provider: Provider, path: str) -> HttpRequest:
    headers = (("accept", "application/json"), *provider.credentials)
    return HttpRequest(method="GET", url=provider.base_url + path, headers=headers, timeout_s=CHECK_TIMEOUT_S, max_bytes=_MAX_BYTES)
