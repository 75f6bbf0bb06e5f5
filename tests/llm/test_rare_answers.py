"""The rarer shapes of answers: tools nobody offered, errors inside of streams, objects by way of a tool, costs nobody knows."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from dealquest.errors import DealQuestError, InputError, PeerGarbledError, PeerUnavailableError
from dealquest.llm import Completion, Done, Route, Router, SpendBudget, Tool, chat_wire, claude_wire, user
from dealquest.llm.failures import Failure, judge_body
from dealquest.llm.health import Health
from dealquest.llm.keys import find_cost
from dealquest.llm.messages import Ask, Schema
from dealquest.llm.structured import describe_class
from dealquest.testing import ScriptedTransport, Step, answer_events, answer_json
from dealquest.wire import SseDecoder

from .conftest import ANTHROPIC, CHAT, CLAUDE, OPENAI, OPENROUTER, bench, chat_delta, chat_unary, claude_unary

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@attrs.frozen
class Note:
    text: str = ""


@attrs.frozen
class Card:
    points: int


TOOLS = (Tool(name="note", description="", arguments=Note), Tool(name="raw", description="", arguments={"type": "object"}))
ASK = Ask(messages=(user("Hi"),), tools=TOOLS)


def called(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


def joined(*events: Any) -> bytes:
    return b"".join(bytes(part) for part in answer_events(*events).body)  # type: ignore[arg-type]  # bytes here


def decode_chat(**message: Any) -> Completion | Failure:
    step = answer_json(chat_unary(text="", **message))
    return chat_wire.decode((), bytes(step.body[0]), ASK, now=NOW)  # type: ignore[arg-type]  # bytes here


def decode_claude(*blocks: Any, ask: Ask = ASK, finish: str = "tool_use") -> Completion | Failure:
    step = answer_json(claude_unary(finish=finish, content=list(blocks)))
    return claude_wire.decode((), bytes(step.body[0]), ask, now=NOW)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("surely", "{}", "llm.tool.unknown"),
        ("note", "{", "llm.tool.arguments"),
        ("note", "[1]", "llm.tool.arguments"),
        ("note", '{"text": [1]}', "llm.tool.arguments"),
    ],
)
def test_a_tool_that_is_misused_is_no_answer(name: str, arguments: str, code: str) -> None:
    """An unknown tool, no JSON, no object and the wrong object fail in both dialects, whole and streamed, and are no outage."""
    chat = decode_chat(finish="tool_calls", tool_calls=[called(name, arguments)])
    claude = decode_claude({"type": "tool_use", "id": "c1", "name": name, "input": arguments})
    stream = chat_wire.open_stream((), ASK, now=NOW)
    piece = {"id": "g", "choices": [{"delta": {"tool_calls": [{"index": 0, **called(name, arguments)}]}}]}
    for event in SseDecoder().feed(joined(piece, chat_delta("", finish_reason="tool_calls"))):
        stream.feed(event)
    for found in (chat, claude, stream.failure):
        assert isinstance(found, Failure)
        assert (found.error.code, found.ill) == (code, False)


def test_calls_count_as_calls_whatever_the_reason_says() -> None:
    """Some servers say `stop` after a call; arguments may be left out; a tool described by a schema is not checked."""
    found = decode_chat(finish="stop", tool_calls=[called("note", ""), called("raw", '{"a": [1]}')])
    assert isinstance(found, Completion)
    assert found.finish == "tool_calls"
    assert [call.arguments for call in found.tool_calls] == [{}, {"a": [1]}]


def test_an_object_comes_by_way_of_a_tool() -> None:
    """With a schema Claude's forced call is the answer's text, whole or in pieces; odd pieces and foreign citations are left out."""
    ask = attrs.evolve(ASK, tools=(), schema=Schema(name="card", schema=describe_class(Card)))
    whole = decode_claude({"type": "tool_use", "id": "c1", "name": "card", "input": {"points": 7}}, ask=ask)
    assert isinstance(whole, Completion)
    assert whole.text == '{"points":7}'
    stream = claude_wire.open_stream((), ask, now=NOW)
    events = [
        {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 1}}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "thinking_delta", "thinking": "lost"}},
        {"type": "content_block_stop", "index": 9},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c1", "name": "card", "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"points"'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ": 7}"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"url": "javascript:x"}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "surely_delta"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    for event in SseDecoder().feed(joined(*events)):  # type: ignore[arg-type]  # as above
        stream.feed(event)
    assert stream.text == '{"points": 7}'
    assert stream.completion().citations == ()


async def test_an_error_inside_of_a_stream_is_an_error() -> None:
    """A choice that holds an error ends a stream as a failure before its first piece, and as an interruption after it."""
    broken = {"id": "g", "choices": [{"delta": {}, "error": {"code": 503, "message": "gone"}}]}
    with pytest.raises(PeerUnavailableError):
        _ = [event async for event in bench(CHAT, answer_events(broken), repeat=True).router.stream("Hi")]
    with pytest.raises(DealQuestError) as caught:
        _ = [event async for event in bench(CHAT, answer_events(chat_delta("Hello"), broken)).router.stream("Hi")]
    assert caught.value.code == "llm.stream.interrupted"


async def test_a_paused_answer_is_not_passed_off_as_whole() -> None:
    """A provider that pauses has not answered."""
    made = bench(CLAUDE, CLAUDE.whole(finish="pause_turn"), repeat=True)
    with pytest.raises(PeerGarbledError) as caught:
        await made.router.complete("Hi")
    assert caught.value.code == "llm.answer.paused"


async def test_a_cost_that_nobody_knows_stays_unknown() -> None:
    """Neither the provider nor the table knows it, so no figure is made up."""
    made = bench(CHAT, answer_json(chat_unary() | {"model": "nobody/knows", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}))
    answer = await Router([Route(model="nobody/knows", provider=OPENROUTER)], transport=made.wire).complete("Hi")
    assert (answer.cost_usd, answer.cost_source) == (None, "unknown")


async def test_models_to_fall_back_on_may_be_named_with_the_question() -> None:
    """When the first model is gone the named one is asked, at a provider that sells it."""
    wire = ScriptedTransport(answer_json(CHAT.error(404, ""), status=404), CHAT.whole())
    router = Router([Route(model="own/model", provider=OPENROUTER)], transport=wire)
    await router.complete("Hi", fallback=["x-ai/grok-4.3"])
    assert b'"model":"x-ai/grok-4.3"' in bytes(wire.requests[-1].body)  # type: ignore[arg-type]  # as above


async def test_a_refusal_of_a_megabyte_is_read_in_part() -> None:
    """The body of an error is read up to a limit, in streams too; its status is what counts."""
    made = bench(CHAT, Step(status=503, body=(b"x" * 40_000,) * 30), repeat=True)
    with pytest.raises(PeerUnavailableError):
        _ = [event async for event in made.router.stream("Hi")]
    assert made.wire.open == 0


async def test_what_is_empty_in_a_whole_answer_is_no_piece() -> None:
    """A server that ignores streaming and only calls a tool gives the call and the end, and no text."""
    step = answer_json(chat_unary(text="", finish="tool_calls", tool_calls=[called("note", "{}")]))
    events = [event async for event in bench(CHAT, step).router.stream("Hi", tools=list(TOOLS))]
    assert isinstance(events[-1], Done)
    assert len(events) == 2


async def test_estimates_are_only_asked_for_where_somebody_knows() -> None:
    """Without a budget there is nothing to correct, and a server of one's own is not asked; an estimate is corrected once."""
    assert await Router([Route(model="llama3", provider=OPENAI)], transport=ScriptedTransport()).settle_estimates() == 0
    assert await find_cost(OPENAI, ScriptedTransport(), "gen-1") is None
    assert await find_cost(ANTHROPIC, ScriptedTransport(), "gen-1") is None
    budget = SpendBudget(Decimal(1))
    assert budget.estimates == ()


async def test_a_prospect_is_described_in_few_words() -> None:
    """A page of text is no prospect, and none is refused too."""
    for prospect in ("", "x" * 10_000):
        with pytest.raises(InputError):
            await Router([Route(model="a/b", provider=OPENROUTER)], transport=ScriptedTransport()).research(prospect)


def test_the_health_of_many_routes_is_bounded() -> None:
    """Users' keys come and go: the oldest is forgotten and starts anew in good health."""
    health = Health(random.Random(1))
    first = Route(model="a/0", provider=OPENROUTER)
    breaker = health.breaker(first)
    for number in range(1, 1025):
        health.breaker(Route(model=f"a/{number}", provider=OPENROUTER))
    assert health.breaker(first) is not breaker
    assert len(health.states(0.0)) == 1024


@pytest.mark.parametrize(
    ("code", "expected"), [("503", "llm.unavailable.server"), (429, "llm.unavailable.rate_limited"), ("no", "llm.unavailable.server")]
)
def test_an_error_dressed_as_success_has_a_status_of_its_own(code: Any, expected: str) -> None:
    """The code inside counts, as a number or as text; without a readable one it is the server's fault."""
    assert judge_body(200, {"error": {"code": code, "message": "x"}}, now=NOW).error.code == expected
