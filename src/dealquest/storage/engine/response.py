"""A statement's answer → the HTTP response, status and headers as PostgREST gives them.

Source: https://docs.postgrest.org/en/latest/references/api/pagination_count.html, preferences.html, transactions.html
(response headers and status), read 2026-11-22.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias
from urllib.parse import quote

import attrs
import msgspec

from dealquest.errors import DealQuestError
from dealquest.storage.postgrest.ast import Call, Delete, Prefer, Put, Read, Update, Upsert
from dealquest.wire import Headers, HttpResponse

from .compile import Compiled, DataRequest
from .errors import refuse, show_error
from .execute import Answer
from .incoming import Incoming
from .shape import canonical_query

_SAFE = "-_.~"
_BEYOND = 416
VARY = ("vary", "Accept, Prefer, Range")
"""What else an answer depends on: part of every answer that is no error."""

_RENAMED = (
    "Embedded resource was referenced by relation name even though it has an alias. "
    "This is deprecated and will stop working in a future release."
)


Renamed: TypeAlias = Sequence[tuple[str, str]]


@attrs.frozen(kw_only=True)
class Context:
    """What an answer says of the options.

    Attributes:
        multiple_schemas: Whether the answer names its schema.
        tx_override: Whether `Prefer: tx` was obeyed.
        max_rows: The operator's limit, which an estimate starts from.
        minimal_errors: Whether errors keep details and hint back.
    """

    multiple_schemas: bool
    tx_override: bool
    max_rows: int | None
    minimal_errors: bool = False


def find_check(request: DataRequest, compiled: Compiled) -> Callable[[Answer], DealQuestError | None] | None:
    """What has to hold for an answer to count; None when nothing does."""
    if compiled.format.explain is not None:
        return None
    if not (compiled.format.singular or isinstance(request, Put) or _max_affected(request) is not None):
        return None
    return lambda answer: find_problem(request, compiled, answer)


def find_problem(request: DataRequest, compiled: Compiled, answer: Answer) -> DealQuestError | None:
    """The error of an answer that does not count, None for a good one."""
    if isinstance(request, Put) and answer.page != 1:
        return refuse("PGRST115", "Payload values do not match URL in primary key column(s)")
    one_by_nature = compiled.routine is not None and not compiled.routine.returns_set
    if compiled.format.singular and answer.page != 1 and not one_by_nature:
        return refuse(
            "PGRST116",
            "Cannot coerce the result to a single JSON object",
            details=f"The result contains {answer.page} rows",
        )
    max_affected = _max_affected(request)
    if max_affected is not None and answer.page > max_affected:
        return refuse(
            "PGRST124", "Query result exceeds max-affected preference constraint", details=f"The query affects {answer.page} rows"
        )
    return None


def _max_affected(request: DataRequest) -> int | None:
    """The limit of a change of present rows or a call; it is not for rows that the request itself brings."""
    prefer = request.prefer
    return prefer.max_affected if prefer.handling == "strict" and isinstance(request, (Update, Delete, Call)) else None


class Responder:
    """Writes the answers of one plan; what never changes between them is found once.

    Args:
        request: The request, whose values do not count.
        compiled: Its statement.
        context: The options.
        renamed: Relations that conditions name although the embed has an alias, each with that alias.
    """

    def __init__(self, request: DataRequest, compiled: Compiled, context: Context, *, renamed: Renamed = ()) -> None:
        self._request = request
        self._compiled = compiled
        self._context = context
        fixed: list[tuple[str, str]] = [VARY]
        shows = not compiled.empty or compiled.kind == "read" or (compiled.routine is not None and not compiled.routine.returns_void)
        if shows:
            fixed.append(("content-type", compiled.format.content_type))
            if context.multiple_schemas or request.profile is not None:
                fixed.append(("content-profile", compiled.schema))
        applied = _applied(request, compiled, context)
        if applied:
            fixed.append(("preference-applied", ", ".join(applied)))
        if renamed:
            pairs = ", ".join(f"`{relation}` to `{alias}`" for relation, alias in renamed)
            fixed.append(("warning", f'299 PostgRESTv16 "{_RENAMED} Update {pairs} in query string filters, orders or limits."'))
        self._fixed = tuple(fixed)
        self._is_plain = isinstance(request, Read) and not request.head and request.prefer.count is None and compiled.format.explain is None
        self._bodiless = isinstance(request, (Read, Call)) and (request.head if isinstance(request, Read) else request.method == "HEAD")

    def _write_plain(self, answer: Answer, location: str) -> HttpResponse:
        """What `write` comes to for a read that counts nothing: the most frequent answer, in fewest steps."""
        first, page = self._compiled.offset, answer.page
        headers = (
            *self._fixed,
            ("content-location", location),
            ("content-range", f"{first}-{first + page - 1}/*" if page else "*/*"),
            ("content-length", str(len(answer.body))),
        )
        return HttpResponse(status=200, headers=headers, body=answer.body)

    def locate(self, incoming: Incoming) -> str:
        """`Content-Location` of what is read; empty for anything else."""
        return incoming.path + canonical_query(incoming.query) if self._compiled.kind == "read" else ""

    def write(self, answer: Answer, location: str) -> HttpResponse:
        """The answer to a good request.

        Args:
            answer: What the statement gave.
            location: What `locate` said of the request.

        Raises:
            InputError: PGRST111 and PGRST112 for the database's own headers and status that cannot be used.
        """
        compiled = self._compiled
        if self._is_plain and answer.headers is None and answer.status is None:
            return self._write_plain(answer, location)
        headers: dict[str, str] = {}
        if location:
            headers["content-location"] = location
        status = _describe(self._request, compiled, answer, self._context, headers)
        body = b"" if compiled.empty else answer.body
        if status == _BEYOND and not self._bodiless:
            body = self._write_beyond(answer)
        if answer.headers is None and answer.status is None:
            if status != 204 and not self._bodiless:
                headers["content-length"] = str(len(body))
            return HttpResponse(status=status, headers=(*self._fixed, *headers.items()), body=body)
        extra = _own_headers(answer.headers)
        if answer.status is not None:
            if not answer.status.isdigit():
                raise refuse("PGRST112", "response.status guc must be a valid status code")
            status = int(answer.status)
        if status not in {204, 304} and not self._bodiless:
            headers["content-length"] = str(len(body))
        own = {name for name, _ in extra}
        listed = [(name, value) for name, value in (*self._fixed, *headers.items()) if name not in own]
        return HttpResponse(status=status, headers=(*listed, *extra), body=body)

    def _write_beyond(self, answer: Answer) -> bytes:
        """The body for a page that begins beyond the last row: an error's, although the transaction and the headers are a good answer's."""
        total = _total(self._request, answer, self._context)
        details = f"An offset of {self._compiled.offset} was requested, but there are only {total} rows."
        error = refuse("PGRST103", "Requested range not satisfiable", details=details)
        return show_error(error, minimal=self._context.minimal_errors)[2]


def _describe(request: DataRequest, compiled: Compiled, answer: Answer, context: Context, headers: dict[str, str]) -> int:
    """The status; headers that depend on the answer are added."""
    if compiled.format.explain is not None:
        return 200
    if compiled.kind in {"read", "call"}:
        status = _page(request, compiled, answer, context, headers)
        return 204 if compiled.routine is not None and compiled.routine.returns_void else status
    shown = request.prefer.returning == "representation"
    if compiled.kind == "put":
        inserted = (answer.inserted or 0) > 0
        return 204 if not shown else 201 if inserted else 200
    counted = request.prefer.count in {"exact", "estimated"}
    if compiled.kind == "insert":
        headers["content-range"] = f"*/{answer.page}" if counted else "*/*"
        if answer.location is not None and answer.page == 1:
            headers["location"] = f"/{quote(compiled.table, safe=_SAFE)}?{_key_query(answer.location)}"
        updated_only = isinstance(request, Upsert) and request.resolution == "merge-duplicates" and answer.inserted == 0
        no_rows = (
            isinstance(request, Upsert) and compiled.conflict_known and request.resolution == "merge-duplicates" and answer.inserted is None
        )
        return 200 if updated_only or no_rows else 201
    if compiled.kind == "update" and answer.page:
        headers["content-range"] = f"0-{answer.page - 1}/{answer.page if counted else '*'}"
    else:
        headers["content-range"] = f"*/{answer.page if counted else '*'}"
    return 200 if shown else 204


def _total(request: DataRequest, answer: Answer, context: Context) -> int | None:
    """Rows of the whole: counted, or the planner's guess where that was asked for or the count may have stopped at the operator's limit."""
    total = answer.total
    if answer.estimate is None:
        return total
    beyond = total is not None and (context.max_rows is None or total > context.max_rows)
    if request.prefer.count == "planned":
        return answer.estimate
    return max(answer.estimate, total or 0) if beyond or total is None else total


def _page(request: DataRequest, compiled: Compiled, answer: Answer, context: Context, headers: dict[str, str]) -> int:
    """Content-Range and the status of a page."""
    total = _total(request, answer, context)
    lower, upper = compiled.offset, compiled.offset + answer.page - 1
    if total is not None and lower > total:
        headers["content-range"] = f"*/{total}"
        return _BEYOND
    shown = f"{lower}-{upper}" if total != 0 and lower <= upper else "*"
    headers["content-range"] = f"{shown}/{'*' if total is None else total}"
    return 206 if total is not None and answer.page < total else 200


def _key_query(location: bytes) -> str:
    parts = []
    for name, raw in msgspec.json.decode(location, type=dict[str, msgspec.Raw]).items():
        # A number stays as PostgreSQL wrote it: 1.50 is no 1.5.
        shown = bytes(raw).decode()
        value = msgspec.json.decode(raw) if shown.startswith('"') else shown
        text = "is.null" if shown == "null" else f"eq.{value}"
        parts.append(f"{quote(name, safe=_SAFE)}={quote(text, safe=_SAFE)}")
    return "&".join(parts)


def _applied(request: DataRequest, compiled: Compiled, context: Context) -> list[str]:
    """The preferences that were obeyed, in PostgREST's order."""
    prefer: Prefer = request.prefer
    kind = compiled.kind
    changes = kind in {"insert", "update", "delete", "put"}
    applied: list[str] = []
    if isinstance(request, Upsert) and compiled.conflict_known:
        applied.append(f"resolution={request.resolution}")
    if prefer.missing is not None and kind in {"insert", "update"}:
        applied.append(f"missing={prefer.missing}")
    if prefer.returning is not None and changes:
        applied.append(f"return={prefer.returning}")
    if prefer.count is not None:
        applied.append(f"count={prefer.count}")
    if prefer.tx is not None and context.tx_override:
        applied.append(f"tx={prefer.tx}")
    if prefer.handling is not None:
        applied.append(f"handling={prefer.handling}")
    if prefer.timezone is not None:
        applied.append(f"timezone={prefer.timezone}")
    if prefer.max_affected is not None and prefer.handling == "strict" and kind in {"update", "delete", "call"}:
        applied.append(f"max-affected={prefer.max_affected}")
    return applied


def _own_headers(raw: bytes | None) -> Headers:
    """`response.headers`: a list of objects with one member each."""
    if raw is None:
        return ()
    try:
        items = msgspec.json.decode(raw, type=list[dict[str, str]])
    except msgspec.DecodeError as exc:
        raise _bad_headers() from exc
    headers: list[tuple[str, str]] = []
    for item in items:
        if len(item) != 1:
            raise _bad_headers()
        headers.extend((name.lower(), value) for name, value in item.items())
    return tuple(headers)


def _bad_headers() -> DealQuestError:
    return refuse("PGRST111", "response.headers guc must be a JSON array composed of objects with a single key and a string value")
