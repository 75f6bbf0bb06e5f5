# ruff: noqa: ANN001, ANN202, ASYNC220, PLC0415  # bare ASGI apps, servers started before the loop is busy, frameworks that may be absent
"""What the engine costs beside the bare transaction, as ratios of one run.

`python benchmarks/postgrest/engine.py` starts its own PostgreSQL (extra `embedded`) and prints a table.
`--http` adds servers on loopback (needs uvicorn, httptools, uvloop and wrk; Starlette with asyncpg joins where installed).
"""

import argparse
import asyncio
import importlib.util
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import httpx
import psycopg

from dealquest.storage import Postgrest
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.storage.engine.batch import Query
from dealquest.storage.engine.driver import Connection
from dealquest.storage.engine.execute import write_search_path
from dealquest.storage.engine.identity import from_principal
from dealquest.storage.engine.incoming import Incoming
from dealquest.storage.engine.pool import Pool
from dealquest.values import Principal
from dealquest.wire import HttpRequest

SCHEMA = """
create role bench_user nologin; create role bench_login login noinherit; grant bench_user to bench_login;
create schema bench; grant usage on schema bench to bench_user;
create table bench.items (id int primary key, name text, owner text);
create table bench.events (id bigserial primary key, name text, owner text);
alter table bench.items enable row level security;
create policy own on bench.items using (owner = nullif(current_setting('request.jwt.claims', true), '')::json ->> 'role');
insert into bench.items select n, 'item ' || n, 'bench_user' from generate_series(1, 1000) n; analyze bench.items;
do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$;
grant all on all tables in schema bench to bench_user; grant all on all sequences in schema bench to bench_user;
"""
CONFIG = EngineConfig(db_schemas=("bench",), db_anon_role="bench_user", db_extra_search_path=(), db_pool=6)
CLAIMS = b'{"role":"bench_user","sub":"u"}'
READ = b"select coalesce(json_agg(t), '[]') from (select id, name, owner from bench.items where id = $1) t"
WRITE = b"insert into bench.events (name, owner) values ($1, $2)"
READ_SCRIPT = """
local n = 0
request = function() n = n % 1000 + 1; return wrk.format("GET", "/items?select=id,name,owner&id=eq." .. n) end
"""
WRITE_SCRIPT = """
wrk.method = "POST"; wrk.path = "/events"; wrk.body = '{"name":"n","owner":"u"}'; wrk.headers["content-type"] = "application/json"
"""
SETTINGS = (
    b"select set_config('search_path', $1, true), set_config('request.jwt.claims', $2, true), set_config('request.method', $3, true),"
    b" set_config('request.path', $4, true), set_config('request.headers', $5, true), set_config('request.cookies', $6, true),"
    b" set_config($7, $8, true), set_config('role', $9, true)"
)


@attrs.frozen
class Item:
    id: int
    name: str
    owner: str


class Constant(httpx.AsyncBaseTransport):
    """httpx's own seam, answering one row at once."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return httpx.Response(200, headers={"content-type": "application/json"}, content=b'[{"id":7,"name":"item 7","owner":"bench_user"}]')


def bare(sql: bytes, values: list[bytes | None], mode: bytes) -> list[Query]:
    """The transaction alone: the floor under every engine."""
    path = write_search_path("bench", ())
    settings: list[bytes | None] = [path, CLAIMS, b"GET", b"/items", b"{}", b"{}", b"statement_timeout", b"10000", b"bench_user"]
    return [
        Query(b"BEGIN" + mode, (), b"BEGIN" + mode),
        Query(SETTINGS, settings, "settings"),
        Query(sql, values, sql),
        Query(b"COMMIT", (), "commit"),
    ]


async def cpu_us(step: Callable[[int], Awaitable[object]], count: int) -> float:
    started = time.process_time()
    for number in range(count):
        await step(number)
    return (time.process_time() - started) / count * 1e6


async def measure_in_process(dsn: str, rounds: int, count: int) -> None:
    connection = await Connection.open(dsn)
    engine = await Engine.open(dsn, CONFIG)
    user = engine.bind(Principal(role="bench_user", subject="u"))  # type: ignore[arg-type]  # a role of this database

    async def floor(number: int) -> object:
        return await connection.run(bare(READ, [b"%d" % (number % 1000)], b" READ ONLY"))

    async def known(number: int) -> object:
        return await user.send(HttpRequest(method="GET", url=f"/items?select=id,name,owner&id=eq.{number % 1000}"))

    fresh = itertools.count()

    ada = from_principal(Principal(role="bench_user", subject="u"), anonymous="")  # type: ignore[arg-type]  # as above

    async def call(number: int) -> object:
        return await engine.answer(Incoming("GET", "/items", f"select=id,name,owner&id=eq.{number % 1000}", timeout_s=30), ada)

    async def new(number: int) -> object:
        return await user.send(
            HttpRequest(method="GET", url=f"/items?select=a{next(fresh)}:id,name,owner&id=eq.{number % 1000}&order=id&limit=5")
        )

    async def floor_write(number: int) -> object:
        return await connection.run(bare(WRITE, [b"n%d" % number, b"u"], b" READ WRITE"))

    async def write(number: int) -> object:
        body = json.dumps({"name": f"n{number}", "owner": "u"}).encode()
        return await user.send(HttpRequest(method="POST", url="/events", body=body))

    plain = httpx.AsyncClient(transport=Constant(), base_url="http://constant")
    db = Postgrest(user)

    async def over_httpx(number: int) -> object:
        return (await plain.get("/items", params={"select": "id,name,owner", "id": f"eq.{number % 1000}"})).json()

    async def typed(number: int) -> object:
        return await db.table("items").select("id", "name", "owner").where(id=number % 1000 + 1).one(Item)

    steps = {
        "floor": floor,
        "call": call,
        "known": known,
        "new": new,
        "floor_write": floor_write,
        "write": write,
        "httpx": over_httpx,
        "typed": typed,
    }
    found: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        await cpu_us(step, 50)
    for _ in range(rounds):
        for name, step in steps.items():
            found[name].append(await cpu_us(step, count if name != "new" else count // 4))
    middle = {name: statistics.median(values) for name, values in found.items()}
    best = {name: min(values) for name, values in found.items()}
    print(f"{'in process, one connection':44} {'median us':>10} {'least us':>10} {'ratio':>7}")
    for name, floor_name in (
        ("floor", "floor"),
        ("call", "floor"),
        ("known", "floor"),
        ("new", "floor"),
        ("floor_write", "floor_write"),
        ("write", "floor_write"),
        ("httpx", "httpx"),
        ("typed", "httpx"),
    ):
        ratio = statistics.median(value / base for value, base in zip(found[name], found[floor_name], strict=True))
        print(f"{LABELS[name]:44} {middle[name]:10.1f} {best[name]:10.1f} {ratio:7.2f}")
    connection.close()
    await engine.aclose()


LOOP = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
LABELS = {
    "floor": "bare pipelined transaction, 1 row",
    "call": "engine.answer, known shape",
    "known": "engine as Transport, known shape",
    "new": "engine, new shape",
    "floor_write": "bare pipelined transaction, insert",
    "write": "engine, insert",
    "httpx": "httpx.AsyncClient + json, constant answer",
    "typed": "Postgrest on the engine, typed row",
}


SERVERS = {
    "gateway": "gateway",
    "engine": "engine",
    "usual": "Starlette + asyncpg, usual",
    "tight": "Starlette + asyncpg, tight",
}


async def serve(kind: str, dsn: str, port: int) -> None:
    """One server on loopback, until its parent ends it."""
    import uvicorn

    app: object
    if kind == "engine":
        engine = await Engine.open(dsn, CONFIG)
        app = engine.asgi
    elif kind == "gateway":
        pool = Pool(dsn, size=6, wait_s=5, max_waiting=100, max_prepared=64)

        async def app(scope, receive, send):  # type: ignore[no-untyped-def]  # the bare protocol
            if scope["method"] == "POST":
                await receive()
                batch = bare(WRITE, [b"n", b"u"], b" READ WRITE")
            else:
                batch = bare(READ, [scope["query_string"].rpartition(b".")[2]], b" READ ONLY")
            connection = await pool.take()
            try:
                outcome = await connection.run(batch)
            finally:
                pool.give_back(connection)
            body = outcome.results[2].get_value(0, 0) if outcome.results[2].ntuples else b""
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
            await send({"type": "http.response.body", "body": body})

    else:
        app = await make_starlette(dsn, tight=kind == "tight")
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=port, http="httptools", loop="asyncio", lifespan="off", log_level="error", access_log=False
        )
    )
    await server.serve()


async def make_starlette(dsn: str, *, tight: bool) -> object:
    """What people write by hand: a pool, a transaction, SQL with parameters.

    Tight: JSON built by PostgreSQL, role and claims in one statement. Else as it is usually written: a statement for each
    setting, and rows made JSON by the framework.
    """
    import asyncpg
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    parts = dict(item.split("=", 1) for item in dsn.split() if "=" in item) if "://" not in dsn else {}
    options = {"host": parts["host"].strip("'"), "user": parts["user"], "database": parts["dbname"]} if parts else {"dsn": dsn}
    pool = await asyncpg.create_pool(min_size=6, max_size=6, **options)
    both = "select set_config('request.jwt.claims', $1, true), set_config('role', 'bench_user', true)"

    async def begin(connection):  # type: ignore[no-untyped-def]  # asyncpg is no dependency of the library
        if tight:
            await connection.execute(both, CLAIMS.decode())
        else:
            await connection.execute("set local role bench_user")
            await connection.execute("select set_config('request.jwt.claims', $1, true)", CLAIMS.decode())

    async def read(request):  # type: ignore[no-untyped-def]  # starlette is no dependency of the library
        number = int(request.query_params["id"].rpartition(".")[2])
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await begin(connection)
            if tight:
                return Response(await connection.fetchval(READ.decode(), number), media_type="application/json")
            rows = await connection.fetch("select id, name, owner from bench.items where id = $1", number)
        return JSONResponse([dict(row) for row in rows])

    async def write(request):  # type: ignore[no-untyped-def]  # as above
        row = await request.json()
        async with pool.acquire() as connection, connection.transaction():
            await begin(connection)
            await connection.execute(WRITE.decode(), row["name"], row["owner"])
        return Response(status_code=201)

    return Starlette(routes=[Route("/items", read), Route("/events", write, methods=["POST"])])


async def load(port: int, seconds: int, *, write: bool) -> tuple[float, int]:
    """Requests a second over 12 kept connections, and how many there were; wrk asks, as a client in Python eats a core."""
    script = Path(tempfile.gettempdir()) / "dealquest-bench.lua"
    script.write_text(WRITE_SCRIPT if write else READ_SCRIPT)
    command = ["wrk", "-t1", "-c12", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    shown, _ = await process.communicate()
    text = shown.decode()
    assert process.returncode == 0, text
    assert "Non-2xx" not in text, text
    done = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]  # wrk says it
    rate = float(re.search(r"Requests/sec: +([0-9.]+)", text)[1])  # type: ignore[index]  # likewise
    return rate, done


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return
    raise SystemExit(f"no server on port {port}")


async def read_row(port: int) -> list[dict[str, object]]:
    """What a server answers to one of the measured requests."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /items?select=id,name,owner&id=eq.7 HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])  # type: ignore[no-any-return]  # compared as a whole


async def measure_http(dsn: str, rounds: int, seconds: int) -> None:
    kinds = ["gateway", "engine"]
    try:
        import asyncpg  # noqa: F401  # only to know
        import starlette  # noqa: F401  # only to know

        kinds += ["usual", "tight"]
    except ModuleNotFoundError:
        print("Starlette with asyncpg is not installed, so it is not measured.")
    servers = [
        subprocess.Popen([sys.executable, __file__, "--serve", kind, "--dsn", dsn, "--port", str(8700 + place)])
        for place, kind in enumerate(kinds)
    ]
    try:
        for place, kind in enumerate(kinds):
            await wait_for(8700 + place)
            row = await read_row(8700 + place)
            assert row == [{"id": 7, "name": "item 7", "owner": "bench_user"}], (kind, row)
            await load(8700 + place, 1, write=False)
        rates: dict[tuple[str, bool], list[float]] = {(kind, write): [] for kind in kinds for write in (False, True)}
        costs: dict[tuple[str, bool], list[float]] = {key: [] for key in rates}
        for _ in range(rounds):
            for write in (False, True):
                for place, kind in enumerate(kinds):
                    before = cpu_s(servers[place].pid)
                    rate, done = await load(8700 + place, seconds, write=write)
                    rates[kind, write].append(rate)
                    costs[kind, write].append((cpu_s(servers[place].pid) - before) / done * 1e6)
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    heads = f"{'req/s':>8} {'server CPU us':>14} {'/ gateway':>20} {'/ usual by hand':>20} {'/ tight by hand':>20}"
    print(f"\n{'over uvicorn + httptools, 12 connections':42} {heads}  (ratios: least, median, most of {rounds} rounds)")
    for write in (False, True):
        for kind in kinds:
            mine, cost = rates[kind, write], statistics.median(costs[kind, write])
            ratios = [show_ratios(mine, rates[other, write]) for other in ("gateway", "usual", "tight") if other in kinds]
            name = f"{SERVERS[kind]}{', insert' if write else ', 1 row'}"
            print(f"{name:42} {statistics.median(mine):8.0f} {cost:14.0f} " + " ".join(f"{ratio:>20}" for ratio in ratios))


def show_ratios(mine: list[float], base: list[float]) -> str:
    """Least, median and most of the rounds' own ratios: what a neighbour takes, it takes from both."""
    ratios = sorted(value / other for value, other in zip(mine, base, strict=True))
    return f"{ratios[0]:.2f} {statistics.median(ratios):.2f} {ratios[-1]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--serve")
    parser.add_argument("--dsn", default="")
    parser.add_argument("--port", type=int, default=8700)
    options = parser.parse_args()
    if options.serve:
        with asyncio.Runner(loop_factory=importlib.import_module("uvloop").new_event_loop if LOOP == "uvloop" else None) as runner:
            runner.run(serve(options.serve, options.dsn, options.port))
        return
    with tempfile.TemporaryDirectory(prefix="dealquest-bench-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "home") as server:
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute(SCHEMA)
            dsn = server.dsn("bench_login")
            asyncio.run(measure_in_process(dsn, options.rounds, options.count))
            if options.http:
                asyncio.run(measure_http(dsn, options.rounds, 2))


if __name__ == "__main__":
    main()
