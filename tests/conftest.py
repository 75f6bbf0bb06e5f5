"""What every test shares: both event loops, and one real PostgreSQL for the whole run."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import attrs
import psycopg
import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, Phase, settings

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.migrations import LOGIN_ROLE, ensure_login, migrate

os.environ["PYTHONWARNINGS"] = "error"  # warnings are errors in the processes that tests start, too
pytest_plugins = ["dealquest.testing.pytest_plugin", "dealquest_telegram.testing.fixtures"]

# For scripts/mutate.py, which asks only whether a test fails: the same few examples each time, and no search for the smallest.
settings.register_profile(
    "mutation",
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Cores run on both event loops."""
    return str(request.param)


OURS = ("dealquest", "dealquest_http", "dealquest_telegram")
MAY_BLOCK = (
    ("logging/__init__.py", {"emit"}),  # a line of the log, at whatever speed its reader has
    ("dealquest_http/mini_app/routes.py", {"__init__"}),  # the page's few files, once, before anybody is served
)
DOUBLES = ("dealquest.testing", "dealquest_telegram.testing")


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Whatever of ours reads a file, sleeps or waits for a lock in asyncio's loop fails the test that met it (A3)."""
    watch = BlockBuster(scanned_modules=list(OURS), excluded_modules=list(DOUBLES))
    for function in watch.functions.values():
        for place, names in MAY_BLOCK:
            function.can_block_in(place, names)
    watch.activate()
    yield
    watch.deactivate()


@attrs.frozen(kw_only=True)
class TestDatabase:
    """A migrated database of one test: the owner's way in, and the engine's."""

    __test__: ClassVar[bool] = False

    owner_dsn: str
    login_dsn: str


@contextmanager
def data_home() -> Iterator[Path]:
    """A data folder that PostgreSQL's account may enter, also when root runs the tests."""
    home = Path(tempfile.mkdtemp(prefix="dealquest-test-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty data folder, with a space in its name; a server left in it is stopped."""
    with data_home() as parent:
        folder = parent / "data folder"
        yield folder
        if (folder / "postgres").exists():
            with EmbeddedPostgres(folder):
                pass  # join what a killed process left running; the last one to leave stops it


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The embedded server, with a migrated template database."""
    with data_home() as home, EmbeddedPostgres(home) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create database migrated")
        migrate(server.dsn(database="migrated"))
        ensure_login(server.dsn(database="migrated"), None)
        yield server


_numbers = itertools.count(1)


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[TestDatabase]:
    """A fresh copy of the migrated database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"create database {name} template migrated")  # type: ignore[call-overload]  # a name of ours
        yield TestDatabase(owner_dsn=postgres.dsn(database=name), login_dsn=postgres.dsn(LOGIN_ROLE, database=name))
        connection.execute(f"drop database {name} with (force)")  # type: ignore[call-overload]  # a name of ours
