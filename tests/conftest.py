"""What every test shares: both event loops, and one real PostgreSQL for the whole run."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import attrs
import psycopg
import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, Phase, settings

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.migrations import LOGIN_ROLE, ensure_login, migrate

os.environ["PYTHONWARNINGS"] = "error"  # warnings are errors in the processes that tests start, too
pytest_plugins = ["dealquest.testing.pytest_plugin", "dealquest_telegram.testing.fixtures"]

# No promise here is about speed, and a busy machine is no fault of a test.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
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
DOUBLES = ("dealquest.testing", "dealquest_telegram.testing")
WATCHED = frozenset({"auth", "coach", "contracts", "http", "laws", "llm", "storage", "tracing", "transcription", "vault", "wire"})
MAY_BLOCK = (
    ("coverage/collector.py", {"lock_data"}),  # the measurement's own lock, not ours
    ("<frozen importlib._bootstrap>", {"_find_and_load"}),  # a part is loaded when it is first needed, once
    ("logging/__init__.py", {"emit"}),  # a line of the log, at whatever speed its reader has
    ("dealquest_http/mini_app/routes.py", {"__init__"}),  # the page's few files, once, before anybody is served
    ("dealquest/storage/embedded.py", {"__enter__", "__exit__"}),  # a test holds a server of its own; compose does it in a thread
    ("dealquest/compose.py", {"_notes_folder"}),  # whether a folder is there, once, at the start
    # What ships with the package or the machine, once each: packs, texts, time zones.
    ("dealquest/coach/scenarios.py", {"builtin_packs", "load_pack"}),
    ("dealquest/coach/dialogue/catalogue.py", {"catalogue", "_tags"}),
    ("dealquest/coach/dialogue/settings_menu.py", {"_zones", "_chose_time_zone"}),
    ("dealquest/coach/progress.py", {"_zone"}),
)


@pytest.fixture(scope="session")
def blocking_calls() -> BlockBuster:
    """What finds a blocking call of ours in asyncio's loop, while it is on."""
    watch = BlockBuster(scanned_modules=list(OURS), excluded_modules=list(DOUBLES))
    for function in watch.functions.values():
        for place, names in MAY_BLOCK:
            function.can_block_in(place, names)
    return watch


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest, blocking_calls: BlockBuster) -> Iterator[None]:
    """Whatever of ours reads a file, sleeps or waits for a lock in asyncio's loop fails the test that met it (A3).

    Not watched: the command line and evaluations, which serve one caller, and the bot, whose double keeps its store in the loop.
    """
    if request.path.relative_to(Path(__file__).parent).parts[0] not in WATCHED:
        yield
        return
    blocking_calls.activate()
    yield
    blocking_calls.deactivate()


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


class _OtherPostgres(EmbeddedPostgres):
    """A server of other programs than the wheel's, to run the tests on another version of PostgreSQL.

    Args:
        home: A folder of its own.
        programs: The folder of `initdb` and `pg_ctl`; an account without rights must be able to enter it.
    """

    def __init__(self, home: Path, programs: Path) -> None:
        super().__init__(home)
        self._programs = programs
        self._place = home / "other"

    def __enter__(self) -> Self:
        self._place.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self._place, "nobody", "nogroup")
        self._call("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
        options = f"-k {self._place} -c listen_addresses='' -c max_connections=60 -c fsync=off -c timezone=UTC"
        self._call("pg_ctl", "--wait", f"--log={self._place / 'log'}", f"--options={options}", "start")
        return self

    def __exit__(self, *_: object) -> None:
        self._call("pg_ctl", "--wait", "--mode=immediate", "stop")

    def dsn(self, role: str = "postgres", *, database: str = "postgres") -> str:
        return f"host='{self._place}' port=5432 user={role} dbname={database}"

    def _call(self, program: str, *arguments: str) -> None:
        account: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        command = [self._programs / program, f"--pgdata={self._place / 'data'}", *arguments]
        subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **account)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The embedded server, or one of the programs in `TEST_POSTGRES_PROGRAMS`, with a migrated template database."""
    programs = os.environ.get("TEST_POSTGRES_PROGRAMS")
    with data_home() as home, EmbeddedPostgres(home) if programs is None else _OtherPostgres(home, Path(programs)) as server:
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
