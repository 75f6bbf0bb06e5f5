"""A lasting outage on a real socket: requests per call, time of a failed call, recovery, and deadline overrun over a chain.

python benchmarks/llm/outage.py
"""

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from dealquest.errors import DealQuestError
from dealquest.llm import Provider, Route, Router
from dealquest.wire import AiohttpTransport, HttpRequest, HttpResponse, RetryPolicy


class Counting(AiohttpTransport):
    """Counts what goes out."""

    sent = 0

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.sent += 1
        return await super().send(request)


async def outage(url: str) -> None:
    async with Counting() as transport:
        router = Router(
            [Route(model="a/b", provider=Provider(name="openai", base_url=url + "/v1"))],
            transport=transport,
            policy=RetryPolicy(waits_s=(0.05, 0.1, 0.2)),
        )
        closed, opened = [], []
        for _ in range(100):
            is_open = bool(router.state.routes) and router.state.routes[0].breaker == "open"
            started = time.perf_counter()
            try:
                await router.complete("fail please")
            except DealQuestError:
                (opened if is_open else closed).append(time.perf_counter() - started)
        print(f"  requests per call over 100 calls: {transport.sent / 100:.2f}")
        print(f"  failed call with the breaker open: median {statistics.median(opened) * 1e3:.2f} ms, worst {max(opened) * 1e3:.2f} ms")
        await asyncio.sleep(router.state.routes[0].blocked_s + 0.01)
        before = transport.sent
        answer = await router.complete("better now")
        print(f"  first call after the breaker's rest: {'good' if answer.text else 'bad'} after {transport.sent - before} probe")


async def deadlines(url: str) -> None:
    overruns = []
    async with AiohttpTransport() as transport:
        for number in range(60):
            providers = [Provider(name="openai", base_url=f"{url}/v1") for _ in range(3)]
            router = Router([Route(model=f"a/{n}", provider=provider) for n, provider in enumerate(providers)], transport=transport)
            deadline_s = 0.15 + number % 5 / 20
            started = time.perf_counter()
            try:
                await router.complete("hang please", deadline_s=deadline_s)
            except DealQuestError:
                overruns.append(time.perf_counter() - started - deadline_s)
    overruns.sort()
    print(f"  60 calls over three hanging routes, overrun: median {overruns[30] * 1e3:.1f} ms, worst {overruns[-1] * 1e3:.1f} ms")


async def main() -> None:
    with subprocess.Popen([sys.executable, Path(__file__).with_name("upstream.py")], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        print("lasting outage")
        await outage(url)
        print("deadlines")
        await deadlines(url)
        server.terminate()


if __name__ == "__main__":
    asyncio.run(main())
