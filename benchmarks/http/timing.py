"""Whether the time of a refused sign-in tells if an account exists: Welch's t over interleaved tries.

    .venv/bin/python benchmarks/http/timing.py [pairs]

|t| below 4.5 tells nothing. A second run of two groups of unknown addresses is the floor.
"""

import asyncio
import random
import statistics
import sys
import time

from load import Connection, request
from servers import data_home, ours

from dealquest.storage.embedded import EmbeddedPostgres


def tell(first: list[float], second: list[float]) -> float:
    """Welch's t of two samples, the slowest tenth left out: it is the machine's, not the server's."""
    first, second = (sorted(values)[: int(len(values) * 0.9)] for values in (first, second))
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return (statistics.mean(first) - statistics.mean(second)) / float(spread**0.5)


async def measure(port: int, pairs: int) -> None:
    connection, rng = await Connection.open(port), random.Random(10)

    async def ask(path: str, email: str, password: str, number: int) -> tuple[int, float]:
        headers = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        begun = time.perf_counter()
        status, _ = await connection.ask(request("POST", path, headers=headers, body={"email": email, "password": password}))
        return status, (time.perf_counter() - begun) * 1000

    known = [f"known{number:05}@example.com" for number in range(pairs // 4 + 1)]
    for number, email in enumerate(known):
        assert (await ask("/api/auth/users", email, "correct horse", number))[0] == 200
    times: dict[str, list[float]] = {"known": [], "unknown": [], "unknown again": []}
    for pair in range(pairs):
        emails = {
            "known": known[pair // 4],
            "unknown": f"other{pair // 4:05}@example.com",
            "unknown again": f"third{pair // 4:05}@example.com",
        }
        for place, name in enumerate(rng.sample(list(emails), 3)):
            status, taken = await ask("/api/auth/sessions", emails[name], "wrong horse", 100_000 + pair * 3 + place)
            assert status == 401, status
            times[name].append(taken)
    for first, second in (("known", "unknown"), ("unknown again", "unknown")):
        means = f"{statistics.mean(times[first]):.2f} and {statistics.mean(times[second]):.2f} ms"
        print(f"{first} against {second}: {means}, t = {tell(times[first], times[second]):+.2f} over {pairs} each   bar 4.5")


def main(pairs: int) -> None:
    with data_home() as home, EmbeddedPostgres(home), ours(home, {"HTTP_TRUSTED_HOPS": "1"}) as server:
        asyncio.run(measure(server.port, pairs))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
