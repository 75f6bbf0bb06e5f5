"""AI over HTTP: the frames of the clients, real statuses, hang-ups that reach the model, and budgets that hold."""

import base64
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import anyio
import attrs
import httpx
import msgspec
import psycopg
import pytest
from starlette.types import ASGIApp

from dealquest.compose import Kit
from dealquest.testing import ModelServer
from dealquest_http import create_app

CHAT = "/api/ai/chat/completion"
ASK = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hi"}]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_price",
        "description": "The price of an article.",
        "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
    },
}
Bearer = Callable[..., dict[str, str]]
Loopback = Callable[[ASGIApp], AbstractAsyncContextManager[str]]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model behind a socket."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def variables(model: ModelServer) -> dict[str, str]:
    """A shared key whose provider is the model on loopback."""
    return {"OPENROUTER_API_KEY": "sk-or-test", "OPENROUTER_BASE_URL": model.base_url}


def frames(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream."""
    return [msgspec.json.decode(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]


def rows(database: Any) -> list[tuple[Any, ...]]:
    """The usage rows, oldest first."""
    with psycopg.connect(database.owner_dsn) as connection:
        return connection.execute(
            "select caller, outcome, model_id, input_tokens, output_tokens, cost_usd, counted_usd from ai.usage order by created_at"
        ).fetchall()


async def settled(database: Any, count: int) -> list[tuple[Any, ...]]:
    """The rows as soon as none is open."""
    with anyio.fail_after(10):
        while len(found := rows(database)) < count or any(row[1] == "open" for row in found):  # noqa: ASYNC110  # rows tell nothing
            await anyio.sleep(0.05)
    return found


async def test_an_answer_has_the_shape_of_the_clients(client: httpx.AsyncClient, bearer: Bearer, database: Any, model: ModelServer) -> None:
    """Text, model and usage in both spellings, at both paths; the call is on its caller's account with what it cost."""
    for path in (CHAT, "/api/ai/chat"):
        answer = await client.post(path, json=ASK, headers=bearer())
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "text": "Hello there.",
            "metadata": {
                "model": "openai/gpt-oss-120b",
                "usage": {
                    "promptTokens": 10,
                    "completionTokens": 5,
                    "totalTokens": 15,
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 15,
                },
            },
        }
    assert rows(database) == [("user:1", "answered", "openai/gpt-oss-120b", 10, 5, Decimal("0.0002"), Decimal("0.0002"))] * 2
    assert (model.requests[0]["temperature"], model.requests[0]["max_tokens"]) == (0.7, 4096)


async def test_a_stream_has_the_frames_of_the_clients(client: httpx.AsyncClient, bearer: Bearer, database: Any) -> None:
    """Chunks, the tokens, and `done` last."""
    answer = await client.post(CHAT, json={**ASK, "stream": True}, headers=bearer())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"].startswith("no-cache")
    shown = frames(answer)
    assert [frame.get("chunk") for frame in shown[:3]] == ["Hello", " ", "there."]
    assert shown[3]["tokenUsage"]["totalTokens"] == 15
    assert shown[4:] == [{"done": True}]
    assert rows(database)[0][1] == "answered"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("upstream", "status", "name"), [(401, 502, "AI_INVALID_API_KEY"), (400, 400, "INVALID_INPUT")])
async def test_a_refused_call_has_its_real_status(
    client: httpx.AsyncClient, bearer: Bearer, model: ModelServer, database: Any, *, stream: bool, upstream: int, status: int, name: str
) -> None:
    """What the model's provider refuses is never a 200, streamed or not; the body is the envelope."""
    model.status = upstream
    answer = await client.post(CHAT, json={**ASK, "stream": stream}, headers=bearer())
    assert (answer.status_code, answer.json()["error"], answer.json()["statusCode"]) == (status, name, status)
    assert "sk-or-test" not in answer.text
    assert [row[1:] for row in rows(database)] == [("failed", "openai/gpt-oss-120b", 0, 0, None, 0)]  # nobody charges for it


async def test_a_stream_that_breaks_says_so_inside(client: httpx.AsyncClient, bearer: Bearer, model: ModelServer, database: Any) -> None:
    """After the first word the status is out: an error frame ends the stream, without `done`, and the worst case stays counted."""
    model.breaks_after = 2
    answer = await client.post(CHAT, json={**ASK, "stream": True}, headers=bearer())
    shown = frames(answer)
    assert answer.status_code == 200
    assert shown[-1]["error"] is True
    assert shown[-1]["message"]
    assert {"done": True} not in shown
    (row,) = rows(database)
    assert row[1] == "failed"
    assert row[5] is None
    assert row[6] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_cancels_the_model(
    app: ASGIApp, loopback: Loopback, bearer: Bearer, model: ModelServer, database: Any, *, stream: bool
) -> None:
    """The model sees the hang-up within moments, and the call is written down as left, at its worst case."""
    model.pause_s, model.words = 0.3, ("word ",) * 100
    async with loopback(app) as base, httpx.AsyncClient(base_url=base) as client:
        with anyio.move_on_after(1.0):
            async with client.stream("POST", CHAT, json={**ASK, "stream": stream}, headers=bearer()) as answer:
                async for _ in answer.aiter_lines():
                    pass
        with anyio.fail_after(5):
            while not model.hung_up:  # noqa: ASYNC110  # it counts in a thread
                await anyio.sleep(0.02)
        (row,) = await settled(database, 1)
    assert row[1] == "left"
    assert row[5] is None
    assert row[6] > 0


async def test_parallel_calls_never_overspend(app: ASGIApp, settings: Any, bearer: Bearer, model: ModelServer, database: Any) -> None:
    """Twenty calls at once with money for four worst cases: four are made, the others get 429; settled, they leave room again (G2)."""
    model.pause_s = 0.3
    dear = {"maxTokens": 409_600}  # at 0.60 USD a million tokens 0.2458 USD each: four fit into the day's 1 USD
    answers: list[httpx.Response] = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test", timeout=60) as client:

        async def ask() -> None:
            answers.append(await client.post(CHAT, json={**ASK, **dear}, headers=bearer()))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        made = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert (len(made), len(refused), len(model.requests)) == (4, 16, 4)
        assert refused[0].json()["error"] == "TOO_MANY_REQUESTS"
        assert int(refused[0].headers["retry-after"]) > 0
        assert (await client.post(CHAT, json={**ASK, **dear}, headers=bearer())).status_code == 200
        assert (await client.post(CHAT, json={**ASK, **dear}, headers=bearer("authenticated", "2"))).status_code == 200
    assert sum(row[6] for row in rows(database)) <= settings.ai_caller_budget_usd


async def test_many_accounts_share_one_limit(kit: Kit, bearer: Bearer) -> None:
    """Whoever signs up again and again spends no more than everybody may; the operator still may."""
    app = create_app(attrs.evolve(kit, settings=attrs.evolve(kit.settings, ai_total_budget_usd=Decimal("0.003"))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        answers = [await client.post(CHAT, json=ASK, headers=bearer("authenticated", f"{number}")) for number in range(1, 6)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert "all callers together" in answers[-1].json()["message"]
        assert (await client.post(CHAT, json=ASK, headers=bearer("project_admin"))).status_code == 200


class TestAnonymous:
    """Callers with the public key."""

    async def test_they_spend_nothing_by_default(self, client: httpx.AsyncClient, bearer: Bearer, model: ModelServer) -> None:
        """Without the operator's word no call is made for the public key; without any credential neither."""
        answer = await client.post(CHAT, json=ASK, headers=bearer("anon"))
        assert (answer.status_code, answer.json()["error"]) == (403, "FORBIDDEN")
        assert (await client.post(CHAT, json=ASK)).status_code == 401
        assert (await client.post("/api/ai/embeddings", json={"model": "a/b", "input": "x"}, headers=bearer("anon"))).status_code == 403
        assert not model.requests

    async def test_they_share_one_budget_when_allowed(self, kit: Kit, bearer: Bearer, database: Any) -> None:
        """With a budget they are let in, all on one account, up to it."""
        settings = attrs.evolve(kit.settings, ai_anon_budget_usd=Decimal("0.003"))
        app = create_app(attrs.evolve(kit, settings=settings))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            answers = [await client.post(CHAT, json=ASK, headers=bearer("anon", f"{number}")) for number in range(6)]
        # 4096 tokens are held at 0.0025 USD and cost 0.0002.
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429, 429]
        assert {row[0] for row in rows(database)} == {"anon"}


async def test_without_a_model_the_client_is_told(kit: Kit, bearer: Bearer) -> None:
    """No key: 503 with the code that the clients know, and an empty list of models."""
    app = create_app(attrs.evolve(kit, llm=None))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        answer = await client.post(CHAT, json=ASK, headers=bearer())
        assert (answer.status_code, answer.json()["error"]) == (503, "AI_INVALID_API_KEY")
        assert (await client.get("/api/ai/models", headers=bearer("project_admin"))).json() == []


async def test_the_operator_has_no_limit(client: httpx.AsyncClient, bearer: Bearer, database: Any) -> None:
    """The project's admin may make a call that is dearer than a caller's whole day."""
    asked = {**ASK, "maxTokens": 1_000_000, "model": "nobody/knows"}
    assert (await client.post(CHAT, json=asked, headers=bearer())).status_code == 429
    assert (await client.post(CHAT, json=asked, headers=bearer("project_admin"))).status_code == 200
    assert rows(database)[0][0].startswith("admin:")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/x"}}]}]}, "inside"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}]}]}, "base64"),
        ({"temperature": 3}, "temperature"),
        ({"maxTokens": 0}, "maxTokens"),
        ({"topP": 1.5}, "topP"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [TOOL, TOOL]}, "name"),
        ({"tools": [TOOL], "toolChoice": "required"}, "toolChoice"),
        ({"tools": [TOOL], "toolChoice": {"type": "function"}}, "toolChoice"),
        ({"tools": [TOOL], "parallelToolCalls": False}, "parallelToolCalls"),
        ({"messages": [{"role": "user", "content": "x", "tool_call_id": "a"}]}, "tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "["}}]}]}, "arguments"),
        ({"fileParser": {"enabled": True}}, "fileParser"),
        ({"model": "../../etc/passwd"}, "model"),
        ({"webSearch": {"enabled": True, "maxResults": 99}}, "maxResults"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.AsyncClient, bearer: Bearer, model: ModelServer, change: dict[str, Any], names: str
) -> None:
    """Wrong and unsupported fields are 400 with the field's name; nothing is sent, nothing fetched, nothing spent."""
    answer = await client.post(CHAT, json={**ASK, **change}, headers=bearer())
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "INVALID_INPUT"
    assert names in answer.json()["message"]
    assert not model.requests


async def test_pictures_and_searches_reach_the_model(client: httpx.AsyncClient, bearer: Bearer, model: ModelServer) -> None:
    """Parts, the older `images` list, web search and thinking are passed on."""
    pixel = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    turn = {
        "role": "user",
        "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": pixel}}],
        "images": [{"url": pixel}],
    }
    asked = {**ASK, "messages": [turn], "webSearch": {"enabled": True, "maxResults": 3}, "thinking": True}
    answer = await client.post(CHAT, json=asked, headers=bearer())
    assert answer.status_code == 200, answer.text
    (sent,) = model.requests
    assert [part["type"] for part in sent["messages"][0]["content"]] == ["text", "image_url", "image_url"]
    assert sent["plugins"][0]["max_results"] == 3
    assert sent["reasoning"]


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_go_to_the_model_and_its_calls_come_back(
    client: httpx.AsyncClient, bearer: Bearer, model: ModelServer, *, stream: bool
) -> None:
    """The application's JSON Schema reaches the model, its call reaches the application, and the tool's answer the model again."""
    model.calls = {"get_price": {"sku": "A1"}}
    turns = [{"role": "user", "content": "What does A1 cost?"}]
    answer = await client.post(CHAT, json={**ASK, "messages": turns, "tools": [TOOL], "topP": 0.5, "stream": stream}, headers=bearer())
    assert answer.status_code == 200, answer.text
    found = next(frame for frame in frames(answer) if "tool_calls" in frame) if stream else answer.json()
    (call,) = found["tool_calls"]
    assert (call["type"], call["function"]["name"], msgspec.json.decode(call["function"]["arguments"])) == (
        "function",
        "get_price",
        {"sku": "A1"},
    )
    assert (model.requests[0]["tools"][0]["function"]["parameters"], model.requests[0]["top_p"]) == (TOOL["function"]["parameters"], 0.5)
    model.calls = {}
    turns += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "7 EUR"},
    ]
    assert (await client.post(CHAT, json={**ASK, "messages": turns, "tools": [TOOL]}, headers=bearer())).status_code == 200
    assert [turn["role"] for turn in model.requests[1]["messages"]] == ["user", "assistant", "tool"]
    assert model.requests[1]["messages"][2]["tool_call_id"] == call["id"]


async def test_embeddings_keep_their_order(client: httpx.AsyncClient, bearer: Bearer, database: Any) -> None:
    """One vector a text, as numbers or as base64 of little-endian floats; the call is accounted for."""
    asked = {"model": "openai/gpt-oss-120b", "input": ["a", "b"]}
    answer = (await client.post("/api/ai/embeddings", json=asked, headers=bearer())).json()
    assert [(row["index"], row["embedding"]) for row in answer["data"]] == [(0, [0.5, -1.0]), (1, [1.5, -1.0])]
    assert answer["object"] == "list"
    assert answer["metadata"]["usage"]["promptTokens"] == 7
    packed = (await client.post("/api/ai/embeddings", json={**asked, "encoding_format": "base64"}, headers=bearer())).json()
    assert struct.unpack("<2f", base64.b64decode(packed["data"][1]["embedding"])) == (1.5, -1.0)
    assert [row[1:4] for row in rows(database)] == [("answered", "openai/gpt-oss-120b", 7)] * 2


async def test_models_are_listed_for_the_operator(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """In the reference's order, with prices a million tokens; others may not look."""
    assert (await client.get("/api/ai/models", headers=bearer())).status_code == 403
    listed = (await client.get("/api/ai/models", headers=bearer("project_admin"))).json()
    assert [model["modelId"] for model in listed] == ["openai/gpt-oss-120b", "anthropic/claude-sonnet-4.6", "zeta/one"]
    assert (listed[2]["inputPrice"], listed[2]["outputPrice"]) == (1, 2)
    assert listed[1]["inputModality"] == ["text", "image"]


async def test_usage_is_shown_to_the_operator(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Rows newest first with a total, sums of a period, and a refusal for a date that is none."""
    for _ in range(3):
        await client.post(CHAT, json=ASK, headers=bearer())
    admin = bearer("project_admin")
    page = (await client.get("/api/ai/usage?limit=2", headers=admin)).json()
    assert (page["total"], len(page["records"])) == (3, 2)
    assert page["records"][0] | {"id": 0, "createdAt": 0} == {
        "id": 0,
        "caller": "user:1",
        "kind": "chat",
        "modelId": "openai/gpt-oss-120b",
        "outcome": "answered",
        "inputTokens": 10,
        "outputTokens": 5,
        "costUsd": 0.0002,
        "createdAt": 0,
    }
    assert (await client.get("/api/ai/usage/summary", headers=admin)).json()["totalTokens"] == 45
    later = "/api/ai/usage/summary?startDate=2999-01-01T00:00:00Z"
    assert (await client.get(later, headers=admin)).json()["totalRequests"] == 0
    for query in ("startDate=soon", "startDate=2026-01-01T00:00:00", "limit=0", "limit=2000", "offset=-1"):
        assert (await client.get(f"/api/ai/usage?{query}", headers=admin)).status_code == 400
    assert (await client.get("/api/ai/usage", headers=bearer())).status_code == 403
