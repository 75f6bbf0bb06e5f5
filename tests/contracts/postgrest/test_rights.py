"""Who may see what: roles and claims, tenants, limits, and requests made to break out (rows Q2 to Q8, P21)."""

import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fuzzing import fuzz
from replay import ANN, CONFIG, Case, ask, replay

from dealquest.errors import LimitError, SettingsError
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.storage.engine.claim_path import read_path
from dealquest.values import ANON, Principal, Secret
from dealquest.wire import HttpRequest

BOB = Principal(role="authenticated", subject="bob")
SECRET = "reallyreallyreallyreallyverysafe"
FULL = {"prefer": "return=representation"}


async def test_q3_fuzzed_requests_never_become_syntax_errors(cinema: str) -> None:
    """Thousands of scrambled requests: every one is answered, none with a syntax error of PostgreSQL's."""
    seen = await fuzz(cinema, 3000, seed=7)
    assert sum(seen.values()) == 3000
    answered = sum(times for key, times in seen.items() if key.startswith("2"))
    assert answered > 150, "most scraps fit, so that many requests get as far as PostgreSQL"


async def test_p21_tenants_are_apart_by_every_way_in(cinema: str) -> None:
    """Tables, views, functions, embeds and counts show a tenant its own rows, and writes reach no others."""
    async with await Engine.open(cinema, CONFIG) as engine:

        async def rows(line: str, who: Principal, body: Any = None, **headers: str) -> Any:
            response = await ask(engine, Case(line, body=body, headers=headers), who)
            return response.status, json.loads(response.body) if response.body else None

        for line in ("GET /notes?select=id&order=id", "GET /notes_view?select=id&order=id", "GET /rpc/all_notes?select=id&order=id"):
            assert await rows(line, ANN) == (200, [{"id": 1}, {"id": 2}])
            assert await rows(line, BOB) == (200, [{"id": 3}])
            assert (await rows(line, ANON))[0] == 401
        assert await rows("GET /lines_of_notes?select=id,notes(id)", BOB) == (200, [{"id": 2, "notes": {"id": 3}}])
        assert await rows("GET /notes?select=id,lines_of_notes(text)&id=eq.1", BOB) == (200, [])
        assert await rows("GET /notes?select=count()", BOB) == (200, [{"count": 1}])
        exact = {"prefer": "count=exact"}
        assert (await ask(engine, Case("HEAD /notes", headers=exact), BOB)).header("content-range") == "0-0/1"
        for verb, body in (("PATCH", {"body": "stolen"}), ("DELETE", None)):
            for table in ("notes", "notes_view"):
                assert await rows(f"{verb} /{table}?id=gt.0&select=id", BOB, body, **FULL) == (200, [{"id": 3}])
        assert (await rows("POST /notes", BOB, {"id": 9, "owner": "ann"}))[0] == 403
        assert (await rows("PUT /notes?id=eq.1", BOB, {"id": 1, "owner": "bob", "body": "x"}))[0] == 403
        merge = {"prefer": "resolution=merge-duplicates"}
        assert (await rows("POST /notes", BOB, {"id": 1, "owner": "bob", "body": "x"}, **merge))[0] == 403
        assert (await rows("PATCH /notes?id=eq.3", BOB, {"owner": "ann"}))[0] == 403


async def test_q7_nothing_is_left_on_a_connection(cinema: str) -> None:
    """A function that takes another role or other claims changes nothing for the next request on its connection."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1)
    async with await Engine.open(cinema, config) as engine:
        for _ in range(3):
            await ask(engine, Case("POST /rpc/become", body={"who": "project_admin"}))
            bob = await ask(engine, Case("GET /notes?select=id"), BOB)
            anon = await ask(engine, Case("GET /notes?select=id"), ANON)
            assert (bob.json(), anon.status) == ([{"id": 3}], 401)


async def test_q2_only_what_is_exposed(cinema: str) -> None:
    """Hidden schemas, system tables and made-up types and names are refused or are names of nothing."""
    await replay(
        cinema,
        [
            Case("GET /pg_class", status=404),
            Case("GET /films?select=vault(*)", status=400),
            Case('GET /films?select=id::"int);drop table films"', status=400),
            Case("GET /films?select=id::int)%3Bselect pg_sleep(9)--", status=400),
            Case("GET /films?select=pg_sleep", status=400),
            Case("GET /films?info->%27x%27%7C%7C%27y=eq.1", [], 200),
            Case("GET /films?order=id;drop table films", status=400),
            Case(
                "POST /actors?on_conflict=id)do nothing;--", status=400, body={"id": 1}, headers={"prefer": "resolution=merge-duplicates"}
            ),
            Case("POST /actors?columns=id)values(1)--", status=400, body={"id": 1}),
            Case("GET /films", status=406, headers={"accept-profile": 'hidden";--'}),
            Case("GET /rpc/pg_sleep?seconds=9", status=404),
        ],
    )


async def test_q8_limits_hold(cinema: str) -> None:
    """Slow statements, deep embeds, many filters, long URLs and large bodies end at their limit."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", statement_timeout_s=0.2, max_body_bytes=1000)
    deep = "id"
    for _ in range(9):
        deep = f"films({deep},directors({deep}))" if len(deep) < 200 else f"films({deep})"
    nested = "(" + "and(" * 70 + "id.eq.1" + ")" * 71
    await replay(
        cinema,
        [
            Case("POST /rpc/slow", status=500, body={}),
            Case(f"GET /directors?select={deep}", status=400),
            Case("GET /films?" + "&".join(f"id=gt.{n}" for n in range(201)), status=400),
            Case(f"GET /films?and={nested}", status=400),
            Case("GET /films?title=eq." + "x" * 20_000, status=414),
            Case("POST /actors", status=413, body=b"x" * 1001),
            Case("POST /actors", status=400, body=b"[" * 900),
        ],
        config,
    )


async def test_q6_a_login_above_policies_is_refused(cinema: str, cinema_owner: str) -> None:
    """The engine does not start as superuser, for whom no policy counts, unless it is told to."""
    with pytest.raises(SettingsError) as caught:
        await Engine.open(cinema_owner, CONFIG)
    assert caught.value.code == "engine.login.superuser"
    async with await Engine.open(cinema_owner, EngineConfig(db_schemas=("cinema",), db_allow_superuser=True)) as engine:
        assert (await ask(engine, Case("GET /notes?select=id"), BOB)).json() == [{"id": 3}]


async def over_http(engine: Engine, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """One request through the ASGI face."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": headers.pop(":method", "GET"),
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await engine.asgi(scope, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}, sent[1]["body"]


def sign(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: str) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=header or None)


def sign_by_hand(claims: dict[str, Any], secret: bytes) -> str:
    """HS256 with a key that no library would sign with: the attack on whoever verifies with the wrong kind of key."""
    parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "r"}, claims)]
    signed = b".".join(parts)
    return (signed + b"." + jwt.utils.base64url_encode(hmac.digest(secret, signed, "sha256"))).decode()


async def test_q5_tokens(cinema: str) -> None:
    """Good tokens give their role; bad, old, early, foreign and empty ones are refused with the reason."""
    now = datetime.now(UTC)
    old, soon = now - timedelta(hours=1), now + timedelta(hours=1)
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", jwt_secret=Secret(SECRET), jwt_aud="us")
    good = {"role": "authenticated", "sub": "bob"}
    cases = [
        (sign(good), 200, ""),
        (sign({**good, "aud": "us"}), 200, ""),
        (sign({**good, "aud": ["them", "us"]}), 200, ""),
        (sign({**good, "aud": []}), 200, ""),
        (sign({**good, "exp": soon, "nbf": old, "iat": old}), 200, ""),
        (sign({**good, "exp": old}), 401, "JWT expired"),
        (sign({**good, "nbf": soon}), 401, "JWT not yet valid"),
        (sign({**good, "iat": soon}), 401, "JWT issued at future"),
        (sign({**good, "aud": "them"}), 401, "JWT not in audience"),
        (sign({**good, "nbf": "x"}), 401, "The JWT 'nbf' claim must be a number"),
        (sign({**good, "exp": old, "nbf": "x"}), 401, "JWT expired"),
        (sign({**good, "role": 12}), 401, 'role "12" does not exist'),
        (sign(good, "another-secret-of-thirty-two-bytes"), 401, "No suitable key or wrong key type"),
        (sign(good)[:-4] + "AAAA", 401, "No suitable key or wrong key type"),
        (jwt.encode(good, None, algorithm="none"), 401, "Wrong or unsupported encoding algorithm"),
        (sign({**good, "role": "postgres"}), 401, 'role "postgres" does not exist'),
        (sign({"sub": "bob"}), 401, "permission denied for table notes"),
        ("a.b", 401, "Expected 3 parts in JWT; got 2"),
        ("", 401, "Empty JWT is sent in Authorization header"),
    ]
    async with await Engine.open(cinema, config) as engine:
        for _ in range(2):
            for token, status, message in cases:
                found, headers, body = await over_http(engine, "/notes?select=id", {"authorization": f"Bearer {token}"})
                assert (found, json.loads(body)["message"] if found != 200 else "") == (status, message), token
                if status == 401:
                    assert headers["www-authenticate"].startswith("Bearer")
        status, _, _ = await over_http(engine, "/films?select=id&id=eq.1", {})
        assert status == 200
        assert (await over_http(engine, "/notes?select=id", {"authorization": f"BEARER {sign(good)}"}))[0] == 200
    closed = EngineConfig(db_schemas=("cinema",))
    async with await Engine.open(cinema, closed) as engine:
        assert (await over_http(engine, "/films", {}))[0] == 401
        assert (await over_http(engine, "/films", {"authorization": "Bearer a.b.c"}))[0] == 500


async def test_q5_key_sets(cinema: str) -> None:
    """RSA and elliptic keys from a JWK set, by their kid; a public key never passes for a shared secret."""
    rsa_key, ec_key = rsa.generate_private_key(public_exponent=65537, key_size=2048), ec.generate_private_key(ec.SECP256R1())
    rsa_jwk = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key())), "kid": "r"}
    ec_jwk = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key.public_key())), "kid": "e"}
    secret = Secret(json.dumps({"keys": [rsa_jwk, ec_jwk]}))
    config = EngineConfig(
        db_schemas=("cinema",), db_anon_role="anon", jwt_secret=secret, jwt_role_claim_key='.app."the roles"[?(@ ^== "auth")]'
    )
    good = {"app": {"the roles": ["x", "authenticated"]}, "sub": "bob"}
    cases = [
        (sign(good, rsa_key, "RS256", kid="r"), 200),
        (sign(good, ec_key, "ES256", kid="e"), 200),
        (sign(good, ec_key, "ES256"), 200),
        (sign(good, ec_key, "ES256", kid="r"), 401),
        (sign_by_hand(good, json.dumps(rsa_jwk).encode()), 401),
    ]
    async with await Engine.open(cinema, config) as engine:
        for token, wanted in cases:
            status, _, _ = await over_http(engine, "/notes?select=id", {"authorization": f"bearer {token}"})
            assert status == wanted


async def test_timings(cinema: str) -> None:
    """The steps of an answer are told when the operator wants them, up to the one that failed."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", jwt_secret=Secret(SECRET), server_timing_enabled=True)
    steps = ["jwt", "parse", "plan", "transaction", "response"]
    async with await Engine.open(cinema, config) as engine:
        for path, headers, told in (
            ("/films?id=eq.1", {}, steps),
            ("/films?id=eq.x", {}, steps[:4]),
            ("/films?id=x", {}, steps[:2]),
            ("/films", {"authorization": "Bearer x"}, steps[:1]),
            ("/films", {":method": "OPTIONS"}, steps),
        ):
            _, found, _ = await over_http(engine, path, headers)
            assert [part.partition(";")[0].strip() for part in found["server-timing"].split(",")] == told


async def test_browsers(cinema: str) -> None:
    """Preflights and answers carry the CORS headers of the options."""
    async with await Engine.open(cinema, CONFIG) as engine:
        wanted = {
            "origin": "https://a.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "Foo,Bar",
            ":method": "OPTIONS",
        }
        status, headers, _ = await over_http(engine, "/films", wanted)
        assert (status, headers["access-control-allow-origin"]) == (200, "*")
        assert headers["access-control-allow-headers"] == "Authorization, Foo, Bar, Accept, Accept-Language, Content-Language"
    only = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", server_cors_allowed_origins=("https://a.example",))
    async with await Engine.open(cinema, only) as engine:
        assert (await over_http(engine, "/films", {"origin": "https://a.example"}))[1]["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-origin" not in (await over_http(engine, "/films", {"origin": "https://b.example"}))[1]


async def test_d3_more_clients_than_connections(cinema: str) -> None:
    """Whoever waits too long is turned away at once, and the pool is whole afterwards."""
    config = EngineConfig(
        db_schemas=("cinema",),
        db_anon_role="anon",
        db_pool=2,
        db_pool_acquisition_timeout=0.3,
        db_pool_max_waiting=3,
        statement_timeout_s=1,
    )
    statuses: list[int] = []
    async with await Engine.open(cinema, config) as engine:

        async def one() -> None:
            statuses.append((await ask(engine, Case("POST /rpc/slow", body={}))).status)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(one)
        assert sorted(statuses) == [500, 500, 503, 503, 503, 504, 504, 504]
        assert (await ask(engine, Case("GET /films?select=id&id=eq.1"))).status == 200


async def test_d2_a_deadline_ends_the_statement_and_its_connection(cinema: str, cinema_owner: str) -> None:
    """A caller's deadline is kept, PostgreSQL stops working, and the next request is answered in full."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1)
    async with await Engine.open(cinema, config) as engine:
        transport = engine.bind(ANN)
        await transport.send(HttpRequest(method="GET", url="/films", timeout_s=30))
        await transport.send(HttpRequest(method="GET", url="/films", timeout_s=0.4))
        await anyio.sleep(0.5)
        with pytest.raises(LimitError) as caught:
            await transport.send(HttpRequest(method="POST", url="/rpc/slow", timeout_s=0.2))
        assert caught.value.code == "wire.timeout"
        with anyio.move_on_after(0.2) as scope:
            await transport.send(HttpRequest(method="POST", url="/rpc/slow"))
        assert scope.cancelled_caught
        assert (await ask(engine, Case("GET /films?select=id&id=eq.1"))).json() == [{"id": 1}]
        slow = "select 1 from pg_stat_activity where state = 'active' and query like '%slow%' and pid <> pg_backend_pid()"
        with psycopg.connect(cinema_owner, autocommit=True) as owner:
            assert owner.execute(slow).fetchall() == []


async def test_d1_killed_sessions_are_replaced(cinema: str, cinema_owner: str) -> None:
    """When PostgreSQL drops every session, the next requests open new ones, with the right role and claims."""
    kill = "select pg_terminate_backend(pid) from pg_stat_activity where usename <> 'postgres' and datname = current_database()"
    async with await Engine.open(cinema, CONFIG) as engine:
        for _ in range(3):
            assert (await ask(engine, Case("GET /notes?select=id"), BOB)).json() == [{"id": 3}]
            with psycopg.connect(cinema_owner, autocommit=True) as owner:
                assert owner.execute(kill).fetchall()
            await anyio.sleep(0.1)
            assert (await ask(engine, Case("GET /notes?select=id"), ANN)).json() == [{"id": 1}, {"id": 2}]


async def test_the_catalog_follows_the_schema(cinema: str, cinema_owner: str) -> None:
    """A notification makes a new table known, a dropped column is forgotten, and prepared plans are made anew."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1)
    async with await Engine.open(cinema, config) as engine:
        owner = psycopg.connect(cinema_owner, autocommit=True)
        try:
            owner.execute("create table cinema.fresh (id int primary key, a int)")
            owner.execute("grant all on cinema.fresh to authenticated")
            assert (await ask(engine, Case("GET /fresh"))).status == 404
            owner.execute("notify pgrst")
            await anyio.sleep(0.1)
            assert (await ask(engine, Case("GET /fresh"))).json() == []
            owner.execute("alter table cinema.fresh add column b int")
            assert (await ask(engine, Case("GET /fresh"))).json() == []
            owner.execute("notify pgrst")
            await anyio.sleep(0.1)
            assert (await ask(engine, Case("POST /fresh", body={"id": 1, "b": 2}))).status == 201
            assert (await ask(engine, Case("GET /fresh"))).json() == [{"id": 1, "a": None, "b": 2}]
        finally:
            owner.execute("drop table cinema.fresh")
            owner.close()


@pytest.mark.parametrize(
    ("path", "claims", "role"),
    [
        ("$.role", {"role": "anon"}, "anon"),
        (".role", {"role": "anon"}, "anon"),
        ('$["the role"]', {"the role": "anon"}, "anon"),
        ("$.app['roles'][1]", {"app": {"roles": ["x", "anon"]}}, "anon"),
        ('$.roles[?search(@, "^an")]', {"roles": ["x", "anon"]}, "anon"),
        ('$.roles[?(@ == "anon")]', {"roles": ["x", "anon"]}, "anon"),
        ("$.role", {"role": {"deep": 1}}, {"deep": 1}),
        ("$.a.b.c", {"a": 1}, None),
    ],
)
def test_q5_the_role_is_found_by_its_path(path: str, claims: Any, role: Any) -> None:
    """JSON Path, and the older spelling without its root."""
    assert read_path(path)(claims) == role


async def test_connections_grow_old(cinema: str) -> None:
    """A connection that is too old or was idle for too long is not lent again."""
    for limits in ({"db_pool_max_lifetime": 0.0}, {"db_pool_max_idletime": 0.0}):
        async with await Engine.open(cinema, EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1, **limits)) as engine:
            pids = [(await ask(engine, Case("GET /rpc/backend"))).json() for _ in range(2)]
        assert pids[0] != pids[1]


def test_q2_postgresqls_own_schemas_are_never_exposed() -> None:
    """Whoever names pg_catalog is told before anything is served."""
    with pytest.raises(SettingsError) as caught:
        EngineConfig(db_schemas=("api", "pg_catalog"))
    assert caught.value.code == "engine.schemas"
