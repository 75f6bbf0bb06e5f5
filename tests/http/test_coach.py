"""The coach over HTTP: durable, idempotent, and nobody speaks for another."""

import base64
import uuid
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import httpx
import msgspec
import psycopg
import pytest

from dealquest.compose import Kit
from dealquest.testing import ScriptedEars, ScriptedModels
from dealquest_http import create_app
from dealquest_http.coach import keep_working

EVENTS = "/api/coach/events"
ANSWER = (
    "Hi Dana, you said month-end takes your team four days. What happens if that slips into the board week? "
    "Teams like yours cut it to one day; shall we look at your numbers on Thursday at 10 for 20 minutes?"
)
Bearer = Callable[..., dict[str, str]]


def event(text: str = "", kind: str = "text", **more: Any) -> dict[str, Any]:
    """A fresh event."""
    return {"id": uuid.uuid4().hex, "kind": kind, "text": text, **more}


@pytest.fixture
async def ann(kit: Kit) -> int:
    """A user who signed in by Telegram."""
    await kit.records.table("users").insert([{"telegram_id": 4711, "username": "ann_sells", "first_name": "Ann"}]).run()
    rows = await kit.records.table("users").select("id").all()
    return int(rows[0]["id"])


async def say(client: httpx.AsyncClient, headers: dict[str, str], text: str = "", kind: str = "text") -> list[dict[str, Any]]:
    """Send one event; its replies."""
    answer = await client.post(EVENTS, json=event(text, kind), headers=headers)
    assert answer.status_code == 200, answer.text
    replies: list[dict[str, Any]] = answer.json()["replies"]
    return replies


def count(database: Any, table: str) -> int:
    """Rows of a table."""
    with psycopg.connect(database.owner_dsn) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_lesson_from_hello_to_score(client: httpx.AsyncClient, bearer: Bearer, ann: int, database: Any) -> None:
    """Hello, the first lesson, its scenario, an answer and its score; the progress is the user's own row."""
    me = bearer("authenticated", str(ann))
    (hello,) = await say(client, me, kind="hello")
    assert "Ann" in hello["text"]
    (tracks,) = await say(client, me, hello["buttons"][0][0]["data"], "button")
    (levels,) = await say(client, me, tracks["buttons"][0][0]["data"], "button")
    level = next(button for row in levels["buttons"] for button in row if button["data"].startswith("learn:level:"))
    (lesson,) = await say(client, me, level["data"], "button")
    (scenario,) = await say(client, me, lesson["buttons"][0][0]["data"], "button")
    assert scenario["spans"]
    (feedback,) = await say(client, me, ANSWER)
    assert "of 100" in feedback["text"]
    assert feedback["id"] > scenario["id"] > lesson["id"]
    rows = (await client.get("/api/database/records/attempts?select=user_id,source", headers=me)).json()
    assert rows == [{"user_id": ann, "source": "http"}]
    user = (await client.get("/api/database/records/users?select=username,first_name,telegram_id", headers=me)).json()
    assert user == [{"username": "ann_sells", "first_name": "Ann", "telegram_id": 4711}]


async def test_an_ordinary_account_has_a_person_of_its_own(client: httpx.AsyncClient, bearer: Bearer, database: Any) -> None:
    """An account's uuid is enough to practise, always as the same person, who reads their own rows and nobody else's."""
    me, other = bearer("authenticated", str(uuid.uuid4())), bearer("authenticated", str(uuid.uuid4()))
    for headers in (me, me, other):
        await say(client, headers, kind="hello")
    assert count(database, "users") == 2
    await say(client, me, "/train easy")
    await say(client, me, ANSWER)
    attempts = "/api/database/records/attempts?select=source"
    assert (await client.get(attempts, headers=me)).json() == [{"source": "http"}]
    assert (await client.get(attempts, headers=other)).json() == []
    assert len((await client.get("/api/database/records/users?select=id", headers=other)).json()) == 1


async def test_q6_an_account_is_no_admin_of_the_coach(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Nobody who came over HTTP with an account sits at the terminal: the admin's command is unknown to them."""
    (reply,) = await say(client, bearer("authenticated", str(uuid.uuid4())), "/admin")
    assert "no command /admin" in reply["text"]


async def test_the_same_id_is_the_same_event(client: httpx.AsyncClient, bearer: Bearer, ann: int, database: Any) -> None:
    """Sent five times at once and once more, an event is handled once and every answer is the same."""
    me = bearer("authenticated", str(ann))
    await say(client, me, "/train easy")
    sent = event(ANSWER)
    answers: list[httpx.Response] = []

    async def send() -> None:
        answers.append(await client.post(EVENTS, json=sent, headers=me))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(send)
    await send()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert count(database, "attempts") == 1
    reused = await client.post(EVENTS, json={**sent, "text": "something else"}, headers=me)
    assert reused.status_code == 409


async def test_a_person_has_so_many_messages_a_day(kit: Kit, bearer: Bearer, ann: int, database: Any) -> None:
    """Ten at once with room for three: three are stored; a known one may be sent again, others go on unharmed."""
    app = create_app(attrs.evolve(kit, settings=attrs.evolve(kit.settings, coach_events_a_day=3)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test", timeout=60) as client:
        me = bearer("authenticated", str(ann))
        sent: list[tuple[dict[str, Any], httpx.Response]] = []

        async def send() -> None:
            one = event("/help")
            sent.append((one, await client.post(EVENTS, json=one, headers=me)))

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(send)
        assert sorted(answer.status_code for _, answer in sent) == [200] * 3 + [429] * 7
        refused = next(answer for _, answer in sent if answer.status_code == 429)
        assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
        known = next(one for one, answer in sent if answer.status_code == 200)
        assert (await client.post(EVENTS, json=known, headers=me)).status_code == 200
        assert (await client.post(EVENTS, json=event("/help"), headers=bearer("authenticated", str(uuid.uuid4())))).status_code == 200
    assert count(database, "inbox") == 4


async def test_ids_belong_to_their_caller(client: httpx.AsyncClient, bearer: Bearer, ann: int, database: Any) -> None:
    """Two people may use one id: each gets replies of their own."""
    shared = event("/help")
    first = await client.post(EVENTS, json=shared, headers=bearer("authenticated", str(ann)))
    second = await client.post(EVENTS, json=shared, headers=bearer("authenticated", str(uuid.uuid4())))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["replies"][0]["id"] != second.json()["replies"][0]["id"]


@pytest.mark.parametrize(
    "change", [{"user": {"telegram_id": 1}}, {"chat": "user:1"}, {"source": "telegram:1"}, {"update_id": 7}, {"media": {"upload": "x"}}]
)
async def test_j7_the_request_never_says_who_speaks(
    client: httpx.AsyncClient, bearer: Bearer, ann: int, database: Any, change: dict[str, Any]
) -> None:
    """User, chat, source and number in the body count for nothing, a made-up upload is refused."""
    answer = await client.post(EVENTS, json={**event("/help"), **change}, headers=bearer("authenticated", str(ann)))
    assert answer.status_code == (400 if "media" in change else 200)
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute("select source, chat, person, update_id > 1000000 from inbox").fetchall()
    assert rows == ([] if "media" in change else [("http", f"user:{ann}", "telegram:4711", True)])


@pytest.mark.parametrize(
    "body",
    [
        {"id": "abcdefgh", "kind": "job", "text": "research"},
        {"id": "abcdefgh", "kind": "other"},
        {"id": "short", "kind": "text"},
        {"id": "../../../etc", "kind": "text"},
        {"kind": "text", "text": "no id"},
        {"id": "abcdefgh", "text": "x" * 20_001},
        {"id": "abcdefgh", "kind": "photo"},
        {"id": "abcdefgh", "kind": "photo", "media": {"data": "!!!!", "type": "image/png"}},
        {"id": "abcdefgh", "kind": "voice", "media": {"data": "AAAA", "type": "image/png"}},
        {"id": "abcdefgh", "kind": "photo", "media": {"data": "AAAA", "type": "text/html"}},
    ],
)
async def test_what_is_no_event_is_refused(
    client: httpx.AsyncClient, bearer: Bearer, ann: int, database: Any, body: dict[str, Any]
) -> None:
    """Jobs, other kinds, ids that are none and uploads that do not fit are 400 and leave no trace."""
    answer = await client.post(EVENTS, json=body, headers=bearer("authenticated", str(ann)))
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INPUT")
    assert count(database, "inbox") == 0


async def test_only_people_are_talked_with(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """No credential and the public key are 401, a user who is gone too."""
    assert (await client.post(EVENTS, json=event())).status_code == 401
    assert (await client.post(EVENTS, json=event(), headers=bearer("anon"))).status_code == 401
    assert (await client.post(EVENTS, json=event(), headers=bearer("authenticated", "999"))).status_code == 401


async def test_replies_wait_until_they_are_acknowledged(client: httpx.AsyncClient, bearer: Bearer, ann: int) -> None:
    """Unacknowledged replies are told again, to their own person only; acknowledged ones never."""
    me, other = bearer("authenticated", str(ann)), bearer("authenticated", str(uuid.uuid4()))
    first = await say(client, me, kind="hello")
    second = await say(client, me, "/help")
    waiting = (await client.get("/api/coach/replies", headers=me)).json()
    assert [reply["id"] for reply in waiting["replies"]] == [first[0]["id"], second[0]["id"]]
    assert (await client.get("/api/coach/replies", headers=other)).json()["replies"] == []
    seen = {"through": first[0]["id"]}
    assert (await client.post("/api/coach/replies/seen", json={"through": 2**62}, headers=other)).json() == {"seen": 0}
    assert (await client.post("/api/coach/replies/seen", json=seen, headers=me)).json() == {"seen": 1}
    waiting = (await client.get("/api/coach/replies", headers=me)).json()
    assert [reply["id"] for reply in waiting["replies"]] == [second[0]["id"]]


async def test_an_accepted_stream_ends_with_the_replies(client: httpx.AsyncClient, bearer: Bearer, ann: int) -> None:
    """With `Accept: text/event-stream` the replies come as an event, then `done`."""
    me = bearer("authenticated", str(ann)) | {"Accept": "text/event-stream"}
    answer = await client.post(EVENTS, json=event("/help"), headers=me)
    assert answer.headers["content-type"].startswith("text/event-stream")
    shown = [msgspec.json.decode(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert "/train" in shown[0]["replies"][0]["text"]
    assert shown[-1] == {"done": True}
    refused = await client.post(EVENTS, json={"id": "x"}, headers=me)
    assert refused.status_code == 400


async def test_an_answer_is_seen_while_it_is_written(kit: Kit, bearer: Bearer, ann: int) -> None:
    """What a model writes comes as partials before the replies, and only to who accepts a stream."""
    models = ScriptedModels("A buyer who is busy.")
    app = create_app(attrs.evolve(kit, models=models, house=attrs.evolve(kit.house, shared_model="scripted")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        me = bearer("authenticated", str(ann))
        await say(client, me, "/roleplay")
        await say(client, me, "role:diff:0", "button")
        answer = await client.post(EVENTS, json=event("Hello, do you have a minute?"), headers=me | {"Accept": "text/event-stream"})
    shown = [msgspec.json.decode(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]
    assert "A buyer who is busy.".startswith(shown[0]["partial"])
    assert "A buyer who is busy." in shown[-2]["replies"][0]["text"]
    assert shown[-1] == {"done": True}


async def test_what_a_dead_process_left_is_finished(kit: Kit, client: httpx.AsyncClient, bearer: Bearer, ann: int, database: Any) -> None:
    """An event that was stored and never worked on is finished beside the server, and its reply waits for its person."""
    me = bearer("authenticated", str(ann))
    await say(client, me, "/help")
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("delete from outbox")
        connection.execute("update inbox set status = 'open', lease_until = null, worker = null")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: keep_working(kit, pause_s=0.05))
            while not (waiting := (await client.get("/api/coach/replies", headers=me)).json()["replies"]):  # noqa: ASYNC110  # rows tell nothing
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()
    assert "/train" in waiting[0]["text"]


async def test_a_voice_message_is_heard_and_forgotten(kit: Kit, bearer: Bearer, ann: int) -> None:
    """A voice message counts as the words in it; its file is gone when the turn is done."""
    heard = attrs.evolve(kit, ears=ScriptedEars("I would ask about the month-end close."), house=attrs.evolve(kit.house, hears=True))
    app = create_app(heard)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        me = bearer("authenticated", str(ann))
        await say(client, me, "/train easy")
        media = {"data": base64.b64encode(b"OggS").decode(), "type": "audio/ogg", "durationS": 2.5}
        answer = await client.post(EVENTS, json=event(kind="voice", media=media), headers=me)
        assert answer.status_code == 200, answer.text
        assert "month-end close" in answer.json()["replies"][0]["text"]
    assert not list((kit.settings.home / "uploads").iterdir())


async def test_the_outline_names_the_lessons(client: httpx.AsyncClient, bearer: Bearer, ann: int) -> None:
    """Tracks with their levels, and the rules by which progress is shown."""
    outline = (await client.get("/api/coach/outline", headers=bearer("authenticated", str(ann)))).json()
    assert outline["tracks"][0]["levels"]
    assert outline["passMark"] == 60
    assert len(outline["ranks"]) == len(outline["levelXp"])
