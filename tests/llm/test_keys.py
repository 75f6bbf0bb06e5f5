"""Keys and models are checked without a token; three troubles are three answers."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from dealquest.llm import Provider, check_key, check_models
from dealquest.testing import ScriptedTransport, answer_bytes, answer_json, fail

from .conftest import ANTHROPIC, CHAT, CLAUDE, KEY, OPENAI, OPENROUTER

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("provider", "step", "state"),
    [
        (OPENROUTER, answer_json({"data": {"limit_remaining": 4.5, "is_free_tier": False}}), "good"),
        (OPENROUTER, answer_json({"data": {"limit_remaining": None, "is_free_tier": True}}), "good"),
        (OPENROUTER, answer_json({"data": {"limit_remaining": 0}}), "no_credit"),
        (OPENROUTER, answer_json({"data": {"limit_remaining": -3}}), "no_credit"),
        (OPENROUTER, answer_json(CHAT.error(401, ""), status=401), "wrong"),
        (OPENROUTER, answer_json(CHAT.error(402, ""), status=402), "no_credit"),
        (OPENROUTER, answer_json(CHAT.error(503, ""), status=503), "unreachable"),
        (OPENROUTER, answer_bytes(b"<html>proxy</html>"), "unreachable"),
        (OPENROUTER, fail("wire.connect"), "unreachable"),
        (OPENROUTER, fail("wire.timeout"), "unreachable"),
        (ANTHROPIC, answer_json({"data": [{"id": "claude-sonnet-4-6"}]}), "good"),
        (ANTHROPIC, answer_json(CLAUDE.error(401, "authentication_error"), status=401), "wrong"),
        (ANTHROPIC, answer_json(CLAUDE.error(403, "permission_error"), status=403), "wrong"),
        (OPENAI, answer_json({"data": []}), "good"),
    ],
)
async def test_a_key_is_good_wrong_without_credit_or_unknown(provider: Provider, step: Any, state: str) -> None:
    """Each answer of the provider and of the network is one of four states, with one GET and no key shown."""
    wire = ScriptedTransport(step)
    check = await check_key(provider, wire, now=NOW)
    assert check.state == state
    assert bool(check) is (state == "good")
    assert (check.error is not None) is (state in {"wrong", "unreachable"} or getattr(step, "status", 200) == 402)
    assert [request.method for request in wire.requests] == ["GET"]
    assert KEY not in repr(check) + repr(wire.requests)


async def test_what_a_key_may_still_spend_is_told() -> None:
    """OpenRouter's remaining limit comes back as a Decimal."""
    check = await check_key(OPENROUTER, ScriptedTransport(answer_json({"data": {"limit_remaining": 4.5}})), now=NOW)
    assert check.left_usd == Decimal("4.5")


async def test_models_are_served_ageing_or_gone() -> None:
    """Each configured model is reported with what is asked in its place; one request per provider."""
    listed = {
        "data": [{"id": "openai/gpt-oss-120b"}, {"id": "x-ai/grok-4.3"}, {"id": "moonshotai/kimi-k2.5", "expiration_date": "2026-12-24"}]
    }
    wire = ScriptedTransport(answer_json(listed), answer_json({"data": [{"id": "claude-sonnet-4-6"}]}))
    names = ["openai/gpt-oss-120b", "moonshotai/kimi-k2.5", "x-ai/grok-4.1-fast", "google/gemini-flash", "nobody/knows"]
    found = await check_models([*((OPENROUTER, name) for name in names), (ANTHROPIC, "claude-sonnet-4-20250514")], wire, now=NOW)
    assert [(check.model, check.state, check.asked_as) for check in found] == [
        ("openai/gpt-oss-120b", "served", "openai/gpt-oss-120b"),
        ("moonshotai/kimi-k2.5", "ageing", "moonshotai/kimi-k2.5"),
        ("x-ai/grok-4.1-fast", "gone", "x-ai/grok-4.3"),
        ("google/gemini-flash", "gone", "~google/gemini-flash-latest"),
        ("nobody/knows", "gone", "nobody/knows"),
        ("claude-sonnet-4-20250514", "gone", "claude-sonnet-4-6"),
    ]
    assert found[1].ends == date(2026, 12, 24)
    assert len(wire.requests) == 2


async def test_a_server_that_cannot_be_asked_leaves_it_open() -> None:
    """Without the server's list only the dated table speaks."""
    found = await check_models([(OPENROUTER, "a/b"), (OPENROUTER, "x-ai/grok-4.1-fast")], ScriptedTransport(fail()), now=NOW)
    assert [check.state for check in found] == ["unknown", "gone"]
