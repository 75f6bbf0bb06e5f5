"""Two hundred people play at once against a model of half a second, over several processes; then every book must agree.

    python benchmarks/coach/crowd.py [PEOPLE] [PROCESSES] [THINKING_S]

Each person answers a lesson, a practice scenario and a role-play. Prints the time from the first event to the last commit,
the floor (the model's time alone for the longest chain of one person) and any disagreement of the books; exit code 1 with one.
The books are attempts, ledger, XP, progress, practice cards, badges, memory and replies (`dealquest.testing.find_disagreements`).
"""

import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import psycopg

from dealquest.coach.dialogue import Event, EventKind, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.storage.migrations import LOGIN_ROLE, ensure_login, migrate
from dealquest.testing import ScriptedModels, find_disagreements
from dealquest.values import SERVICE

SOURCE = "crowd"
PACK = load_pack("en")
LEVEL = PACK.tracks[0].levels[0]
ANSWER = "What does it cost you each month? Let us talk on Friday at 9."
SESSION: Sequence[tuple[EventKind, str]] = (
    ("button", f"learn:scenario:{LEVEL.id}"),
    ("text", LEVEL.scenario.anchors.strong.text),
    ("text", "/train any"),
    ("text", ANSWER),
    ("text", "/roleplay easy"),
    ("text", "Good morning, what brings you here?"),
    ("button", "role:end"),
    ("text", "/stats"),
)
MODEL_CALLS = 4
ATTEMPTS = 3
TASKS = 64


def events_of(people: int) -> list[Event]:
    """Everybody's first event, then everybody's second, ..."""
    persons = [Person(local_name=f"p{number}", first_name="P") for number in range(people)]
    return [
        Event(source=SOURCE, chat=str(number), update_id=100_000 * (step + 1) + number, user=person, kind=kind, text=text)
        for step, (kind, text) in enumerate(SESSION)
        for number, person in enumerate(persons)
    ]


async def work(dsn: str, number: int, people: int, processes: int, thinking_s: float) -> None:
    """One process: sends its share of the events and works until all are done."""
    async with await Engine.open(dsn, EngineConfig(db_pool=8)) as engine:
        records = Postgrest(engine.bind(SERVICE))
        models = ScriptedModels(*["Hm, and what would that change for us?"] * people, delay_s=thinking_s)
        effects = Effects(packs=lambda _: PACK, looks=records, models=models)
        turns = [Turns(records, effects=effects, worker=f"{number}:{task}") for task in range(TASKS // processes)]
        await turns[0].receive(events_of(people)[number::processes])

        async def work_off(worker: Turns) -> None:
            while True:
                if await worker.work(SOURCE) is None:
                    if not await records.table("inbox").select("update_id").where(status="open").limit(1).all():
                        return
                    await anyio.sleep(0.1)

        async with anyio.create_task_group() as group:
            for worker in turns:
                group.start_soon(work_off, worker)


def run(*arguments: Any) -> None:
    """In a process of its own."""
    anyio.run(work, *arguments)


def main() -> None:
    people, processes, thinking_s = (float(word) for word in (*sys.argv[1:], *("200", "2", "0.5")[len(sys.argv) - 1 :]))
    home = Path(tempfile.mkdtemp(prefix="dealquest-benchmark-"))
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home) as server:
            migrate(server.dsn())
            ensure_login(server.dsn(), None)
            context = multiprocessing.get_context("spawn")
            workers = [
                context.Process(target=run, args=(server.dsn(LOGIN_ROLE), number, int(people), int(processes), thinking_s))
                for number in range(int(processes))
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            with psycopg.connect(server.dsn()) as owner:
                took, turns = owner.execute(
                    "select extract(epoch from max(done_at) - min(received_at))::double precision, count(*) from inbox"
                ).fetchone() or (0, 0)
                attempts = (owner.execute("select count(*) from attempts").fetchone() or (0,))[0]
            wrong = find_disagreements(server.dsn())
    finally:
        shutil.rmtree(home, ignore_errors=True)
    floor = max(MODEL_CALLS, MODEL_CALLS * people / TASKS) * thinking_s
    print(
        f"{int(people)} people, {turns} turns and jobs, {int(processes)} processes: {took:.1f} s, {took / floor:.1f} x the model's own time"
    )
    print(f"  without the model's time {1000 * (float(took) - floor) / turns:.1f} ms a turn or job")
    print(f"attempts {attempts} of {int(people) * ATTEMPTS}; books that disagree: {wrong or 'none'}")
    if wrong or attempts != int(people) * ATTEMPTS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
