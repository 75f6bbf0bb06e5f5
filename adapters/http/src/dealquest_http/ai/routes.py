"""The AI routes. A request is refused with its real status until the model's first word; after that, inside the stream.

Source: the InsForge API (`/api/ai`), as its JavaScript clients 1.1.3 and 1.5.2 call it, read 2026-11-22.
"""

import base64
import struct
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct, convert
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import DealQuestError, InputError, LimitError, PeerRefusedError, PeerUnavailableError
from dealquest.llm import (
    AnswerStream,
    Ask,
    Completion,
    Done,
    Event,
    Message,
    Router,
    TextDelta,
    worst_case,
    worst_case_of_texts,
)
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.callers import require
from dealquest_http.described import describe
from dealquest_http.event_stream import EventStream, Push, unless_gone
from dealquest_http.shared import Shared, shared_of

from .answers import (
    ChatAnswer,
    EmbeddingsAnswer,
    ShownModel,
    UsagePage,
    UsageRow,
    UsageSummary,
    show_calls,
    show_citations,
    show_completion,
    show_embeddings,
    show_model,
    show_usage,
)
from .requests import ChatRequest, EmbeddingsRequest, read_messages, read_search, read_tools
from .spending import Call, Spending

TEMPERATURE = 0.7
MAX_TOKENS = 4096
_FREE = frozenset({"llm.busy", "llm.unavailable.rate_limited", "llm.unavailable.resting", "wire.connect"})
"""Failures for which nobody charges, beside requests that were refused."""
FAMILIES = ("openai", "anthropic", "google", "amazon")
"""The order in which the reference lists models; all others follow by name."""


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room."""
    ai = Ai(shared)
    return [
        Route("/api/ai/chat/completion", ai.chat, methods=["POST"]),
        Route("/api/ai/chat", ai.chat, methods=["POST"]),
        Route("/api/ai/embeddings", ai.embeddings, methods=["POST"]),
        Route("/api/ai/models", ai.models, methods=["GET"]),
        Route("/api/ai/usage", ai.usage, methods=["GET"]),
        Route("/api/ai/usage/summary", ai.usage_summary, methods=["GET"]),
    ]


class Period(Struct, rename="camel"):
    """The query of the usage routes."""

    start_date: Annotated[datetime, Meta(tz=True)] | None = None
    end_date: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50
    offset: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


class Ai:
    """The handlers, over what all rooms share."""

    def __init__(self, shared: Shared) -> None:
        self._spending = Spending(shared.kit.records, shared.settings)

    @describe(takes=ChatRequest, gives=ChatAnswer, guard="anon", streams=True)
    async def chat(self, request: Request) -> Response:
        """Ask a model: the whole answer as JSON, or word by word."""
        caller = await require(request, "anon")
        llm = _llm(request)
        asked = await read_json(request, ChatRequest)
        max_tokens = asked.max_tokens or MAX_TOKENS
        messages, web, tools = read_messages(asked), read_search(asked), read_tools(asked)
        model = asked.model or llm.routes[0].model
        worst = worst_case(Ask(messages=messages, max_tokens=max_tokens, web=web, tools=tools), model)
        options: dict[str, Any] = {
            "model": model,
            "max_tokens": max_tokens,
            "temperature": TEMPERATURE if asked.temperature is None else asked.temperature,
            "top_p": asked.top_p,
            "tools": tools,
            "reasoning": "medium" if asked.thinking else None,
            "web": web,
        }
        async with AsyncExitStack() as stack:
            call = await stack.enter_async_context(self._spending.call(caller, kind="chat", model=model, worst_usd=worst))
            if asked.stream:
                stream = await stack.enter_async_context(llm.stream(messages, **options))
                first = await unless_gone(request, lambda: _begin(stream, call))
                return EventStream(partial(_pass_on, first, stream, call), resources=stack.pop_all())
            completion = await unless_gone(request, lambda: _complete(llm, messages, options, call))
            return answer_json(show_completion(completion))

    @describe(takes=EmbeddingsRequest, gives=EmbeddingsAnswer, guard="anon")
    async def embeddings(self, request: Request) -> Response:
        """Turn texts into vectors."""
        caller = await require(request, "anon")
        llm = _llm(request)
        asked = await read_json(request, EmbeddingsRequest)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        worst = worst_case_of_texts(texts, asked.model)
        async with self._spending.call(caller, kind="embedding", model=asked.model, worst_usd=worst) as call:
            try:
                found = await unless_gone(request, lambda: llm.embed(texts, model=asked.model, dimensions=asked.dimensions))
            except DealQuestError as exc:
                raise _fault(exc, call) from exc
            call.answered(model=found.model, usage=found.usage, cost_usd=found.cost_usd)
        shown = show_embeddings(found)
        if asked.encoding_format == "base64":
            for row, vector in zip(shown.data, found.vectors, strict=True):
                row.embedding = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return answer_json(shown)

    @describe(gives=list[ShownModel], guard="admin")
    async def models(self, request: Request) -> Response:
        """What can be asked; nothing without a key."""
        await require(request, "project_admin")
        llm = shared_of(request).kit.llm
        listed = () if llm is None else await llm.list_models()
        shown = [show_model(model) for model in listed]
        place = {family: index for index, family in enumerate(FAMILIES)}
        return answer_json(sorted(shown, key=lambda model: (place.get(model.provider, len(place)), model.id)))

    @describe(query=Period, gives=UsagePage, guard="admin")
    async def usage(self, request: Request) -> Response:
        """Calls, newest first."""
        await require(request, "project_admin")
        period = _period(request)
        found = await shared_of(request).kit.records.rpc(
            "list_ai_usage", since=period.start_date, until=period.end_date, most=period.limit, skip=period.offset
        )
        rows = [
            UsageRow(
                id=row["id"],
                caller=row["caller"],
                kind=row["kind"],
                model_id=row["model_id"],
                outcome=row["outcome"],
                input_tokens=row["input_tokens"],
                output_tokens=row["output_tokens"],
                cost_usd=row["cost_usd"],
                created_at=row["created_at"],
            )
            for row in found["records"]
        ]
        return answer_json(UsagePage(rows, found["total"]))

    @describe(query=Period, gives=UsageSummary, guard="admin")
    async def usage_summary(self, request: Request) -> Response:
        """Tokens, calls and USD of a period."""
        await require(request, "project_admin")
        period = _period(request)
        found = await shared_of(request).kit.records.rpc("sum_ai_usage", since=period.start_date, until=period.end_date)
        asked, said = found["input_tokens"], found["output_tokens"]
        return answer_json(
            UsageSummary(
                total_input_tokens=asked,
                total_output_tokens=said,
                total_tokens=asked + said,
                total_requests=found["requests"],
                total_cost_usd=found["cost_usd"],
            )
        )


async def _complete(llm: Router, messages: Sequence[Message], options: dict[str, Any], call: Call) -> Completion:
    try:
        completion: Completion = await llm.complete(messages, allow_truncated=True, **options)
    except DealQuestError as exc:
        raise _fault(exc, call) from exc
    call.answered(model=completion.model, usage=completion.usage, cost_usd=completion.cost_usd)
    return completion


async def _begin(stream: AnswerStream, call: Call) -> Event:
    """The first event: until then a refusal has its own status."""
    try:
        return await anext(stream)
    except DealQuestError as exc:
        raise _fault(exc, call) from exc


async def _pass_on(first: Event, stream: AnswerStream, call: Call, push: Push) -> None:
    """The answer in the clients' frames; from the first word on a failure is one of them."""
    event: Event | None = first
    while event is not None:
        await _show(event, call, push)
        try:
            event = await anext(stream, None)
        except DealQuestError as exc:
            call.failed()
            await push({"error": True, "message": exc.message})
            return


async def _show(event: Event, call: Call, push: Push) -> None:
    match event:
        case TextDelta(text):
            await push({"chunk": text})
        case Done(completion):
            call.answered(model=completion.model, usage=completion.usage, cost_usd=completion.cost_usd)
            if completion.finish == "refusal":
                await push({"error": True, "message": "The model declined to answer."})
                return
            await push({"tokenUsage": show_usage(completion.usage)})
            if completion.tool_calls:
                await push({"tool_calls": show_calls(completion.tool_calls)})
            if completion.citations:
                await push({"annotations": show_citations(completion.citations)})
            await push({"done": True})


def _fault(error: DealQuestError, call: Call) -> DealQuestError:
    """Settle a call that brought nothing, and say whose fault it is: the caller's, the operator's or the provider's."""
    call.failed(costs_nothing=isinstance(error, InputError) or error.code.startswith("llm.refused.") or error.code in _FREE)
    if isinstance(error, PeerRefusedError):
        if error.code in {"llm.refused.key", "llm.refused.credit", "llm.refused.permission"}:
            return PeerUnavailableError(
                "The operator's key for models was refused; tell the operator.", code="http.ai.key", retryable=False
            )
        return InputError(error.message, code="http.ai.refused")
    if isinstance(error, LimitError):
        return PeerUnavailableError(error.message, code="http.ai.slow")
    return error


def _llm(request: Request) -> Router:
    llm = shared_of(request).kit.llm
    if llm is None:
        raise PeerUnavailableError("No model is set up here: the operator sets OPENROUTER_API_KEY.", code="http.ai.off", retryable=False)
    return llm


def _period(request: Request) -> Period:
    given = {name: value for name, value in request.query_params.items() if value}
    try:
        return convert(given, Period, strict=False)
    except ValueError as exc:
        raise InputError(
            "startDate and endDate are ISO 8601 with a time zone, limit is 1 to 1000, offset 0 or more.", code="http.ai.period"
        ) from exc
