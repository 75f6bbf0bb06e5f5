"""PostgREST without a server to install: an embedded PostgreSQL, the engine in this process, one request."""

import tempfile
from pathlib import Path

import anyio
import psycopg

from dealquest.storage import EmbeddedPostgres
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Principal
from dealquest.wire import HttpRequest

SCHEMA = """
create role authenticated nologin; create role gateway login noinherit; grant authenticated to gateway;
create table films (id int primary key, title text);
create table reviews (id int primary key, film_id int references films, score int);
insert into films values (1, 'Alpha'), (2, 'Beta');
insert into reviews values (1, 1, 9), (2, 1, 7), (3, 2, 4);
grant select on films, reviews to authenticated;
"""


async def ask(dsn: str) -> None:
    async with await Engine.open(dsn, EngineConfig(db_schemas=("public",))) as engine:
        films = engine.bind(Principal(role="authenticated"))
        answer = await films.send(HttpRequest(method="GET", url="/films?select=title,reviews(score)&reviews.score=gt.5&order=id"))
        print(answer.status, answer.json())


with tempfile.TemporaryDirectory(prefix="dealquest-") as folder:
    Path(folder).chmod(0o711)
    with EmbeddedPostgres(Path(folder) / "home") as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(SCHEMA)
        anyio.run(ask, server.dsn("gateway"))
