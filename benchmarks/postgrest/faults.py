# ruff: noqa: PLR0917, B023, ASYNC110, ASYNC240  # one flat script; its writers end within the round whose variables they use
"""Faults D1 and D2 in full: PostgreSQL is stopped, killed and frozen under writers, and its connections are cut, stalled and delayed.

`python benchmarks/postgrest/faults.py` starts its own PostgreSQL (extra `embedded`), prints a table and exits 1 on a violation.
`--writers`, `--rounds`, `--frozen-s`, `--stall-s` and `--step` change the load. Needs no network but loopback.
"""

import argparse
import asyncio
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dealquest.errors import DealQuestError, LimitError, PeerUnavailableError
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Principal
from dealquest.wire import HttpRequest

SCHEMA = """
create role web nologin; create role door login noinherit; grant web to door;
create schema api; grant usage on schema api to web;
create table api.done (key text, owner text default current_setting('request.jwt.claims', true)::json ->> 'sub', unique (key));
create table api.own (owner text, id int);
insert into api.own select owner, n from unnest(array['ann', 'bob']) owner, generate_series(1, 40) n;
alter table api.own enable row level security;
create policy own on api.own using (owner = current_setting('request.jwt.claims', true)::json ->> 'sub');
create function api.me() returns json language sql stable as $$ select json_build_object('role', current_user,
  'sub', current_setting('request.jwt.claims', true)::json ->> 'sub', 'pid', pg_backend_pid()) from pg_sleep(0.05) $$;
grant select, insert on api.done to web; grant select on api.own to web
"""
POOL = 4
CONFIG = EngineConfig(db_schemas=("api",), db_anon_role="web", db_pool=POOL, db_max_rows=None, db_pool_max_waiting=200)
WHO = ("ann", "bob")
OVERRUN_S = 0.5


class Report:
    """The table, and whether anything was wrong."""

    def __init__(self) -> None:
        self.wrong = 0
        print("| fault | result | violations |\n| --- | --- | --: |", flush=True)

    def row(self, fault: str, result: str, violations: int) -> None:
        self.wrong += violations
        print(f"| {fault} | {result} | {violations} |", flush=True)


class Proxy:
    """A way to PostgreSQL on loopback that stalls, delays, drops, or resets after so many bytes of the server's."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.left: int | None = None
        self.reset = True
        self.cuts = 0
        self.delay_s = 0.0
        self.open = asyncio.Event()
        self.open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self.path)
        ways = [
            asyncio.create_task(self._carry(up_reader, writer, counted=True)),
            asyncio.create_task(self._carry(reader, up_writer, counted=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            up_writer.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self.open.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s / 2)
                if counted and self.left is not None:
                    if len(data) >= self.left:
                        target.write(data[: self.left])
                        await target.drain()
                        await asyncio.sleep(0.01)  # a reset overtakes what the other side has not read yet
                        self.left = None
                        self.cuts += 1
                        if self.reset:
                            raw = target.get_extra_info("socket")
                            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            target.transport.abort()
                        return
                    self.left -= len(data)
                target.write(data)
                await target.drain()


async def send(engine: Engine, who: str, method: str, url: str, body: bytes = b"", timeout_s: float = 5.0) -> Any:
    """One request; its rows, or the status of one without."""
    user = engine.bind(Principal(role="web", subject=who))  # type: ignore[arg-type]  # a role of this database
    response = await user.send(HttpRequest(method=method, url=url, body=body, timeout_s=timeout_s))
    return response.json() if response.status == 200 else response.status


async def count_foreign(engine: Engine) -> tuple[int, int]:
    """Answers that show another's claims or rows, and how many connections gave answers, after a full pool's worth at once."""
    names = [WHO[place % 2] for place in range(3 * POOL)]
    told = await asyncio.gather(*(send(engine, name, "GET", "/rpc/me") for name in names))
    owned = await asyncio.gather(*(send(engine, name, "GET", "/own?select=owner") for name in names))
    wrong = sum((me["sub"], me["role"]) != (name, "web") for name, me in zip(names, told, strict=True))
    wrong += sum({row["owner"] for row in rows} != {name} or len(rows) != 40 for name, rows in zip(names, owned, strict=True))
    return wrong, len({me["pid"] for me in told})


async def run_d2(server: EmbeddedPostgres, options: argparse.Namespace, report: Report) -> None:
    """The proxy's faults."""
    parts = conninfo_to_dict(server.dsn("door"))
    proxy = Proxy(f"{parts['host']}/.s.PGSQL.{parts['port']}")
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    dsn = make_conninfo(server.dsn("door"), host="127.0.0.1", port=listener.sockets[0].getsockname()[1], sslmode="disable")
    async with listener, await Engine.open(dsn, CONFIG) as engine:
        wanted = {who: [{"owner": who, "id": n} for n in range(1, 41)] for who in WHO}
        for reset in (True, False):
            wrong = cuts = 0
            places = range(1, 2000, options.step)
            for place, after in enumerate(places):
                who = WHO[place % 2]
                proxy.left, proxy.reset, before = after, reset, proxy.cuts
                for _ in range(8):  # small answers share the count, so that every position is reached
                    wrong += await send(engine, who, "GET", "/own?order=id") != wanted[who]
                    if proxy.cuts > before:
                        break
                cuts += proxy.cuts - before
                proxy.left = None
                key = b'{"key": "cut-%d-%d"}' % (reset, after)
                proxy.left = after % 300 + 1
                with suppress(PeerUnavailableError):
                    await send(engine, who, "POST", "/done", key)
                proxy.left = None
                wrong += await send(engine, who, "POST", "/done", key) not in {201, 409}
                wrong += (await count_foreign(engine))[0]
            wrong += cuts < len(places)
            report.row(f"{'RST' if reset else 'drop'} at n bytes", f"{cuts} of {len(places)} positions cut while reading", wrong)
        proxy.open.clear()
        started = time.monotonic()
        late = []
        while time.monotonic() - started < options.stall_s:
            for method, url, body in (("GET", "/own", b""), ("POST", "/done", b'{"key": "%s"}' % (b"x" * 4_000_000))):
                begun = time.monotonic()
                with suppress(LimitError, PeerUnavailableError):
                    await send(engine, "ann", method, url, body, timeout_s=0.5)
                late.append(time.monotonic() - begun - 0.5)
        proxy.open.set()
        wrong, full = await count_foreign(engine)
        over = sum(value > OVERRUN_S for value in late)
        report.row(
            f"stall {options.stall_s:g} s",
            f"{len(late)} calls of 0.5 s, worst {max(late) * 1000:.0f} ms over, {full} connections after",
            over + wrong,
        )
        proxy.delay_s = 0.2
        begun = time.monotonic()
        wrong, full = await count_foreign(engine)
        report.row("200 ms latency", f"{6 * POOL} calls in {time.monotonic() - begun:.1f} s", wrong)
        proxy.delay_s = 0.0


def strike(server: EmbeddedPostgres, folder: Path, fault: str, frozen_s: float) -> None:
    """Hurt the server and bring it back; blocks until it accepts."""
    postmaster = int(next(folder.glob("postgres/data-*/postmaster.pid")).read_text().split()[0])
    if fault == "SIGSTOP of the postmaster":
        os.kill(postmaster, signal.SIGSTOP)
        time.sleep(frozen_s)
        os.kill(postmaster, signal.SIGCONT)
    elif fault == "kill -9 of a backend":
        with suppress(psycopg.Error), psycopg.connect(server.dsn(), autocommit=True) as connection:
            row = connection.execute("select pid from pg_stat_activity where usename = 'door' limit 1").fetchone()
            if row is not None:
                os.kill(int(row[0]), signal.SIGKILL)
    else:  # what pg_ctl stop sends for its modes
        os.kill(postmaster, signal.SIGQUIT if fault == "stop -m immediate" else signal.SIGINT)
        while (folder / "postgres").exists() and _runs(postmaster):
            time.sleep(0.01)
        server.revive()
    while True:
        with suppress(psycopg.Error), psycopg.connect(server.dsn()):
            return
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def run_d1(server: EmbeddedPostgres, folder: Path, options: argparse.Namespace, report: Report) -> None:
    """The server's faults, under writers."""
    async with await Engine.open(server.dsn("door"), CONFIG) as engine:
        for number, (fault, rounds) in enumerate(
            (("stop -m immediate", options.rounds), ("stop -m fast", 3), ("kill -9 of a backend", 3), ("SIGSTOP of the postmaster", 1))
        ):
            acknowledged: dict[str, str] = {}
            answered: list[float] = []
            unknown = [0]
            going = True

            async def write(name: str, prefix: str) -> None:
                count = 0
                while going:
                    count += 1
                    key = f"{prefix}-{name}-{count}"
                    while going:
                        try:
                            if await send(engine, name, "POST", "/done", b'{"key": "%s"}' % key.encode()) in {201, 409}:
                                acknowledged[key] = name
                                answered.append(time.monotonic())
                                break
                        except PeerUnavailableError as exc:
                            unknown[0] += exc.code == "wire.broken"
                        except DealQuestError:
                            pass
                        await asyncio.sleep(0.02)

            writers = [asyncio.create_task(write(f"w{place}", f"f{number}")) for place in range(options.writers)]
            recovery = []
            for _ in range(rounds):
                await asyncio.sleep(0.5)
                await asyncio.to_thread(partial(strike, server, folder, fault, options.frozen_s))
                accepted = time.monotonic()
                while (not answered or answered[-1] < accepted) and time.monotonic() - accepted < 10:
                    await asyncio.sleep(0.005)
                recovery.append(time.monotonic() - accepted)
            going = False
            await asyncio.gather(*writers)
            with psycopg.connect(server.dsn()) as connection:
                rows = connection.execute("select key, owner from api.done where key like %s", (f"f{number}-%",)).fetchall()
            found: dict[str, str] = dict(rows)
            lost = sum(key not in found for key in acknowledged)
            foreign = sum(not key.startswith(f"f{number}-{owner}-") for key, owner in rows)
            wrong, full = await count_foreign(engine)
            violations = lost + len(rows) - len(found) + foreign + wrong + (full < POOL) + sum(value > 1 for value in recovery)
            report.row(
                f"{fault} x{rounds}",
                f"{len(acknowledged)} answered, {lost} lost, {len(rows) - len(found)} doubled, {unknown[0]} unknown, "
                f"first answer <= {max(recovery) * 1000:.0f} ms after it accepts, {full} of {POOL} connections",
                violations,
            )


async def main() -> int:
    """Both rows; the exit code."""
    parser = argparse.ArgumentParser(description="Faults D1 and D2 of the engine.")
    parser.add_argument("--writers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--frozen-s", type=float, default=20.0)
    parser.add_argument("--stall-s", type=float, default=30.0)
    parser.add_argument("--step", type=int, default=37)
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        with EmbeddedPostgres(folder) as server:
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute(SCHEMA)
            await run_d2(server, options, report)
            await run_d1(server, folder, options, report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
