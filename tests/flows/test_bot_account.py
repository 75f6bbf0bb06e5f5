"""Keys, languages and admins on Telegram: the real command against offline peers, with everything it leaves behind looked through."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dealquest.coach.scenarios import load_pack
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.testing import Arrival, LoopbackServer, Reply
from dealquest.vault import generate_key
from dealquest_telegram.testing import BotApiServer

KEY = "sk-or-v1-4242424242424242424242424242"
ANSWER = "What does it cost you each month? Could we talk on Thursday at 10 for 15 minutes?"
DEADLINE_S = 60.0


@pytest.fixture
def anyio_backend() -> str:
    """aiogram is asyncio's."""
    return "asyncio"


class Provider(LoopbackServer):
    """An OpenRouter that knows one key and judges with full marks."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_with: list[str] = []

    def answer(self, arrival: Arrival) -> Reply:
        body = json.loads(b"".join(arrival.chunks()) or b"{}")
        shown = (arrival.header("authorization") or "").removeprefix("Bearer ")
        if shown != KEY:
            return Reply.json({"error": {"code": 401, "message": "No auth credentials found"}}, status=401)
        if arrival.method == "GET":
            return Reply.json({"data": {"label": "test", "limit_remaining": None, "is_free_tier": False}})
        self.asked_with.append(shown)
        prompt = json.dumps(body)
        scenario = next(s for s in load_pack("en").scenarios if json.dumps(s.situation)[1:60] in prompt)
        quotes = ("What does it cost you each month?", "Could we talk on Thursday at 10", "for 15 minutes?")
        criteria = [
            {"criterion": c.id, "score": c.weight, "feedback": "Good.", "quote": quotes[number % 3], "suggestion": ""}
            for number, c in enumerate(scenario.rubric)
        ]
        message = {"role": "assistant", "content": json.dumps({"criteria": criteria, "strengths": [], "improvements": []})}
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Reply.json({"id": "c1", "object": "chat.completion", "model": "judge-1", "choices": [choice], "usage": usage})


def start_bot(api: BotApiServer, home: Path, **more: str) -> "subprocess.Popen[str]":
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    own = {"TELEGRAM_BOT_TOKEN": api.token, "TELEGRAM_API_BASE": api.base_url, "DEALQUEST_HOME": str(home), "LOG_LEVEL": "DEBUG"}
    command = [sys.executable, "-m", "dealquest", "bot"]
    return subprocess.Popen(command, env={**clean, **own, **more}, stderr=subprocess.PIPE, text=True)


def stop_bot(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=DEADLINE_S)[1]


def written_in(home: Path) -> str:
    return "\n".join(path.read_text("utf-8", "replace") for path in home.glob("*") if path.is_file())


async def test_b3_a_users_own_key_is_used_and_found_nowhere(home: Path) -> None:
    """A wrong key is refused, a good one is used; both messages vanish, and neither chat, log, rows nor traces hold a key."""
    wrong = KEY.replace("42", "43")
    with EmbeddedPostgres(home) as server, Provider() as provider:
        async with BotApiServer() as api:
            peers = {"OPENROUTER_BASE_URL": provider.base_url, "ENCRYPTION_KEY": generate_key().reveal()}
            process = start_bot(api, home, **peers)
            try:
                ann = api.user("Ann")
                await ann.says("/start")
                await ann.waits_for_reply("How shall I score", timeout_s=DEADLINE_S)
                await ann.presses("Use my own key")
                await ann.waits_for_reply("Whose key")
                await ann.presses("OpenRouter")
                await ann.waits_for_reply("Send it as your next message")
                sent = [await ann.says(wrong)]
                await ann.waits_for_reply("does not know this key", timeout_s=DEADLINE_S)
                sent.append(await ann.says(KEY))
                await ann.waits_for_reply("is good", timeout_s=DEADLINE_S)
                assert not {message["message_id"] for message in sent} & set(ann.chat.messages)
                await ann.says("/train easy")
                await ann.waits_for_reply("Answer as you would")
                await ann.says(ANSWER)
                assert "100 of 100" in (await ann.waits_for_reply("of 100", timeout_s=DEADLINE_S)).text
                api.fault("deleteMessage", status=400, description="Bad Request: message can't be deleted")
                await ann.says(f"oh, and {KEY}")
                assert "delete it yourself" in (await ann.waits_for_reply("looks like an API key", timeout_s=DEADLINE_S)).text
            finally:
                log = stop_bot(process)
        assert set(provider.asked_with) == {KEY}
        with psycopg.connect(server.dsn()) as records:
            tables = records.execute("select quote_ident(tablename) from pg_tables where schemaname = 'public'").fetchall()
            rows = "\n".join(str(records.execute(f"select t::text from {table} t").fetchall()) for (table,) in tables)
    files = written_in(home)
    for secret in (KEY, wrong):
        assert secret not in log
        assert secret not in rows
        assert secret not in files


async def test_b1_an_admin_by_name_in_german_and_a_thief_of_the_name(home: Path) -> None:
    """The first account with the listed name is admin, in its own language; the next one with that name is a stranger."""
    async with BotApiServer() as api:
        process = start_bot(api, home, ADMIN_USERNAMES="@Boss")
        try:
            boss, thief = api.user("Olga", username="boss", language="de"), api.user("Mallory", username="BOSS")
            await boss.says("/admin")
            assert "Verwaltung" in (await boss.waits_for_reply(timeout_s=DEADLINE_S)).text
            await boss.presses("Team")
            assert "Personen: 1" in (await boss.waits_for_reply("Das Team")).text
            await thief.says("/admin")
            assert "There is no command /admin" in (await thief.waits_for_reply()).text
            await thief.sends_callback("admin:users", message=next(iter(thief.chat.messages.values())))
            assert "Olga" not in (await thief.waits_for_reply("earlier step")).text
        finally:
            stop_bot(process)
