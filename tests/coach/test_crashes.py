"""kill -9 before and after every request of a session, in a real process: whoever comes next finishes it, and the books agree.

Whatever else a turn awaits (a model, a lease's renewal) lies between two of these places, so its death looks like theirs.
"""

import multiprocessing
import os
import signal
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import psycopg
import pytest

from dealquest.coach.dialogue import Event, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import ScriptedModels, find_disagreements
from dealquest.values import SERVICE
from dealquest.wire import HttpRequest, HttpResponse, HttpStream, Transport

LINES = (
    "/train easy",
    "What does it cost you each month? Let us talk on Friday at 9.",
    "/roleplay easy",
    "Good morning, what brings you here?",
)
STRIDE = 5
"""Every fifth place by default; 1 dies at each."""


class DeadlyTransport:
    """Kills its process at the n-th request, before it is sent or after it was answered."""

    def __init__(self, inner: Transport, fatal: int, *, after: bool) -> None:
        self._inner = inner
        self._fatal = fatal
        self._after = after
        self.requests = 0

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.requests += 1
        if self.requests == self._fatal and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        response = await self._inner.send(request)
        if self.requests == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        return self._inner.stream(request)


def session(name: str) -> list[Event]:
    person = Person(local_name=name, first_name="P")
    events = [Event(source=name, chat=name, update_id=number, user=person, text=line) for number, line in enumerate(LINES, 1)]
    return [*events, Event(source=name, chat=name, update_id=9, user=person, kind="button", text="role:end")]


async def play(turns: Turns, name: str) -> None:
    """The whole session, with what it leaves to be done later."""
    for event in session(name):
        await turns.receive([event])
        while await turns.work(name) is not None:
            pass


async def play_to_death(dsn: str, name: str, fatal: int, *, after: bool) -> int:
    async with await Engine.open(dsn, EngineConfig(db_pool=2)) as engine:
        transport = DeadlyTransport(engine.bind(SERVICE), fatal, after=after)
        await play(turns_over(transport, "doomed"), name)
        return transport.requests


def turns_over(transport: Transport, worker: str) -> Turns:
    records = Postgrest(transport)
    models = ScriptedModels("Hm, go on.", "Hm, go on.")
    return Turns(records, effects=Effects(packs=lambda _: load_pack("en"), looks=records, models=models), worker=worker)


def doomed(dsn: str, name: str, fatal: int, after: bool) -> None:  # handed over by position
    async def run() -> None:
        await play_to_death(dsn, name, fatal, after=after)

    anyio.run(run)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_session_survives_kill_9_at_every_request(database: Any, anyio_backend: str) -> None:
    """The heir gets every event again, as a channel would send it: one attempt for each answer, no line said twice, nothing left open."""
    requests = await play_to_death(database.login_dsn, "whole", 0, after=False)
    places = [(number, after) for number in range(1, requests + 1) for after in (False, True)][::STRIDE]
    # A server process that forks stays clean of this one's threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "dealquest.storage.engine", "dealquest.coach.turns", "fsrs"])
    for number, after in places:
        child = context.Process(target=doomed, args=(database.login_dsn, f"crash-{number}-{after}", number, after))
        child.start()
        await anyio.to_thread.run_sync(child.join)
        assert child.exitcode == -signal.SIGKILL
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("update inbox set lease_until = '2000-01-01' where lease_until is not null")
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=2)) as engine:
        for number, after in places:
            name = f"crash-{number}-{after}"
            await play(turns_over(engine.bind(SERVICE), "heir"), name)
    with psycopg.connect(database.owner_dsn) as owner:
        made = owner.execute("select source, array_agg(mode order by id) from attempts group by 1").fetchall()
        replies = owner.execute("select source, count(*) from outbox group by 1").fetchall()
        talks = owner.execute("select count(*) from roleplays").fetchone()
    assert dict(made) == {source: ["train", "roleplay"] for source, _ in replies}
    assert len(replies) == len(places) + 1
    assert len({count for _, count in replies}) == 1
    assert talks == (0,)
    assert find_disagreements(database.owner_dsn) == {}
