"""Kill -9 of `dealquest serve` under fifty writers, many times: what was answered is there, once.

    .venv/bin/python benchmarks/http/durability.py [kills]

The key of a write is its e-mail address: repeating a sign-up whose answer was lost makes no second account.
"""

import asyncio
import os
import random
import signal
import sys

import psycopg
from load import Connection, request
from servers import Server, data_home, ours

from dealquest.storage.embedded import EmbeddedPostgres

WRITERS = 50
KEY = "ik_" + "0123456789abcdef" * 4


async def write_until_killed(server: Server, round_: int, answered: list[str], *, after_s: float) -> None:
    headers = {"x-api-key": KEY, "Content-Type": "application/json"}

    async def write(writer: int) -> None:
        number = 0
        try:
            connection = await Connection.open(server.port)
            while True:
                name = f"r{round_}w{writer}n{number}"
                status, body = await connection.ask(
                    request("POST", "/api/database/records/users", headers=headers, body={"local_name": name})
                )
                assert status == 201, (status, body)
                answered.append(name)
                number += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            return

    writers = [asyncio.create_task(write(writer)) for writer in range(WRITERS)]
    await asyncio.sleep(after_s)
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.gather(*writers)


def main(kills: int) -> None:
    rng, answered, restarts = random.Random(10), [], []
    with data_home() as home, EmbeddedPostgres(home) as server:
        for round_ in range(kills):
            with ours(home, {"ACCESS_API_KEY": KEY}) as running:
                restarts.append(running.started_s)
                asyncio.run(write_until_killed(running, round_, answered, after_s=rng.uniform(0.2, 2.0)))
        with psycopg.connect(server.dsn()) as connection:
            rows = [row[0] for row in connection.execute("select local_name from public.users").fetchall()]
    lost, doubled = len(set(answered) - set(rows)), len(rows) - len(set(rows))
    unknown = len(rows) - len(answered)
    print(f"{kills} kills, {len(answered)} answered writes: lost {lost}, doubled {doubled}, stored without an answer {unknown}")
    print(f"first good answer after a restart: median {sorted(restarts)[len(restarts) // 2]:.2f} s, worst {max(restarts):.2f} s")
    assert (lost, doubled) == (0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
