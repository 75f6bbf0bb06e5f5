"""Many people at once on the real engine: nothing is lost, nothing is doubled, and all books agree to the point."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio

from dealquest.coach.dialogue import Event, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import ScriptedModels, find_disagreements
from dealquest.values import SERVICE

PACK = load_pack("en")
USERS = 40
TASKS = 16
THINKING_S = 0.5
LEVEL = PACK.tracks[0].levels[0]
SESSION: Sequence[tuple[str, str]] = (
    ("button", f"learn:scenario:{LEVEL.id}"),
    ("text", LEVEL.scenario.anchors.strong.text),
    ("text", "/train any"),
    ("text", "What does it cost you each month? Let us talk on Friday at 9."),
    ("text", "/stats"),
)


async def test_forty_people_at_once_lose_nothing_and_double_nothing(database: Any, anyio_backend: str) -> None:
    """Two engines, sixteen workers, a model of half a second, every event sent twice: each answer is one attempt, and the books agree."""
    people = [Person(local_name=f"p{number}", first_name="P") for number in range(USERS)]
    events = [
        Event(source="crowd", chat=str(number), update_id=1000 * (step + 1) + number, user=person, kind=kind, text=text)  # type: ignore[arg-type]  # kinds of the table
        for step, (kind, text) in enumerate(SESSION)
        for number, person in enumerate(people)
    ]
    models = ScriptedModels(delay_s=THINKING_S)
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(await Engine.open(database.login_dsn, EngineConfig(db_pool=8))) for _ in range(2)]

        def turns(number: int) -> Turns:
            records = Postgrest(engines[number % 2].bind(SERVICE))
            return Turns(records, effects=Effects(packs=lambda _: PACK, looks=records, models=models), worker=f"w{number}")

        async def work(number: int) -> None:
            worker = turns(number)
            idle = 0
            while idle < 4:  # others may still hold the chats whose next events are open
                idle = 0 if await worker.work("crowd") is not None else idle + 1
                if idle:
                    await anyio.sleep(THINKING_S / 3)

        # A channel hands a chat's events in in their order, as one poller does; each arrives twice, by two processes.
        for number in range(2):
            await turns(number).receive(events)
        async with anyio.create_task_group() as group:
            for number in range(TASKS):
                group.start_soon(work, number)
        records = Postgrest(engines[0].bind(SERVICE))
        assert len(await records.table("attempts").select("id").all()) == 2 * USERS
        assert len(await records.table("outbox").select("id").all()) == len(events)
    assert models.scores == 2 * USERS
    assert find_disagreements(database.owner_dsn) == {}
