"""Records and functions: the engine's own answers, asked with the caller's role and claims.

What the engine or the remote server says is passed on unchanged; who may do what is decided by the role and
the database's policies, not here. Two things are decided here, before the engine: a change of every row must
be meant, and who holds no more than the public key learns from an error or an estimate nothing of what it may not see.
"""

import re
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import InputError
from dealquest.wire import HttpRequest

from .callers import require
from .described import describe
from .remote import pass_on, target_of
from .shared import Shared, shared_of

RECORDS = "/api/database/records"
FUNCTIONS = "/api/database/rpc"
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD")
MAX_ANSWER_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 60.0

_NOT_FORWARDED = frozenset({"authorization", "connection", "content-length", "cookie", "host", "transfer-encoding", "x-api-key"})

_LOGIC = frozenset({"and", "not.and", "not.or", "or"})
_SHAPING = frozenset({"columns", "limit", "offset", "on_conflict", "order", "select"})
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_GUESSED = re.compile(r"count=(planned|estimated)")


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room: the engine's, or a proxy where the records are remote."""
    paths = (RECORDS + "/{rest:path}", FUNCTIONS + "/{rest:path}")
    answers = (pass_on, pass_on) if shared.kit.remote is not None else (records, functions)
    return [Route(path, answer, methods=METHODS) for path, answer in zip(paths, answers, strict=True)]


@describe(guard="anon", also=(201, 204, 206), passes_on=True)
async def records(request: Request) -> Response:
    """Rows of a table.

    Raises:
        InputError: `http.records.everywhere` for a PATCH or DELETE without a condition.
    """
    if request.method in {"PATCH", "DELETE"} and not _is_bounded(request):
        raise InputError(
            f"This {request.method} would touch every row: send a condition, or Prefer: handling=strict, max-affected=<rows>.",
            code="http.records.everywhere",
        )
    return await _ask(request, RECORDS)


@describe(guard="anon", also=(201, 204, 206), passes_on=True)
async def functions(request: Request) -> Response:
    """A function; one that returns nothing is answered with `null`."""
    answer = await _ask(request, FUNCTIONS.removesuffix("/rpc"))
    if answer.status_code in {200, 204} and not answer.body and request.method != "HEAD":
        return Response(b"null", media_type="application/json")
    return answer


async def _ask(request: Request, prefix: str) -> Response:
    caller = await require(request, "anon")
    transport_of = shared_of(request).kit.transport_of
    assert transport_of is not None
    is_public = caller.role == "anon"
    answer = await transport_of(caller.principal).send(
        HttpRequest(
            method=request.method,
            url=target_of(request, without=prefix),
            headers=tuple(
                (name, _GUESSED.sub("count=exact", value) if name == "prefer" and is_public else value)
                for name, value in request.headers.items()
                if name not in _NOT_FORWARDED
            ),
            body=await request.body(),
            timeout_s=TIMEOUT_S,
            max_bytes=MAX_ANSWER_BYTES,
        )
    )
    body = _without_details(answer.body) if is_public and answer.status >= 400 else answer.body
    shown = Response(body, status_code=answer.status)
    shown.raw_headers = [(name.encode(), value.encode()) for name, value in answer.headers if name != "content-length"]
    if answer.status not in {204, 304} and request.method != "HEAD":
        shown.raw_headers.append((b"content-length", b"%d" % len(body)))
    return shown


def _is_bounded(request: Request) -> bool:
    """Whether a change names a condition on its own rows, or says how many it may touch; a dotted name is a condition on an embed."""
    prefer = ",".join(request.headers.getlist("prefer"))
    if "handling=strict" in prefer and "max-affected=" in prefer:
        return True
    names = (_QUOTED.sub("q", name).partition("->")[0] for name, _ in parse_qsl(request.url.query, keep_blank_values=True))
    return any(name in _LOGIC or (name not in _SHAPING and "." not in name) for name in names)


def _without_details(body: bytes) -> bytes:
    """An error without its details and hint: they may name tables, columns and values that the public key does not open."""
    try:
        error = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    return msgspec.json.encode(error | {"details": None, "hint": None}) if isinstance(error, dict) and "code" in error else body
