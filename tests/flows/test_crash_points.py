"""The bot dies at every named point of a turn, each time in another process; the next one finishes what was begun (K4)."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest_telegram.testing import BotApiServer

from .verdicts import Judge

ANSWER = "What does it cost you each month? Could we talk on Thursday at 10 for 15 minutes?"
POINTS = ("receive_and_take", "take_update", "save_step", "finish_turn", "edit", "mark_sent")
DEADLINE_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    """aiogram is asyncio's."""
    return "asyncio"


def start(point: str, armed: Path, api: BotApiServer, home: Path, judge: Judge) -> "subprocess.Popen[bytes]":
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("dying_bot.py")), point, str(armed)],
        env={
            **clean,
            "TELEGRAM_BOT_TOKEN": api.token,
            "TELEGRAM_API_BASE": api.base_url,
            "DEALQUEST_HOME": str(home),
            "OPENAI_BASE_URL": f"{judge.base_url}/v1",
        },
        stderr=subprocess.DEVNULL,
    )


async def test_k4_whatever_was_begun_is_finished_once(home: Path, tmp_path: Path) -> None:
    """After a death behind each step of a turn every answer is paid for once, credited once and seen once."""
    armed = tmp_path / "armed"
    with Judge() as judge, EmbeddedPostgres(home) as server, psycopg.connect(server.dsn(), autocommit=True) as records:
        async with BotApiServer() as api:
            ann = api.user("Ann")
            process = start(POINTS[0], armed, api, home, judge)
            for number, point in enumerate(POINTS):
                await ann.says("/train any")
                await ann.waits_for_reply("Answer as you would", timeout_s=DEADLINE_S)
                await ann.waits_until(lambda: records.execute("select 1 from outbox where status = 'pending'").fetchone() is None)
                armed.touch()
                await ann.says(f"{ANSWER} Round {number}.")
                await ann.waits_until(lambda died=process: died.poll() is not None, timeout_s=DEADLINE_S)
                assert process.returncode == 9, point
                armed.unlink()
                process = start(POINTS[(number + 1) % len(POINTS)], armed, api, home, judge)
                await ann.waits_until(
                    lambda rounds=number + 1: sum("of 100" in seen.text for seen in ann.messages()) == rounds, timeout_s=DEADLINE_S
                )
            await ann.waits_until(lambda: records.execute("select 1 from outbox where status = 'pending'").fetchone() is None)
            process.kill()
            process.wait()
        shown = [seen.text for seen in ann.messages()]
        assert sum("of 100" in text for text in shown) == len(POINTS)
        assert "…" not in shown
        assert sum(ANSWER in prompt for prompt in judge.prompts) == len(POINTS)
        assert records.execute("select count(*), count(distinct update_id) from attempts").fetchone() == (len(POINTS),) * 2
        assert records.execute("select total_xp from users").fetchone() == records.execute("select sum(amount) from xp_ledger").fetchone()
        assert records.execute("select count(*) from inbox where status <> 'done' and not is_job").fetchone() == (0,)
