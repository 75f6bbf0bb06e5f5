"""One owner's connection, opened with patience for a server that is starting and mapped to our errors.

For migrations and the start; requests go through the engine's pool.
Source: https://www.postgresql.org/docs/18/errcodes-appendix.html and https://tenacity.readthedocs.io, read 2026-11-22.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from dealquest.errors import DealQuestError, PeerUnavailableError, SettingsError

CONNECT_TIMEOUT_S = 10
STARTING_FOR_S = 15.0
"""How long a server that says it is starting, or that was just restarted, is waited for."""


@contextmanager
def connect(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode; what fails inside is mapped too.

    Raises:
        SettingsError: `storage.denied`: address, login, database or right; `storage.too_old` is the caller's to check.
        PeerUnavailableError: `storage.connect`, `storage.disk_full`.
    """
    try:
        connection = _patiently(dsn)
    except psycopg.OperationalError as exc:
        raise connection_error(exc) from None  # the driver's error may quote the address with its password
    except psycopg.ProgrammingError:
        raise SettingsError(
            "DATABASE_URL cannot be read. It looks like postgresql://user:password@host:5432/database.", code="storage.denied"
        ) from None
    try:
        yield connection
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SettingsError(
            f"The database role may not do this: {exc.diag.message_primary}. Use a role that owns the database and may create roles.",
            code="storage.denied",
        ) from exc
    except psycopg.errors.ReadOnlySqlTransaction as exc:
        raise SettingsError("The database is read-only here; use the address of its primary.", code="storage.denied") from exc
    except psycopg.errors.DiskFull as exc:
        raise PeerUnavailableError(
            "The database's disk is full. Free space, then try again; nothing was lost.", code="storage.disk_full"
        ) from exc
    except psycopg.OperationalError as exc:
        raise PeerUnavailableError("The connection to the database broke. Try again.", code="storage.connect") from exc
    finally:
        connection.close()


def connection_error(exc: psycopg.OperationalError) -> DealQuestError:
    """What a failed connection means, without the address it was tried at."""
    text = str(exc).lower()
    if "authentication failed" in text or "no password supplied" in text or ("role" in text and "does not exist" in text):
        return SettingsError("The database refused the login. Check user and password in DATABASE_URL.", code="storage.denied")
    if "no pg_hba.conf entry" in text:
        return SettingsError("The server lets nobody in this way: add a line to its pg_hba.conf, or use TLS.", code="storage.denied")
    if "database" in text and "does not exist" in text:
        return SettingsError("The server has no database of that name. Check the end of DATABASE_URL, or create it.", code="storage.denied")
    if "could not translate host name" in text or "name or service not known" in text or "failed to resolve" in text:
        return SettingsError(
            "The host in DATABASE_URL is not known. Check its spelling; a / # @ : or % in the password is written %2F %23 %40 %3A %25.",
            code="storage.denied",
        )
    if "too many clients" in text or "too many connections" in text or "connection slots are reserved" in text:
        return PeerUnavailableError(
            "The server has no connection left. Close some, or raise its max_connections or the role's limit; then start again.",
            code="storage.connect",
        )
    return PeerUnavailableError(
        "The database cannot be reached. Check that it runs and that host and port in DATABASE_URL are right.", code="storage.connect"
    )


def _patiently(dsn: str) -> psycopg.Connection:
    attempts = Retrying(
        stop=stop_after_delay(STARTING_FOR_S),
        wait=wait_random_exponential(multiplier=0.1, max=1.0),
        retry=retry_if_exception(_is_starting),
        reraise=True,
    )
    return attempts(psycopg.connect, dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="dealquest-start")


def _is_starting(exc: BaseException) -> bool:
    # Without a session there is no SQLSTATE to look at, only 57P03's words.
    return isinstance(exc, psycopg.OperationalError) and any(
        words in str(exc) for words in ("the database system is starting up", "not yet accepting connections", "is in recovery mode")
    )
