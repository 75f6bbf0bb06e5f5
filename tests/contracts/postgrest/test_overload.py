"""More callers than connections, and callers who leave at any moment: the engine's queue and its connections (D3, A2, C1)."""

import time
from datetime import timedelta

import anyio
import psycopg
from replay import Case, ask

from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import FrozenClock

SLOW_S = 1.5
WAIT_S = 0.6


async def test_d3_a_hundred_callers_on_eight_connections(cinema: str) -> None:
    """Eight are served, forty-two wait for a bounded time, fifty are turned away at once with Retry-After; then short queries are short."""
    config = EngineConfig(
        db_schemas=("cinema",),
        db_anon_role="anon",
        db_pool=8,
        db_pool_acquisition_timeout=WAIT_S,
        db_pool_max_waiting=42,
        statement_timeout_s=SLOW_S,
    )
    answers: list[tuple[int, float, str | None]] = []
    async with await Engine.open(cinema, config) as engine:

        async def call() -> None:
            begun = time.monotonic()
            answer = await ask(engine, Case("POST /rpc/slow", body={}))
            answers.append((answer.status, time.monotonic() - begun, answer.header("retry-after")))

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(call)
        by_status = {status: [answer for answer in answers if answer[0] == status] for status in (500, 503, 504)}
        assert {status: len(found) for status, found in by_status.items()} == {500: 8, 503: 50, 504: 42}
        assert max(seconds for _, seconds, _ in by_status[503]) < WAIT_S
        assert max(seconds for _, seconds, _ in by_status[504]) < SLOW_S
        assert all(hint == "1" for status in (503, 504) for _, _, hint in by_status[status])
        waits: list[float] = []

        async def short() -> None:
            begun = time.monotonic()
            assert (await ask(engine, Case("GET /films?select=id&id=eq.1"))).status == 200
            waits.append(time.monotonic() - begun)

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(short)
        assert max(waits) < 1
        assert engine._pool.idle == 8


MINE = "select state, query from pg_stat_activity where datname = current_database() and usename = 'dealquest_login'"


async def test_a2_a_caller_may_leave_at_any_checkpoint(cinema: str, cinema_owner: str) -> None:
    """Reads, checked and plain changes and calls, cancelled at the n-th checkpoint: no transaction, place or half change stays behind."""
    one = {"prefer": "return=representation", "accept": "application/vnd.pgrst.object+json"}
    cases = [
        Case("GET /films?select=id,directors(name)", headers={"prefer": "count=exact"}),
        Case("POST /actors", body=[{"id": 500, "name": "half"}, {"id": 501, "name": "whole"}]),
        Case("PATCH /actors?id=in.(500,501)", body={"name": "changed"}, headers={"prefer": "handling=strict, max-affected=2"}),
        Case("DELETE /actors?id=eq.500", headers=one),
        Case("POST /rpc/add", body={"a": 1}),
        Case("GET /"),
    ]
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=2, db_pool_max_idletime=None)
    with psycopg.connect(cinema_owner, autocommit=True) as owner:
        async with await Engine.open(cinema, config) as engine:
            for case in cases:
                for moment in range(14):
                    owner.execute("delete from cinema.actors where id in (500, 501)")
                    if case.line.startswith(("PATCH", "DELETE")):
                        owner.execute("insert into cinema.actors values (500, 'half'), (501, 'whole')")
                    async with anyio.create_task_group() as group:
                        group.start_soon(ask, engine, case)
                        for step in range(moment):
                            await (anyio.lowlevel.checkpoint() if step < 8 else anyio.sleep(0.0003))
                        group.cancel_scope.cancel()
                    assert not engine._pool._waiting, (case, moment)
                    assert engine._pool.idle == engine._pool._open <= 2, (case, moment)
                    with anyio.fail_after(3):
                        while owner.execute(MINE + " and state <> 'idle'").fetchall():  # noqa: ASYNC110  # PostgreSQL tells nobody
                            await anyio.sleep(0.01)
                    names = [name for (name,) in owner.execute("select name from cinema.actors where id in (500, 501) order by id")]
                    assert names in ([], ["half", "whole"], ["changed", "changed"], ["whole"]), (case, moment)
            assert (await ask(engine, Case("GET /notes?select=id"))).json() == [{"id": 1}, {"id": 2}]
        owner.execute("delete from cinema.actors where id in (500, 501)")


async def test_a2_a_waiting_caller_gives_its_place_back(cinema: str) -> None:
    """Whoever leaves the queue, at whatever moment, holds up nobody behind."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1, statement_timeout_s=0.1)
    async with await Engine.open(cinema, config) as engine:
        for checkpoints in range(10):
            statuses: list[int] = []

            async def last(statuses: list[int] = statuses) -> None:
                statuses.append((await ask(engine, Case("GET /films?select=id&id=eq.1"))).status)

            async with anyio.create_task_group() as group:
                group.start_soon(ask, engine, Case("POST /rpc/slow", body={}))
                await anyio.sleep(0.005)
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as leaving:
                        leaving.start_soon(ask, engine, Case("GET /films"))
                        for _ in range(checkpoints):
                            await anyio.lowlevel.checkpoint()
                        group.start_soon(last)
                        leaving.cancel_scope.cancel()
                assert not scope.cancelled_caught
            assert statuses == [200]
            assert engine._pool.idle == 1


async def test_c1_a_jump_of_the_wall_clock_ages_no_connection(cinema: str) -> None:
    """Connections grow old by the clock that nobody sets."""
    clock = FrozenClock()
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pool=1, db_channel="")
    async with await Engine.open(cinema, config, clock=clock) as engine:
        pids = set()
        for hours in (0, 1, -2):
            clock.set_wall(clock.now() + timedelta(hours=hours))
            pids.add((await ask(engine, Case("GET /rpc/backend"))).body)
        assert len(pids) == 1
        clock.advance(31)
        pids.add((await ask(engine, Case("GET /rpc/backend"))).body)
        assert len(pids) == 2
