"""What goes to PostgreSQL in one batch, and what comes back."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import attrs
from psycopg import pq

Values: TypeAlias = Sequence[bytes | None]

_FIELD = pq.DiagnosticField


class Query(NamedTuple):
    """One statement of a batch, its values as text that the server gives a type.

    Attributes:
        sql: The statement.
        values: One text or null per parameter.
        key: What a prepared statement is remembered under; None sends it unprepared.
    """

    sql: bytes
    values: Values = ()
    key: object = None


@attrs.frozen(kw_only=True)
class ServerError:
    """What PostgreSQL said when it refused; texts may hold the caller's own values."""

    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None


class Outcome(NamedTuple):
    """The answers of a batch in order, ended early by `error`."""

    results: Sequence["pq.abc.PGresult"]
    error: ServerError | None = None


def read_text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace").strip()


def read_error(result: "pq.abc.PGresult") -> ServerError:
    detail, hint = result.error_field(_FIELD.MESSAGE_DETAIL), result.error_field(_FIELD.MESSAGE_HINT)
    return ServerError(
        sqlstate=read_text(result.error_field(_FIELD.SQLSTATE)),
        message=read_text(result.error_field(_FIELD.MESSAGE_PRIMARY)),
        detail=None if detail is None else detail.decode("utf-8", "replace"),
        hint=None if hint is None else hint.decode("utf-8", "replace"),
    )
