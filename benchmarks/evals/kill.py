"""kill -9 at half-way, then resume: answers asked for twice, and the resumed run's time against the ideal of what was left.

    python benchmarks/evals/kill.py             about half a minute

1,000 samples at 64 at once against an upstream of 200 ms. "Once started" leaves out the interpreter's start and its imports;
the bare row is the same work by aiohttp lanes without a harness, in the same minute.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
from speed import AT_ONCE, DELAY_S, MODEL, SAMPLES, SUITE, bare, measure
from upstream import count_asked, start_upstream

from dealquest import evals
from dealquest.llm import Provider, Route, Router
from dealquest.values import Secret


async def work(url: str, journal: Path) -> None:
    llm = partial(Router, [Route(model=MODEL, provider=Provider(name="openrouter", base_url=url, key=Secret("sk-local")))])
    await anyio.lowlevel.checkpoint()  # loads its backend
    began = time.perf_counter()
    if journal.exists():  # noqa: ASYNC240  # before anything runs
        await evals.resume(journal, llm=llm, concurrency=AT_ONCE, progress="none")
    else:
        await evals.run(SUITE, models=[MODEL], scorers=[evals.regex(r"\?")], llm=llm, concurrency=AT_ONCE, journal=journal, progress="none")
    print(time.perf_counter() - began)


def main() -> None:
    with start_upstream(DELAY_S) as url, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "run.jsonl"
        command = [sys.executable, __file__, url, str(journal)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as victim:
            while count_asked(url) < SAMPLES // 2 and victim.poll() is None:
                time.sleep(0.01)
            os.kill(victim.pid, signal.SIGKILL)
        finished = len(evals.read(journal).ledger.answers)
        in_flight = count_asked(url) - finished
        left = SAMPLES - finished
        resumed = subprocess.run(command, capture_output=True, text=True, check=True)
        wall_s = float(resumed.stdout)
        repeated = count_asked(url) - SAMPLES
        run = evals.read(journal)
        assert len(run.ledger.answers) == len(run.ledger.scores) == SAMPLES
        ideal_s = -(-left // AT_ONCE) * DELAY_S
        floor_s, _ = asyncio.run(measure(partial(bare, url)))
    print(f"killed with {finished} finished and {in_flight} in flight; {repeated} asked for twice (bar: those in flight)")
    print(f"resumed in {wall_s:.2f} s once started, ideal {ideal_s:.2f} s: {wall_s / ideal_s:.2f} (bar 1.3)")
    print(f"bare lanes in the same minute: {floor_s / (-(-SAMPLES // AT_ONCE) * DELAY_S):.2f} of their ideal")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
    else:
        main()
