"""The dialect of OpenRouter and every OpenAI-compatible server: values in, bytes out, and back. No I/O.

Rules: an answer is whole only with a finish reason; an error may stand in the body, in the choice or
in the stream of an HTTP 200; usage may come after the finish, in a chunk without choices; whatever
has the wrong type counts as absent.
Source: openrouter.ai/docs (API reference, streaming, errors, usage accounting, web search), read 2026-11-22.
"""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import attrs
import msgspec

from dealquest.values import Json, JsonObject, Usage
from dealquest.wire import Headers, HttpRequest, SseEvent, find_header

from .bodies import read_answer, read_chunk, read_page
from .failures import Failure, judge_body, judge_garbled
from .messages import (
    Ask,
    Audio,
    Citation,
    Completion,
    Event,
    File,
    Finish,
    Image,
    Message,
    Part,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallReady,
    UsageReport,
    WebSearch,
)
from .reading import as_count, as_list, as_object, as_text, as_usage, read_cost
from .routes import Route
from .structured import describe_tool
from .tool_calls import read_tool_call

_FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "stop": "stop",
        "end_turn": "stop",
        "eos": "stop",
        "length": "length",
        "max_tokens": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "refusal",
        "refusal": "refusal",
    }
)


def encode(ask: Ask, route: Route, *, stream: bool, max_bytes: int) -> HttpRequest:
    """The request that asks this question on this route."""
    provider = route.provider
    body: dict[str, Any] = {
        "model": route.model,
        "messages": [_encode_message(message) for message in ask.messages],
        "max_tokens": ask.max_tokens,
    }
    if ask.temperature is not None:
        body["temperature"] = ask.temperature
    if ask.top_p is not None:
        body["top_p"] = ask.top_p
    if ask.stop:
        body["stop"] = ask.stop
    if ask.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": describe_tool(tool)},
            }
            for tool in ask.tools
        ]
    if ask.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": ask.schema.name, "strict": True, "schema": ask.schema.schema},
        }
    if stream:
        body["stream"] = True
    if provider.kind.routes_itself:
        _add_openrouter(body, ask, route)
    else:
        if ask.reasoning is not None:
            body["reasoning_effort"] = ask.reasoning
        if stream:
            body["stream_options"] = {"include_usage": True}
    return HttpRequest(
        method="POST",
        url=provider.base_url + "/chat/completions",
        headers=(("content-type", "application/json"), *provider.credentials),
        body=msgspec.json.encode(body),
        timeout_s=math.inf,  # the router holds the clock
        max_bytes=max_bytes,
    )


def _add_openrouter(body: dict[str, Any], ask: Ask, route: Route) -> None:
    if ask.schema is not None or ask.tools:
        # Support differs between the endpoints behind one model: without this the schema may be dropped silently.
        body["provider"] = {"require_parameters": True}
    if ask.reasoning is not None:
        body["reasoning"] = {"effort": ask.reasoning}
    if route.server_fallbacks:
        body["models"] = [route.model, *route.server_fallbacks]
    if ask.web is not None:
        body["plugins"] = [_encode_web(ask.web)]


def _encode_web(web: WebSearch) -> dict[str, Any]:
    plugin: dict[str, Any] = {"id": "web", "max_results": web.max_results}
    if web.search_prompt:
        plugin["search_prompt"] = web.search_prompt
    if web.include_domains:
        plugin["include_domains"] = web.include_domains
    if web.exclude_domains:
        plugin["exclude_domains"] = web.exclude_domains
    return plugin


def _encode_message(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role}
    if message.role == "tool":
        turn["tool_call_id"] = message.answers
        turn["content"] = message.text
        return turn
    if all(isinstance(part, Text) and not part.cache for part in message.parts):
        turn["content"] = message.text or (None if message.tool_calls else "")
    else:
        turn["content"] = [_encode_part(part) for part in message.parts]
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": msgspec.json.encode(call.arguments).decode()}}
            for call in message.tool_calls
        ]
    if message.reasoning:
        turn["reasoning_details"] = message.reasoning
    return turn


def _encode_part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text, cache):
            return {"type": "text", "text": text, **({"cache_control": {"type": "ephemeral"}} if cache else {})}
        case Image():
            return {"type": "image_url", "image_url": {"url": _data_url(part.media_type, part.data)}}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": b64encode(part.data).decode(), "format": part.format}}
        case File():
            return {"type": "file", "file": {"filename": part.name, "file_data": _data_url(part.media_type, part.data)}}


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def decode(headers: Headers, body: bytes, ask: Ask, *, now: datetime) -> Completion | Failure:
    """Read a whole answer that came with HTTP 200."""
    answer = read_answer(body)
    if isinstance(answer, Failure):
        return answer
    if answer.get("error"):
        return judge_body(200, answer, headers, now=now)
    choices = as_list(answer.get("choices"))
    if not choices:
        return judge_garbled("The provider's answer holds no choice.", code="llm.answer.empty")
    choice = as_object(choices[0])
    if choice.get("error") or choice.get("finish_reason") == "error":
        return judge_body(200, {"error": as_object(choice.get("error"))}, headers, now=now)
    message = as_object(choice.get("message"))
    text = _read_content(message.get("content"))
    calls: list[ToolCall] = []
    for raw in as_list(message.get("tool_calls")):
        function = as_object(as_object(raw).get("function"))
        call = read_tool_call(as_text(as_object(raw).get("id")), as_text(function.get("name")), function.get("arguments"), ask.tools)
        if isinstance(call, Failure):
            return call
        calls.append(call)
    finish = _read_finish(choice.get("finish_reason"), refusal=message.get("refusal"), calls=calls)
    if not text and not calls and finish in {None, "stop"}:
        return judge_garbled("The provider's answer is empty.", code="llm.answer.empty")
    if finish is None:
        return judge_garbled("The provider's answer has no finish reason.", code="llm.answer.unfinished", received=text)
    usage = as_object(answer.get("usage"))
    cost = read_cost(usage.get("cost"))
    return Completion(
        text=text or as_text(message.get("refusal")),
        finish=finish,
        usage=read_usage(usage),
        cost_usd=cost,
        cost_source="unknown" if cost is None else "provider",
        model=as_text(answer.get("model")),
        upstream=as_text(answer.get("provider")),
        request_id=as_text(answer.get("id")) or find_header(headers, "x-generation-id") or "",
        reasoning_text=as_text(message.get("reasoning")) or as_text(message.get("reasoning_content")),
        reasoning=tuple(as_object(item) for item in as_list(message.get("reasoning_details"))),
        tool_calls=tuple(calls),
        citations=tuple(read_citations(message.get("annotations"))),
    )


def _read_content(content: Json) -> str:
    if isinstance(content, list):
        return "".join(as_text(as_object(part).get("text")) for part in content)
    return as_text(content)


def _read_finish(reason: Json, *, refusal: Json, calls: Sequence[ToolCall]) -> Finish | None:
    if isinstance(refusal, str) and refusal:
        return "refusal"
    if not isinstance(reason, str) or not reason:
        return None
    if calls and reason == "stop":
        return "tool_calls"
    # A reason that nobody documented is still a reason: the provider says that it is done.
    return _FINISHES.get(reason, "stop")


def read_usage(usage: JsonObject) -> Usage:
    """Tokens in the OpenAI shape, where cached tokens are already part of the input."""
    prompt, completion = as_object(usage.get("prompt_tokens_details")), as_object(usage.get("completion_tokens_details"))
    return as_usage(
        Usage(
            input_tokens=as_count(usage.get("prompt_tokens")),
            output_tokens=as_count(usage.get("completion_tokens")),
            cached_tokens=as_count(prompt.get("cached_tokens")),
            cache_write_tokens=as_count(prompt.get("cache_write_tokens")),
            reasoning_tokens=as_count(completion.get("reasoning_tokens")),
        )
    )


def read_citations(annotations: Json) -> list[Citation]:
    """Pages that the answer names as its sources."""
    pages = [as_object(as_object(annotation).get("url_citation")) for annotation in as_list(annotations)]
    return [found for page in pages for found in read_page(page, words="content")]


_COMMON = frozenset({"role", "content"})


@attrs.define
class _Pending:
    id: str = ""
    name: str = ""
    arguments: list[str] = attrs.Factory(list)


class ChatStream:
    """Reads a stream, event by event. `finished` says that nothing more is to be read."""

    def __init__(self, headers: Headers, ask: Ask, now: datetime) -> None:
        self._ask = ask
        self._now = now
        self._headers = headers
        self._text: list[str] = []
        self._thought: list[str] = []
        self._details: list[JsonObject] = []
        self._pending: dict[int, _Pending] = {}
        self._calls: list[ToolCall] = []
        self._citations: list[Citation] = []
        self._finish: Finish | None = None
        self._refused = ""
        self._cost: Decimal | None = None
        self._model = self._upstream = ""
        self.request_id = find_header(headers, "x-generation-id") or ""
        self.usage = Usage()
        self.failure: Failure | None = None
        self.finished = False

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    @property
    def complete(self) -> bool:
        """Whether the finish reason has come, so that the answer is whole."""
        return self._finish is not None

    def feed(self, event: SseEvent) -> list[Event]:
        """Take one event of the wire; failures land in `failure`."""
        if event.data == b"[DONE]":
            self.finished = True
            return []
        chunk = read_chunk(event.data)
        if chunk is None:
            self.failure = judge_garbled("The provider streamed something that is not JSON.", received=self.text)
            return []
        if chunk.get("error"):
            self.failure = judge_body(200, chunk, self._headers, now=self._now)
            return []
        if not self._model:
            self._model = as_text(chunk.get("model"))
            self._upstream = as_text(chunk.get("provider"))
            self.request_id = as_text(chunk.get("id")) or self.request_id
        events: list[Event] = []
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices:
            self._take_choice(as_object(choices[0]), events)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.usage = read_usage(usage)
            self._cost = read_cost(usage.get("cost"))
            events.append(UsageReport(usage=self.usage, cost_usd=self._cost))
        return events

    def _take_choice(self, choice: JsonObject, events: list[Event]) -> None:
        reason = choice.get("finish_reason")
        if choice.get("error") or reason == "error":
            self.failure = judge_body(200, {"error": as_object(choice.get("error"))}, self._headers, now=self._now)
            return
        delta = as_object(choice.get("delta"))
        content = delta.get("content")
        if isinstance(content, str) and content:
            self._text.append(content)
            events.append(TextDelta(content))
        if delta.keys() - _COMMON:
            self._take_rarities(delta, events)
        if reason and self._finish is None:
            self._end(reason, events)

    def _take_rarities(self, delta: JsonObject, events: list[Event]) -> None:
        thought = as_text(delta.get("reasoning")) or as_text(delta.get("reasoning_content"))
        if thought:
            self._thought.append(thought)
            events.append(ReasoningDelta(thought))
        self._details.extend(as_object(item) for item in as_list(delta.get("reasoning_details")))
        self._citations.extend(read_citations(delta.get("annotations")))
        self._refused += as_text(delta.get("refusal"))
        for raw in as_list(delta.get("tool_calls")):
            call = as_object(raw)
            function = as_object(call.get("function"))
            pending = self._pending.setdefault(as_count(call.get("index")), _Pending())
            pending.id = pending.id or as_text(call.get("id"))
            pending.name = pending.name or as_text(function.get("name"))
            pending.arguments.append(as_text(function.get("arguments")))

    def _end(self, reason: Json, events: list[Event]) -> None:
        for _, pending in sorted(self._pending.items()):
            call = read_tool_call(pending.id, pending.name, "".join(pending.arguments), self._ask.tools)
            if isinstance(call, Failure):
                self.failure = call
                return
            self._calls.append(call)
            events.append(ToolCallReady(call))
        self._finish = _read_finish(reason, refusal=self._refused, calls=self._calls)

    @property
    def has_content(self) -> bool:
        """Whether anything was said or asked for."""
        return bool(self._text or self._calls or self._refused)

    def completion(self) -> Completion:
        """The whole answer, once `complete`."""
        assert self._finish is not None
        return Completion(
            text=self.text or self._refused,
            finish=self._finish,
            usage=self.usage,
            cost_usd=self._cost,
            cost_source="unknown" if self._cost is None else "provider",
            model=self._model,
            upstream=self._upstream,
            request_id=self.request_id,
            reasoning_text="".join(self._thought),
            reasoning=tuple(self._details),
            tool_calls=tuple(self._calls),
            citations=tuple(self._citations),
        )


def open_stream(headers: Headers, ask: Ask, *, now: datetime) -> ChatStream:
    """A reader for the stream that these headers begin."""
    return ChatStream(headers, ask, now)
