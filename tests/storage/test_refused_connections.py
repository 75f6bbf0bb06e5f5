"""Why a database does not let us in, from what its server says, without a word of the address."""

import psycopg
import pytest

from dealquest.storage.connecting import connection_error


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ('FATAL: no pg_hba.conf entry for host "10.0.0.7"', "storage.denied", "pg_hba.conf"),
        ('FATAL: password authentication failed for user "ann"', "storage.denied", "user and password"),
        ("fe_sendauth: no password supplied", "storage.denied", "user and password"),
        ('FATAL: role "ann" does not exist', "storage.denied", "user and password"),
        ('FATAL: database "sales" does not exist', "storage.denied", "no database of that name"),
        ('could not translate host name "db.internal"', None, "host"),
    ],
)
def test_each_refusal_says_what_to_look_at(said: str, code: str | None, told: str) -> None:
    """The way out is named; hosts, users and databases are not repeated."""
    error = connection_error(psycopg.OperationalError(said))
    assert code in {None, error.code}
    assert told in error.message
    assert not any(name in error.message for name in ("10.0.0.7", "ann", "sales", "db.internal"))
