"""CPU per call and per chunk, as ratios to raw httpx and raw aiohttp in the same run.

    python benchmarks/llm/speed.py            about a minute
    python benchmarks/llm/speed.py --short    about fifteen seconds

Every figure is CPU time of this process; the server runs in its own. Contestants take turns within each
round, and the median of the rounds' ratios is printed with its range.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx
from upstream import start_upstream

from dealquest.llm import Provider, Route, Router, TextDelta
from dealquest.wire import AiohttpTransport, HttpxTransport

PROMPT = "You coach a seller. Here is the conversation so far. " * 62
Run = Callable[[int, int], Awaitable[None]]


def body_of(*, stream: bool, words: str) -> bytes:
    body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": PROMPT + words}], "max_tokens": 4096}
    return json.dumps({**body, "stream": True} if stream else body).encode()


async def spread(call: Callable[[], Awaitable[None]], calls: int, at_once: int) -> None:
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(worker() for _ in range(at_once)))


def contestants(url: str, clients: dict[str, object], words: str) -> dict[str, tuple[Run, Run]]:
    endpoint = url + "/v1/chat/completions"
    raw_httpx: httpx.AsyncClient = clients["httpx"]  # type: ignore[assignment]
    raw_aiohttp: aiohttp.ClientSession = clients["aiohttp"]  # type: ignore[assignment]
    headers = {"content-type": "application/json", "authorization": "Bearer sk-local"}

    async def httpx_unary() -> None:
        payload = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 4096}
        answer = await raw_httpx.post(endpoint, json=payload, headers=headers)
        assert answer.json()["choices"][0]["message"]["content"]

    async def aiohttp_unary() -> None:
        payload = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 4096}
        async with raw_aiohttp.post(endpoint, json=payload, headers=headers) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"]

    async def httpx_stream() -> None:
        seen = 0
        async with raw_httpx.stream("POST", endpoint, content=body_of(stream=True, words=words), headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:])["choices"]
                    seen += bool(choices and choices[0]["delta"].get("content"))
        assert seen == 500

    async def aiohttp_stream() -> None:
        seen = 0
        async with raw_aiohttp.post(endpoint, data=body_of(stream=True, words=words), headers=headers) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    seen += bool(choices and choices[0]["delta"].get("content"))
        assert seen == 500

    def of_router(name: str) -> tuple[Run, Run]:
        router: Router = clients[name]  # type: ignore[assignment]

        async def unary() -> None:
            assert (await router.complete(PROMPT)).text

        async def streamed() -> None:
            seen = 0
            async for event in router.stream(PROMPT + words):
                seen += isinstance(event, TextDelta)
            assert seen == 500

        return (lambda calls, at_once: spread(unary, calls, at_once)), (lambda calls, at_once: spread(streamed, calls, at_once))

    return {
        "httpx": ((lambda c, n: spread(httpx_unary, c, n)), (lambda c, n: spread(httpx_stream, c, n))),
        "aiohttp": ((lambda c, n: spread(aiohttp_unary, c, n)), (lambda c, n: spread(aiohttp_stream, c, n))),
        "ours on httpx": of_router("ours on httpx"),
        "ours on aiohttp": of_router("ours on aiohttp"),
    }


async def measure(run: Run, calls: int, at_once: int) -> float:
    started = time.process_time()
    await run(calls, at_once)
    return (time.process_time() - started) / calls * 1e6


async def table(title: str, runs: dict[str, Run], calls: int, at_once: int, *, rounds: int, per: int = 1) -> None:
    for run in runs.values():
        await run(max(at_once, calls // 5), at_once)
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        names = list(runs)
        random.Random(number).shuffle(names)
        for name in names:
            figures[name].append(await measure(runs[name], calls, at_once) / per)
    print(f"\n{title}")
    for name, values in figures.items():
        cells = []
        for base in ("httpx", "aiohttp"):
            ratios = sorted(own / other for own, other in zip(values, figures[base], strict=True))
            cells.append(f"{statistics.median(ratios):5.2f} x {base} [{ratios[0]:.2f}-{ratios[-1]:.2f}]")
        print(f"  {name:16} {statistics.median(values):9.1f} us   " + "   ".join(cells))


async def main(url: str, rounds: int, scale: float) -> None:
    routes = [Route(model="openai/gpt-oss-120b", provider=Provider(name="openai", base_url=url + "/v1"))]
    async with (
        httpx.AsyncClient(timeout=60) as raw,
        aiohttp.ClientSession() as session,
        HttpxTransport() as over_httpx,
        AiohttpTransport() as over_aiohttp,
    ):
        clients: dict[str, object] = {
            "httpx": raw,
            "aiohttp": session,
            "ours on httpx": Router(routes, transport=over_httpx),
            "ours on aiohttp": Router(routes, transport=over_aiohttp),
        }
        burst, paced = contestants(url, clients, ""), contestants(url, clients, " paced please")
        unary = {name: pair[0] for name, pair in burst.items()}
        await table("unary, 1 at a time, CPU per call", unary, int(200 * scale), 1, rounds=rounds)
        await table("unary, 64 at once, CPU per call", unary, int(640 * scale), 64, rounds=rounds)
        await table("stream, burst, CPU per chunk", {n: p[1] for n, p in burst.items()}, int(20 * scale), 1, rounds=rounds, per=500)
        await table("stream, paced, CPU per chunk", {n: p[1] for n, p in paced.items()}, max(1, int(3 * scale)), 1, rounds=rounds, per=500)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    with start_upstream() as address:
        asyncio.run(main(address, 3 if short else 7, 0.4 if short else 1.0))
