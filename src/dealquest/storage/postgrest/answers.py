"""Answers → success, total, or the error to raise. Two kinds of servers speak: PostgREST, and proxies before it.

HTML pages, empty bodies and plain-text 429s become typed errors too; a foreign body is never quoted.
Source: https://docs.postgrest.org/en/latest/references/errors.html and RFC 9209 (Proxy-Status), read 2026-11-22.
"""

import re
from datetime import datetime

import msgspec

from dealquest.errors import ConflictError, DealQuestError, NotFoundError
from dealquest.wire import HttpResponse, parse_retry_after

from .errors import ErrorBody, build_error, find_body, is_sqlstate

_TOTAL = re.compile(r"(?:\d+-\d+|\*)/(\d+)")
_SPAN = re.compile(r"(\d+)-(\d+)/")
_PROXY_STATUS = re.compile(r"error=\"?([A-Za-z0-9]{2,16})")
_LONGEST_MESSAGE = 2000


def read_error(response: HttpResponse, *, now: datetime) -> DealQuestError | None:
    """The error in an answer, or None when it is a success.

    Args:
        response: Any HTTP answer.
        now: The wall time, for a `Retry-After` date.
    """
    if 200 <= response.status < 300:
        return None
    body = _read_body(response)
    hint_s = parse_retry_after(response.headers, now=now)
    if body.code == "PGRST116":
        return _build_singular_error(body)
    return build_error(body, retry_after_s=hint_s)


def read_total(response: HttpResponse) -> int | None:
    """The total in `Content-Range`, when the server counted.

    >>> read_total(HttpResponse(status=206, headers=(("content-range", "0-24/3573458"),)))
    3573458
    """
    found = _TOTAL.fullmatch((response.header("content-range") or "").strip())
    return int(found.group(1)) if found else None


def read_span(response: HttpResponse) -> int | None:
    """How many rows `Content-Range` says are in this answer.

    >>> read_span(HttpResponse(status=206, headers=(("content-range", "10-19/*"),)))
    10
    """
    found = _SPAN.match((response.header("content-range") or "").strip())
    return int(found.group(2)) - int(found.group(1)) + 1 if found else None


def is_from_postgrest(error: DealQuestError) -> bool:
    """Whether PostgREST or the database itself answered, and not a machine in between."""
    body = find_body(error)
    return body is not None and (body.code.startswith("PGRST") or is_sqlstate(body.code))


def _read_body(response: HttpResponse) -> ErrorBody:
    status = response.status
    try:
        said = msgspec.json.decode(response.body) if response.body else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorBody(status=status, code="", message=f"HTTP {status} with {_describe(response)} instead of a PostgREST answer.")
    if not isinstance(said, dict):
        header = _PROXY_STATUS.search(response.header("proxy-status") or "")
        if header is not None:
            return ErrorBody(status=status, code=header.group(1), message=f"HTTP {status} without a body.")
        return ErrorBody(status=status, code="", message=f"HTTP {status} with {_describe(response)}.")
    # InsForge's own errors say {error, message, statusCode, nextActions}; Supabase's gateway {message} or {msg}.
    code = said.get("code") if isinstance(said.get("code"), str) else said.get("error")
    message = said.get("message") or said.get("msg") or f"HTTP {status}"
    hint = said.get("hint") or said.get("nextActions")
    return ErrorBody(
        status=status,
        code=code if isinstance(code, str) else "",
        message=(message if isinstance(message, str) else f"HTTP {status}")[:_LONGEST_MESSAGE],
        details=said.get("details"),
        hint=hint[:_LONGEST_MESSAGE] if isinstance(hint, str) else None,
    )


def _describe(response: HttpResponse) -> str:
    if not response.body:
        return "an empty body"
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    if "html" in kind or response.body.lstrip()[:1] == b"<":
        return "an HTML page"
    return "plain text" if kind.startswith("text/") else "something"


def _build_singular_error(body: ErrorBody) -> DealQuestError:
    """None and many are different: the caller who asked for one row mends them differently."""
    found = re.search(r"contains (\d+) row", f"{body.details} {body.message}")
    error: DealQuestError
    if found is None:
        return build_error(body)
    if found.group(1) == "0":
        error = NotFoundError("No row meets the conditions.", code="storage.row_not_found")
    else:
        error = ConflictError(f"{found.group(1)} rows meet the conditions, where one was asked for.", code="storage.many_rows")
    error.__dict__["body"] = body
    return error
