"""The database the operator chose, ready to be used: embedded or their own, migrated, with a safe login role.

Synchronous; run it in a worker thread. Needs the extra `postgres` (and `embedded` for the wheel's server).
"""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psycopg
from psycopg.conninfo import make_conninfo

from dealquest.errors import SettingsError
from dealquest.values import ROLES, Secret

from .connecting import connect
from .embedded import EmbeddedPostgres
from .migrations import LOGIN_ROLE, ensure_login, migrate, status

OLDEST_SERVER = 150_000
"""PostgreSQL 15: `security_invoker` views and the engine's SQL need it."""


@attrs.frozen(kw_only=True)
class Database:
    """Two ways in: the owner's, for migrations, and the login role's, for the engine."""

    owner_dsn: str = attrs.field(repr=False)
    login_dsn: str = attrs.field(repr=False)
    server: EmbeddedPostgres | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether the server is ours."""
        return self.server is not None

    def revive(self) -> bool:
        """Bring an embedded server back that died; another one is its operator's to mend."""
        return self.server is not None and self.server.revive()


@contextmanager
def open_database(home: Path, database_url: Secret | None, *, migrated: bool = True) -> Iterator[Database]:
    """Start or reach the database, and leave it when the context ends.

    Args:
        home: Data folder of the embedded server.
        database_url: An existing PostgreSQL; None starts the embedded one.
        migrated: Whether to bring the schema up to date first.

    Raises:
        SettingsError: `storage.denied`, `storage.home`, `storage.no_embedded`, `storage.too_old`.
        PeerUnavailableError: `storage.connect`, `storage.start`, `storage.disk_full`.
        ConflictError: `storage.migration_changed`.
    """
    if database_url is not None:
        yield _own_server(database_url.reveal(), migrated=migrated)
        return
    with EmbeddedPostgres(home) as server:
        owner = server.dsn()
        if migrated:
            migrate(owner)
            if not _can_log_in(server.dsn(LOGIN_ROLE)):
                ensure_login(owner, None)
        yield Database(owner_dsn=owner, login_dsn=server.dsn(LOGIN_ROLE), server=server)


def _own_server(url: str, *, migrated: bool) -> Database:
    with connect(url) as connection:
        if connection.info.server_version < OLDEST_SERVER:
            raise SettingsError(
                f"PostgreSQL 15 or newer is needed; this server is {connection.info.server_version // 10_000}.", code="storage.too_old"
            )
        if _is_login_role(connection) and not status(url, role="project_admin").pending:
            return Database(owner_dsn=url, login_dsn=url)
        given, place = connection.info.password, f"{connection.info.dbname} {connection.info.user}"
    # Roles belong to the whole server, so each database and owner has one of its own.
    role = f"{LOGIN_ROLE}_{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    # One address is all the operator gives, so the login role's password follows from it; it changes when theirs does.
    derived = hmac.new(given.encode(), b"dealquest login role", hashlib.sha256).hexdigest() if given else None
    login = make_conninfo(url, user=role) if derived is None else make_conninfo(url, user=role, password=derived)
    if migrated:
        migrate(url)
        if not _can_log_in(login):
            ensure_login(url, derived, role=role)
            if not _can_log_in(login):
                raise SettingsError(
                    f"The role {role} was made, but the server does not let it in. Add a line for it to pg_hba.conf, "
                    "or give DATABASE_URL a user with a password.",
                    code="storage.denied",
                )
    return Database(owner_dsn=url, login_dsn=login)


def _is_login_role(connection: psycopg.Connection) -> bool:
    """Whether the role may log in, take the callers' roles, and has no rights of its own to abuse."""
    row = connection.execute(
        """
        select not rolsuper and not rolinherit and not rolbypassrls
            and (select count(*) = %s from pg_roles r where r.rolname = any(%s) and pg_has_role(current_user, r.oid, 'member'))
        from pg_roles where rolname = current_user
        """,
        (len(ROLES), list(ROLES)),
    ).fetchone()
    return bool(row and row[0])


def _can_log_in(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            return _is_login_role(connection)
    except psycopg.OperationalError:
        return False
