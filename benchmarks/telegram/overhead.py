"""Latency and CPU of one message, beside a plain aiogram echo bot in the same run.

Three bots run at the same time, each a process of its own on an offline Bot API server of its own: a plain aiogram echo
bot (dispatcher, one handler that answers, nothing is stored); ours with the echoing conversation (durable, on SQLite);
and `dealquest bot`, the coach on the embedded PostgreSQL (inbox, turn, trace, outbox), which is told something while no
scenario is open. Each message goes to one after the other, so that whatever else the machine does meets all three
alike. Latency is from the message to the answer as the server sees them; CPU is the process's own for one message,
without its start.
Ratios are against the plain bot.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from dealquest_telegram.testing import BotApiServer, SimulatedUser

PAUSE_S = 0.05
"""So long between rounds: ours keeps to 25 messages a second, as Telegram wants it, and would wait above that."""
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

PLAIN = """
import asyncio, sys
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import Message
dispatcher = Dispatcher()
@dispatcher.message()
async def echo(message: Message) -> None:
    await message.answer("echo: " + (message.text or ""))
base, token = sys.argv[1:]
asyncio.run(dispatcher.start_polling(Bot(token, session=AiohttpSession(api=TelegramAPIServer.from_base(base)))))
"""

OURS = """
import asyncio, sys
from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_telegram import serve_telegram
from dealquest_telegram.testing import EchoConversation
from pathlib import Path
base, token, folder = sys.argv[1:]
settings = Settings(home=Path(folder), telegram_bot_token=Secret(token), telegram_api_base=base)
asyncio.run(serve_telegram(settings, lambda _: EchoConversation(folder + "/echo.db")))
"""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def memory_mb(pid: int) -> float:
    """Resident megabytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Contender:
    """One bot: its server, its process, and what was measured."""

    def __init__(self, name: str, stack: AsyncExitStack) -> None:
        self.name = name
        self._stack = stack
        self.latencies: list[float] = []
        self._cpu_before = 0.0

    async def start(self) -> None:
        """Start server and bot, and warm both."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).chmod(0o755)  # noqa: ASYNC240  # at once; root's PostgreSQL runs as another account
        self._api = await self._stack.enter_async_context(BotApiServer())
        base, token = self._api.base_url, self._api.token
        arguments = {
            "plain": ["-c", PLAIN, base, token],
            "ours": ["-c", OURS, base, token, folder],
            "coach": ["-m", "dealquest", "bot"],
        }[self.name]
        environment = {**os.environ, "DEALQUEST_HOME": folder, "TELEGRAM_BOT_TOKEN": token, "TELEGRAM_API_BASE": base}
        quiet = asyncio.subprocess.DEVNULL
        began = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, stdout=quiet, stderr=quiet)
        while not self._api.polls and self._process.returncode is None:  # noqa: ASYNC110  # another process is watched
            await asyncio.sleep(0.02)
        if self._process.returncode is not None:
            sys.exit(f"{self.name}: the bot did not start")
        self.ready_s = time.monotonic() - began
        self._people = [self._api.user(f"P{number}") for number in range(50)]
        for person in self._people:
            await self.answer(person)
        self.latencies.clear()
        self._cpu_before = cpu_s(self._process.pid)

    async def answer(self, person: SimulatedUser | None = None) -> None:
        """One message and its answer."""
        person = person or self._people[len(self.latencies) % len(self._people)]
        asked = time.monotonic()
        await person.says("hello there")
        await person.waits_for_reply(timeout_s=20)
        self.latencies.append(time.monotonic() - asked)

    async def stop(self) -> dict[str, float]:
        """End the bot; what was measured."""
        used, resident = cpu_s(self._process.pid) - self._cpu_before, memory_mb(self._process.pid)
        self._process.terminate()
        await self._process.wait()
        return {
            "ready s": self.ready_s,
            "p50 ms": statistics.median(self.latencies) * 1e3,
            "CPU ms a message": used / len(self.latencies) * 1e3,
            "MB": resident,
        }


async def run(count: int) -> None:
    """Measure all of them and print the table."""
    async with AsyncExitStack() as stack:
        contenders = [Contender(name, stack) for name in ("plain", "ours", "coach")]
        for contender in contenders:
            await contender.start()
        for _ in range(count):
            for contender in contenders:
                await contender.answer()
            await asyncio.sleep(PAUSE_S)
        results = {contender.name: await contender.stop() for contender in contenders}
    for name, result in results.items():
        columns = "  ".join(f"{what} {value:7.1f} ({value / results['plain'][what]:.2f}x)" for what, value in result.items())
        print(f"{name:>6}: {columns}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=150)
    asyncio.run(run(parser.parse_args().messages))
