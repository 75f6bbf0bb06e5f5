"""Forged credentials and requests that ask too much, through the whole gateway."""

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import httpx
import jwt
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rounds
from hypothesis import strategies as st

from dealquest.auth import Tokens
from dealquest.compose import Kit, open_kit
from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.values import Secret, SystemClock
from dealquest_http import create_app
from dealquest_http.first_start import audit_rights, prepare
from dealquest_http.keys import anon_key

Bearer = Callable[..., dict[str, str]]

SECRET = "0123456789abcdefghijklmnopqrstuv-test-of-48-bytes"
USERS = "/api/database/records/users"
CURRENT = "/api/auth/sessions/current"
NOW = int(time.time())
GOOD = {
    "sub": "1",
    "role": "project_admin",
    "iss": "deal-quest-tma",
    "aud": "dealquest",
    "iat": NOW,
    "exp": NOW + 600,
    "jti": "x",
    "typ": "access",
}


def sign(claims: dict[str, Any], *, key: str = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


PUBLIC = ("/api/health", "/api/openapi.json", "/api/auth/public-config")
FORGED = {
    "j1 none": jwt.encode(GOOD, "", algorithm="none"),
    "j1 HS384": sign(GOOD, algorithm="HS384"),
    "j1 no kid, right key": sign(GOOD),
    "j2 kid path": sign(GOOD, kid="../../etc/passwd"),
    "j2 jku": sign(GOOD, jku="http://127.0.0.1/keys"),
    "j3 no exp": sign({name: value for name, value in GOOD.items() if name != "exp"}),
    "j4 other issuer": sign(GOOD | {"iss": "deal-quest-tma-2"}),
    "j4 other audience": sign(GOOD | {"aud": ["dealquest"]}),
    "j5 refresh type": sign(GOOD | {"typ": "refresh"}),
    "j7 foreign role": sign(GOOD | {"role": "postgres"}),
    "j8 long": "a" * 9000 + ".b.c",
    "not a token": "xqzy",
    "anon key cut": "anon_" + "0" * 64,
}


async def test_j_no_forged_token_opens_anything(client: httpx.AsyncClient) -> None:
    """401 with the code on which the SDK refreshes, on routes of every room."""
    for name, token in FORGED.items():
        for path in (USERS, CURRENT, "/api/auth/users", "/api/database/rpc/take_lease"):
            answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()["error"]) == (401, "AUTH_UNAUTHORIZED"), (name, path, answer.text)
            assert token not in answer.text


@pytest.fixture
def variables() -> dict[str, str]:
    return {"JWT_SECRET": SECRET}


@given(place=st.integers(0, 10_000), change=st.characters(min_codepoint=33, max_codepoint=126))
@rounds(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
async def test_j8_no_changed_character_of_a_token_is_accepted(kit: Kit, place: int, change: str) -> None:
    """Wherever it is changed."""
    token = Tokens([Secret(SECRET)]).mint_session("1", now=SystemClock().now(), token_id="t", role="project_admin")
    place %= len(token)
    if token[place] == change:
        return
    changed = token[:place] + change + token[place + 1 :]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(kit)), base_url="http://test") as client:
        assert (await client.get("/api/auth/users", headers={"Authorization": f"Bearer {changed}"})).status_code == 401


async def test_q5_other_schemes_are_no_proof(client: httpx.AsyncClient) -> None:
    """Nothing but `Bearer <token>`; a wrong proof is refused even where none is needed for anon."""
    for header in ("Basic abc", "Bearer", "Bearer ", "bearer  x", "Token x", "Bearer a b", "ik_" + "0" * 64):
        assert (await client.get(USERS, headers={"Authorization": header})).status_code == 401, header


async def test_q5_nothing_that_is_served_carries_a_key(kit: Kit, client: httpx.AsyncClient) -> None:
    """Pages, documents and public settings hold neither the signing secret nor a key that acts as the admin."""
    shown = await prepare(kit)
    keys = [word for line in shown for word in line.split() if word.startswith("ik_")]
    assert len(keys) == 1
    page = await client.get("/app/")
    served = re.findall(r'(?:src|href)="([^":]+)"', page.text)
    assert len(served) >= 3
    for path in ["/app/", *(f"/app/{name.removeprefix('/app/')}" for name in served), *PUBLIC]:
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert not [secret for secret in (SECRET, "ik_", *keys) if secret in answer.text.replace("ik_…", "")], path


async def test_j6_a_weak_secret_stops_the_start(kit: Kit) -> None:
    """An application is never made over it, however the settings came about."""
    for weak in ("short", "x" * 40, "change-me-please-" * 3):
        broken = attrs.evolve(kit, settings=attrs.evolve(kit.settings, jwt_secret=Secret(weak)))
        with pytest.raises(SettingsError):
            create_app(broken)


async def test_q7_claims_of_one_caller_never_meet_the_next(kit: Kit, client: httpx.AsyncClient, bearer: Bearer) -> None:
    """A hundred callers in turn over a few connections: each sees their own row or none."""
    await kit.records.table("users").insert([{"local_name": f"u{number}"} for number in range(5)]).run()
    for number in range(100):
        who = number % 7 + 1
        rows = (await client.get(f"{USERS}?select=id", headers=bearer("authenticated", str(who)))).json()
        assert rows == ([{"id": who}] if who <= 5 else [])


GREEDY = {
    "5000 filters": (USERS + "?" + "&".join(f"id=gt.{number}" for number in range(5_000)), {400, 413, 414}),
    "50 embeds": (USERS + "?select=" + "attempts(users(" * 25 + "id" + "))" * 25, {400}),
    "heavy regex": (USERS + "?select=*&first_name=match." + "(a%2B)%2B" * 500, {400, 403, 503, 200}),
    "sleep in order": (USERS + "?order=" + "(select%20pg_sleep(9))", {400}),
    "negative limit": (USERS + "?limit=-1", {400, 416}),
}


async def test_q8_a_request_that_asks_too_much_is_refused(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Soon, with a reason, and the next request is served."""
    for name, (path, statuses) in GREEDY.items():
        begun = time.monotonic()
        answer = await client.get(path, headers=bearer("authenticated", "1"))
        assert answer.status_code in statuses, (name, answer.text[:300])
        assert time.monotonic() - begun < 15, name
        assert (await client.get("/api/health")).status_code == 200


async def test_q8_deep_json_is_refused(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """A body of brackets is a 400 on every kind of route, never a broken worker."""
    deep = b"[" * 100_000
    for path in ("/api/auth/users", "/api/auth/refresh?client_type=server", "/functions/db-proxy", "/functions/verify-telegram"):
        answer = await client.post(path, content=deep, headers=bearer())
        assert answer.status_code in {400, 500 if "telegram" in path else 400}
    assert (await client.post(USERS, content=deep, headers=bearer("project_admin"))).status_code in {400, 413}


async def test_q4_a_change_of_every_row_must_be_meant(kit: Kit, client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Without a condition on its own rows a change is refused, for the admin too; a number of rows is a meaning, and holds."""
    await kit.records.table("users").insert([{"local_name": f"u{number}"} for number in range(3)]).run()
    admin = bearer("project_admin")
    for query in ("", "?select=id", "?order=id&limit=1", "?columns=language", "?attempts.score=gt.0", "?attempts.or=(id.gt.0)"):
        for verb, body in (("PATCH", {"language": "xx"}), ("PATCH", {}), ("DELETE", None)):
            answer = await client.request(verb, USERS + query, json=body, headers=admin)
            assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INPUT"), (verb, query)
    few = admin | {"Prefer": "handling=strict, max-affected=2"}
    assert (await client.patch(USERS, json={"language": "xx"}, headers=few)).json()["code"] == "PGRST124"
    assert await kit.records.table("users").select("*").where(language="xx").count() == 0
    for query, touched in (("?id=eq.1", 1), ("?or=(id.eq.1,id.eq.2)", 2), ("?goals->>a=is.null&id=lt.3", 2), ('?"id"=gt.0', 3)):
        answer = await client.patch(USERS + query, json={"language": "xx"}, headers=admin | {"Prefer": "count=exact"})
        assert answer.headers.get("content-range", "").endswith(f"/{touched}") or answer.status_code == 400, (query, answer.text)
    all_rows = admin | {"Prefer": "handling=strict, max-affected=3"}
    assert (await client.delete(USERS, headers=all_rows)).status_code == 204
    assert await kit.records.table("users").select("*").count() == 0


async def test_q8_the_public_key_learns_no_details(client: httpx.AsyncClient, database: Any, bearer: Bearer) -> None:
    """Errors name no near table, column or value, and an estimate does not count rows that a policy hides."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute(
            """
            create table public.box (id int primary key, word text not null check (word <> 'canary'));
            alter table public.box enable row level security; create policy add on public.box for insert to anon with check (true);
            create policy look on public.box for select to anon using (id < 0);
            grant select, insert on public.box to anon; insert into public.box select n, 'x' from generate_series(1, 5000) n;
            analyze public.box; notify pgrst;
            """
        )
    public, box = {"Authorization": f"Bearer {anon_key(Secret(SECRET))}"}, "/api/database/records/box"
    with anyio.fail_after(5):
        while (await client.get(box, headers=public)).status_code != 200:  # noqa: ASYNC110  # the catalog follows by itself
            await anyio.sleep(0.05)
    asked = [
        client.get("/api/database/records/boxx", headers=public),
        client.get("/api/database/records/userz", headers=public),
        client.get(USERS, headers=public),
        client.get(box + "?select=wor", headers=public),
        client.get(box + "?select=id,users(id)", headers=public),
        client.post(box, json={"id": 1, "word": "y"}, headers=public),
        client.post(box, json={"id": 9000, "word": "canary"}, headers=public),
        client.post(box, json={"id": 9000}, headers=public),
        client.post("/api/database/rpc/take_leas", json={}, headers=public),
        client.post("/api/database/rpc/take_lease", json={}, headers=public),
    ]
    for answer in [await sent for sent in asked]:
        assert 400 <= answer.status_code < 500, answer.text
        assert (answer.json()["details"], answer.json()["hint"]) == (None, None), answer.text
    near = await client.get("/api/database/records/boxx", headers=bearer("project_admin"))
    assert "box" in near.json()["hint"]
    for guess in ("planned", "estimated", "exact"):
        answer = await client.get(box, headers=public | {"Prefer": f"count={guess}"})
        assert answer.headers["content-range"] == "*/0", guess


async def test_q6_what_gets_around_the_policies_is_named_at_the_start(
    settings: Settings, database: Any, caplog: pytest.LogCaptureFixture, anyio_backend: str
) -> None:
    """Views and functions with their owner's rights, tables without policies, policies for everybody: one line each; ours are clean."""
    async with open_kit(settings) as kit:
        assert await audit_rights(kit) == []
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute(
            """
            create table public.bare (id int); grant select on public.bare to anon;
            create view public.leaky as select * from public.users; grant select on public.leaky to authenticated;
            create view public.tight with (security_invoker = true) as select * from public.users;
            grant select on public.tight to authenticated;
            create function public.mighty() returns int language sql security definer as 'select 1';
            create table public.wide (id int); alter table public.wide enable row level security; grant select on public.wide to anon;
            create policy everybody on public.wide using (true);
            """
        )
    async with open_kit(settings) as kit:
        found = await audit_rights(kit)
    assert [line.partition(":")[0] for line in found] == ["public.bare", "public.leaky", "public.mighty()", "public.wide"]


async def test_no_canary_leaves_through_log_or_answer(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """Passwords, tokens and keys of requests stand neither in the log at DEBUG nor in an error's body."""
    with caplog.at_level(logging.DEBUG):
        answers = [
            await client.post("/api/auth/users", json={"email": "a@example.com", "password": "canary-password"}),
            await client.post("/api/auth/sessions", json={"email": "a@example.com", "password": "canary-wrong"}),
            await client.post("/api/auth/sessions", content=b'{"email": "a@example.com", "password": canary'),
            await client.get(f"{USERS}?select=canary-column", headers={"Authorization": "Bearer canary-token"}),
            await client.get("/api/auth/users", headers={"x-api-key": "ik_canary"}),
        ]
    said = "".join(record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore")))
    assert "canary" not in said
    assert "canary" not in "".join(answer.text for answer in answers)
    assert json.loads(answers[0].text)["accessToken"] not in said
