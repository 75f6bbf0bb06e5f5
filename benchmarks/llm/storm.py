"""Cancel 2,000 calls over 10 slots while 40 % of the upstream hangs; then the next 30 must succeed within a second.

    python benchmarks/llm/storm.py                  both transports
    python benchmarks/llm/storm.py --cancels 300    a short look

Prints what is left behind: slots, tasks, sockets, and what the server still sees open. Plain httpx is asked the same.
"""

import argparse
import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from upstream import start_upstream

from dealquest.llm import Limits, Provider, Route, Router
from dealquest.wire import AiohttpTransport, HttpxTransport, NetworkTransport

SLOTS = 10
DICE = random.Random(5)
Call = Callable[[str], Awaitable[object]]


def sockets() -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(entry.readlink()).startswith("socket:")
    return found


async def storm(call: Call, cancels: int) -> None:
    async def one() -> None:
        words = "hang please" if DICE.random() < 0.4 else "jitter please"
        task = asyncio.ensure_future(call(words))
        await asyncio.sleep(DICE.uniform(0, 0.3))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def busy() -> None:
        # The event loop is blocked half of the time, so that cancellations meet half-done work.
        while True:
            time.sleep(0.005)  # noqa: ASYNC251  # blocking is the point
            await asyncio.sleep(0.005)

    blocker = asyncio.ensure_future(busy())
    left = iter(range(cancels))

    async def worker() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(worker() for _ in range(40)))
    blocker.cancel()
    await asyncio.gather(blocker, return_exceptions=True)


async def afterwards(name: str, call: Call, sockets_before: int, tasks_before: int) -> None:
    started = time.monotonic()
    results = await asyncio.wait_for(asyncio.gather(*(call("after the storm") for _ in range(30)), return_exceptions=True), 60)
    good = sum(not isinstance(result, BaseException) for result in results)
    seconds = time.monotonic() - started
    tasks = len(asyncio.all_tasks()) - tasks_before
    print(f"  {name:16} next 30 calls: {good} good in {seconds:.2f} s; tasks left {tasks}; sockets kept {sockets() - sockets_before}")


async def main(url: str, cancels: int) -> None:
    print(f"{cancels} cancels, {SLOTS} slots, 40 % of the upstream hangs")
    kinds: tuple[type[NetworkTransport], ...] = (HttpxTransport, AiohttpTransport)
    for kind in kinds:
        sockets_before, tasks_before = sockets(), len(asyncio.all_tasks())
        async with kind() as transport:
            route = Route(model="a/b", provider=Provider(name="openai", base_url=url + "/v1"))
            router = Router([route], transport=transport, limits=Limits(max_concurrent=SLOTS))

            async def call(words: str, router: Router = router) -> object:
                return await router.complete(words)

            await storm(call, cancels)
            await afterwards("ours, " + kind.__name__[:-9].lower(), call, sockets_before, tasks_before)
            assert router.state.free_slots == SLOTS
        await asyncio.sleep(0.1)
        assert sockets() == sockets_before, "a socket outlived its transport"
    before = sockets(), len(asyncio.all_tasks())
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=SLOTS), timeout=httpx.Timeout(5.0, pool=5.0))

    async def raw(words: str) -> object:
        body = {"model": "a/b", "messages": [{"role": "user", "content": words}]}
        return (await client.post(url + "/v1/chat/completions", json=body)).raise_for_status()

    await storm(raw, cancels)
    await afterwards("plain httpx", raw, *before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cancels", type=int, default=2_000)
    wanted = parser.parse_args().cancels
    with start_upstream() as address:
        asyncio.run(main(address, wanted))
