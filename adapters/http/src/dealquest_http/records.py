"""Records and functions: the engine's own answers, asked with the caller's role and claims.

What the engine or the remote server says is passed on unchanged, errors too; who may do what is decided by
the role and the database's policies, not here.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

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


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room: the engine's, or a proxy where the records are remote."""
    paths = (RECORDS + "/{rest:path}", FUNCTIONS + "/{rest:path}")
    answers = (pass_on, pass_on) if shared.kit.remote is not None else (records, functions)
    return [Route(path, answer, methods=METHODS) for path, answer in zip(paths, answers, strict=True)]


@describe(guard="anon", also=(201, 204, 206), passes_on=True)
async def records(request: Request) -> Response:
    """Rows of a table."""
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
    answer = await transport_of(caller.principal).send(
        HttpRequest(
            method=request.method,
            url=target_of(request, without=prefix),
            headers=tuple((name, value) for name, value in request.headers.items() if name not in _NOT_FORWARDED),
            body=await request.body(),
            timeout_s=TIMEOUT_S,
            max_bytes=MAX_ANSWER_BYTES,
        )
    )
    shown = Response(answer.body, status_code=answer.status)
    shown.raw_headers = [(name.encode(), value.encode()) for name, value in answer.headers if name != "content-length"]
    if answer.status not in {204, 304} and request.method != "HEAD":
        shown.raw_headers.append((b"content-length", b"%d" % len(answer.body)))
    return shown
