"""`dealquest keys rotate` on real rows: killable half way, nothing unreadable at any moment."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.migrations import migrate
from dealquest.values import Secret
from dealquest.vault import Vault, generate_key

ROWS = 300


@pytest.fixture
def records(home: Path) -> Iterator[psycopg.Connection]:
    with EmbeddedPostgres(home) as server:
        migrate(server.dsn())
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            yield connection


def keys(home: Path, command: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dealquest", "keys", command],
        env={**os.environ, "DEALQUEST_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_generate_prints_a_key_that_the_settings_accept(home: Path) -> None:
    """One line, one Fernet key."""
    printed = keys(home, "generate").communicate(timeout=60)[0]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}=\n", printed)
    Vault([Secret(printed.strip())])


def test_v5_a_rotation_killed_half_way_is_finished_by_the_next(home: Path, records: psycopg.Connection) -> None:
    """Every row opens with the two keys at any moment, and with the new one alone in the end."""
    old, new = generate_key(), generate_key()
    vault, now = Vault([old]), datetime.now(UTC)
    users = records.execute(
        "insert into users (local_name) select 'u' || n from generate_series(1, %s) as n returning id", (ROWS,)
    ).fetchall()
    for (user,) in users:
        token = vault.seal(Secret(f"key of {user}"), owner=str(user), purpose="openrouter", now=now)
        records.execute("insert into user_keys (user_id, provider, sealed_key) values (%s, 'openrouter', %s)", (user, token))

    environment = {"ENCRYPTION_KEY": f"{new.reveal()},{old.reveal()}"}
    killed = keys(home, "rotate", **environment)
    newest = Vault([new])
    deadline = time.monotonic() + 60
    while not any(newest.is_current(token) for (token,) in records.execute("select sealed_key from user_keys").fetchall()):
        assert time.monotonic() < deadline, "the rotation never began"
    killed.kill()
    killed.communicate()
    both = Vault([new, old])
    for user, token in records.execute("select user_id, sealed_key from user_keys").fetchall():
        assert both.open(token, owner=str(user), purpose="openrouter", now=now).reveal() == f"key of {user}"

    printed, errors = keys(home, "rotate", **environment).communicate(timeout=90)
    assert errors == ""
    assert "may be taken out" in printed
    for user, token in records.execute("select user_id, sealed_key from user_keys").fetchall():
        assert newest.open(token, owner=str(user), purpose="openrouter", now=now).reveal() == f"key of {user}"


def test_v1_rows_that_no_key_opens_are_reported_and_kept(home: Path, records: psycopg.Connection) -> None:
    """A missing key is named as such, exit code 1, and the row stays as it was."""
    records.execute("insert into users (local_name) values ('ann')")
    token = Vault([generate_key()]).seal(Secret("sk"), owner="1", purpose="openrouter", now=datetime.now(UTC))
    records.execute("insert into user_keys (user_id, provider, sealed_key) values (1, 'openrouter', %s)", (token,))
    process = keys(home, "rotate", ENCRYPTION_KEY=generate_key().reveal())
    assert "Put the missing key back" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert records.execute("select sealed_key from user_keys").fetchone() == (token,)
