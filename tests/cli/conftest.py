"""What the tests of the commands share: a bare environment, and a call that gives the exit code."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import psycopg
import psycopg.conninfo
import pytest

from dealquest.cli import main
from dealquest.settings import variables
from dealquest.storage.embedded import EmbeddedPostgres

Call: TypeAlias = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run a command in this process with the variables that the test names, and no other; its exit code."""
    for variable in variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("DEALQUEST_HOME", str(tmp_path))

    def run(*words: object, **environ: str) -> int:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main([os.fspath(word) if isinstance(word, Path) else str(word) for word in words])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


def address_of(dsn: str) -> str:
    """The same place as an address, as operators write it."""
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}&port={parts['port']}"


@pytest.fixture
def database_url(database: Any) -> str:
    """The address of a migrated database of this test alone."""
    return address_of(database.owner_dsn)


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of a database to which nothing was done yet."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("create database emptied")
        yield address_of(postgres.dsn(database="emptied"))
        connection.execute("drop database emptied with (force)")
