"""Left at its n-th checkpoint, no core keeps a place, a file or half a state (A2).

The router, the transports, the transcribers and the engine have the same test in their own rooms; the vault, tokens
and initData are plain functions, which nobody can leave half way.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from dealquest.coach.dialogue import Event, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.tracing import Collector, Limits, MemorySink, Tracer, installed_tracer, span, trace
from dealquest.values import SERVICE

MOMENTS = 18


@pytest.fixture
async def records(database: "object", anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=3)) as engine:  # type: ignore[attr-defined]  # the fixture's value
        yield Postgrest(engine.bind(SERVICE))


async def reach(moment: int) -> None:
    """Come to a moment: bare checkpoints at first, then fractions of a millisecond, in which sockets answer."""
    for step in range(moment):
        await (anyio.lowlevel.checkpoint() if step < 8 else anyio.sleep(0.0008))


async def test_a2_the_client_may_be_left_anywhere(records: Postgrest) -> None:
    """Chunks are stored whole or not at all, and pages can be read again."""
    events = records.table("http_events")
    for moment in range(MOMENTS):
        rows = [{"chat": str(moment), "name": f"{number}", "update_id": number, "digest": "d"} for number in range(9)]

        async def use(rows: list[dict[str, object]] = rows) -> None:
            await events.insert_many(rows, max_rows=3)
            _ = [row async for row in events.select("chat", "name").each(key=("chat", "name"), size=2)]

        async with anyio.create_task_group() as group:
            group.start_soon(use)
            await reach(moment)
            group.cancel_scope.cancel()
        # What PostgreSQL had in its hands may still be stored a moment later, but never a part of a chunk.
        assert await events.select("*").where(chat=str(moment)).count() % 3 == 0, moment
    await anyio.sleep(0.05)
    stored = [await events.select("*").where(chat=str(moment)).count() for moment in range(MOMENTS)]
    assert all(rows in {0, 3, 6, 9} for rows in stored)
    assert sum(stored) > 9


async def is_done(records: Postgrest, update_id: int) -> bool:
    return bool(await records.table("inbox").select("*").where(update_id=update_id, status="done").count())


async def test_a2_a_turn_may_be_left_anywhere(records: Postgrest) -> None:
    """Whoever comes next finishes it, once: handed back at once, or free when the lease ends where a claim's answer was not waited for."""
    for moment in range(MOMENTS):
        person = Person(local_name=f"p{moment}")

        def worker(name: str) -> Turns:
            return Turns(records, effects=Effects(packs=lambda _: load_pack("en")), worker=name, lease_s=0.1)

        await worker("first").receive([Event(source="test", chat=str(moment), update_id=moment, user=person, kind="text", text="/start")])
        async with anyio.create_task_group() as group:
            group.start_soon(worker("first").work, "test")
            await reach(moment)
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            while not await worker("next").work("test", update_id=moment) and not await is_done(records, moment):  # noqa: ASYNC110  # see below
                await anyio.sleep(0.02)  # until the lease ends; the database tells nobody
        replies = await records.table("outbox").select("seq").where(update_id=moment).all()
        assert replies, moment
        assert len(replies) == len({row["seq"] for row in replies}), moment
        assert await is_done(records, moment), moment


async def test_a2_a_traced_program_may_be_left_anywhere(tmp_path: Path) -> None:
    """Spans that had ended are delivered once, and nothing stays in the spool."""
    for moment in range(MOMENTS):
        sink, ended = MemorySink(), []
        async with Collector([sink], spool=tmp_path / str(moment), limits=Limits(tick_s=0.01)) as collector:
            with installed_tracer(Tracer(collector)):

                async def use(ended: list[int] = ended) -> None:
                    async with trace("run"):
                        for number in range(20):
                            async with span("step"):
                                await anyio.lowlevel.checkpoint()
                            ended.append(number)

                async with anyio.create_task_group() as group:
                    group.start_soon(use)
                    await reach(moment)
                    group.cancel_scope.cancel()
        steps = [kept for kept in sink.spans if kept.span_name == "step"]
        assert len(ended) <= len(steps) <= len(ended) + 1, moment
        assert len({kept.span_id for kept in sink.spans}) == len(sink.spans)
        assert not [path for path in (tmp_path / str(moment)).rglob("*.log") if path.stat().st_size]
