"""The tables as they are in PostgreSQL: upserts through the engine, nothing for anon, retention (X3)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio.to_thread
import psycopg
import pytest

from dealquest.errors import NotFoundError, PeerRefusedError
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import capture_traces
from dealquest.tracing import (
    Accepted,
    Collector,
    Limits,
    PostgrestSink,
    RemoteTraces,
    Tracer,
    installed_tracer,
    llm_span,
    span,
    trace,
)
from dealquest.values import ANON, SERVICE, Principal, Usage

FAST = Limits(export_interval_s=0.02, tick_s=0.005)


@pytest.fixture
def anyio_backend() -> str:
    """The engine's driver is asyncio's."""
    return "asyncio"


def count(dsn: str, table: str) -> Any:
    with psycopg.connect(dsn) as connection:
        return connection.execute(f"select count(*) from public.{table}").fetchone()[0]  # type: ignore[call-overload,index]  # names of ours


@pytest.mark.anyio
async def test_traces_go_through_the_engine_and_come_back(database: Any, tmp_path: Path) -> None:
    """A run with a model call, an error and odd values is stored and read back whole, and a repeated batch doubles nothing."""
    async with await Engine.open(database.login_dsn, EngineConfig()) as engine:
        sink = PostgrestSink(engine.bind(SERVICE))
        async with Collector([sink], spool=tmp_path, limits=FAST) as collector:
            with installed_tracer(Tracer(collector, capture="content")):
                user = Principal(role="authenticated", subject="u-1", claims={"telegram_id": 10**12})
                async with trace("train", user=user, note="nul\x00 ü \ud800") as run:
                    with llm_span("m", provider="p") as call:
                        call.set_input({"messages": [{"role": "user", "content": "hi"}]})
                        call.record_usage(Usage(input_tokens=10, output_tokens=2), cost_usd=Decimal("0.000123456789"))
                    with pytest.raises(ValueError, match="bad"), span("n" * 500):
                        raise ValueError("bad \x00 thing")
            assert await anyio.to_thread.run_sync(collector.flush, 20) == {}
            account = collector.read_accounts()["postgrest"]
            assert (account.dead, account.dropped, account.delivered) == (0, {}, 5)
        tables = RemoteTraces(engine.bind(SERVICE))
        (row,) = await tables.list_traces(pipeline="train")
        assert (row.telegram_id, row.user_id, row.status, row.cost_usd) == (10**12, "u-1", "ok", Decimal("0.000123456789"))
        found = await tables.read_trace(UUID(run.trace_id))
        assert [depth for depth, _ in found.walk()] == [0, 1, 1]
        assert found.finished
        assert found.missing == 0
        assert found.cost_usd == Decimal("0.000123456789")
        with pytest.raises(NotFoundError):
            await tables.read_trace(UUID(int=1))


@pytest.mark.anyio
async def test_rows_merge_in_any_order(database: Any) -> None:
    """Twice, and the beginning after the end: each span is there once, and the trace stays finished."""
    with capture_traces() as traces, trace("run"), span("step"):
        pass
    async with await Engine.open(database.login_dsn, EngineConfig()) as engine:
        sink = PostgrestSink(engine.bind(SERVICE))
        async with anyio.create_task_group() as tasks:
            await tasks.start(sink.run)
            for kind in ("e", "s", "b", "s", "e", "b"):
                batch = [record for record in traces.records if record.kind == kind]
                outcome = await anyio.to_thread.run_sync(lambda batch=batch: sink.deliver(batch, timeout_s=10.0))
                assert isinstance(outcome, Accepted)
            tasks.cancel_scope.cancel()
        (row,) = await RemoteTraces(engine.bind(SERVICE)).list_traces()
    assert row.status == "ok"
    assert (count(database.owner_dsn, "pipeline_spans"), count(database.owner_dsn, "pipeline_traces")) == (2, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("who", [ANON, Principal(role="authenticated", subject="1")])
async def test_x3_nobody_but_the_service_reads_or_writes(database: Any, who: Principal) -> None:
    """Spans may hold what users said: anon and signed-in users are refused for every verb."""
    with capture_traces() as traces, trace("run"):
        pass
    async with await Engine.open(database.login_dsn, EngineConfig()) as engine:
        for call in (RemoteTraces(engine.bind(who)).list_traces(), RemoteTraces(engine.bind(who)).read_trace(UUID(int=1))):
            with pytest.raises(PeerRefusedError):
                await call
        sink = PostgrestSink(engine.bind(who))
        async with anyio.create_task_group() as tasks:
            await tasks.start(sink.run)
            for record in traces.records:
                outcome = await anyio.to_thread.run_sync(lambda record=record: sink.deliver([record], timeout_s=10.0))
                assert not isinstance(outcome, Accepted)
            tasks.cancel_scope.cancel()
    assert count(database.owner_dsn, "pipeline_spans") == 0


def test_the_service_neither_changes_nor_deletes_spans(database: Any) -> None:
    """Spans are written once; retention is one function that the service alone may call."""
    with psycopg.connect(database.owner_dsn) as connection:
        old, new = datetime.now(UTC) - timedelta(days=40), datetime.now(UTC)
        for number, at in enumerate((old, new)):
            connection.execute(
                "insert into public.pipeline_spans (span_id, trace_id, span_name, status,"
                " start_time, end_time, start_ns, duration_ms, success)"
                " values (%s, %s, 'x', 'ok', %s, %s, 1, 1, true)",
                (UUID(int=number), UUID(int=number), at, at),
            )
        connection.execute(
            "insert into public.pipeline_traces (trace_id, pipeline_name, start_time) values (%s, 'x', %s)", (UUID(int=0), old)
        )
        connection.commit()
        connection.execute("set role project_admin")
        for statement in (
            "update public.pipeline_spans set span_name = 'y'",
            "delete from public.pipeline_spans",
            "delete from public.pipeline_traces",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)  # type: ignore[call-overload]  # constants
        gone = connection.execute("select public.delete_pipeline_traces_before(%s)", (new - timedelta(days=30),)).fetchone()
        assert gone == (1,)
        left = connection.execute("select count(*) from public.pipeline_spans").fetchone()
        assert left == (1,)
        connection.execute("set role anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("select public.delete_pipeline_traces_before(now())")
