"""Figures of `dealquest serve`, each beside the reference's on an equal machine and a floor of the same run.

    .venv/bin/python benchmarks/http/bench.py            all
    .venv/bin/python benchmarks/http/bench.py signin     one of: start, current, signin, idle

The reference's figures come from the contract of issue 10 (2 cores, no container).
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import bcrypt
from load import Connection, latencies, percentile, request, throughput
from servers import Server, data_home, floor, ours

from dealquest.storage.embedded import EmbeddedPostgres

PERSON = {"email": "ann@example.com", "password": "correct horse"}
IDLE = 10_000


def say(what: str, measured: str, reference: str, floor_: str) -> None:
    print(f"{what:<44} {measured:>16}   reference {reference:<12} floor {floor_}")


async def start(server: Server, bare: Server) -> None:
    say("start, PostgreSQL up already", f"{server.started_s:.2f} s", "1.3 s", f"{bare.started_s:.2f} s (bare uvicorn)")
    say("   of it processor time, both servers", f"{server.cpu_s():.2f} s", "", f"{bare.cpu_s():.2f} s (bare uvicorn)")
    say("idle memory (PSS)", f"{server.memory_mb():.0f} MB", "112 MB", f"{bare.memory_mb():.0f} MB (bare uvicorn)")


async def current(server: Server, bare: Server) -> None:
    token = await sign_in(server)
    asked = request("GET", "/api/auth/sessions/current", headers={"Authorization": f"Bearer {token}"})
    rates, floors, used = [], [], []
    for _ in range(3):
        before = server.cpu_s()
        rates.append(await throughput(server.port, asked, connections=16, seconds=3))
        used.append((server.cpu_s() - before) / 3 / rates[-1] * 1000)
        floors.append(await throughput(bare.port, request("GET", "/"), connections=16, seconds=1))
    rate, least = sorted(rates)[1], sorted(floors)[1]
    say("sessions/current, 16 connections", f"{rate:.0f}/s", "642/s", f"{least:.0f}/s (bare uvicorn), ratio {rate / least:.2f}")
    say("   processor time of each", f"{sorted(used)[1]:.2f} ms", "", "")


async def signin(server: Server, _: Server) -> None:
    await sign_in(server)
    asked, health = request("POST", "/api/auth/sessions", body=PERSON), request("GET", "/api/health")
    begun = time.perf_counter()
    for _ in range(5):
        bcrypt.hashpw(b"x", bcrypt.gensalt(10))
    alone = 5 / (time.perf_counter() - begun)
    quiet = await latencies(server.port, health, seconds=2, pause_s=0.01)
    rate, busy = await asyncio.gather(
        throughput(server.port, asked, connections=4, seconds=6), latencies(server.port, health, seconds=6, pause_s=0.01)
    )
    say("sign-ins, 4 at once", f"{rate:.1f}/s", "9.6/s", f"{alone:.1f}/s (bcrypt alone, one core), ratio {rate / alone:.2f}")
    say("health p95 meanwhile", f"{percentile(busy, 0.95):.1f} ms", "357 ms", f"{percentile(quiet, 0.95):.1f} ms (no sign-ins)")


async def idle(server: Server, bare: Server) -> None:
    for name, measured, path in (("ours", server, "/api/health"), ("bare uvicorn", bare, "/")):
        asked = request("GET", path)
        await throughput(measured.port, asked, connections=4, seconds=1)
        before, files = measured.memory_mb(), measured.descriptors()
        connections = []
        for _ in range(0, IDLE, 100):
            batch = await asyncio.gather(*(Connection.open(measured.port) for _ in range(100)))
            # Idle after an answer, as a browser's connections are; a silent one would be ended after ten seconds.
            await asyncio.gather(*(connection.ask(asked) for connection in batch))
            connections += batch
        held = (measured.memory_mb() - before) * 1024 / IDLE
        live = await latencies(measured.port, asked, seconds=3, pause_s=0.005)
        for connection in connections:
            connection.writer.transport.abort()
        begun = time.perf_counter()
        while measured.descriptors() > files + 20 and time.perf_counter() - begun < 30:  # noqa: ASYNC110  # another process tells nobody
            await asyncio.sleep(0.05)
        gone = time.perf_counter() - begun
        say(f"{IDLE} idle connections, {name}", f"{held:.1f} kB each", "10 kB (bar)", "4.2 kB (bare uvicorn, contract)")
        say(f"   live p99 meanwhile, {name}", f"{percentile(live, 0.99):.1f} ms", "25 ms (bar)", "3.8 ms (bare uvicorn, contract)")
        say(f"   descriptors returned, {name}", f"{gone:.1f} s", "3 s (bar)", "")


async def sign_in(server: Server) -> str:
    connection = await Connection.open(server.port)
    await connection.ask(request("POST", "/api/auth/users", body=PERSON))
    status, body = await connection.ask(request("POST", "/api/auth/sessions", body=PERSON))
    assert status == 200, body
    await connection.close()
    token: str = json.loads(body)["accessToken"]
    return token


PARTS: dict[str, Callable[[Server, Server], Coroutine[Any, Any, None]]] = {
    "start": start,
    "current": current,
    "signin": signin,
    "idle": idle,
}


def main(names: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(25_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    with data_home() as home, EmbeddedPostgres(home):
        with ours(home):
            pass  # the first start makes secrets and tables; it is not what is measured
        with ours(home) as server, floor() as bare:
            for name in names or PARTS:
                asyncio.run(PARTS[name](server, bare))


if __name__ == "__main__":
    main(sys.argv[1:])
