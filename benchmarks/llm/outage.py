"""A lasting outage on a real socket: requests per call, time of a failed call, recovery, and deadline overrun over a chain.

python benchmarks/llm/outage.py
"""

import asyncio
import statistics
import time

from upstream import start_upstream

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
    overruns: list[float] = []
    async with AiohttpTransport() as transport:
        provider = Provider(name="openai", base_url=url + "/v1")
        routes = [Route(model=f"a/{number}", provider=provider) for number in range(2)]

        async def call(deadline_s: float) -> None:
            router = Router(routes, transport=transport)
            started = time.perf_counter()
            try:
                await router.complete("hang please", deadline_s=deadline_s)
            except DealQuestError:
                overruns.append(time.perf_counter() - started - deadline_s)

        await asyncio.gather(*(call(5.0 + number / 100) for number in range(100)))
    overruns.sort()
    p99, worst = overruns[98] * 1e3, overruns[-1] * 1e3
    print(f"  100 calls at once over a chain of hanging routes: overrun p99 {p99:.1f} ms, worst {worst:.1f} ms")


async def main(url: str) -> None:
    print("lasting outage")
    await outage(url)
    print("deadlines")
    await deadlines(url)


if __name__ == "__main__":
    with start_upstream() as address:
        asyncio.run(main(address))
