"""What a router does beside plain questions: vectors, lists of models, users' own keys, web research, a second horse."""

from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from dealquest.errors import DealQuestError, InputError, LimitError, PeerGarbledError, PeerRefusedError, PeerUnavailableError
from dealquest.llm import Done, Limits, Route, Router, SpendBudget, TextDelta
from dealquest.settings import Settings
from dealquest.testing import Delay, Hang, ModelServer, ScriptedTransport, Step, answer_bytes, answer_events, answer_json
from dealquest.values import Secret

from .conftest import ANTHROPIC, CHAT, KEY, OPENAI, OPENROUTER, TEXT, bench, chat_delta


def router(*script: Any, provider: Any = OPENROUTER, model: str = "openai/gpt-oss-120b") -> Router:
    return Router([Route(model=model, provider=provider)], transport=ScriptedTransport(*script))


def vectors(*rows: tuple[int, list[Any]], **usage: Any) -> Step:
    return answer_json({"data": [{"index": index, "embedding": vector} for index, vector in rows], "usage": usage})


async def test_each_text_has_its_vector_in_the_order_of_the_texts() -> None:
    """Rows may come in any order; the server's own price wins, then the table's, and else the cost is unknown."""
    asked = router(
        vectors((1, [2, 3.5]), (0, [0.5, True, 1]), prompt_tokens=7, cost=0.01),
        vectors((0, [1]), prompt_tokens=1_000_000),
        vectors((0, [1])),
    )
    found = await asked.embed(["a", "b"], model="openai/gpt-oss-120b", dimensions=2)
    assert found.vectors == ((0.5, 1.0), (2.0, 3.5))
    assert (found.usage.input_tokens, found.cost_usd, found.model) == (7, Decimal("0.01"), "openai/gpt-oss-120b")
    assert (await asked.embed(["a"], model="openai/gpt-oss-120b")).cost_usd == Decimal("0.15")
    assert (await asked.embed(["a"], model="openai/gpt-oss-120b")).cost_usd is None


@pytest.mark.parametrize(
    "step", [vectors((0, [1])), vectors((0, [1]), (2, [1])), vectors((0, [1]), (1, [])), answer_json([]), answer_bytes(b"<html>")]
)
async def test_a_text_without_a_vector_is_a_garbled_answer(step: Step) -> None:
    """Fewer vectors than texts, a wrong index, an empty vector and no JSON are never returned as success."""
    with pytest.raises(PeerGarbledError):
        await router(step).embed(["a", "b"], model="openai/gpt-oss-120b")


async def test_what_cannot_be_embedded_is_refused() -> None:
    """No text, an empty text, and a provider without embeddings are the caller's mistakes; a refusal is the server's word."""
    claude = router(provider=ANTHROPIC, model="claude-sonnet-4-5")
    for asked, texts in ((router(), []), (router(), ["a", ""]), (claude, ["a"])):
        with pytest.raises(InputError):
            await asked.embed(texts, model=asked.routes[0].model)
    with pytest.raises(PeerRefusedError):
        await router(answer_json(CHAT.error(401, ""), status=401)).embed(["a"], model="openai/gpt-oss-120b")


async def test_models_are_listed_with_what_they_take_and_cost() -> None:
    """Prices are per million tokens: the server's where it names sensible ones, else the table's, else unknown."""
    served = [
        {"id": "a/b", "pricing": {"prompt": "0.000001", "completion": "-1"}, "architecture": {"input_modalities": ["text", "image", 3]}},
        {"id": "openai/gpt-oss-120b", "pricing": {"prompt": "free"}},
        {"no": "id"},
    ]
    first, second = await router(answer_json({"data": served})).list_models()
    assert (first.inputs, first.outputs, first.input_usd, first.output_usd) == (("text", "image"), ("text",), Decimal(1), None)
    assert (second.input_usd, second.output_usd) == (Decimal("0.15"), Decimal("0.60"))


async def test_a_users_own_key_is_asked_first_and_alone_unless_told() -> None:
    """A router for a user's key never spends the team's, unless the user's key may fall back to it; both share one connection."""
    no_credit, no_model = answer_json(CHAT.error(402, ""), status=402), answer_json(CHAT.error(404, ""), status=404)
    wire = ScriptedTransport(no_credit, no_model, CHAT.whole())
    shared = Router([Route(model="openai/gpt-oss-120b", provider=OPENROUTER)], transport=wire, budget=SpendBudget(Decimal(1)))
    with pytest.raises(PeerRefusedError):
        await shared.with_key("openrouter", Secret("sk-own")).complete("Hi")
    helped = shared.with_key("openrouter", Secret("sk-own"), settings=Settings(), use_shared_after=True)
    assert (await helped.complete("Hi")).text == TEXT
    keys = [dict(request.headers)["authorization"] for request in wire.requests]
    assert keys == ["Bearer sk-own", "Bearer sk-own", f"Bearer {KEY}"]
    assert Router.from_key("anthropic", Secret("sk-own")).routes[0].provider.own


async def test_a_router_opens_and_closes_its_own_connections() -> None:
    """Without a transport it makes one, at the first question; a router that was closed can be asked again."""
    with ModelServer() as server:
        asked = Router.from_settings(Settings(openai_base_url=server.base_url))
        async with asked:
            assert (await asked.complete("Hi")).text == "Hello there."
        assert (await asked.complete("Hi")).text == "Hello there."
        await asked.aclose()


async def test_a_model_is_asked_where_it_is_sold() -> None:
    """A Claude model goes to OpenRouter under its name there when Anthropic is not configured; one nobody sells is a mistake."""
    wire = ScriptedTransport(CHAT.whole(), repeat=True)
    asked = Router([Route(model="openai/gpt-oss-120b", provider=OPENROUTER)], transport=wire)
    await asked.complete("Hi", model="claude-sonnet-4-20250514")
    assert b'"model":"anthropic/claude-sonnet-4.6"' in bytes(wire.requests[-1].body)  # type: ignore[arg-type]  # bytes here
    with pytest.raises(InputError):
        await Router([Route(model="claude-sonnet-4-5", provider=ANTHROPIC)], transport=wire).complete("Hi", model="openai/gpt-oss-120b")
    assert [check.state for check in await Router([Route(model="llama3", provider=OPENAI)], transport=wire).check_models()] == ["gone"]


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, 86_401.0])
async def test_a_deadline_lies_within_a_day(deadline_s: float) -> None:
    """No time at all, and more than a day, are refused before anybody is asked."""
    with pytest.raises(InputError) as caught:
        await router().complete("Hi", deadline_s=deadline_s)
    assert caught.value.code == "llm.input.deadline"


async def test_when_both_horses_fall_the_first_ones_trouble_is_told() -> None:
    """A hedged call whose routes all fail raises, does not wait for the second start, and keeps nothing."""
    made = bench(CHAT, answer_json(CHAT.error(401, ""), status=401), answer_json(CHAT.error(401, ""), status=401), routes=2,
                 limits=Limits(hedge_after_s=60.0))  # fmt: skip
    with pytest.raises(PeerRefusedError):
        await made.router.complete("Hi")
    assert made.clock.monotonic() < 60
    assert made.router.state.free_slots == Limits().max_concurrent


async def test_a_hedged_call_that_is_cancelled_keeps_nothing() -> None:
    """Cancelled at any checkpoint, before, while and after both routes are asked, no slot and no exchange stays behind."""
    for checkpoints in range(24):
        slow = attrs.evolve(CHAT.streamed(), before=(Delay(0.01),))
        made = bench(CHAT, slow, CHAT.streamed(), routes=2, repeat=True, limits=Limits(hedge_after_s=0.001))

        async def use(made: Any = made) -> None:
            _ = [event async for event in made.router.stream("Hi")]

        async with anyio.create_task_group() as group:
            group.start_soon(use)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert made.wire.open == 0
        assert made.router.state.free_slots == Limits().max_concurrent


async def test_a_server_that_ignores_streaming_is_read_whole() -> None:
    """A whole answer in place of a stream comes as one piece and its end; an empty or refused one as its error."""
    events = [event async for event in bench(CHAT, CHAT.whole()).router.stream("Hi")]
    assert [type(event) for event in events] == [TextDelta, Done]
    with pytest.raises(DealQuestError):
        _ = [event async for event in bench(CHAT, CHAT.whole(text=""), CHAT.whole(text=""), CHAT.whole(text="")).router.stream("Hi")]


async def test_a_stream_that_falls_silent_breaks_off() -> None:
    """A pause longer than the limit, after the first piece, is an interruption and not an end."""
    made = bench(CHAT, answer_events(chat_delta("Hello"), Hang()), limits=Limits(progress_s=5.0))
    with pytest.raises(DealQuestError) as caught:
        _ = [event async for event in made.router.stream("Hi")]
    assert caught.value.code == "llm.stream.interrupted"
    assert isinstance(caught.value.__cause__, LimitError | PeerUnavailableError)
    assert made.wire.open == 0
