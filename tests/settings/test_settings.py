"""The environment: read once, all problems at once, nothing secret in a message."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import SettingsError
from dealquest.settings import Settings, load_settings, variables
from dealquest.vault import generate_key

CANARY = "hunter2-canary"


def read(environment: dict[str, str]) -> Settings | SettingsError:
    try:
        return load_settings(environment)
    except SettingsError as exc:
        return exc


def test_an_empty_environment_is_fine() -> None:
    """Nothing has to be set; blank values count as unset."""
    settings = load_settings({"OPENROUTER_API_KEY": "  ", "DATABASE_URL": ""})
    assert (settings.openrouter_api_key, settings.database_url, settings.has_model) == (None, None, False)
    assert settings.given == frozenset()


def test_all_problems_come_in_one_message() -> None:
    """Five wrong variables are five lines, each with what to do."""
    wrong = {
        "DATABASE_URL": "mysql://root@localhost",
        "OPENAI_BASE_URL": "ftp://x",
        "TELEGRAM_BOT_TOKEN": "not a token",
        "ENCRYPTION_KEY": "short",
        "LOG_LEVEL": "LOUD",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(wrong)
    lines = caught.value.message.splitlines()
    assert len(lines) == 1 + len(wrong)
    assert all(any(name in line for line in lines) for name in wrong)
    assert caught.value.code == "settings.invalid"


SECRETS = [variable.name for variable in variables() if variable.secret]


@pytest.mark.parametrize("name", SECRETS)
def test_v4_a_wrong_secret_is_not_repeated(name: str) -> None:
    """The message names the variable, never its value; neither does the repr of the settings."""
    outcome = read({name: f"{CANARY} \x07 with blanks"})
    assert CANARY not in repr(outcome)
    assert not isinstance(outcome, SettingsError) or name in outcome.message


def test_j6_weak_and_shared_secrets_are_refused() -> None:
    """Short, uniform and shared secrets stop the start."""
    key = generate_key().reveal()
    for environment in ({"JWT_SECRET": "short"}, {"JWT_SECRET": "a" * 64}, {"JWT_SECRET": key, "ENCRYPTION_KEY": key}):
        with pytest.raises(SettingsError, match="JWT_SECRET"):
            load_settings(environment)


def test_the_database_may_be_given_in_parts() -> None:
    """POSTGRES_HOST and its kin make an address, reserved characters and socket folders included."""
    url = load_settings({"POSTGRES_HOST": "db", "POSTGRES_USER": "a@b", "POSTGRES_PASSWORD": "p/w:1", "POSTGRES_DB": "x y"}).database_url
    assert url is not None
    assert url.reveal() == "postgresql://a%40b:p%2Fw%3A1@db:5432/x%20y"
    socket = load_settings({"POSTGRES_HOST": "/run/postgresql", "POSTGRES_DB": "x"}).database_url
    assert socket is not None
    assert socket.reveal().endswith("@/x?host=%2Frun%2Fpostgresql&port=5432")


def test_names_are_lists_without_at_signs_and_case() -> None:
    """Blanks, @ and doubles go; order stays."""
    assert load_settings({"ADMIN_USERNAMES": " @Ann, 42 ,,ann"}).admin_usernames == ("ann", "42")


def test_a_relative_data_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The XDG specification says so; an absolute one counts (for whoever is not root)."""
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert load_settings({}).home.is_absolute()


@given(st.dictionaries(st.sampled_from([variable.name for variable in variables()]), st.text(max_size=60)))
def test_no_environment_breaks_the_reader(environment: dict[str, str]) -> None:
    """Whatever the variables hold, the settings are read or one SettingsError says why."""
    outcome = read(environment)
    assert isinstance(outcome, Settings) or outcome.message.startswith("Settings to mend")


def test_doctor_shows_no_secret(tmp_path: Path) -> None:
    """`dealquest doctor` says that a secret is set and where from, never what it is."""
    environment = {
        **os.environ,
        "DEALQUEST_HOME": str(tmp_path / "[bold]home"),
        "OPENROUTER_API_KEY": f"sk-or-{CANARY}",
        "DATABASE_URL": f"postgresql://ann:{CANARY}@127.0.0.1:1/x",
        "JWT_SECRET": f"{CANARY}-0123456789-abcdefghij",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "dealquest", "doctor", "--offline"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert CANARY not in done.stdout + done.stderr
    assert "[bold]home" in done.stdout
    assert done.stdout.count("***") == 3
