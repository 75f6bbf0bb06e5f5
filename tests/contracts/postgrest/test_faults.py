"""The network and the server fail under the engine (rows D1, D2, K2): answers stay whole, rights stay apart, acknowledged rows stay."""

import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import attrs
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from replay import ANN, CONFIG, Case, ask

from dealquest.errors import DealQuestError, LimitError, PeerUnavailableError
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Principal
from dealquest.wire import HttpRequest

BOB = Principal(role="authenticated", subject="bob")
NOTES = Case("GET /notes?select=id&order=id")
SEEN = {"ann": [{"id": 1}, {"id": 2}], "bob": [{"id": 3}]}


@attrs.define
class Wire:
    """A way to PostgreSQL that can be cut or stalled.

    Attributes:
        dsn: The engine's way in.
        cut_after: Bytes of the server's that still come through before everything is reset; None lets all through.
        stalled: Whether nothing comes through.
        reset: Whether a cut is a reset (RST) instead of a clean end.
    """

    dsn: str = ""
    cut_after: int | None = None
    stalled: bool = False
    reset: bool = False
    cuts: int = 0

    async def carry(self, source: anyio.abc.ByteReceiveStream, target: anyio.abc.ByteSendStream, *, counted: bool) -> None:
        async for data in source:
            while self.stalled:  # noqa: ASYNC110  # a flag is all that a test needs
                await anyio.sleep(0.02)
            if counted and self.cut_after is not None:
                if len(data) >= self.cut_after:
                    await target.send(data[: self.cut_after])
                    self.cut_after = None
                    self.cuts += 1
                    if self.reset:
                        await anyio.sleep(0.01)  # a reset overtakes what the other side has not read yet
                        raw = target.extra(anyio.abc.SocketAttribute.raw_socket)
                        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                self.cut_after -= len(data)
            await target.send(data)


class ServerEnd(anyio.abc.ByteStream):
    """PostgreSQL's end, over its socket file.

    It waits for readiness alone: a wait that is given up in the moment in which the socket becomes ready ends like any other.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.setblocking(False)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """What has arrived; at the end of it, an end."""
        while True:
            await anyio.wait_readable(self._socket)
            try:
                data = self._socket.recv(max_bytes)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise anyio.BrokenResourceError from exc
            if not data:
                raise anyio.EndOfStream
            return data

    async def send(self, item: bytes) -> None:
        """All of it."""
        rest = memoryview(item)
        while rest:
            await anyio.wait_writable(self._socket)
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as exc:
                raise anyio.BrokenResourceError from exc

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close it."""
        self._socket.close()


@asynccontextmanager
async def open_wire(dsn: str) -> AsyncIterator[Wire]:
    """A wire on loopback to the server behind a socket file."""
    parts = conninfo_to_dict(dsn)
    path = Path(str(parts["host"])) / f".s.PGSQL.{parts.get('port', 5432)}"
    wire = Wire()

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client, ServerEnd(path) as server:

            async def carry(source: anyio.abc.ByteStream, target: anyio.abc.ByteStream, *, counted: bool) -> None:
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await wire.carry(source, target, counted=counted)
                both.cancel_scope.cancel()  # the end of one way is the end of both

            async with anyio.create_task_group() as both:
                both.start_soon(lambda: carry(server, client, counted=True))
                both.start_soon(lambda: carry(client, server, counted=False))

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        wire.dsn = make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        group.start_soon(listener.serve, serve)
        yield wire
        group.cancel_scope.cancel()


@pytest.mark.parametrize("reset", [False, True])
async def test_d2_an_answer_cut_at_any_byte_is_asked_for_again(cinema: str, reset: bool) -> None:
    """A read is answered in full whatever byte its connection ended at, and never with the rows of another."""
    async with open_wire(cinema) as wire, await Engine.open(wire.dsn, attrs.evolve(CONFIG, db_pool=2, db_channel="")) as engine:
        for place, after in enumerate(range(1, 2000, 74)):
            who = (ANN, BOB)[place % 2]
            assert (await ask(engine, NOTES, who)).status == 200
            wire.cut_after, wire.reset = after, reset
            assert (await ask(engine, NOTES, who)).json() == SEEN[who.subject or ""], after
            wire.cut_after = None
        assert wire.cuts >= 3


async def test_d2_a_change_that_was_cut_is_not_repeated(cinema: str) -> None:
    """A lost answer to a change is an error that says so: the engine does not do it twice."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1, db_channel="")
    async with open_wire(cinema) as wire, await Engine.open(wire.dsn, config) as engine:
        user = engine.bind(ANN)
        await user.send(HttpRequest(method="POST", url="/notes", body=b'{"id": 900}'))
        wire.cut_after = 10
        with pytest.raises(PeerUnavailableError) as caught:
            await user.send(HttpRequest(method="POST", url="/notes", body=b'{"id": 901}'))
        assert caught.value.code == "wire.broken"
        wire.cut_after = None
        assert (await ask(engine, Case("GET /notes?id=in.(900,901)&select=id"))).status == 200
        assert (await ask(engine, Case("DELETE /notes?id=in.(900,901)"))).status == 204


async def test_d2_a_silent_server_does_not_hold_a_caller(cinema: str) -> None:
    """Whoever has a deadline is free when it ends, although nothing comes back; later requests are answered."""
    async with open_wire(cinema) as wire, await Engine.open(wire.dsn, attrs.evolve(CONFIG, db_pool=1, db_channel="")) as engine:
        assert (await ask(engine, NOTES, BOB)).status == 200
        wire.stalled = True
        started = anyio.current_time()
        with pytest.raises(LimitError) as caught:
            await engine.bind(ANN).send(HttpRequest(method="GET", url="/notes", timeout_s=0.3))
        assert caught.value.code == "wire.timeout"
        assert anyio.current_time() - started < 5
        wire.stalled = False
        assert (await ask(engine, NOTES, BOB)).json() == SEEN["bob"]


async def test_d2_a_server_that_reads_nothing_does_not_hold_a_caller(cinema: str) -> None:
    """A deadline also ends a large change that cannot be sent, and the new connection after it; later requests are answered."""
    async with open_wire(cinema) as wire, await Engine.open(wire.dsn, attrs.evolve(CONFIG, db_pool=1, db_channel="")) as engine:
        assert (await ask(engine, NOTES, BOB)).status == 200
        wire.stalled = True
        large = b'{"id": 902, "text": "%s"}' % (b"x" * 7_500_000)
        for body in (large, b'{"id": 902}'):  # the second one needs a new connection
            started = anyio.current_time()
            with pytest.raises(LimitError) as caught:
                await engine.bind(ANN).send(HttpRequest(method="POST", url="/notes?columns=id", body=body, timeout_s=0.3))
            assert caught.value.code == "wire.timeout"
            assert anyio.current_time() - started < 3
        wire.stalled = False
        assert (await ask(engine, NOTES, BOB)).json() == SEEN["bob"]


SCHEMA = """
create role web nologin; create role door login noinherit; grant web to door;
create schema api; grant usage on schema api to web;
create table api.done (key text primary key, owner text default current_setting('request.jwt.claims', true)::json ->> 'sub');
grant select, insert on api.done to web
"""


@pytest.fixture
def own_server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server to kill; started and stopped outside the loop, as both wait for its programs."""
    with EmbeddedPostgres(home) as server:
        yield server


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_d1_k2_the_server_is_killed_under_writers(home: Path, own_server: EmbeddedPostgres, anyio_backend: str) -> None:
    """PostgreSQL dies again and again: no acknowledged row is lost, none is there twice, each is its writer's own."""
    acknowledged: dict[str, str] = {}
    kills = 0
    with psycopg.connect(own_server.dsn(), autocommit=True) as connection:
        connection.execute(SCHEMA)
    config = EngineConfig(db_schemas=("api",), db_anon_role="web", db_pool=4, db_channel="", db_max_rows=None)
    async with await Engine.open(own_server.dsn("door"), config) as engine:
        going = True

        async def write(name: str) -> None:
            user = engine.bind(Principal(role="web", subject=name))  # type: ignore[arg-type]  # a role of this database
            number = 0
            while going:
                number += 1
                key = f"{name}-{number}"
                for _ in range(200):  # the same key until it is known to be there
                    with suppress(DealQuestError):
                        response = await user.send(HttpRequest(method="POST", url="/done", body=b'{"key": "%s"}' % key.encode()))
                        if response.status in {201, 409}:
                            acknowledged[key] = name
                            break
                    await anyio.sleep(0.05)

        async with anyio.create_task_group() as group:
            for place in range(6):
                group.start_soon(write, f"w{place}")
            for _ in range(3):
                await anyio.sleep(0.3)
                with suppress(psycopg.Error), psycopg.connect(own_server.dsn(), autocommit=True) as connection:
                    # One killed session makes the server drop all of them and recover, as a stop -m immediate does.
                    pid = connection.execute("select pid from pg_stat_activity where usename = 'door' limit 1").fetchone()
                    if pid is not None:
                        os.kill(int(pid[0]), signal.SIGKILL)
                        kills += 1
                await anyio.sleep(0.5)
            for stop in (signal.SIGQUIT, signal.SIGINT):  # stop -m immediate, stop -m fast
                mark = next(home.glob("postgres/data-*")) / "postmaster.pid"  # noqa: ASYNC240  # one look into a small folder
                os.kill(int(mark.read_text().split()[0]), stop)
                while mark.exists():  # noqa: ASYNC110  # a file of another process
                    await anyio.sleep(0.02)
                assert await anyio.to_thread.run_sync(own_server.revive)
                await anyio.sleep(0.5)
            going = False
        reader = engine.bind(Principal(role="web", subject="reader"))  # type: ignore[arg-type]  # as above
        everything: list[dict[str, str]] = []
        while not everything:  # the server may still be recovering
            with suppress(DealQuestError):
                response = await reader.send(HttpRequest(method="GET", url="/done"))
                everything = response.json() if response.status == 200 else []
            await anyio.sleep(0.05)
    rows = {row["key"]: row["owner"] for row in everything}
    assert len(rows) == len(everything)
    assert kills
    assert len(acknowledged) > 6
    assert {key: rows.get(key) for key in acknowledged} == acknowledged
