"""Plain SQL migrations: numbered files, each run once, in order, in one transaction, under a lock.

`system.migrations` records the name and checksum of each. A file that was changed after it ran is
reported and nothing is done: what ran is history. Needs the extra `postgres`; synchronous on purpose
(run it in a worker thread), so it is the same on every event loop.
"""

import hashlib
from collections.abc import Sequence
from importlib import resources

import attrs
import psycopg
from psycopg import sql

from dealquest.errors import ConflictError, DealQuestError, SettingsError
from dealquest.storage.connecting import connect

LOGIN_ROLE = "dealquest_login"
"""The role the engine logs in as: NOINHERIT and no superuser, so it can do nothing before it takes a caller's role."""

_LOCK = 0x6465616C  # any constant will do; this one spells "deal"

_TABLE = """
create schema if not exists system;
create table if not exists system.migrations (id serial primary key, name text not null unique, run_on timestamptz not null default now());
alter table system.migrations add column if not exists checksum text;
"""


@attrs.frozen(kw_only=True)
class Migration:
    """One file: its name (`0001_roles_and_coach`), its SQL, and the SHA-256 of that SQL."""

    name: str
    statement: str = attrs.field(repr=False)

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.statement.encode()).hexdigest()


@attrs.frozen(kw_only=True)
class MigrationState:
    """How a database stands: names that ran, names still to run, names whose file changed since."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    changed: tuple[str, ...]


def bundled() -> tuple[Migration, ...]:
    """The migrations of this version, in order."""
    files = sorted((file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(Migration(name=file.name.removesuffix(".sql"), statement=file.read_text("utf-8")) for file in files)


def status(dsn: str, migrations: Sequence[Migration] | None = None, *, role: str | None = None) -> MigrationState:
    """Compare a database with the files; changes nothing.

    Args:
        dsn: How to get in.
        migrations: Defaults to the bundled ones.
        role: The role to look as, for a login that has no rights of its own.

    Raises:
        PeerUnavailableError: `storage.connect` when the database cannot be reached.
        SettingsError: `storage.denied` when it refuses the login.
    """
    with connect(dsn) as connection:
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        return _state(connection, bundled() if migrations is None else migrations)


def migrate(dsn: str, migrations: Sequence[Migration] | None = None) -> tuple[str, ...]:
    """Run what is pending.

    Args:
        dsn: A role that owns the database, or may create roles and schemas in it.
        migrations: Defaults to the bundled ones.

    Returns:
        The names that ran now, in order.

    Raises:
        ConflictError: `storage.migration_changed` when a file that ran has another checksum today.
        PeerUnavailableError: `storage.connect` when the database cannot be reached.
        SettingsError: `storage.denied` when the role may not do it.
        DealQuestError: `storage.migration_failed` with the file's name; nothing of that file is kept.
    """
    files = bundled() if migrations is None else migrations
    with connect(dsn) as connection:
        state = _state(connection, files)
        if not state.pending and not state.changed:
            return ()
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        state = _state(connection, files)  # another process may have done it while we waited
        if state.changed:
            raise ConflictError(
                f"Migrations changed after they ran: {', '.join(state.changed)}. Restore those files; put new statements into a new file.",
                code="storage.migration_changed",
            )
        for migration in files:
            if migration.name in state.pending:
                _run(connection, migration)
        return state.pending


def ensure_login(dsn: str, password: str | None, *, role: str = LOGIN_ROLE) -> None:
    """Make sure that the login role exists and may take the three callers' roles, and nothing else.

    Args:
        dsn: A role that may create roles.
        password: The login role's password, or None where the server trusts the socket.
        role: The login role's name.

    Raises:
        SettingsError: `storage.denied` when `dsn` may not create roles; the message says what a superuser must run.
    """
    secret = sql.SQL("null") if password is None else sql.Literal(password)
    name = sql.Identifier(role)
    try:
        _make_login(dsn, secret, name, role)
    except SettingsError as exc:
        raise SettingsError(
            f"DATABASE_URL's role may not make the login role {role}. Give it CREATEROLE, or let a superuser run: "
            f"create role {role} login noinherit password '...'; grant anon, authenticated, project_admin to {role};",
            code="storage.denied",
        ) from exc


def _make_login(dsn: str, secret: sql.Composable, name: sql.Identifier, role: str) -> None:
    with connect(dsn) as connection, connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        known = connection.execute("select rolsuper from pg_roles where rolname = %s", (role,)).fetchone()
        verb = sql.SQL("create" if known is None else "alter")
        connection.execute(
            sql.SQL("{} role {} login noinherit nosuperuser nocreatedb nocreaterole noreplication password {}").format(verb, name, secret)
            if known is None or known[0]
            else sql.SQL("{} role {} login noinherit password {}").format(verb, name, secret)
        )
        connection.execute(sql.SQL("grant anon, authenticated, project_admin to {}").format(name))


def _state(connection: psycopg.Connection, files: Sequence[Migration]) -> MigrationState:
    known: dict[str, str] = {}
    if connection.execute("select to_regclass('system.migrations')").fetchone() != (None,):
        known = dict(connection.execute("select name, coalesce(to_jsonb(m) ->> 'checksum', '') from system.migrations m").fetchall())
    return MigrationState(
        applied=tuple(file.name for file in files if file.name in known),
        pending=tuple(file.name for file in files if file.name not in known),
        changed=tuple(file.name for file in files if known.get(file.name, "") not in {"", file.checksum}),
    )


def _run(connection: psycopg.Connection, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(_TABLE)
            connection.execute(migration.statement.encode())
            connection.execute("insert into system.migrations (name, checksum) values (%s, %s)", (migration.name, migration.checksum))
    except (psycopg.errors.InsufficientPrivilege, psycopg.OperationalError):
        raise
    except psycopg.Error as exc:
        raise DealQuestError(
            f"Migration {migration.name} failed and was rolled back: {exc.diag.message_primary or type(exc).__name__}.",
            code="storage.migration_failed",
        ) from exc
