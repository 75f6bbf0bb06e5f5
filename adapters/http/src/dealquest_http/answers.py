"""Answers: JSON, and the one function from an error to the envelope that the InsForge clients read.

`{error, message, statusCode, nextActions?}`; `error` is a code of their closed list, never our dotted one.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.responses import Response

from dealquest.errors import DealQuestError, DeniedError, LimitError

_encode = msgspec.json.Encoder(decimal_format="number").encode

BY_STATUS: Mapping[int, str] = MappingProxyType(
    {
        400: "INVALID_INPUT",
        401: "AUTH_UNAUTHORIZED",
        403: "FORBIDDEN",
        404: "NOT_FOUND",
        405: "INVALID_INPUT",
        408: "INVALID_INPUT",
        409: "ALREADY_EXISTS",
        413: "INVALID_INPUT",
        429: "TOO_MANY_REQUESTS",
    }
)

# Our codes whose status or name is not what their class says.
SHOWN: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "http.account.email": (400, "AUTH_INVALID_EMAIL"),
        "http.account.gone": (401, "AUTH_INVALID_CREDENTIALS"),
        "http.account.password": (400, "AUTH_WEAK_PASSWORD"),
        "http.ai.key": (502, "AI_INVALID_API_KEY"),
        "http.ai.off": (503, "AI_INVALID_API_KEY"),
        "http.body.slow": (408, "INVALID_INPUT"),
        "http.body.too_large": (413, "INVALID_INPUT"),
        "http.busy": (503, "TOO_MANY_REQUESTS"),
        "http.caller.api_key": (401, "AUTH_INVALID_API_KEY"),
        "http.caller.missing": (401, "AUTH_INVALID_CREDENTIALS"),
        "http.caller.role": (403, "AUTH_UNAUTHORIZED"),
    }
)

# A deadline or a size that a peer of ours broke is not the caller's.
_BEHIND_US = ("engine.", "storage.", "wire.")

OUR_FAULT = "This is our fault; the log has it under this answer's x-request-id."

_NEXT: Mapping[int, str] = MappingProxyType(
    {
        401: "Sign in again, or send a key.",
        404: "GET /api/health tells whether this is the server you mean.",
        429: "Wait as long as Retry-After says.",
        503: "Try again later; GET /api/health names the part that is missing.",
    }
)


def answer_json(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer: what msgspec can write, dates as ISO 8601 with `Z`."""
    return Response(_encode(body), status_code=status, headers=headers, media_type="application/json")


def answer_error(error: DealQuestError) -> Response:
    """The envelope of an error, with `Retry-After` where it says when."""
    status, name = status_of(error)
    # The message of what is our own fault, or the operator's, is for the log alone.
    message = error.message if status < 500 or status in {502, 503, 504} else OUR_FAULT
    # What is left of such a body is not waited for.
    headers = {"connection": "close"} if status in {408, 413} else {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    return refuse(status, name, message, headers=headers)


def status_of(error: DealQuestError) -> tuple[int, str]:
    """The HTTP status and the clients' code of an error."""
    if error.code in SHOWN:
        return SHOWN[error.code]
    if isinstance(error, LimitError) and error.code.startswith(_BEHIND_US):
        return 504, "INTERNAL_ERROR"
    status = error.status if isinstance(error, DeniedError) else error.http_status
    return status, BY_STATUS.get(status, "INTERNAL_ERROR")


def refuse(status: int, name: str, message: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """The envelope itself."""
    body: dict[str, Any] = {"error": name, "message": message, "statusCode": status}
    if status in _NEXT:
        body["nextActions"] = _NEXT[status]
    return answer_json(body, status=status, headers=headers)
