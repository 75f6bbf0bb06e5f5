"""Migrations: in order, once, checksummed, and safe to run from two processes at a time."""

import threading

import psycopg
import pytest

from dealquest.errors import ConflictError, DealQuestError, PeerUnavailableError, SettingsError
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.migrations import LOGIN_ROLE, Migration, bundled, migrate, status

ONE = Migration(name="0001_one", statement="create table one (id int)")
TWO = Migration(name="0002_two", statement="create table two (id int); insert into two values (1)")


@pytest.fixture
def empty(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> str:
    name = f"empty_{abs(hash(request.node.name)) % 10**8}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"create database {name}")  # type: ignore[call-overload]  # a name of ours
    return postgres.dsn(database=name)


def test_pending_files_run_once_and_in_order(empty: str) -> None:
    """What ran is recorded and does not run again; what is new runs."""
    assert migrate(empty, [ONE]) == ("0001_one",)
    assert migrate(empty, [ONE, TWO]) == ("0002_two",)
    assert migrate(empty, [ONE, TWO]) == ()
    assert status(empty, [ONE, TWO]).applied == ("0001_one", "0002_two")


def test_a_changed_file_is_refused(empty: str) -> None:
    """A file whose text changed after it ran stops the migration and is named."""
    migrate(empty, [ONE])
    changed = Migration(name="0001_one", statement="create table one (id bigint)")
    assert status(empty, [changed]).changed == ("0001_one",)
    with pytest.raises(ConflictError, match="0001_one"):
        migrate(empty, [changed, TWO])
    assert status(empty, [TWO]).pending == ("0002_two",)


def test_a_failing_file_leaves_nothing(empty: str) -> None:
    """A file fails as a whole, and its error names it."""
    broken = Migration(name="0002_two", statement="create table two (id int); select 1/0")
    with pytest.raises(DealQuestError, match="0002_two") as caught:
        migrate(empty, [ONE, broken])
    assert caught.value.code == "storage.migration_failed"
    with psycopg.connect(empty) as connection:
        assert connection.execute("select to_regclass('two'), to_regclass('one') is not null").fetchone() == (None, True)


def test_eight_processes_at_once_run_each_file_once(empty: str) -> None:
    """The advisory lock lets one run; the others find the work done."""
    results: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: results.append(migrate(empty, [ONE, TWO]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(len(result) for result in results) == [0] * 7 + [2]


def test_the_login_role_has_no_rights_of_its_own(database: "object") -> None:
    """It cannot read a table before it takes a caller's role, is no superuser and inherits nothing."""
    with psycopg.connect(database.login_dsn, autocommit=True) as connection:  # type: ignore[attr-defined]  # the fixture's value
        row = connection.execute("select rolsuper, rolinherit, rolcreaterole from pg_roles where rolname = %s", (LOGIN_ROLE,)).fetchone()
        assert row == (False, False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from users")
        connection.execute("set role project_admin")
        assert connection.execute("select count(*) from users").fetchone() == (0,)


def test_errors_of_a_connection_tell_what_to_do_and_no_password(postgres: EmbeddedPostgres) -> None:
    """Wrong host, database and role are told apart, and the address's password is in no message."""
    cases = {
        "postgresql://u:hunter2@127.0.0.1:1/x": PeerUnavailableError,
        "postgresql://u:hunter2@no-such-host.invalid/x": SettingsError,
        postgres.dsn(database="missing"): SettingsError,
        postgres.dsn("nobody_of_ours"): SettingsError,
    }
    for dsn, kind in cases.items():
        with pytest.raises(kind) as caught:
            status(dsn)
        assert "hunter2" not in repr(caught.value)
        assert "DATABASE_URL" in str(caught.value)


def test_bundled_files_are_numbered_without_gaps_or_doubles() -> None:
    """0001, 0002, ...: the order is the name's, and no number is used twice."""
    numbers = [int(migration.name.split("_")[0]) for migration in bundled()]
    assert numbers == list(range(1, len(numbers) + 1))
