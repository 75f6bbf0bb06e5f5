"""What the root says of a schema: types, defaults, lengths, comments, rights; and what foreign failures look like to a client."""

import json
from typing import Any

import psycopg
import pytest

from dealquest.errors import ConflictError, DealQuestError, LimitError, PeerUnavailableError
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.storage.engine.catalog import Catalog
from dealquest.storage.engine.errors import show_error
from dealquest.storage.engine.openapi import write_document
from dealquest.values import SERVICE
from dealquest.wire import HttpRequest

SCHEMA = """
create schema shop;
grant usage on schema shop to project_admin, anon;
create table shop.wares (
    id bigint generated always as identity primary key, price numeric default 1.5, weight real default 2,
    sold boolean default false, name varchar(10) default 'x'
);
create view shop.totals as select sum(price) as total from shop.wares;
grant all on shop.wares to project_admin;
grant select on shop.totals to project_admin;
comment on schema shop is E'The shop\\nAll that is sold.';
create function shop.rise(by numeric, "at" timestamptz default now(), dry boolean default true) returns numeric
    language sql as 'select 1.0';
comment on function shop.rise is E'Raise prices\\nBy an amount.';
create function shop.plain() returns int language sql as 'select 1';
grant execute on all functions in schema shop to project_admin;
"""


@pytest.fixture
def anyio_backend() -> str:
    """The engine's pool is bound to asyncio."""
    return "asyncio"


async def test_the_root_describes_what_there_is(database: Any) -> None:
    """Columns with types, defaults and lengths, only the verbs that a relation takes, comments in two parts, and the public address."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(SCHEMA)
    config = EngineConfig(db_schemas=("shop",), db_pool=1, openapi_security_active=True, openapi_server_proxy_uri="https://api.example/db")
    async with await Engine.open(database.login_dsn, config) as engine:
        answer = await engine.bind(SERVICE).send(HttpRequest(method="GET", url="/"))
    found = json.loads(answer.body)
    assert found["info"] == {"version": "16", "title": "The shop", "description": "All that is sold."}
    assert (found["schemes"], found["host"], found["basePath"]) == (["https"], "api.example:443", "/db")
    assert found["security"] == [{"JWT": []}]
    wares = found["definitions"]["wares"]["properties"]
    assert (wares["price"]["default"], wares["sold"]["default"], wares["name"]["maxLength"]) == (1.5, False, 10)
    assert (wares["price"]["type"], wares["sold"]["type"]) == ("number", "boolean")
    assert found["paths"]["/totals"].keys() == {"get"}
    assert found["paths"]["/wares"].keys() == {"get", "post", "patch", "delete"}
    rise = found["paths"]["/rpc/rise"]["post"]
    assert (rise["summary"], rise["description"]) == ("Raise prices", "By an amount.")
    assert "summary" not in found["paths"]["/rpc/plain"]["post"]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({}, {}),
        ({"server_host": "10.0.0.7", "server_port": 80}, {"schemes": ["http"], "host": "10.0.0.7:80", "basePath": "/"}),
        ({"openapi_server_proxy_uri": "http://api.example"}, {"schemes": ["http"], "host": "api.example:80", "basePath": "/"}),
    ],
)
def test_the_root_names_an_address_that_is_known(where: dict[str, Any], told: dict[str, Any]) -> None:
    """The public address, or else where the engine is served; an engine that is mounted knows neither and names none."""
    catalog = Catalog(server_version=150000, tables={}, relationships={}, functions={})
    document = write_document(catalog, EngineConfig(**where), "public", tables=None, functions=None)
    assert {name: document[name] for name in ("schemes", "host", "basePath") if name in document} == told


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (LimitError("full", code="engine.pool_full"), 503, "PGRST003"),
        (LimitError("slow", code="engine.timeout"), 504, "PGRST003"),
        (PeerUnavailableError("gone", code="engine.connect"), 503, "PGRST000"),
        (PeerUnavailableError("secret words", code="nobody.knows"), 500, "PGRSTX00"),
        (ConflictError("secret words", code="nobody.knows"), 500, "PGRSTX00"),
    ],
)
def test_failures_without_a_code_of_postgresqls_have_one_of_postgrests(error: DealQuestError, status: int, code: str) -> None:
    """A full pool, a slow and a gone database say so and when to come back; what is nobody's business says nothing."""
    found, headers, body = show_error(error)
    assert (found, json.loads(body)["code"]) == (status, code)
    assert b"secret words" not in body
    assert ("retry-after" in headers) is (status != 500)
