"""The engine's pool: who waits for a connection, and for how long."""

from typing import Any

import anyio
import pytest

from dealquest.errors import LimitError
from dealquest.storage.engine.driver import Connection
from dealquest.storage.engine.pool import Pool


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
