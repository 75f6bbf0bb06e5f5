"""Latency and CPU of one message, beside a plain aiogram echo bot in the same run.

Three bots, one after the other, each a process of its own on the offline Bot API server, the same messages: a plain
aiogram echo bot (dispatcher, one handler, in memory); ours with the echoing conversation (durable, on SQLite); and
`dealquest bot`, the coach on the embedded PostgreSQL, asked for /help. Latency is from the message to the answer as the
server sees them; CPU is the process's own, without its start. Ratios are against the plain bot.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from dealquest_telegram.testing import BotApiServer

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


async def measure(name: str, count: int, text: str) -> dict[str, float]:
    """Start one bot and write to it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # noqa: ASYNC240  # at once; root's PostgreSQL runs as another account
        async with BotApiServer() as api:
            environment = {**os.environ, "DEALQUEST_HOME": folder, "TELEGRAM_BOT_TOKEN": api.token, "TELEGRAM_API_BASE": api.base_url}
            arguments = {
                "plain": ["-c", PLAIN, api.base_url, api.token],
                "ours": ["-c", OURS, api.base_url, api.token, folder],
                "coach": ["-m", "dealquest", "bot"],
            }[name]
            process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.DEVNULL)
            started = time.monotonic()
            while not api.polls and process.returncode is None:  # noqa: ASYNC110  # another process is watched
                await asyncio.sleep(0.02)
            if process.returncode is not None:
                sys.exit(f"{name}: the bot did not start")
            ready_s = time.monotonic() - started
            people = [api.user(f"P{number}") for number in range(max(count // 3, 1))]
            for person in people[:5]:
                await person.says(text)
                await person.waits_for_reply(timeout_s=20)
            before, latencies = cpu_s(process.pid), []
            for number in range(count):
                person = people[number % len(people)]
                asked = time.monotonic()
                await person.says(text)
                await person.waits_for_reply(timeout_s=20)
                latencies.append(time.monotonic() - asked)
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            used, resident = cpu_s(process.pid) - before, memory_mb(process.pid)
            process.terminate()
            await process.wait()
    return {"ready s": ready_s, "p50 ms": statistics.median(latencies) * 1e3, "CPU ms a message": used / count * 1e3, "MB": resident}


async def run(count: int) -> None:
    """Measure each and print the table."""
    results = {name: await measure(name, count, "/help") for name in ("plain", "ours", "coach")}
    for name, result in results.items():
        columns = "  ".join(f"{what} {value:7.1f} ({value / results['plain'][what]:.2f}x)" for what, value in result.items())
        print(f"{name:>6}: {columns}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=150)
    asyncio.run(run(parser.parse_args().messages))
