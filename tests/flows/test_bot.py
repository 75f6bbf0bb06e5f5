"""The same coach on Telegram: the real command against the offline Bot API server, with kills in between."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest_telegram.testing import BotApiServer

ANSWER = "What does it cost you each month? Could we talk on Thursday at 10 for 15 minutes?"
DEADLINE_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    """aiogram is asyncio's."""
    return "asyncio"


def start_bot(api: BotApiServer, home: Path) -> "subprocess.Popen[str]":
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    return subprocess.Popen(
        [sys.executable, "-m", "dealquest", "bot"],
        env={**clean, "TELEGRAM_BOT_TOKEN": api.token, "TELEGRAM_API_BASE": api.base_url, "DEALQUEST_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_bot(process: "subprocess.Popen[str]", how: signal.Signals = signal.SIGTERM) -> str:
    process.send_signal(how)
    return process.communicate(timeout=DEADLINE_S)[1]


async def test_a_rep_plays_a_scenario_on_telegram(home: Path) -> None:
    """Start, train, answer, buttons: each gets its reply, and the token is in no log line."""
    async with BotApiServer() as api:
        process = start_bot(api, home)
        try:
            ann = api.user("Ann")
            await ann.says("/start")
            assert "Welcome to dealquest, Ann" in (await ann.waits_for_reply(timeout_s=DEADLINE_S)).text
            await ann.says("/train")
            await ann.waits_for_reply()
            await ann.presses("Medium")
            assert "Answer as you would" in (await ann.waits_for_reply()).text
            await ann.says(ANSWER)
            assert "of 100" in (await ann.waits_for_reply()).text
            await ann.presses("My progress")
            assert "XP to level" in (await ann.waits_for_reply()).text
        finally:
            log = stop_bot(process)
    assert process.returncode == 0
    assert api.token.split(":")[1] not in log


async def test_k1_an_answer_survives_kill_9_of_the_bot(home: Path) -> None:
    """What was said while the bot was dead is answered when it is back; every answer counts once."""
    with EmbeddedPostgres(home) as server:
        async with BotApiServer() as api:
            bob = api.user("Bob")
            for round_ in range(2):
                await bob.says("/train any")
                process = start_bot(api, home)
                await bob.waits_for_reply("Answer as you would", timeout_s=DEADLINE_S)
                stop_bot(process, signal.SIGKILL)
                await bob.says(f"{ANSWER} Round {round_}.")
                process = start_bot(api, home)
                await bob.waits_for_reply("of 100", timeout_s=DEADLINE_S)
                stop_bot(process)
        with psycopg.connect(server.dsn()) as records:
            assert records.execute("select count(*), count(distinct update_id) from attempts").fetchone() == (2, 2)
            assert (
                records.execute("select total_xp from users").fetchone() == records.execute("select sum(amount) from xp_ledger").fetchone()
            )
