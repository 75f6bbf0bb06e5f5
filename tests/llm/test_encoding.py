"""All that can be asked reaches the wire in the dialect's own words, and what cannot be asked is refused before."""

import math
from decimal import Decimal
from typing import Any

import attrs
import msgspec
import pytest

from dealquest.errors import InputError, PeerGarbledError
from dealquest.llm import (
    Audio,
    File,
    Image,
    Provider,
    Route,
    SpendBudget,
    Text,
    Tool,
    WebSearch,
    assistant,
    chat_wire,
    claude_wire,
    system,
    tool_result,
    user,
)
from dealquest.llm.messages import Ask, Schema, ToolCall, read_prompt
from dealquest.llm.prices import find_price, worst_case
from dealquest.llm.routes import own_provider
from dealquest.values import Secret, Usage

from .conftest import ANTHROPIC, KEY, OPENAI, OPENROUTER


@attrs.frozen
class Note:
    text: str = ""


CALL = ToolCall(id="call_1", name="note", arguments={"text": "late"})
WANTED = attrs.evolve(assistant("I write it down."), tool_calls=(CALL,), reasoning=({"type": "thinking", "thinking": "Hm."},))
TALK = (
    system(Text("Be brief.", cache=True)),
    user("Look", Image(data=b"pic"), File(data=b"pdf", name="offer.pdf")),
    WANTED,
    tool_result(CALL, "written", failed=True),
)
FULL = Ask(
    messages=TALK,
    max_tokens=100,
    temperature=1.5,
    top_p=0.5,
    tools=(Tool(name="note", description="Take a note.", arguments=Note), Tool(name="raw", description="", arguments={"type": "object"})),
    reasoning="minimal",
    stop=("END",),
)
CARD = Schema(name="card", schema={"type": "object", "properties": {}})


def encoded(ask: Ask, provider: Provider, model: str, *, stream: bool = False, **route: Any) -> dict[str, Any]:
    """The body as the server reads it."""
    codec = claude_wire if provider.dialect == "claude" else chat_wire
    request = codec.encode(ask, Route(model=model, provider=provider, **route), stream=stream, max_bytes=1000)
    assert (request.method, request.timeout_s, request.max_bytes) == ("POST", math.inf, 1000)
    assert isinstance(request.body, bytes)
    body: dict[str, Any] = msgspec.json.decode(request.body)
    return body


def test_a_whole_conversation_in_the_chat_dialect() -> None:
    """Parts, calls, their answers, reasoning and sampling stand where OpenAI's dialect wants them."""
    body = encoded(FULL, OPENAI, "llama3", stream=True)
    assert (body["temperature"], body["top_p"], body["stop"], body["reasoning_effort"], body["stream"]) == (
        1.5,
        0.5,
        ["END"],
        "minimal",
        True,
    )
    assert [tool["function"]["name"] for tool in body["tools"]] == ["note", "raw"]
    _, shown, called, answered = body["messages"]
    assert [part["type"] for part in shown["content"]] == ["text", "image_url", "file"]
    assert shown["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,cGlj"
    assert shown["content"][2]["file"] == {"filename": "offer.pdf", "file_data": "data:application/pdf;base64,cGRm"}
    assert called["tool_calls"] == [{"id": "call_1", "type": "function", "function": {"name": "note", "arguments": '{"text":"late"}'}}]
    assert called["reasoning_details"] == [{"type": "thinking", "thinking": "Hm."}]
    assert answered == {"role": "tool", "tool_call_id": "call_1", "content": "written"}
    sound = encoded(Ask(messages=(user(Audio(data=b"wav")),)), OPENAI, "llama3")
    assert sound["messages"][0]["content"] == [{"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}}]


def test_openrouters_own_options() -> None:
    """Endpoints must support what is asked, spare models and the web search go along, and reasoning has its own form."""
    web = WebSearch(max_results=3, search_prompt="Look for:", include_domains=("acme.io",), exclude_domains=("spam.io",))
    ask = attrs.evolve(FULL, schema=CARD, web=web)
    body = encoded(ask, OPENROUTER, "openai/gpt-oss-120b", server_fallbacks=("x-ai/grok-4.3",))
    assert body["provider"] == {"require_parameters": True}
    assert body["reasoning"] == {"effort": "minimal"}
    assert body["models"] == ["openai/gpt-oss-120b", "x-ai/grok-4.3"]
    assert body["response_format"]["json_schema"]["name"] == "card"
    assert body["plugins"] == [
        {"id": "web", "max_results": 3, "search_prompt": "Look for:", "include_domains": ["acme.io"], "exclude_domains": ["spam.io"]}
    ]
    plain = encoded(Ask(messages=(user("Hi"),), web=WebSearch()), OPENROUTER, "openai/gpt-oss-120b")
    assert plain["plugins"] == [{"id": "web", "max_results": 5}]
    assert "provider" not in plain


def test_a_whole_conversation_in_the_claude_dialect() -> None:
    """System text stands apart, blocks keep their order, a failed tool says so, and only one sampling field is sent."""
    body = encoded(FULL, ANTHROPIC, "claude-sonnet-4-5", stream=True)
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text", "image", "document"]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "text", "tool_use"]
    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "call_1", "content": "written", "is_error": True}]
    assert (body["temperature"], body["stop_sequences"], body["stream"]) == (1.0, ["END"], True)
    assert "top_p" not in body
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})
    assert [tool["name"] for tool in body["tools"]] == ["note", "raw"]


def test_claude_takes_one_way_to_an_object() -> None:
    """A schema is a tool that must be called; beside other tools any of them may be; thinking is left out then."""
    alone = encoded(attrs.evolve(FULL, tools=(), schema=CARD), ANTHROPIC, "claude-sonnet-4-5")
    assert alone["tool_choice"] == {"type": "tool", "name": "card"}
    assert "thinking" not in alone
    beside = encoded(attrs.evolve(FULL, schema=CARD, temperature=None, reasoning=None), ANTHROPIC, "claude-sonnet-4-5")
    assert (beside["tool_choice"], beside["top_p"]) == ({"type": "any"}, 0.5)
    newer = encoded(FULL, ANTHROPIC, "claude-opus-5-1")
    assert not {"temperature", "top_p"} & newer.keys()
    assert encoded(attrs.evolve(FULL, reasoning="high"), ANTHROPIC, "claude-opus-5-1")["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (Ask(messages=(user("Hi"),), web=WebSearch()), "llm.input.web"),
        (Ask(messages=(user(Audio(data=b"wav")),)), "llm.input.media"),
    ],
)
def test_claude_refuses_what_it_does_not_have(ask: Ask, code: str) -> None:
    """Web search and recordings are the caller's mistake there, said before anything is sent."""
    with pytest.raises(InputError) as caught:
        encoded(ask, ANTHROPIC, "claude-sonnet-4-5")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Image(data=b""), "llm.input.media"),
        (lambda: Image(data=b"x", media_type="image/tiff"), "llm.input.media"),
        (lambda: Image(data=bytes(5 * 1024 * 1024 + 1)), "llm.input.too_large"),
        (lambda: Tool(name="no blanks", description="", arguments=Note), "llm.input.tool"),
        (lambda: attrs.evolve(FULL, tools=FULL.tools * 2), "llm.input.tool"),
        (lambda: attrs.evolve(FULL, top_p=1.5), "llm.input.top_p"),
        (lambda: attrs.evolve(FULL, temperature=2.5), "llm.input.temperature"),
        (lambda: attrs.evolve(FULL, max_tokens=0), "llm.input.max_tokens"),
        (lambda: Ask(messages=(system("orders"), user("  "))), "llm.input.empty"),
        (lambda: read_prompt([{"role": "tool", "content": "x"}]), "llm.input.messages"),
        (lambda: read_prompt([{"role": "user"}]), "llm.input.messages"),
        (lambda: Provider(name="nobody", base_url="https://x.invalid"), "llm.input.provider"),
        (lambda: Provider(name="openai", base_url="x.invalid"), "llm.input.base_url"),
        (lambda: Provider(name="openai", base_url="https://x.invalid", key=Secret("two words")), "llm.input.key"),
        (lambda: own_provider("openai", Secret(KEY), None), "llm.input.provider"),
        (lambda: own_provider("openrouter", Secret(""), None), "llm.input.key"),
        (lambda: Route(model="two words", provider=OPENAI), "llm.input.model"),
        (lambda: Route(model="llama3", provider=OPENAI, attempt_s=0.0), "llm.input.deadline"),
        (lambda: SpendBudget(Decimal("NaN")), "llm.input.budget"),
    ],
)
def test_what_no_provider_takes_is_refused_at_once(make: Any, code: str) -> None:
    """Values that cannot be sent do not come into being; each refusal has its code."""
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.code == code


def test_a_prompt_may_be_a_message_or_several() -> None:
    """A single message and a mixture of messages and mappings are read like a text."""
    assert read_prompt(user("Hi")) == (user("Hi"),)
    assert read_prompt([{"role": "assistant", "content": "Yes?"}, user("Go")]) == (assistant("Yes?"), user("Go"))


def test_arguments_are_read_as_a_class_or_refused() -> None:
    """A call's arguments become the tool's class; ones that do not fit are the model's mistake."""
    assert CALL.read(Note) == Note("late")
    with pytest.raises(PeerGarbledError) as caught:
        ToolCall(id="1", name="note", arguments={"text": [1]}).read(Note)
    assert caught.value.code == "llm.tool.arguments"


def test_the_worst_case_counts_everything_that_is_sent() -> None:
    """Web search, schemas, calls and free models are part of the price."""
    plain = worst_case(Ask(messages=(user("Hi"),)), "openai/gpt-oss-120b")
    assert worst_case(Ask(messages=(user("Hi"),), web=WebSearch()), "openai/gpt-oss-120b") > plain + Decimal("0.05")
    assert worst_case(Ask(messages=(user("Hi"), WANTED)), "openai/gpt-oss-120b") > worst_case(
        Ask(messages=(user("Hi"), assistant("I write it down."))), "openai/gpt-oss-120b"
    )
    assert worst_case(FULL, "some/model:free") == 0
    price = find_price("claude-sonnet-4-5-20250929")
    assert price is not None
    assert price.of(Usage(input_tokens=1_000_000, output_tokens=1_000_000)) == 18
