"""What a transaction is set to before the statement, and what the statement may set for the answer (transactions)."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from replay import ANN, Case, ask, replay

from dealquest.storage.engine import Engine, EngineConfig
from dealquest.storage.migrations import LOGIN_ROLE
from dealquest.values import ANON, Principal

HOUSE = """
create schema house; grant usage on schema house to anon, authenticated;
create role patient nologin; grant usage on schema house to patient; grant patient to %(login)s;
create sequence house.calls; grant usage on sequence house.calls to anon, authenticated;
create view house.counter as select nextval('house.calls') as n;
create function house.count_volatile() returns int language sql volatile as $$ select nextval('house.calls')::int $$;
create function house.count_stable() returns int language sql stable as $$ select nextval('house.calls')::int $$;
create function house.count_immutable() returns int language sql immutable as $$ select nextval('house.calls')::int $$;
create function house.one() returns int language sql volatile as 'select 1';
create function house.isolation() returns text language sql stable as $$ select current_setting('transaction_isolation') $$;
create function house.isolation_of_its_own() returns text language sql stable set default_transaction_isolation to 'serializable' as
  $$ select current_setting('transaction_isolation') $$;
create function house.setting(name text) returns text language sql stable as $$ select current_setting(name, true) $$;
create function house.json_setting(name text) returns json language sql stable as $$ select current_setting(name, true)::json $$;
create function house.sleep() returns void language sql volatile set statement_timeout to '100ms' as 'select pg_sleep(0.4)';
create function house.answer(headers text, status text default null) returns int language plpgsql volatile as $$ begin
  perform set_config('response.headers', headers, true);
  if status is not null then perform set_config('response.status', status, true); end if;
  return 1; end $$;
grant all on all tables in schema house to anon, authenticated;
"""
CONFIG = EngineConfig(db_schemas=("house",), db_anon_role="anon", db_extra_search_path=())
PATIENT = Principal(role="patient", subject="pat")  # type: ignore[arg-type]  # a role of these tests alone


@pytest.fixture(scope="module")
def house(cinema: str, cinema_owner: str) -> Iterator[str]:
    """A schema of its own, and a role with settings of its own, gone afterwards."""
    with psycopg.connect(cinema_owner, autocommit=True) as owner:
        owner.execute(HOUSE % {"login": LOGIN_ROLE})
        yield cinema
        owner.execute("drop schema house cascade; drop owned by patient; drop role patient")


async def test_reads_change_nothing(house: str) -> None:
    """GET and functions that promise to change nothing run read-only, and what changes something there is a 405."""
    refused = {"code": "25006", "details": None, "hint": None, "message": "cannot execute nextval() in a read-only transaction"}
    await replay(
        house,
        [
            Case("GET /counter", refused, 405),
            Case("HEAD /counter", "", 405, shows={"proxy-status": "PostgREST; error=25006"}),
            Case("GET /rpc/count_volatile", refused, 405),
            Case("POST /rpc/count_volatile", status=200),
            Case("POST /rpc/count_stable", refused, 405),
            Case("POST /rpc/count_immutable", refused, 405),
            Case("GET /rpc/one", 1),
            Case("OPTIONS /counter", "", shows={"allow": "OPTIONS,GET,HEAD"}),
        ],
        CONFIG,
    )


async def test_isolation_is_the_roles_or_the_functions(house: str, cinema_owner: str) -> None:
    """Read committed, unless the role has another default; a function's own goes before it."""
    with psycopg.connect(cinema_owner, autocommit=True) as owner:
        owner.execute("alter role patient set default_transaction_isolation to 'repeatable read'")
    own = Case("GET /rpc/isolation_of_its_own", '"serializable"')
    await replay(house, [Case("GET /rpc/isolation", '"read committed"'), own], CONFIG)
    await replay(house, [Case("GET /rpc/isolation", '"repeatable read"'), own], CONFIG, PATIENT)


async def test_a_roles_settings_hold_for_its_transactions(house: str, cinema_owner: str) -> None:
    """A setting of the role is applied; one that the login role may not change is left out until it is granted."""
    with psycopg.connect(cinema_owner, autocommit=True) as owner:
        owner.execute("alter role patient set statement_timeout to '7s'; alter role patient set log_duration to on")
        told = [Case("GET /rpc/setting?name=statement_timeout", '"7s"'), Case("GET /rpc/setting?name=log_duration", '"off"')]
        await replay(house, told, CONFIG, PATIENT)
        await replay(house, [Case("GET /rpc/setting?name=statement_timeout", '"10s"')], CONFIG)
        owner.execute("grant set on parameter log_duration to " + LOGIN_ROLE)
        await replay(house, [Case("GET /rpc/setting?name=log_duration", '"on"')], CONFIG, PATIENT)
        await replay(house, [Case("GET /rpc/setting?name=log_duration", '"off"')], CONFIG)
        owner.execute("revoke set on parameter log_duration from " + LOGIN_ROLE)


async def test_settings_of_a_function_are_hoisted(house: str) -> None:
    """A function's own time limit ends the call, because the transaction takes it over; unless the operator names other settings."""
    ended = {"code": "57014", "details": None, "hint": None, "message": "canceling statement due to statement timeout"}
    await replay(house, [Case("POST /rpc/sleep", ended, 500, {})], CONFIG)
    others = EngineConfig(db_schemas=("house",), db_anon_role="anon", db_hoisted_tx_settings=("work_mem",))
    await replay(house, [Case("POST /rpc/sleep", "", 204, {})], others)


async def test_the_transaction_sees_the_request(house: str) -> None:
    """Method, path, headers, cookies apart, and the claims with the role in them, whoever calls."""

    def get(name: str, value: Any, **headers: str) -> Case:
        return Case(f"GET /rpc/json_setting?name={name}", value, headers=headers)

    await replay(
        house,
        [
            get("request.headers", {"x-own": "b", "accept": "*/*"}, **{"x-own": "b", "accept": "*/*", "cookie": "a=1; b=x"}),
            get("request.cookies", {"a": "1", "b": "x"}, cookie="a=1; b=x"),
            get("request.cookies", {}),
            Case("POST /rpc/setting", '"POST"', 200, {"name": "request.method"}),
            Case("POST /rpc/setting", '"/rpc/setting"', 200, {"name": "request.path"}),
            Case("GET /rpc/setting?name=search_path", '"\\"house\\""'),
            Case("GET /rpc/setting?name=role", '"authenticated"'),
        ],
        CONFIG,
    )
    async with await Engine.open(house, CONFIG) as engine:
        for _ in range(2):
            mine = (await ask(engine, get("request.jwt.claims", None), ANN)).json()
            assert (mine["role"], mine["sub"]) == ("authenticated", "ann")
            assert (await ask(engine, get("request.jwt.claims", None), ANON)).json() == {"role": "anon"}


async def test_the_transaction_decides_the_answer(house: str) -> None:
    """Headers are added, repeated or put in the place of PostgREST's own; a status is replaced; what is neither is a 500."""
    headers = "response.headers guc must be a JSON array composed of objects with a single key and a string value"
    async with await Engine.open(house, CONFIG) as engine:
        body = {"headers": '[{"Cache-Control": "public"}, {"Cache-Control": "max-age=5"}, {"Content-Type": "text/x"}]', "status": "205"}
        answer = await ask(engine, Case("POST /rpc/answer", body=body))
    assert (answer.status, answer.header("content-type"), answer.body) == (205, "text/x", b"1")
    assert [value for name, value in answer.headers if name == "cache-control"] == ["public", "max-age=5"]
    assert sum(name == "content-type" for name, _ in answer.headers) == 1
    bad = {"code": "PGRST111", "details": None, "hint": None, "message": headers}
    await replay(
        house,
        [
            Case("POST /rpc/answer", bad, 500, {"headers": text}, shows={"proxy-status": "PostgREST; error=PGRST111"})
            for text in ('{"a": "b"}', '["a"]', '[{"a": "b", "c": "d"}]', '[{"a": 1}]', "x")
        ],
        CONFIG,
    )
