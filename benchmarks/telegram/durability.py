"""Kill the bot while messages arrive, and count what was lost, doubled or left behind.

Several people write at once to the offline Bot API server; a bot process is killed (SIGKILL) or stopped (SIGTERM) at
random moments and started anew, until all were sent and every round is over. Then: lost = messages without an answer,
effects = turns counted more than once, doubled = answers that a person sees twice, stray = placeholders left behind, with
the longest time between the sending of one and the kill -9 that came before it was noted.

Exit code 1 when anything is lost or an effect is doubled, or with --careful when an answer is seen twice.
"""

import argparse
import asyncio
import itertools
import logging
import math
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_telegram import serve_telegram
from dealquest_telegram.testing import BotApiServer, EchoConversation
from dealquest_telegram.testing.people import SimulatedUser

PEOPLE = 25


async def serve(base: str, token: str, folder: Path, *, careful: bool, slow_s: float, hook_port: int) -> None:
    """The bot process."""
    turns = EchoConversation(folder / "echo.db", worker=f"{os.getpid()}:{uuid.uuid4().hex}", slow_s=slow_s)
    hook = {"telegram_webhook_url": f"http://127.0.0.1:{hook_port}/telegram", "telegram_webhook_port": hook_port} if hook_port else {}
    settings = Settings(home=folder, telegram_bot_token=Secret(token), telegram_api_base=base, telegram_careful=careful, **hook)
    await serve_telegram(settings, lambda _: turns)


async def start(arguments: argparse.Namespace, base: str, token: str, folder: Path) -> asyncio.subprocess.Process:
    """Start the bot process."""
    command = [sys.executable, __file__, "--serve", base, token, str(folder), "--slow", str(arguments.slow)]
    command += ["--hook-port", str(arguments.hook_port)]
    return await asyncio.create_subprocess_exec(
        *command, *(["--careful"] if arguments.careful else []), stdout=asyncio.subprocess.DEVNULL, stderr=(folder / "log").open("ab")
    )


def signs_of_life(api: BotApiServer) -> int:
    """Grows when a process begins to poll, or sets its webhook."""
    return api.polls + len(api.calls_of("setWebhook"))


async def write(people: list[SimulatedUser], count: int, per_second: float) -> None:
    """Send all messages, one after the other in each chat."""
    for number in range(count):
        person = people[number % len(people)]
        await person.says(f"slow message {number}")
        await asyncio.sleep(1 / per_second)


def count_results(people: list[SimulatedUser], count: int, database: Path) -> dict[str, int]:
    """What became of the messages."""
    answers = Counter(seen.text for person in people for seen in person.messages())
    expected = [f"echo: slow message {number} [text]" for number in range(count)]
    with sqlite3.connect(database) as store:
        effects = Counter(row[0] for row in store.execute("select update_id from effects"))
    return {
        "messages": count,
        "lost": sum(answers[text] == 0 for text in expected),
        "doubled": sum(max(0, answers[text] - 1) for text in expected),
        "stray": sum(number for text, number in answers.items() if text not in set(expected)),
        "effects missing": count - len(effects),
        "effects doubled": sum(number - 1 for number in effects.values()),
        "disorder": sum(_disorder(person) for person in people),
    }


def _disorder(person: SimulatedUser) -> int:
    numbers = [int(seen.text.split()[3]) for seen in person.messages() if seen.text.startswith("echo")]
    first = list(dict.fromkeys(numbers))
    return sum(a > b for a, b in itertools.pairwise(first))


def oldest_stray_ms(api: BotApiServer, people: list[SimulatedUser], kills: list[float]) -> float:
    """The longest time between the sending of a placeholder that was left behind and the next kill; inf where no kill explains it."""
    ages = [0.0]
    for person in people:
        sent = [call.at for call in api.calls_of("sendMessage") if call.values["chat_id"] == person.id]
        for at, seen in zip(sent, person.messages(), strict=True):
            if not seen.text.startswith("echo"):
                ages.append(min((kill - at for kill in kills if kill >= at), default=math.inf) * 1e3)
    return max(ages)


async def rounds(arguments: argparse.Namespace) -> dict[str, float]:
    """Run the whole thing."""
    rng = random.Random(arguments.seed)
    endings = [signal.SIGKILL] * arguments.kills + [signal.SIGTERM] * arguments.terms
    rng.shuffle(endings)
    slowest_exit = 0.0
    kills: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with BotApiServer() as api:
            people = [api.user(f"Person {number}") for number in range(PEOPLE)]
            writing = asyncio.create_task(write(people, arguments.messages, arguments.rate))
            for ending in endings:
                before = signs_of_life(api)
                process = await start(arguments, api.base_url, api.token, folder)
                # A killed poller's lease ends after some seconds.
                while signs_of_life(api) == before and process.returncode is None:  # noqa: ASYNC110  # another process is watched
                    await asyncio.sleep(0.05)
                await asyncio.sleep(rng.uniform(0.05, arguments.longest))
                asked = time.monotonic()
                with suppress(ProcessLookupError):
                    process.send_signal(ending)
                await process.wait()
                if ending is signal.SIGKILL:
                    kills.append(time.monotonic())
                else:
                    slowest_exit = max(slowest_exit, time.monotonic() - asked)
            await writing
            process = await start(arguments, api.base_url, api.token, folder)
            deadline = time.monotonic() + 60 + arguments.messages / 10
            while time.monotonic() < deadline:
                found = count_results(people, arguments.messages, folder / "echo.db") if (folder / "echo.db").exists() else {"lost": 1}
                if found["lost"] == 0 and not api.account.queue:
                    break
                await asyncio.sleep(0.5)
            await asyncio.sleep(1.0)
            found_dead = process.returncode
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            if found_dead is not None:
                print((folder / "log").read_text()[-4000:])
                sys.exit("the last process ended by itself")
            found = count_results(people, arguments.messages, folder / "echo.db")
            if found["lost"]:
                with sqlite3.connect(folder / "echo.db") as store:
                    print(
                        "queued:",
                        len(api.account.queue),
                        "inbox:",
                        store.execute("select status, count(*) from inbox group by 1").fetchall(),
                    )
                    print("outbox:", store.execute("select status, count(*) from outbox group by 1").fetchall(), api.account.webhook)
            if found["stray"]:
                found["oldest stray, ms"] = round(oldest_stray_ms(api, people, kills))
            if arguments.verbose:
                print((folder / "log").read_text()[-4000:])
    return {**found, "slowest SIGTERM exit, s": round(slowest_exit, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--terms", type=int, default=30)
    parser.add_argument("--rate", type=float, default=10.0, help="messages a second")
    parser.add_argument("--longest", type=float, default=1.5, help="longest life of a process, s")
    parser.add_argument("--slow", type=float, default=0.2, help="seconds a turn takes")
    parser.add_argument("--careful", action="store_true", help="every answer is an edit of a placeholder")
    parser.add_argument("--webhook", action="store_true", help="updates are pushed instead of polled")
    parser.add_argument("--hook-port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--serve", nargs=3, metavar=("BASE", "TOKEN", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        logging.basicConfig(level=logging.INFO)
        base, token, folder = arguments.serve
        asyncio.run(serve(base, token, Path(folder), careful=arguments.careful, slow_s=arguments.slow, hook_port=arguments.hook_port))
        return 0
    if arguments.webhook:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            arguments.hook_port = probe.getsockname()[1]
    found = asyncio.run(rounds(arguments))
    for name, value in found.items():
        print(f"{name:>24}: {value}")
    bad = found["lost"] + found["effects missing"] + found["effects doubled"] + found["disorder"]
    return 1 if bad or (arguments.careful and found["doubled"]) else 0


if __name__ == "__main__":
    sys.exit(main())
