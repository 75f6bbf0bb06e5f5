"""The engine's pool: who waits for a connection, and for how long."""

import random
from typing import Any

import anyio
import psycopg
import pytest

from dealquest.errors import DealQuestError, LimitError, PeerUnavailableError
from dealquest.storage.engine.batch import Query
from dealquest.storage.engine.driver import Connection
from dealquest.storage.engine.pool import Pool


def open_pool(database: Any, *, size: int, wait_s: float = 30) -> Pool:
    return Pool(database.login_dsn, size=size, wait_s=wait_s, max_waiting=500, max_prepared=8)


def ask(text: str, *, sleep_s: float = 0) -> list[Query]:
    """A batch that gives its own text back."""
    sql = b"select $1::text from pg_sleep($2)"
    return [Query(b"select set_config('test.name', $1, true)", [text.encode()], "name"), Query(sql, [text.encode(), b"%f" % sleep_s], sql)]


def make_table(database: Any, name: str) -> None:
    """A table for everybody, whose numbers are compared when a transaction commits."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(f"create table public.{name} (n int unique deferrable initially deferred)")  # type: ignore[call-overload]  # a name of ours
        owner.execute(f"grant all on public.{name} to public; grant usage on schema public to public")  # type: ignore[call-overload]  # as above


async def hear(pool: Pool, text: str, *, sleep_s: float = 0, timeout_s: float | None = None) -> str:
    """What comes back."""
    outcome = await pool.run(ask(text, sleep_s=sleep_s), None if timeout_s is None else pool.clock.monotonic() + timeout_s)
    assert outcome.error is None, outcome.error
    return (outcome.results[1].get_value(0, 0) or b"").decode()


async def test_everybody_waits_as_long_as_they_have(database: Any) -> None:
    """Of two that wait, the later one with less time is turned away at its own deadline, and the first still gets the connection."""
    pool = Pool(database.login_dsn, size=1, wait_s=30, max_waiting=5, max_prepared=8)
    lent = await pool.take()
    got: list[Connection] = []

    async def wait() -> None:
        got.append(await pool.take(20))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TimeoutError):
                await pool.take(0.05)
            assert pool.take_idle() is None
            pool.give_back(lent)
    assert got == [lent]
    pool.give_back(lent)
    assert pool.idle == 1
    pool.close()


async def test_the_pool_turns_away_those_with_more_time_than_it_gives(database: Any) -> None:
    """When the pool's own limit is the shorter one, the refusal says so and may be retried."""
    pool = Pool(database.login_dsn, size=1, wait_s=0.05, max_waiting=5, max_prepared=8)
    lent = await pool.take()
    with anyio.fail_after(10), pytest.raises(LimitError) as caught:
        await pool.take(20)
    assert caught.value.code == "engine.pool_timeout"
    pool.give_back(lent)
    assert await pool.take(20) is lent
    pool.give_back(lent)
    pool.close()


async def test_everybody_hears_their_own_answer_whoever_leaves(database: Any) -> None:
    """Of hundreds who share three connections and leave at any moment nobody hears another's answer, and no connection is lost."""
    pool = open_pool(database, size=3)
    chance = random.Random(7)
    answered = 0

    async def one(name: str, patience_s: float | None, sleep_s: float) -> None:
        nonlocal answered
        with anyio.move_on_after(patience_s):
            assert await hear(pool, name, sleep_s=sleep_s) == name
            answered += 1

    with anyio.fail_after(60):
        for turn in range(8):
            async with anyio.create_task_group() as group:
                for number in range(40):
                    hurried = chance.random() < 0.3
                    group.start_soon(one, f"{turn}-{number}", chance.random() * 0.03 if hurried else None, chance.choice([0, 0, 0.002]))
    assert answered >= 8 * 20
    assert await hear(pool, "still here") == "still here"
    lent = [await pool.take(5) for _ in range(3)]
    for connection in lent:
        pool.give_back(connection)
    assert pool.idle == 3
    pool.close()


async def test_a_lost_connection_is_the_loss_of_one(database: Any) -> None:
    """When PostgreSQL ends a session, only the batch on it fails; whoever waited for that session is answered on a new one."""
    pool = open_pool(database, size=1)
    heard: list[str] = []
    pid = int((await pool.run([Query(b"select pg_backend_pid()")])).results[0].get_value(0, 0) or b"0")

    async def lose() -> None:
        with pytest.raises(PeerUnavailableError) as caught:
            await hear(pool, "lost", sleep_s=20)
        assert caught.value.code == "engine.broken"

    async def wait(name: str) -> None:
        heard.append(await hear(pool, name))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(lose)
            await anyio.sleep(0.1)
            for name in ("a", "b", "c"):
                group.start_soon(wait, name)
            await anyio.sleep(0.1)
            with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
                owner.execute("select pg_terminate_backend(%s)", [pid])
    assert sorted(heard) == ["a", "b", "c"]
    assert pool.idle == 1
    pool.close()


async def test_a_batch_is_late_by_its_own_deadline_or_by_the_pools(database: Any) -> None:
    """A deadline ends a batch under way and one that waits, more patience than the pool's is refused in its words; no place is lost."""
    pool = open_pool(database, size=1, wait_s=0.2)
    caught: list[DealQuestError] = []

    async def wait_long() -> None:
        with pytest.raises(LimitError) as late:
            await hear(pool, "long", timeout_s=20)
        caught.append(late.value)

    with anyio.fail_after(20):
        with pytest.raises(TimeoutError):
            await hear(pool, "under way", sleep_s=20, timeout_s=0.1)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: hear(pool, "first", sleep_s=1))
            await anyio.sleep(0.1)
            group.start_soon(wait_long)
            with pytest.raises(TimeoutError):
                await hear(pool, "waits", timeout_s=0.05)
        assert await hear(pool, "later") == "later"
    assert [error.code for error in caught] == ["engine.pool_timeout"]
    assert pool.idle == 1
    pool.close()


async def test_a_batch_is_one_transaction(database: Any) -> None:
    """What fails undoes all that came before it, also when only the commit fails, and the next batch on that connection finds it clean."""
    make_table(database, "counted")
    pool = open_pool(database, size=1)
    insert = Query(b"insert into public.counted values ($1)", [b"1"], "insert")
    refused = await pool.run([Query(b"select set_config('test.name', 'x', true)"), insert, Query(b"select 1 / 0")])
    assert refused.error is not None
    assert refused.error.sqlstate == "22012"
    late = await pool.run([insert, insert])
    assert late.error is not None
    assert late.error.sqlstate == "23505"
    found = await pool.run([Query(b"select count(*), current_setting('test.name', true) from public.counted")])
    assert [found.results[0].get_value(0, place) for place in range(2)] == [b"0", b""]
    assert (await pool.run([insert])).error is None
    assert pool.idle == 1
    pool.close()


async def test_a_database_that_only_reads_by_default_can_still_be_written(database: Any) -> None:
    """Each transaction says for itself whether it only reads, so the default of a login or database does not count."""
    make_table(database, "noted")
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$")
    pool = open_pool(database, size=1)
    assert (await pool.run([Query(b"insert into public.noted values (1)")])).error is None
    reading = Query(b"select set_config('transaction_read_only', 'on', true)")
    refused = await pool.run([reading, Query(b"insert into public.noted values (2)")])
    assert refused.error is not None
    assert refused.error.sqlstate == "25006"
    pool.close()
