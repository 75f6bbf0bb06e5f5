"""The failures that the engine answers with, each as the error the client would raise for it.

The table of codes is shared with the client (`postgrest/errors.py`); here are only the texts.
Source: https://docs.postgrest.org/en/latest/references/errors.html (PostgREST 16), read 2026-11-22.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dealquest.errors import DealQuestError, LimitError, PeerUnavailableError
from dealquest.storage.postgrest.errors import ErrorBody, build_error, find_body, find_status

from .batch import ServerError
from .versions import NEWEST, Version

_GONE = frozenset({"engine.connect", "engine.broken"})


def refuse(
    code: str,
    message: str,
    *,
    details: object = None,
    hint: object = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> DealQuestError:
    """Make the error of one of PostgREST's codes; the caller raises it.

    Args:
        code: Such as `PGRST108`.
        message: PostgREST's own words.
        details: Text, or the structured list of PGRST201.
        hint: What to try.
        status: The HTTP status where the code alone does not say it.
        headers: Headers of the answer, such as the `Content-Range` of a 416.
    """
    known = find_status(code, authenticated=True) if status is None else status
    error = build_error(ErrorBody(status=known, code=code, message=message, details=details, hint=hint))  # type: ignore[arg-type]  # PGRST201's hint is text, PGRST106's may be null
    if headers:
        error.__dict__["headers"] = dict(headers)
    return error


def refuse_sql(error: ServerError, *, authenticated: bool) -> DealQuestError:
    """PostgreSQL's own refusal, as PostgREST shows it.

    Args:
        error: What the server said.
        authenticated: Whether a token came: without one a missing right is a 401.
    """
    if error.sqlstate == "PGRST":
        return _read_raise(error)
    status = find_status(error.sqlstate, authenticated=authenticated)
    if error.sqlstate.startswith("PT") and not error.sqlstate[2:].isdigit():
        status = 500
    if error.sqlstate == "42883" and error.message.startswith("function xmlagg("):
        status = 406  # a server without XML cannot render it
    if error.sqlstate == "21000":
        # Only our own "UPDATE ... requires a WHERE clause" guard is the caller's fault.
        status = 400 if error.message.endswith("requires a WHERE clause") else 500
    headers: dict[str, str] = {}
    if status == 401 and not authenticated:
        headers["www-authenticate"] = "Bearer"
    return refuse(error.sqlstate, error.message, details=error.detail, hint=error.hint, status=status, headers=headers)


def _read_raise(error: ServerError) -> DealQuestError:
    """`RAISE sqlstate 'PGRST'`: the message is the body as JSON, the detail its status and headers."""
    try:
        body = msgspec.json.decode(error.message)
        outer = msgspec.json.decode(error.detail or "")
        code, message, status = body["code"], body["message"], outer["status"]
        headers = {str(name).lower(): str(value) for name, value in outer["headers"].items()}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return _unreadable_raise(error)
    if not isinstance(status, int) or not isinstance(message, str) or not isinstance(code, str) or not 100 <= status <= 999:
        return _unreadable_raise(error)
    return refuse(code, message, details=body.get("details"), hint=body.get("hint"), status=status, headers=headers)


def _unreadable_raise(error: ServerError) -> DealQuestError:
    return refuse(
        "PGRST121",
        "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
        details=f"Invalid JSON value for MESSAGE: '{error.message}'" if not _is_object(error.message) else _detail_problem(error.detail),
        hint="MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'."
        if not _is_object(error.message)
        else "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'.",
    )


def _is_object(text: str) -> bool:
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return isinstance(body, dict) and isinstance(body.get("code"), str) and isinstance(body.get("message"), str)


def _detail_problem(detail: str | None) -> str:
    return "DETAIL is missing in the RAISE statement" if detail is None else f"Invalid JSON value for DETAIL: '{detail}'"


def show_error(error: DealQuestError, *, minimal: bool = False, version: Version = NEWEST) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error.

    Args:
        error: It.
        minimal: Whether details and hint are kept back.
        version: Whose words they are.

    >>> show_error(refuse("PGRST125", "Invalid path specified in request URL"))[0]
    404
    """
    body = find_body(error)
    if body is None:
        body = _foreign_body(error)
    body = version.tell(body)
    headers = {"content-type": "application/json; charset=utf-8", "proxy-status": f"PostgREST; error={body.code}"}
    headers.update(error.__dict__.get("headers", {}))
    shown: dict[str, Any] = {"code": body.code, "details": body.details, "hint": body.hint, "message": body.message}
    if minimal:
        shown = {"code": body.code, "message": body.message}
    return body.status, headers, msgspec.json.encode(shown)


def _foreign_body(error: DealQuestError) -> ErrorBody:
    """Failures of the pool and the connection, which have no code of PostgreSQL's."""
    if isinstance(error, LimitError):
        error.__dict__.setdefault("headers", {"retry-after": "1"})
        status = 503 if error.code == "engine.pool_full" else 504
        return ErrorBody(status=status, code="PGRST003", message=error.message)
    if isinstance(error, PeerUnavailableError) and error.code in _GONE:
        error.__dict__.setdefault("headers", {"retry-after": "1"})
        if error.code == "engine.connect":
            return ErrorBody(status=503, code="PGRST000", message="Database connection error.")
        return ErrorBody(status=503, code="PGRST001", message="Database client error. Retrying the connection.")
    return ErrorBody(status=500, code="PGRSTX00", message="Internal error.")
