"""One compiled statement as one transaction: settings, pre-request, statement, commit, in a single round trip.

Where an answer has to be checked before it counts, the commit follows in a second one.
Source: https://docs.postgrest.org/en/latest/references/transactions.html, read 2026-11-22.

Rules:

1. Role, claims and search path are set with `is_local`, so nothing outlives the transaction.
2. Whatever fails is rolled back before the connection goes back to the pool.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

import msgspec

from dealquest.errors import DealQuestError

from .compile import Compiled
from .driver import Connection, Outcome, Query, ServerError
from .errors import refuse
from .fragments import Value, array_literal, quote
from .identity import Identity
from .incoming import Incoming
from .pool import Pool

_ROLLBACK = Query(sql=b"ROLLBACK", key="rollback")
_COMMIT = Query(sql=b"COMMIT", key="commit")
_CHECK_CONSTRAINTS = Query(sql=b"SET CONSTRAINTS ALL IMMEDIATE", key="constraints")
_COMMITTING = (_COMMIT,)
_UNDOING = (_CHECK_CONSTRAINTS, _ROLLBACK)
_ISOLATION = {"repeatable read": " ISOLATION LEVEL REPEATABLE READ", "serializable": " ISOLATION LEVEL SERIALIZABLE"}
_ISOLATION_SETTING = "default_transaction_isolation"
_BYTEA = 17


class Surroundings(NamedTuple):
    """What a transaction sees of its request, and how it ends.

    Attributes:
        identity: Role and claims.
        incoming: The request.
        search_path: SQL text of it.
        settings: Further settings, such as the role's own.
        pre_request: Quoted name of the function to call first; empty for none.
        commit: Whether a good end is a COMMIT.
        prepared: Whether statements stay prepared.
        timeout_s: Seconds for the whole transaction, waiting for its connection included.
    """

    identity: Identity
    incoming: Incoming
    search_path: bytes
    settings: tuple[tuple[str, str], ...] = ()
    pre_request: str = ""
    commit: bool = True
    prepared: bool = True
    timeout_s: float | None = None


class Answer(NamedTuple):
    """The statement's one row.

    Attributes:
        total: Rows of the whole, when it was counted.
        page: Rows of this page, or rows changed.
        body: The rendered rows.
        headers: `response.headers` as the transaction left it.
        status: `response.status` likewise.
        location: Key of the inserted row as JSON.
        inserted: How many rows an upsert inserted, when it counted them.
        estimate: The planner's guess at the total.
    """

    total: int | None
    page: int
    body: bytes
    headers: bytes | None = None
    status: bytes | None = None
    location: bytes | None = None
    inserted: int | None = None
    estimate: int | None = None


class Refused(Exception):  # noqa: N818  # carries the server's words to where they become an answer
    """PostgreSQL refused a statement; everything is rolled back."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(error.message)
        self.error = error


def encode_values(values: Sequence[Value]) -> list[bytes | None]:
    """Values as PostgreSQL's text.

    Raises:
        InputError: 22021, because no text of PostgreSQL can hold a NUL.
    """
    out: list[bytes | None] = []
    for value in values:
        if value is None or isinstance(value, bytes):
            out.append(value)
            continue
        text = array_literal(value) if isinstance(value, tuple) else str(value)
        raw = text.encode("utf-8", "replace")
        if b"\x00" in raw:
            raise refuse("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
        out.append(raw)
    return out


async def run_compiled(
    pool: Pool,
    compiled: Compiled,
    values: Sequence[bytes | None],
    around: Surroundings,
    check: Callable[[Answer], DealQuestError | None] | None,
) -> Answer:
    """Run one request's transaction.

    Args:
        pool: Where the connection comes from.
        compiled: The statement.
        values: Its values.
        around: Role, claims, settings.
        check: What makes a good answer count; its error rolls back. None commits in the same round trip.

    Raises:
        Refused: PostgreSQL said no.
        DealQuestError: The check's error, or the pool's.
    """
    batch = write_opening(compiled, around)
    position = len(batch)
    batch.append(Query(compiled.sql, values, (around.identity.role, compiled.sql) if around.prepared else None))
    if compiled.planned:
        batch.append(Query(sql=b"EXPLAIN (FORMAT JSON) " + compiled.planned, values=encode_values(compiled.planned_values)))
    ending = _COMMITTING if around.commit else _UNDOING
    later = check is not None and not compiled.read_only
    if not later:
        batch += ending
    monotonic = pool.clock.monotonic
    deadline = None if around.timeout_s is None else monotonic() + around.timeout_s

    def left_s() -> float | None:
        return None if deadline is None else deadline - monotonic()

    connection = await pool.take(around.timeout_s)
    try:
        outcome = await connection.run(batch, timeout_s=left_s())
        if outcome.error is not None:
            await connection.run((_ROLLBACK,), timeout_s=left_s())
            raise Refused(outcome.error)
        answer = _read_answer(outcome, position, compiled)
        problem = None if check is None else check(answer)
        if later:
            await _finish(connection, ending, problem, left_s)
        if problem is not None:
            raise problem
        return answer
    finally:
        pool.give_back(connection)


async def _finish(
    connection: Connection, ending: Sequence[Query], problem: DealQuestError | None, left_s: Callable[[], float | None]
) -> None:
    outcome = await connection.run((_ROLLBACK,) if problem is not None else ending, timeout_s=left_s())
    if outcome.error is not None:
        await connection.run((_ROLLBACK,), timeout_s=left_s())
        raise Refused(outcome.error)


def write_opening(compiled: Compiled, around: Surroundings) -> list[Query]:
    """BEGIN, the settings and the pre-request call."""
    identity, incoming = around.identity, around.incoming
    begin, sql, pairs = _open(around.settings, compiled.read_only)
    shown, cookie = incoming.shown_headers, incoming.headers.get("cookie")
    values: list[bytes | None] = [
        around.search_path,
        identity.claims,
        incoming.method.encode(),
        incoming.path.encode("utf-8", "replace"),
        write_headers(incoming.headers) if shown is None else shown,
        b"{}" if cookie is None else _write_cookies(cookie),
        *pairs,
        identity.role.encode(),
    ]
    prepared = around.prepared
    batch = [Query(begin, (), begin if prepared else None), Query(sql, values, sql if prepared else None)]
    if around.pre_request:
        call = f"SELECT {around.pre_request}()".encode()
        batch.append(Query(call, (), (identity.role, call) if prepared else None))
    return batch


_FIXED = ("search_path", "request.jwt.claims", "request.method", "request.path", "request.headers", "request.cookies")


@lru_cache(maxsize=256)
def _open(settings: tuple[tuple[str, str], ...], read_only: bool) -> tuple[bytes, bytes, list[bytes]]:
    """BEGIN, one SELECT for all the settings, and the names and values of those that are not fixed, in turn."""
    # The isolation level is no setting but part of BEGIN.
    isolation = next((value for name, value in reversed(settings) if name == _ISOLATION_SETTING), "").lower()
    begin = f"BEGIN{_ISOLATION.get(isolation, '')}{' READ ONLY' if read_only else ' READ WRITE'}"
    pairs = [text.encode() for pair in settings if pair[0] != _ISOLATION_SETTING for text in pair]
    count = len(_FIXED) + len(pairs) + 1
    parts = [f"set_config('{name}', ${place}, true)" for place, name in enumerate(_FIXED, 1)]
    parts += [f"set_config(${place}, ${place + 1}, true)" for place in range(len(_FIXED) + 1, count, 2)]
    parts.append(f"set_config('role', ${count}, true)")
    return begin.encode(), f"SELECT {', '.join(parts)}".encode(), pairs


def write_headers(headers: Mapping[str, str]) -> bytes:
    """`request.headers` as JSON; cookies have a setting of their own."""
    return msgspec.json.encode({name: value for name, value in headers.items() if name != "cookie"}) if headers else b"{}"


def _write_cookies(header: str) -> bytes:
    try:
        return msgspec.json.encode({name: item.value for name, item in SimpleCookie(header).items()})
    except CookieError:
        return b"{}"


def _read_answer(outcome: Outcome, position: int, compiled: Compiled) -> Answer:
    result = outcome.results[position]
    get = result.get_value
    if compiled.format.explain is not None:
        lines = [get(row, 0) or b"" for row in range(result.ntuples)]
        return Answer(total=None, page=len(lines), body=b"\n".join(lines))
    # A change shows its location first.
    at = 2 if compiled.kind in {"read", "call"} else 3
    total, page, body = get(0, 0), get(0, 1), get(0, at) or b""
    if body.startswith(b"\\x") and result.ftype(at) == _BYTEA:
        body = bytes.fromhex(body[2:].decode())
    estimate = None
    if compiled.planned:
        plan = msgspec.json.decode(outcome.results[position + 1].get_value(0, 0) or b"[]")
        estimate = int(plan[0]["Plan"]["Plan Rows"])
    inserted = get(0, 6)
    return Answer(
        None if total is None else int(total),
        int(page or b"0"),
        body,
        get(0, at + 1),
        get(0, at + 2),
        get(0, 5 if at == 2 else 2),
        None if inserted is None else int(inserted),
        estimate,
    )


def write_search_path(schema: str, extra: Sequence[str]) -> bytes:
    """The search path of a transaction: the request's schema first."""
    return ", ".join(quote(name) for name in dict.fromkeys((schema, *extra))).encode()
