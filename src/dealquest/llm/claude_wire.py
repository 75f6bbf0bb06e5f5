"""The dialect of Anthropic Messages: values in, bytes out, and back. No I/O.

Rules: a stream is whole only with `message_stop`; unknown events and blocks are skipped; input tokens
come split into fresh, cache-written and cache-read and are added up here; a schema is asked for as the
one tool that must be called, which every API version understands.
Source: platform.claude.com/docs (Messages, streaming, errors, versioning), read 2026-11-22.
"""

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import attrs
import msgspec

from dealquest.errors import InputError
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
)
from .reading import as_count, as_list, as_object, as_text, as_usage
from .routes import ANTHROPIC_VERSION, Route
from .structured import describe_tool
from .tool_calls import read_tool_call

_FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "pause_turn": "pause",
        "refusal": "refusal",
    }
)
# Later versions of the API, and later models on any version, answer 400 to sampling fields.
_SAMPLED = re.compile(r"claude-(3|haiku-4|sonnet-4|opus-4-[0-6]|opus-4-2)")


def encode(ask: Ask, route: Route, *, stream: bool, max_bytes: int) -> HttpRequest:
    """The request that asks this question on this route.

    Raises:
        InputError: `llm.input.media` for recordings and `llm.input.web` for web search, which this dialect does not have.
    """
    if ask.web is not None:
        raise InputError("Web search goes through OpenRouter; ask a model there.", code="llm.input.web")
    provider = route.provider
    body: dict[str, Any] = {"model": route.model, "max_tokens": ask.max_tokens, "messages": _encode_turns(ask.messages)}
    orders = [part for message in ask.messages if message.role == "system" for part in message.parts]
    if orders:
        body["system"] = [_encode_part(part) for part in orders]
    if ask.temperature is not None and provider.api_version == ANTHROPIC_VERSION and _SAMPLED.match(route.model):
        body["temperature"] = min(ask.temperature, 1.0)
    elif ask.top_p is not None and provider.api_version == ANTHROPIC_VERSION and _SAMPLED.match(route.model):
        body["top_p"] = ask.top_p  # newer models take one of the two, not both
    if ask.stop:
        body["stop_sequences"] = ask.stop
    tools = [{"name": tool.name, "description": tool.description, "input_schema": describe_tool(tool)} for tool in ask.tools]
    if ask.schema is not None:
        tools.append({"name": ask.schema.name, "description": "Give the answer in this form.", "input_schema": ask.schema.schema})
        body["tool_choice"] = {"type": "tool", "name": ask.schema.name} if not ask.tools else {"type": "any"}
    elif ask.reasoning is not None:
        # A tool that must be called and thinking exclude each other.
        body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {"effort": "low" if ask.reasoning == "minimal" else ask.reasoning}
    if tools:
        body["tools"] = tools
    if stream:
        body["stream"] = True
    return HttpRequest(
        method="POST",
        url=provider.base_url + "/v1/messages",
        headers=(("content-type", "application/json"), *provider.credentials),
        body=msgspec.json.encode(body),
        timeout_s=math.inf,  # the router holds the clock
        max_bytes=max_bytes,
    )


def _encode_turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _encode_blocks(message)
        # Answers to parallel calls must stand together in one turn.
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _encode_blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.answers, "content": message.text, "is_error": message.failed}]
    blocks: list[dict[str, Any]] = [dict(item) for item in message.reasoning]
    blocks.extend(_encode_part(part) for part in message.parts)
    blocks.extend({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in message.tool_calls)
    return blocks


def _encode_part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text, cache):
            return {"type": "text", "text": text, **({"cache_control": {"type": "ephemeral"}} if cache else {})}
        case Image():
            return {"type": "image", "source": _encode_source(part.media_type, part.data)}
        case File():
            return {"type": "document", "source": _encode_source(part.media_type, part.data), "title": part.name}
        case Audio():
            raise InputError("Anthropic takes no recordings; transcribe it first.", code="llm.input.media")


def _encode_source(media_type: str, data: bytes) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": b64encode(data).decode()}


def decode(headers: Headers, body: bytes, ask: Ask, *, now: datetime) -> Completion | Failure:
    """Read a whole answer that came with HTTP 200."""
    answer = read_answer(body)
    if isinstance(answer, Failure):
        return answer
    if answer.get("type") == "error" or answer.get("error"):
        return judge_body(200, answer, headers, now=now)
    stream = ClaudeStream(headers, ask, now)
    stream.take_head(answer)
    for index, block in enumerate(as_list(answer.get("content"))):
        stream.take_block(index, as_object(block))
        stream.end_block(index)
    if stream.failure is not None:
        return stream.failure
    stream.take_finish(answer.get("stop_reason"))
    if not stream.has_content and stream.finish in {None, "stop"}:
        return judge_garbled("The provider's answer is empty.", code="llm.answer.empty")
    if stream.finish is None:
        return judge_garbled("The provider's answer has no stop reason.", code="llm.answer.unfinished", received=stream.text)
    return stream.completion()


def read_usage(usage: JsonObject) -> Usage:
    """Tokens with the cached ones inside the input, as everywhere else in this library."""
    cached, written = as_count(usage.get("cache_read_input_tokens")), as_count(usage.get("cache_creation_input_tokens"))
    return as_usage(
        Usage(
            input_tokens=as_count(usage.get("input_tokens")) + cached + written,
            output_tokens=as_count(usage.get("output_tokens")),
            cached_tokens=cached,
            cache_write_tokens=written,
        )
    )


@attrs.define
class _Block:
    kind: str
    raw: dict[str, Json]
    text: list[str] = attrs.Factory(list)


class ClaudeStream:
    """Reads a stream, event by event. `finished` says that nothing more is to be read."""

    def __init__(self, headers: Headers, ask: Ask, now: datetime) -> None:
        self._headers = headers
        self._ask = ask
        self._now = now
        self._schema_name = ask.schema.name if ask.schema else ""
        self._blocks: dict[int, _Block] = {}
        self._text: list[str] = []
        self._thought: list[str] = []
        self._reasoning: list[JsonObject] = []
        self._calls: list[ToolCall] = []
        self._citations: list[Citation] = []
        self._counts: dict[str, Json] = {}
        self._model = ""
        self.finish: Finish | None = None
        self.request_id = find_header(headers, "request-id") or ""
        self.failure: Failure | None = None
        self.finished = False

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    @property
    def usage(self) -> Usage:
        """Tokens so far; the counts of a stream are running totals."""
        return read_usage(self._counts)

    @property
    def complete(self) -> bool:
        """Whether the end marker has come, so that the answer is whole."""
        return self.finished and self.finish is not None

    @property
    def has_content(self) -> bool:
        """Whether anything was said or asked for."""
        return bool(self._text or self._calls)

    def feed(self, event: SseEvent) -> list[Event]:
        """Take one event of the wire; failures land in `failure`."""
        said = read_chunk(event.data)
        if said is None:
            self.failure = judge_garbled("The provider streamed something that is not JSON.", received=self.text)
            return []
        match said.get("type"):
            case "content_block_delta":
                return self._take_delta(as_count(said.get("index")), as_object(said.get("delta")))
            case "content_block_start":
                return self.take_block(as_count(said.get("index")), as_object(said.get("content_block")))
            case "content_block_stop":
                return self.end_block(as_count(said.get("index")))
            case "message_start":
                self.take_head(as_object(said.get("message")))
            case "message_delta":
                self._add_counts(said.get("usage"))
                self.take_finish(as_object(said.get("delta")).get("stop_reason"))
                return [UsageReport(usage=self.usage)]
            case "message_stop":
                self.finished = True
            case "error":
                self.failure = judge_body(200, said, self._headers, now=self._now)
        return []

    def take_head(self, message: JsonObject) -> None:
        """Who answers, under which id."""
        self._model = as_text(message.get("model"))
        self.request_id = as_text(message.get("id")) or self.request_id
        self._add_counts(message.get("usage"))

    def take_finish(self, reason: Json) -> None:
        """Why it ended; a reason that nobody documented still ends it."""
        if isinstance(reason, str) and reason:
            self.finish = _FINISHES.get(reason, "stop")
            if self.finish == "tool_calls" and not self._calls:
                self.finish = "stop"

    def _add_counts(self, usage: Json) -> None:
        self._counts.update({name: count for name, count in as_object(usage).items() if count is not None})

    def take_block(self, index: int, block: JsonObject) -> list[Event]:
        """A block begins, with some of its content or none."""
        kind = as_text(block.get("type"))
        self._blocks[index] = _Block(kind, dict(block))
        if kind == "text":
            self._cite(as_list(block.get("citations")))
            return self._say(as_text(block.get("text")))
        if kind == "thinking":
            return self._think(self._blocks[index], as_text(block.get("thinking")))
        if kind == "tool_use" and block.get("input") and as_text(block.get("name")) == self._schema_name:
            return self._say(msgspec.json.encode(block.get("input")).decode())
        return []

    def _take_delta(self, index: int, delta: JsonObject) -> list[Event]:
        kind = delta.get("type")
        if kind == "text_delta":
            return self._say(as_text(delta.get("text")))
        block = self._blocks.get(index)
        if block is None:
            return []
        match kind:
            case "input_json_delta":
                piece = as_text(delta.get("partial_json"))
                if self._schema_name and block.raw.get("name") == self._schema_name:
                    return self._say(piece)
                block.text.append(piece)
            case "thinking_delta":
                return self._think(block, as_text(delta.get("thinking")))
            case "signature_delta":
                block.raw["signature"] = as_text(block.raw.get("signature")) + as_text(delta.get("signature"))
            case "citations_delta":
                self._cite([delta.get("citation")])
        return []

    def end_block(self, index: int) -> list[Event]:
        """A block is whole: a tool call can be read now."""
        block = self._blocks.pop(index, None)
        if block is None:
            return []
        if block.kind in {"thinking", "redacted_thinking"}:
            self._reasoning.append({**block.raw, "thinking": "".join(block.text)} if block.kind == "thinking" else block.raw)
        if block.kind != "tool_use" or (self._schema_name and block.raw.get("name") == self._schema_name):
            return []
        arguments: Json = "".join(block.text) or block.raw.get("input")
        call = read_tool_call(as_text(block.raw.get("id")), as_text(block.raw.get("name")), arguments, self._ask.tools)
        if isinstance(call, Failure):
            self.failure = call
            return []
        self._calls.append(call)
        return [ToolCallReady(call)]

    def _say(self, text: str) -> list[Event]:
        if not text:
            return []
        self._text.append(text)
        return [TextDelta(text)]

    def _think(self, block: _Block, text: str) -> list[Event]:
        if not text:
            return []
        block.text.append(text)
        self._thought.append(text)
        return [ReasoningDelta(text)]

    def _cite(self, citations: Any) -> None:
        for raw in citations:
            self._citations.extend(read_page(as_object(raw), words="cited_text"))

    def completion(self) -> Completion:
        """The whole answer, once `complete`."""
        assert self.finish is not None
        return Completion(
            text=self.text,
            finish=self.finish,
            usage=self.usage,
            model=self._model,
            request_id=self.request_id,
            reasoning_text="".join(self._thought),
            reasoning=tuple(self._reasoning),
            tool_calls=tuple(self._calls),
            citations=tuple(self._citations),
        )


def open_stream(headers: Headers, ask: Ask, *, now: datetime) -> ClaudeStream:
    """A reader for the stream that these headers begin."""
    return ClaudeStream(headers, ask, now)
