"""Wall and CPU of 1,000 samples at 64 at once against an upstream of 200 ms: ideal 3.2 s (3.125 s and one round).

    python benchmarks/evals/speed.py            three rounds, about half a minute
    python benchmarks/evals/speed.py --rounds 1

In each round bare aiohttp lanes (the floor) and the whole harness with its journal take turns; CPU is this process's own.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp
from upstream import start_upstream

from dealquest import evals
from dealquest.llm import Provider, Route, Router
from dealquest.values import Secret

DELAY_S, SAMPLES, AT_ONCE = 0.2, 1_000, 64
IDEAL_S = -(-SAMPLES // AT_ONCE) * DELAY_S
MODEL = "openai/gpt-oss-120b"
SUITE = evals.load([{"id": str(place), "input": f"Case {place}: answer the buyer. " + "He hesitates. " * 60} for place in range(SAMPLES)])
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Answer the buyer. " + "He hesitates. " * 60}], "max_tokens": 1024}


async def bare(url: str) -> None:
    left = iter(range(SAMPLES))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def lane() -> None:
            for _ in left:
                async with client.post(url + "/chat/completions", json=BODY) as answer:
                    assert (await answer.json())["choices"]

        await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


async def harness(url: str) -> None:
    provider = Provider(name="openrouter", base_url=url, key=Secret("sk-local"))
    with tempfile.TemporaryDirectory() as folder:
        run = await evals.run(
            SUITE,
            models=[MODEL],
            scorers=[evals.regex(r"\?")],
            concurrency=AT_ONCE,
            llm=partial(Router, [Route(model=MODEL, provider=provider)]),
            journal=Path(folder) / "run.jsonl",
            progress="none",
        )
    assert len(run.ledger.scores) == SAMPLES
    assert not run.failures()


async def measure(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - wall, time.process_time() - cpu


async def main(rounds: int) -> None:
    ratios, floors, cpus, bares = [], [], [], []
    with start_upstream(DELAY_S) as url:
        await harness(url)  # the first one imports
        for _ in range(rounds):
            floor_s, floor_cpu_s = await measure(partial(bare, url))
            wall_s, cpu_s = await measure(partial(harness, url))
            ratios.append(wall_s / IDEAL_S)
            floors.append(wall_s / floor_s)
            cpus.append(1000 * cpu_s / SAMPLES)
            bares.append(1000 * floor_cpu_s / SAMPLES)
            print(f"  wall {wall_s:.2f} s, bare {floor_s:.2f} s; CPU {cpus[-1]:.2f} ms a sample, bare {bares[-1]:.2f}")
    print(f"wall / ideal {IDEAL_S:.2f} s: {statistics.median(ratios):.2f}, best {min(ratios):.2f} (bar 1.15)")
    print(f"wall / bare aiohttp lanes: {statistics.median(floors):.2f}")
    print(f"CPU a sample: {statistics.median(cpus):.2f} ms, best {min(cpus):.2f} (bar 0.6); bare aiohttp {statistics.median(bares):.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(main(parser.parse_args().rounds))
