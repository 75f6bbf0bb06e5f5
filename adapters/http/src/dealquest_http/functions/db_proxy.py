"""`POST /functions/db-proxy`: the seed's small query language, asked with the caller's own role.

`{operation, table, data?, filters?, select?, order?, limit?}`; filters are equalities. Tables come from
the operator's list, update and delete need a filter, and the database's policies decide the rest.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from dealquest.errors import ConflictError, DeniedError, InputError
from dealquest.storage import Postgrest, Table, col
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.callers import Caller, require
from dealquest_http.shared import Shared, shared_of

MAX_ROWS = 1000

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SELECT = re.compile(r"\*|[a-z_][a-z0-9_]{0,62}( *, *[a-z_][a-z0-9_]{0,62})*")
_ORDER = re.compile(r"[a-z_][a-z0-9_]{0,62}(\.(asc|desc))?")
_Row = dict[str, Any]


class Query(msgspec.Struct):
    """One request."""

    operation: Literal["select", "insert", "update", "delete", "upsert"]
    table: str
    data: _Row | list[_Row] | None = None
    filters: dict[str, str | int | float | bool | None] = {}
    select: str = "*"
    order: str | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = MAX_ROWS


async def db_proxy(request: Request) -> Response:
    """Answer one request.

    Raises:
        InputError: `http.proxy.column`, `http.proxy.data`, `http.proxy.filter`, and what the database says.
        DeniedError: `http.proxy.table` (403), `http.caller.missing`, and what the database says.
    """
    caller = await require(request)
    query = await read_json(request, Query)
    shared = shared_of(request)
    if query.table not in shared.settings.db_proxy_tables:
        raise DeniedError("This table is not on the list of db-proxy.", code="http.proxy.table", forbidden=True)
    _check(query)
    table = _records_of(shared, request, caller).table(query.table)
    try:
        return answer_json({"data": await _run(query, table)})
    except ConflictError as exc:
        if query.operation != "upsert" or exc.code != "storage.constraint.unique":
            raise
        return answer_json({"data": query.data if isinstance(query.data, list) else [query.data], "note": "already_exists"})


def _check(query: Query) -> None:
    """Names are plain columns, so nothing in them is read as an operator, a cast or an embed."""
    names_data = query.data if isinstance(query.data, list) else [query.data or {}]
    columns = {*query.filters, *(name for row in names_data for name in row)}
    if bad := sorted(name for name in columns if _NAME.fullmatch(name) is None):
        raise InputError(f"{bad[0][:63]!r} is not the name of a column.", code="http.proxy.column")
    if _SELECT.fullmatch(query.select) is None or (query.order is not None and _ORDER.fullmatch(query.order) is None):
        raise InputError("select is a list of columns, order a column with .asc or .desc.", code="http.proxy.column")
    if query.operation in {"update", "delete"} and not query.filters:
        raise InputError(f"{query.operation} needs filters; without one it would change every row.", code="http.proxy.filter")
    if query.operation in {"insert", "upsert", "update"} and not query.data:
        raise InputError(f"{query.operation} needs data.", code="http.proxy.data")
    if query.operation == "update" and not isinstance(query.data, dict):
        raise InputError("update takes one object as data.", code="http.proxy.data")


async def _run(query: Query, table: Table) -> list[_Row]:
    where = [col(name).is_(None) if value is None else col(name).eq(value) for name, value in query.filters.items()]
    match query.operation:
        case "select":
            reading = table.select(query.select).where(*where).limit(query.limit)
            return await (reading if query.order is None else reading.order(query.order)).all()
        case "update":
            return await table.update(query.data).where(*where).select(query.select).all()
        case "delete":
            return await table.delete().where(*where).select(query.select).all()
        case "insert" | "upsert":
            return await table.insert(query.data).select(query.select).all()


def _records_of(shared: Shared, request: Request, caller: Caller) -> Postgrest:
    """Storage with the caller's rights; a remote server judges the credential once more."""
    kit = shared.kit
    if kit.transport_of is not None:
        return Postgrest(kit.transport_of(caller.principal))
    assert kit.remote is not None
    proof = tuple((name, request.headers[name]) for name in ("authorization", "x-api-key") if name in request.headers)
    return Postgrest(kit.remote, dialect="insforge", headers=proof)
