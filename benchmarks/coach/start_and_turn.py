"""How long the terminal takes to start, and what one turn costs.

    python benchmarks/coach/start_and_turn.py

Prints medians: CPU of `import dealquest` over bare Python, wall time of a warm start to the first prompt with the
part that is not PostgreSQL's, and a graded turn (stored, scored offline, committed, replies taken) beside its floor, one small
call of the records in the same run. The scorer has met every scenario before: it compiles its phrases once in a process.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio

from dealquest.cli.chat import Conversation
from dealquest.coach.scenarios import load_pack
from dealquest.coach.signals import score_by_signals
from dealquest.compose import open_kit
from dealquest.settings import load_settings
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.values import SystemClock

ROUNDS = 5
TURNS = 60


def cpu_of(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_prompt(home: Path) -> float:
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dealquest", "chat", "--plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "DEALQUEST_HOME": str(home)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    taken = time.perf_counter() - begin
    process.communicate()
    return taken


def server_alone(home: Path) -> float:
    begin = time.perf_counter()
    with EmbeddedPostgres(home):
        return time.perf_counter() - begin


async def turns(home: Path) -> tuple[list[float], list[float], list[float]]:
    """Wall time and this process's CPU of each graded turn, and the floor's wall time."""
    taken: list[float] = []
    worked: list[float] = []
    floor: list[float] = []
    async with open_kit(load_settings({"DEALQUEST_HOME": str(home)})) as kit:
        records = kit.turns(worker="benchmark")
        conversation = Conversation(records, person="benchmark", clock=SystemClock())
        answer = load_pack("en").practice[0].anchors.strong.text
        for scenario in load_pack("en").practice:
            score_by_signals(scenario, answer)
        for _ in range(TURNS):
            await conversation.shown(await conversation.send("/train any"))
            begin, before = time.perf_counter(), time.process_time()
            replies = await conversation.send(answer)
            taken.append(time.perf_counter() - begin)
            worked.append(time.process_time() - before)
            begin = time.perf_counter()
            await records.drop_lease("nobody's")
            floor.append(time.perf_counter() - begin)
            await conversation.shown(replies)
    return taken, worked, floor


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="dealquest-benchmark-"))
    home.chmod(0o711)
    try:
        bare = statistics.median(cpu_of("-c", "pass") for _ in range(ROUNDS))
        package = statistics.median(cpu_of("-c", "import dealquest") for _ in range(ROUNDS))
        first_prompt(home)
        server = statistics.median(server_alone(home) for _ in range(ROUNDS))
        warm = statistics.median(first_prompt(home) for _ in range(ROUNDS))
        taken, worked, floor = anyio.run(turns, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"import dealquest, CPU over bare Python   {1000 * (package - bare):8.1f} ms   (bar 60)")
    print(f"warm start to the first prompt           {1000 * warm:8.0f} ms   (bar 3000)")
    print(f"  of which starting PostgreSQL           {1000 * server:8.0f} ms")
    print(f"  the rest                               {1000 * (warm - server):8.0f} ms   (bar 1000)")
    turn = statistics.median(taken)
    print(f"a graded turn, median of {TURNS}              {1000 * turn:8.1f} ms   (bar 15 on an idle machine)")
    print(f"  of which this process's CPU            {1000 * statistics.median(worked):8.1f} ms")
    print(f"  over one small call of the records     {turn / statistics.median(floor):8.1f} x")


if __name__ == "__main__":
    main()
