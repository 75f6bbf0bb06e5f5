"""`dealquest doctor`: every part is asked once, each trouble is named, no token is spent and no secret shown."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from dealquest.testing import Arrival, Fault, LoopbackServer, ModelServer, Reply
from dealquest.vault import generate_key

TOKEN = "123456789:AAF-canary-canary-canary-canary-canary"
NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens


class BotApi(LoopbackServer):
    """Knows one bot."""

    def answer(self, arrival: Arrival) -> Reply:
        return Reply.json({"ok": True, "result": {"id": 1, "username": "deal_bot"}})


@pytest.fixture
def bot_api() -> Iterator[BotApi]:
    with BotApi() as server:
        yield server


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No finding is broken into lines."""
    monkeypatch.setenv("COLUMNS", "250")


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The findings by part, below the table of the settings."""
    printed = capsys.readouterr().out
    assert "canary" not in printed
    return {line.split("  ")[0].strip(): line for line in printed.splitlines()}


def test_a_house_in_order(
    call: Callable[..., int],
    database_url: str,
    bot_api: BotApi,
    model: ModelServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Database, key, model, bot, vault and speech are each found well; the exit code is 0."""
    code = call(
        "doctor",
        DATABASE_URL=database_url,
        OPENAI_BASE_URL=model.base_url,
        DEFAULT_OPENROUTER_MODEL="openai/gpt-oss-120b",
        TELEGRAM_BOT_TOKEN=TOKEN,
        TELEGRAM_API_BASE=bot_api.base_url,
        ENCRYPTION_KEY=generate_key().reveal(),
        ASSEMBLYAI_API_KEY="canary-key",
        ALLOWED_USERNAMES="ann",
    )
    found = lines(capsys)
    assert code == 0
    assert "DATABASE_URL" in found["records"]
    assert "ok" in found["key openai"]
    assert "served" in found["model openai/gpt-oss-120b"]
    assert "@deal_bot" in found["telegram"]
    assert "1 key(s)" in found["vault"]
    assert "AssemblyAI" in found["speech"]
    assert "access" not in found
    assert model.requests == []


def test_every_trouble_is_named_at_once(call: Callable[..., int], bot_api: BotApi, capsys: pytest.CaptureFixture[str]) -> None:
    """A dead database, a dead model server, a refused token, a repeated key and an open door are five findings and exit code 1."""
    secret = "0123456789-canary-abcdefghijklmnopqrs"
    bot_api.fail(f"GET /bot{TOKEN}/getMe", Fault(status=401, body=b'{"ok": false, "description": "Unauthorized"}'))
    key = generate_key().reveal()
    code = call(
        "doctor",
        DATABASE_URL="postgresql://ann:canary@127.0.0.1:9/none",
        OPENAI_BASE_URL=NOBODY,
        TELEGRAM_BOT_TOKEN=TOKEN,
        TELEGRAM_API_BASE=bot_api.base_url,
        ENCRYPTION_KEY=f"{key},{key}",
        JWT_SECRET=secret,
        WHISPER_BASE_URL=f"{NOBODY}/v1",
    )
    found = lines(capsys)
    assert code == 1
    assert "fault" in found["records"]
    assert "fault" in found["key openai"]
    assert "BotFather" in found["telegram"]
    assert "everyone may use the bot" in found["access"]
    assert "a speech server of your own" in found["speech"]


def test_a_bot_api_out_of_reach_is_a_fault(call: Callable[..., int], database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No answer is said as such, not as a wrong token; what is not set is off, not broken."""
    code = call("doctor", DATABASE_URL=database_url, TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_API_BASE=NOBODY)
    found = lines(capsys)
    assert code == 1
    assert "fault" in found["telegram"]
    assert "BotFather" not in found["telegram"]
    assert "off" in found["model"]
    assert "off" in found["vault"]
    assert "off" in found["speech"]


def test_without_a_bot_the_door_is_nobodys_concern(call: Callable[..., int], database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is set but a database: every other part is off, and that is well."""
    assert call("doctor", DATABASE_URL=database_url) == 0
    found = lines(capsys)
    assert "off" in found["telegram"]
    assert "access" not in found


def test_q6_what_gets_around_the_policies_is_named(
    call: Callable[..., int], database: Any, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A view with its owner's rights and a table without policies are a warning each; the house's own tables are none."""
    assert call("doctor", DATABASE_URL=database_url) == 0
    assert "rights" not in lines(capsys)
    with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
        connection.execute(
            "create view public.leaky as select * from public.users; grant select on public.leaky to authenticated;"
            "create table public.bare (id int); grant select on public.bare to anon"
        )
    assert call("doctor", DATABASE_URL=database_url) == 0
    printed = capsys.readouterr().out
    assert "leaky: view with its owner's rights; set security_invoker" in printed
    assert "bare: table without row-level security" in printed


def test_wrong_settings_are_said_and_nobody_is_asked(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Settings that cannot be read end with exit code 1 and all their problems."""
    assert call("doctor", LOG_LEVEL="[red]loud", TELEGRAM_BOT_TOKEN="canary") == 1
    printed = capsys.readouterr().out
    assert "LOG_LEVEL is none of" in printed
    assert "TELEGRAM_BOT_TOKEN is not a bot token" in printed
