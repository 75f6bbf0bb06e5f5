"""`dealquest db`: the state of the migrations, and bringing them up to date."""

from collections.abc import Callable

import psycopg
import pytest

from dealquest.storage.migrations import bundled


def test_pending_migrations_run_once(empty_url: str, call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Status names each migration as pending, then as done; a second run has nothing to do; a changed file is named."""
    assert call("db", "status", DATABASE_URL=empty_url) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("database: DATABASE_URL\n")
    assert printed.count("pending") == len(bundled())
    assert call("db", "migrate") == 0
    assert capsys.readouterr().out.splitlines() == [f"ran {migration.name}" for migration in bundled()]
    assert call("db", "migrate") == 0
    assert capsys.readouterr().out == "nothing to do: the database is up to date\n"
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("update system.migrations set checksum = 'other' where name = %s", (bundled()[0].name,))
    assert call("db", "status") == 0
    marks = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert marks == ["changed", *["done"] * (len(bundled()) - 1)]


def test_remote_records_have_no_migrations_here(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Records behind PostgREST cannot be migrated without PostgreSQL's own address, and the message says which variable gives it."""
    assert call("db", "status", INSFORGE_BASE_URL="https://records.example") == 1
    assert "set DATABASE_URL" in capsys.readouterr().err


def test_rest_without_a_database_says_how_to_name_one(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """`dealquest db rest` with no address names the option and the variable."""
    assert call("db", "rest") == 1
    assert "--db-uri" in capsys.readouterr().err
