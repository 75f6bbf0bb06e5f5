"""A database of the operator's own: one address, an owner's rights for migrations, a login without rights for the engine."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dealquest.errors import PeerUnavailableError, SettingsError
from dealquest.storage.database import Database, open_database
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.values import Secret

CALLERS = "anon, authenticated, project_admin"


@pytest.fixture
def owner(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """The superuser, with an owner `boss` of an empty database `shop` who may create roles, as managed servers give it."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("create role boss login createrole")
        connection.execute(f"grant {CALLERS} to boss with admin option")  # type: ignore[call-overload]  # names of ours
        connection.execute("create database shop owner boss")
        yield connection
        connection.execute("drop database shop with (force)")
        for (name,) in connection.execute("select rolname from pg_roles where rolname like 'dealquest_login_%'").fetchall():
            connection.execute(f"drop role {name}")  # type: ignore[call-overload]  # names of ours
        connection.execute(f"revoke {CALLERS} from boss cascade")  # type: ignore[call-overload]  # names of ours
        connection.execute("drop role boss")


def open_as(postgres: EmbeddedPostgres, role: str, home: Path) -> Database:
    url = postgres.dsn(role, database="shop")
    with open_database(home, Secret(url)) as database:
        return database


def test_an_owner_needs_the_right_to_create_roles_once(postgres: EmbeddedPostgres, owner: psycopg.Connection, tmp_path: Path) -> None:
    """The first start migrates and makes the login role; later ones work without the right."""
    first = open_as(postgres, "boss", tmp_path)
    owner.execute("alter role boss nocreaterole")
    assert open_as(postgres, "boss", tmp_path).login_dsn == first.login_dsn
    with psycopg.connect(first.login_dsn) as login, pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute("select * from users")


def test_an_address_that_is_a_login_role_is_used_as_it_is(postgres: EmbeddedPostgres, owner: psycopg.Connection, tmp_path: Path) -> None:
    """On an up-to-date database a role without rights of its own is all the engine needs."""
    login = open_as(postgres, "boss", tmp_path).login_dsn
    with open_database(tmp_path, Secret(login)) as database:
        assert database.login_dsn == login
        assert not database.is_embedded


def test_what_a_superuser_must_run_is_said(postgres: EmbeddedPostgres, owner: psycopg.Connection, tmp_path: Path) -> None:
    """An owner who may not create roles is told the statements that help."""
    owner.execute("alter role boss nocreaterole")
    with pytest.raises(SettingsError, match="grant anon, authenticated, project_admin to dealquest_login_") as caught:
        open_as(postgres, "boss", tmp_path)
    assert caught.value.code == "storage.denied"


def test_each_database_has_a_login_role_of_its_own(postgres: EmbeddedPostgres, owner: psycopg.Connection, tmp_path: Path) -> None:
    """Two databases of one server do not share a role whose password one of them could change for the other."""
    owner.execute("create database shop2 owner boss")
    try:
        with open_database(tmp_path, Secret(postgres.dsn("boss", database="shop2"))) as second:
            assert "dealquest_login_" in second.login_dsn
            first = open_as(postgres, "boss", tmp_path)
            names = [psycopg.conninfo.conninfo_to_dict(dsn)["user"] for dsn in (first.login_dsn, second.login_dsn)]
            assert names[0] != names[1]
    finally:
        owner.execute("drop database shop2 with (force)")


def test_a_full_server_is_no_server_that_is_down(postgres: EmbeddedPostgres, owner: psycopg.Connection, tmp_path: Path) -> None:
    """Where no connection is left, the message says that, and what to do."""
    owner.execute("alter role boss connection limit 0")
    with pytest.raises(PeerUnavailableError, match="no connection left") as caught:
        open_as(postgres, "boss", tmp_path)
    assert caught.value.code == "storage.connect"


def test_a_password_that_breaks_the_address_is_told_how_to_write_it(tmp_path: Path) -> None:
    """An unescaped slash in the password makes another host of the rest; the message says how it is written."""
    with pytest.raises(SettingsError, match="%2F"), open_database(tmp_path, Secret("postgresql://boss:pw@no-such-host.invalid/none")):
        pass
