"""Both dialects as data, and a router on a scripted wire with a frozen clock."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import pytest

from dealquest.llm import Provider, Route, Router
from dealquest.testing import FrozenClock, ScriptedTransport, Step, answer_events, answer_json
from dealquest.testing.wire import Script
from dealquest.values import Secret

KEY = "sk-canary-0123456789abcdef"
OPENROUTER = Provider(name="openrouter", base_url="https://router.invalid/api/v1", key=Secret(KEY))
ANTHROPIC = Provider(name="anthropic", base_url="https://claude.invalid", key=Secret(KEY))
OPENAI = Provider(name="openai", base_url="http://127.0.0.1:11434/v1")
TEXT = "Hello\u2028wörld"


@attrs.frozen(kw_only=True)
class Dialect:
    """How one provider says the same things."""

    name: str
    provider: Provider
    model: str
    unary: Callable[..., dict[str, Any]]
    error: Callable[[int, str], dict[str, Any]]
    deltas: Callable[[], list[Any]]
    ending: Callable[[], list[Any]]

    def whole(self, **changes: Any) -> Step:
        return answer_json(self.unary(**changes))

    def streamed(self) -> Step:
        return answer_events(*self.deltas(), *self.ending())


def chat_unary(text: str = TEXT, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "gen-1",
        "model": "openai/gpt-oss-120b",
        "provider": "Upstream",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0002, "prompt_tokens_details": {"cached_tokens": 4}},
    }


def chat_delta(text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "gen-1",
        "model": "openai/gpt-oss-120b",
        "provider": "Upstream",
        "choices": [{"index": 0, "delta": {"content": text}, **more}],
    }


CHAT = Dialect(
    name="chat",
    provider=OPENROUTER,
    model="openai/gpt-oss-120b",
    unary=chat_unary,
    error=lambda code, kind: {"error": {"code": code, "message": f"secret {KEY}", "metadata": {"error_type": kind}}},
    deltas=lambda: [b": OPENROUTER PROCESSING\n\n", chat_delta("Hello"), chat_delta("\u2028wörld")],
    ending=lambda: [
        chat_delta("", finish_reason="stop"),
        {"id": "gen-1", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0002}},
        "[DONE]",
    ],
)


def claude_unary(text: str = TEXT, finish: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": finish,
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 5},
        **more,
    }


CLAUDE = Dialect(
    name="claude",
    provider=ANTHROPIC,
    model="claude-sonnet-4-6",
    unary=claude_unary,
    error=lambda code, kind: {"type": "error", "error": {"type": kind, "message": f"secret {KEY}"}, "request_id": "req_1"},
    deltas=lambda: [
        {
            "type": "message_start",
            "message": {"id": "msg_1", "model": "claude-sonnet-4-6", "usage": {"input_tokens": 10, "output_tokens": 1}},
        },
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "\u2028wörld"}},
    ],
    ending=lambda: [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ],
)


@pytest.fixture(params=[CHAT, CLAUDE], ids=["chat", "claude"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each dialect in turn."""
    found: Dialect = request.param
    return found


@attrs.frozen(kw_only=True)
class Bench:
    """A router whose wire is a script and whose time is frozen."""

    router: Router
    wire: ScriptedTransport
    clock: FrozenClock


def bench(dialect: Dialect, *script: Script, routes: int = 1, repeat: bool = False, **options: Any) -> Bench:
    """A router with so many routes of one dialect, named so that they differ."""
    clock = FrozenClock()
    wire = ScriptedTransport(*script, timer=clock, repeat=repeat)
    names = [dialect.model, *(f"{dialect.model}-spare{number}" for number in range(1, routes))]
    made = [Route(model=name, provider=dialect.provider) for name in names]
    router = Router(made, transport=wire, timer=clock, rng=random.Random(7), **options)
    return Bench(router=router, wire=wire, clock=clock)


COST = Decimal("0.0002")
