"""One compiled statement as one transaction: settings, pre-request, statement, in a single round trip.

A batch without a BEGIN is a transaction that ends with the batch. Where an answer has to be checked before it
counts, or the transaction is more than that, it is opened by BEGIN and ended in a second round trip.
Source: https://docs.postgrest.org/en/latest/references/transactions.html, read 2026-11-22; PostgreSQL manual,
"Message Flow: Pipelining", read 2026-11-30.

Rules:

1. Role, claims and search path are set with `is_local`, so nothing outlives the transaction.
2. Whatever fails is rolled back before the connection goes back to the pool.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

import msgspec
from psycopg.pq.abc import PGresult

from dealquest.errors import DealQuestError

from .batch import Query, ServerError
from .compile import Compiled
from .driver import Connection
from .errors import refuse
from .fragments import Value, array_literal, quote
from .identity import Identity
from .incoming import Incoming
from .pool import Pool

_ROLLBACK = Query(sql=b"ROLLBACK", key="rollback")
_COMMIT = Query(sql=b"COMMIT", key="commit")
_CHECK_CONSTRAINTS = Query(sql=b"SET CONSTRAINTS ALL IMMEDIATE", key="constraints")
_ISOLATION = {"repeatable read": " ISOLATION LEVEL REPEATABLE READ", "serializable": " ISOLATION LEVEL SERIALIZABLE"}
_ISOLATION_SETTING = "default_transaction_isolation"
_BYTEA = 17
_MOST_ARGUMENTS = 100  # of a function of PostgreSQL's


class Script(NamedTuple):
    """What all transactions of one statement under one role have in common.

    Attributes:
        compiled: The statement.
        key: What it is prepared under; None sends it unprepared.
        setting: One SELECT for all the settings.
        search_path: The first of its values.
        further: Its last values: names and values of settings that are not the request's, then the role.
        calls: The function to call first, if any.
        opening: BEGIN, where the batch alone is not the whole transaction.
        closing: COMMIT then, or what ends a good transaction instead, where nothing is left to be checked.
        ending: The same where the check comes first.
        place: Of the statement in the batch.
        check: What makes a good answer count; its error rolls back.
    """

    compiled: Compiled
    key: object
    setting: Query
    search_path: bytes
    further: Sequence[bytes]
    calls: Sequence[Query]
    opening: Sequence[Query]
    closing: Sequence[Query]
    ending: Sequence[Query]
    place: int
    check: "Callable[[Answer], DealQuestError | None] | None"


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


def write_script(
    compiled: Compiled,
    *,
    role: str,
    search_path: bytes,
    settings: Sequence[tuple[str, str]] = (),
    pre_request: str = "",
    commit: bool = True,
    prepared: bool = True,
    check: Callable[[Answer], DealQuestError | None] | None = None,
) -> Script:
    """Write down what does not change from transaction to transaction.

    Args:
        compiled: The statement.
        role: The database role.
        search_path: SQL text of it.
        settings: Further settings, such as the role's own.
        pre_request: Quoted name of the function to call first; empty for none.
        commit: Whether a good end is a COMMIT.
        prepared: Whether statements stay prepared.
        check: What makes a good answer count.
    """
    # The isolation level is no setting but part of BEGIN.
    isolation = next((value for name, value in reversed(settings) if name == _ISOLATION_SETTING), "").lower()
    pairs = [text.encode() for pair in settings if pair[0] != _ISOLATION_SETTING for text in pair]
    later = check is not None and not compiled.read_only
    opening: Sequence[Query] = ()
    ending: Sequence[Query] = ()
    if isolation or later or (not commit and not compiled.read_only):
        begin = f"BEGIN{_ISOLATION.get(isolation, '')}{' READ ONLY' if compiled.read_only else ' READ WRITE'}".encode()
        opening = (Query(begin, (), begin if prepared else None),)
        ending = (_COMMIT,) if commit else (_CHECK_CONSTRAINTS, _ROLLBACK)
    setting = _settings_sql(len(_FIXED) + len(pairs) + 1, read_only=compiled.read_only and not opening)
    call = f"SELECT {pre_request}()".encode()
    return Script(
        compiled=compiled,
        key=(role, compiled.sql) if prepared else None,
        setting=Query(setting, (), setting if prepared else None),
        search_path=search_path,
        further=(*pairs, role.encode()),
        calls=(Query(call, (), (role, call) if prepared else None),) if pre_request else (),
        opening=opening,
        closing=() if later else ending,
        ending=ending if later else (),
        place=len(opening) + (2 if pre_request else 1),
        check=check,
    )


def write_batch(script: Script, values: Sequence[bytes | None], identity: Identity, incoming: Incoming) -> Sequence[Query]:
    """One request's transaction; where a check comes first, all but its end.

    Args:
        script: The statement and what stands around it, for the identity's role.
        values: The statement's values.
        identity: Role and claims.
        incoming: The request.
    """
    compiled, setting = script.compiled, script.setting
    head = incoming.head
    cookie = head.headers.get("cookie")
    about = (
        script.search_path,
        identity.claims,
        incoming.method.encode(),
        incoming.path.encode("utf-8", "replace"),
        head.shown,
        b"{}" if cookie is None else _write_cookies(cookie),
        *script.further,
    )
    batch = [*script.opening, Query(setting.sql, about, setting.key), *script.calls, Query(compiled.sql, values, script.key)]
    if compiled.planned:
        batch.append(Query(sql=b"EXPLAIN (FORMAT JSON) " + compiled.planned, values=encode_values(compiled.planned_values)))
    batch += script.closing
    return batch


async def run_script(pool: Pool, script: Script, batch: Sequence[Query], deadline: float | None) -> Answer:
    """Run one request's transaction.

    Args:
        pool: Where the connection comes from.
        script: What the batch was written from.
        batch: The statements.
        deadline: When the whole transaction is given up, by the pool's clock; None waits for ever.

    Raises:
        Refused: PostgreSQL said no.
        DealQuestError: The check's error, or the pool's.
    """
    if script.opening:
        return await _run_in_steps(pool, script, batch, deadline)
    outcome = await pool.run(batch, deadline)
    if outcome.error is not None:
        raise Refused(outcome.error)
    answer = _read_answer(outcome.results, script)
    problem = None if script.check is None else script.check(answer)
    if problem is not None:
        raise problem
    return answer


async def _run_in_steps(pool: Pool, script: Script, batch: Sequence[Query], deadline: float | None) -> Answer:
    """A transaction whose end depends on its answer."""

    async def step(connection: Connection, queries: Sequence[Query]) -> Sequence[PGresult]:
        outcome = await connection.run(queries, timeout_s=left_s())
        if outcome.error is not None:
            await connection.run((_ROLLBACK,), timeout_s=left_s())
            raise Refused(outcome.error)
        return outcome.results

    def left_s() -> float | None:
        return None if deadline is None else deadline - pool.clock.monotonic()

    connection = await pool.take(left_s())
    try:
        answer = _read_answer(await step(connection, batch), script)
        problem = None if script.check is None else script.check(answer)
        if script.ending:
            await step(connection, script.ending if problem is None else (_ROLLBACK,))
        if problem is not None:
            raise problem
        return answer
    finally:
        pool.give_back(connection)


_FIXED = ("search_path", "request.jwt.claims", "request.method", "request.path", "request.headers", "request.cookies")


@lru_cache(maxsize=64)
def _settings_sql(count: int, *, read_only: bool) -> bytes:
    """One SELECT for this many values: the fixed ones, pairs of name and value, then the role.

    Nobody looks at what it gives, so what is set is only counted: as many texts would have to be sent and read.
    """
    parts = ["set_config('transaction_read_only', 'on', true)"] if read_only else []
    parts += [f"set_config('{name}', ${place}, true)" for place, name in enumerate(_FIXED, 1)]
    parts += [f"set_config(${place}, ${place + 1}, true)" for place in range(len(_FIXED) + 1, count, 2)]
    parts.append(f"set_config('role', ${count}, true)")
    counts = [f"num_nulls({', '.join(parts[first : first + _MOST_ARGUMENTS])})" for first in range(0, len(parts), _MOST_ARGUMENTS)]
    return f"SELECT {', '.join(counts)}".encode()


def _write_cookies(header: str) -> bytes:
    try:
        return msgspec.json.encode({name: item.value for name, item in SimpleCookie(header).items()})
    except CookieError:
        return b"{}"


def _read_answer(results: Sequence[PGresult], script: Script) -> Answer:
    compiled, place = script.compiled, script.place
    result = results[place]
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
        plan = msgspec.json.decode(results[place + 1].get_value(0, 0) or b"[]")
        estimate = int(plan[0]["Plan"]["Plan Rows"])
    if at == 2:
        return Answer(None if total is None else int(total), int(page or b"0"), body, get(0, 3), get(0, 4), None, None, estimate)
    inserted = get(0, 6)
    return Answer(
        None if total is None else int(total),
        int(page or b"0"),
        body,
        get(0, 4),
        get(0, 5),
        get(0, 2),
        None if inserted is None else int(inserted),
        estimate,
    )


def write_search_path(schema: str, extra: Sequence[str]) -> bytes:
    """The search path of a transaction: the request's schema first."""
    return ", ".join(quote(name) for name in dict.fromkeys((schema, *extra))).encode()
