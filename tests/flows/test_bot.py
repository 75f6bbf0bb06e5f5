"""The same coach on Telegram: the real command against the offline Bot API server, with kills in between."""

import base64
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.testing import AssemblyAIServer, JobScript, WhisperServer
from dealquest_telegram.testing import BotApiServer

from .verdicts import Judge

ANSWER = "What does it cost you each month? Could we talk on Thursday at 10 for 15 minutes?"
DEADLINE_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    """aiogram is asyncio's."""
    return "asyncio"


def start_bot(api: BotApiServer, home: Path, **more: str) -> "subprocess.Popen[str]":
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    return subprocess.Popen(
        [sys.executable, "-m", "dealquest", "bot"],
        env={**clean, "TELEGRAM_BOT_TOKEN": api.token, "TELEGRAM_API_BASE": api.base_url, "DEALQUEST_HOME": str(home), **more},
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


@pytest.mark.parametrize("service", ["assemblyai", "whisper"])
async def test_a_spoken_answer_is_heard_and_scored_by_a_model(home: Path, service: str) -> None:
    """With nothing but environment variables: a voice note goes to the speech service, its words to the model, no secret to a log."""
    script = JobScript(text=ANSWER)
    ears = AssemblyAIServer(script=script) if service == "assemblyai" else WhisperServer(script=script)
    names = ("ASSEMBLYAI_BASE_URL", "ASSEMBLYAI_API_KEY") if service == "assemblyai" else ("WHISPER_BASE_URL", "WHISPER_API_KEY")
    sound = b"OggS" + bytes(range(256)) * 400
    with Judge() as judge, ears:
        peers = {
            "OPENAI_BASE_URL": f"{judge.base_url}/v1",
            "OPENAI_API_KEY": "sk-canary",
            names[0]: ears.base_url,
            names[1]: ears.key or "",
        }
        async with BotApiServer() as api:
            process = start_bot(api, home, **peers, LOG_LEVEL="DEBUG")
            try:
                ann = api.user("Ann")
                await ann.says("/train easy")
                await ann.waits_for_reply("Answer as you would", timeout_s=DEADLINE_S)
                await ann.sends_voice(sound, duration_s=9)
                assert "Thursday" in (await ann.waits_for_reply("I heard", timeout_s=DEADLINE_S)).text
                assert "100 of 100" in (await ann.waits_for_reply("of 100", timeout_s=DEADLINE_S)).text
                await ann.sends_voice(b"x", size=30_000_000)
                assert "larger than 20 MB" in (await ann.waits_for_reply()).text
                await ann.sends_voice(b"OggS" + b"x" * 21_000_000, size=None)
                assert "larger than 20 MB" in (await ann.waits_for_reply("larger", timeout_s=DEADLINE_S)).text
                await ann.sends_voice(b"x", duration_s=36_000)
                assert "longer than 30 minutes" in (await ann.waits_for_reply("longer", timeout_s=DEADLINE_S)).text
            finally:
                log = stop_bot(process)
    assert ears.sounds[0].sha256 == hashlib.sha256(sound).hexdigest()
    assert not ears.violations
    assert any(ANSWER in prompt for prompt in judge.prompts)  # the house also asks for new scenarios
    assert not [secret for secret in (api.token.split(":")[1], "/file/bot", "sk-canary", ears.key or "-") if secret in log]


async def test_a_photo_reaches_the_model(home: Path) -> None:
    """A screenshot of a deal goes from Telegram into the question to the model, byte for byte; a caption goes with it."""
    picture = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40
    with Judge() as judge:
        async with BotApiServer() as api:
            process = start_bot(api, home, OPENAI_BASE_URL=f"{judge.base_url}/v1", OPENAI_API_KEY="sk-canary")
            try:
                ann = api.user("Ann")
                await ann.says("/support")
                await ann.waits_for_reply(timeout_s=DEADLINE_S)
                await ann.sends_photo(picture, caption="They went silent after the demo.")
                await ann.waits_until(lambda: any("image_url" in prompt for prompt in judge.prompts), timeout_s=DEADLINE_S)
                await ann.waits_for_reply(timeout_s=DEADLINE_S)
                await ann.sends_document(b"<svg/>", name="x.png", mime_type="image/png")
                await ann.waits_for_reply("is no picture that I can read", timeout_s=DEADLINE_S)
            finally:
                log = stop_bot(process)
    asked = next(prompt for prompt in judge.prompts if "image_url" in prompt)
    assert f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" in asked
    assert "They went silent" in asked
    assert "/file/bot" not in log
