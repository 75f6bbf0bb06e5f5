"""Doors of the server that are seldom knocked at: odd accounts, closed queues, remote records, what cannot be started."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest
from starlette.requests import Request

from dealquest.compose import Kit, open_kit
from dealquest.errors import LimitError, SettingsError
from dealquest.settings import load_settings
from dealquest.testing import FrozenClock, sign_init_data
from dealquest.values import Secret, SystemClock, Usage
from dealquest_http import create_app
from dealquest_http.accounts.passwords import Passwords
from dealquest_http.ai.spending import Call
from dealquest_http.answers import status_of
from dealquest_http.callers import API, caller_of
from dealquest_http.event_stream import unless_gone
from dealquest_http.first_start import audit_rights, prepare, with_signing_secret
from dealquest_http.guards.access_log import AccessLog
from dealquest_http.keys import Keys
from dealquest_http.serving import Serving, serve, start_lines

Bearer = Callable[..., dict[str, str]]
SECRET = "0123456789abcdefghijklmnopqrstuv-test"
BOT = "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
NOBODY = "00000000-0000-4000-8000-000000000000"
ANN = {"email": "ann@example.com", "password": "correct horse"}


async def sign_up(client: httpx.AsyncClient, **more: str) -> httpx.Response:
    return await client.post("/api/auth/users?client_type=server", json={**ANN, **more})


async def test_a_redirect_goes_to_a_whole_address(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """An absolute http(s) address is taken, a half one is not, and an account that is not there is not found."""
    admin = bearer("project_admin")
    good = await client.put("/api/auth/config", json={"signInRedirectTo": "https://coach.example/start"}, headers=admin)
    assert good.status_code == 200
    assert (await client.put("/api/auth/config", json={"signInRedirectTo": "https:///start"}, headers=admin)).status_code == 400
    assert (await client.get(f"/api/auth/users/{NOBODY}", headers=admin)).status_code == 404
    assert (await client.request("DELETE", "/api/auth/users", json={"userIds": ["7"]}, headers=admin)).status_code == 400


async def test_a_session_ends_by_its_token_in_the_body_too(client: httpx.AsyncClient) -> None:
    """A client without cookies signs out with what it holds, and it opens nothing afterwards; an unknown kind of client is refused."""
    opened = (await sign_up(client)).json()
    body = {"refreshToken": opened["refreshToken"]}
    assert (await client.post("/api/auth/logout", json=body)).status_code == 200
    assert (await client.post("/api/auth/refresh?client_type=server", json=body)).status_code == 401
    assert (await client.post("/api/auth/sessions?client_type=toaster", json=ANN)).status_code == 400


async def test_an_address_that_must_be_verified_opens_no_session(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Sign-up answers alike whether the address was free or not, and signing in waits for the verification."""
    admin = bearer("project_admin")
    assert (await client.put("/api/auth/config", json={"requireEmailVerification": True}, headers=admin)).status_code == 200
    first, again = await sign_up(client), await sign_up(client)
    assert first.json() == again.json() == {"accessToken": None, "requireEmailVerification": True}
    refused = await client.post("/api/auth/sessions?client_type=server", json=ANN)
    assert refused.status_code == 403


async def test_l1_an_address_signs_up_so_often(client: httpx.AsyncClient, kit: Kit) -> None:
    """A flood of new accounts from one place is told to wait."""
    for _ in range(200):
        if await kit.records.rpc("account_begin_sign_up", from_address="127.0.0.1") > 0:
            break
    answer = await sign_up(client)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_l1_a_person_is_no_admin_at_the_admins_door(client: httpx.AsyncClient) -> None:
    """The right password of an ordinary account opens nothing there, in the words of a wrong one."""
    await sign_up(client)
    wrong = await client.post("/api/auth/admin/sessions", json={**ANN, "password": "wrong horse"})
    right = await client.post("/api/auth/admin/sessions", json=ANN)
    assert wrong.status_code == right.status_code == 401
    assert wrong.json() == right.json()


async def test_l1_a_crowd_at_the_door_is_told_to_come_back() -> None:
    """Hashing takes time on purpose, so that more than a few at a time are refused with a time to wait."""
    passwords = Passwords(threads=1, max_waiting=1)
    refused: list[LimitError] = []

    async def knock() -> None:
        try:
            await passwords.verify("x", None)
        except LimitError as exc:
            refused.append(exc)

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(knock)
            await anyio.sleep(0.005)
    assert {error.code for error in refused} == {"http.busy"}
    assert refused[0].retry_after_s


async def test_a_caller_is_asked_once(kit: Kit) -> None:
    """What was proven for a request is not proven again, and a live key is remembered for a while."""
    assert await caller_of(Request({"type": "http", "headers": [], "state": {"caller": API}})) is API
    keys = Keys(Secret(SECRET), kit.records, given=None, clock=FrozenClock())
    assert not await keys.is_api_key("ik_none")
    first = next(line for line in await prepare(kit) if line.startswith("API key")).split()[-1]
    for _ in range(2):
        assert await keys.is_api_key(first)


def test_an_answer_without_a_price_or_tokens_counts_nothing() -> None:
    """Of an unknown call nothing is made up, tokens without a price count by the dearest; what is too slow behind us is 504."""
    call = Call()
    call.answered(model="x", usage=Usage(), cost_usd=None)
    assert (call.outcome, call.counted_usd) == ("answered", None)
    call.answered(model="nobody/knows-this", usage=Usage(input_tokens=1000, output_tokens=10), cost_usd=None)
    assert call.counted_usd is not None
    assert call.counted_usd > 0
    assert status_of(LimitError("slow", code="engine.timeout"))[0] == 504


async def test_other_messages_pass_the_log_unchanged() -> None:
    """An extension of the server's interface reaches it, and is not counted as a body."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.trailers", "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [], "client": ("10.0.0.1", 1)}
    await AccessLog(app, clock=FrozenClock(), trusted_hops=0)(scope, None, send)  # type: ignore[arg-type]  # nobody receives
    assert sent == ["http.response.start", "http.response.trailers", "http.response.body"]


async def test_more_of_a_body_is_no_leaving() -> None:
    """Only a caller who is gone ends the work."""
    messages = iter([{"type": "http.request"}, {"type": "http.request"}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await anyio.sleep_forever()
        raise AssertionError("never")

    async def work() -> str:
        await anyio.sleep(0.05)
        return "done"

    assert await unless_gone(Request({"type": "http"}, receive), work) == "done"


async def test_db_proxy_needs_what_it_writes(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """An insert without data and an update with a list are refused before anything is asked of the database."""
    for query in (
        {"operation": "insert", "table": "users"},
        {"operation": "update", "table": "users", "data": [{"language": "fr"}], "filters": {"id": 1}},
        {"operation": "select", "table": "users", "select": "id;drop"},
    ):
        assert (await client.post("/functions/db-proxy", json=query, headers=bearer("project_admin"))).status_code == 400, query


async def test_the_coach_talks_with_people(client: httpx.AsyncClient, kit: Kit, bearer: Bearer) -> None:
    """The public key is nobody, a deleted person is told, and whom the list lets in no more is refused."""
    key = (await client.get("/api/auth/public-config")).json()
    assert key
    event = {"id": "1" * 32, "kind": "text", "text": "/help"}
    assert (await client.post("/api/coach/events", json=event, headers=bearer("anon", "1"))).status_code in {401, 403}
    assert (await client.post("/api/coach/events", json=event, headers=bearer("authenticated", "999"))).status_code == 401
    photo = {"id": "2" * 32, "kind": "photo", "text": "", "media": {"data": "iVBORw0KGgo=", "type": "image/png"}}
    account = bearer("authenticated", NOBODY, name="Ann")
    assert (await client.post("/api/coach/events", json=photo, headers=account)).status_code == 200


class TestClosed:
    """An operator's list and key."""

    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"ALLOWED_USERNAMES": "12345", "ACCESS_API_KEY": "a" * 64}

    async def test_a_key_is_no_person(self, client: httpx.AsyncClient) -> None:
        """The operator's key opens everything but a conversation."""
        event = {"id": "1" * 32, "kind": "text", "text": "/help"}
        answer = await client.post("/api/coach/events", json=event, headers={"x-api-key": "ik_" + "a" * 64})
        assert answer.status_code == 403
        assert "sign in as one" in answer.text

    async def test_who_is_not_on_the_list_is_told(self, client: httpx.AsyncClient, kit: Kit, bearer: Bearer) -> None:
        """A session of an earlier time opens the coach no more."""
        await kit.records.table("users").insert([{"telegram_id": 4711, "first_name": "Ann"}]).run()
        (row,) = await kit.records.table("users").select("id").all()
        event = {"id": "1" * 32, "kind": "text", "text": "/help"}
        answer = await client.post("/api/coach/events", json=event, headers=bearer("authenticated", str(row["id"])))
        assert answer.status_code == 403
        assert "does not let you in" in answer.text


async def test_remote_records_need_no_first_start(tmp_path: Path) -> None:
    """Whoever keeps them keeps its own admin and keys, and judges its own rights; while it is away, so is what asks it."""
    settings = load_settings(
        {
            "DEALQUEST_HOME": str(tmp_path),
            "JWT_SECRET": SECRET,
            "TELEGRAM_BOT_TOKEN": BOT,
            "INSFORGE_BASE_URL": "http://127.0.0.1:9",
            "ACCESS_API_KEY": "ik_" + "a" * 64,
        }
    )
    assert with_signing_secret(settings) is settings
    async with open_kit(settings) as kit:
        assert await prepare(kit) == []
        assert await audit_rights(kit) == []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(kit)), base_url="http://test") as client:
            query = {"operation": "select", "table": "users"}
            asked = await client.post("/functions/db-proxy", json=query, headers={"x-api-key": "ik_" + "a" * 64})
            opening = {"initDataRaw": sign_init_data(Secret(BOT), auth_date=SystemClock().now(), user={"id": 77, "first_name": "Ann"})}
            opened = await client.post("/functions/verify-telegram", json=opening)
    assert (asked.status_code, opened.status_code) == (503, 503)
    lines = start_lines(settings, host="::1", port=80, workers=1)
    assert "http://127.0.0.1:9" in lines[1]
    assert "http://[::1]:80" in lines[0]


async def test_an_operators_own_password_is_not_shown(kit: Kit) -> None:
    """The first start names the setting instead, and shows each secret once."""
    own = attrs.evolve(kit, settings=attrs.evolve(kit.settings, admin_password=Secret("a very long one")))
    lines = await prepare(own)
    assert "the password in ADMIN_PASSWORD" in lines[0]
    assert not any("a very long one" in line for line in lines)
    assert await prepare(own) == []


async def test_before_the_start_nothing_is_answered(tmp_path: Path) -> None:
    """A connection that comes before the application is open gets no half answer; reloading and workers exclude each other."""
    settings = load_settings({"DEALQUEST_HOME": str(tmp_path), "JWT_SECRET": SECRET})
    await Serving(settings)({"type": "http"}, None, None)  # type: ignore[arg-type]  # neither is used
    with pytest.raises(SettingsError, match="one worker only"):
        serve(settings, reload=True, workers=2)
