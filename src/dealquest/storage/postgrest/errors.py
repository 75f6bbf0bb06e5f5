"""PostgREST codes and SQLSTATEs → HTTP status, error class and our stable code: one table for both sides.

The engine takes the status from it, the client the error class, so the same failure is the same error
embedded and remote. It does not read HTTP.
Source: https://docs.postgrest.org/en/latest/references/errors.html (PostgREST 16) and
https://www.postgresql.org/docs/current/errcodes-appendix.html, read 2026-11-22.
"""

from typing import TypeAlias

import attrs

from dealquest.errors import (
    ConflictError,
    DealQuestError,
    DeniedError,
    InputError,
    LimitError,
    NotFoundError,
    PeerGarbledError,
    PeerRefusedError,
    PeerUnavailableError,
)

ErrorClass: TypeAlias = type[DealQuestError]


@attrs.frozen
class Rule:
    """What one code means.

    Attributes:
        status: PostgREST's HTTP status.
        error: The class the client raises.
        code: Our stable code.
        retryable: Whether the same request may succeed later; the transaction was rolled back.
    """

    status: int
    error: ErrorClass
    code: str
    retryable: bool = False


@attrs.frozen(kw_only=True)
class ErrorBody:
    """The body of every PostgREST error.

    Attributes:
        status: The HTTP status it came with.
        code: PostgREST's code or the SQLSTATE; empty when the answer had none.
        message: One line for people.
        details: May quote the row that was refused, so it stays out of repr and messages.
        hint: What to try next.
    """

    status: int
    code: str
    message: str
    details: object = attrs.field(default=None, repr=False)
    hint: str | None = None


_DATABASE_GONE = Rule(503, PeerUnavailableError, "storage.database.unavailable", retryable=True)
_INVALID = Rule(400, InputError, "storage.request.invalid")
_RAISED = Rule(400, InputError, "storage.raised")
_INTERNAL = Rule(500, PeerRefusedError, "storage.database.internal")

PGRST_RULES: dict[str, Rule] = {
    "PGRST000": _DATABASE_GONE,
    "PGRST001": _DATABASE_GONE,
    "PGRST002": _DATABASE_GONE,
    "PGRST003": Rule(504, PeerUnavailableError, "storage.database.pool_timeout", retryable=True),
    "PGRST100": Rule(400, InputError, "storage.request.unparsable"),
    "PGRST101": Rule(405, InputError, "storage.request.method"),
    "PGRST102": Rule(400, InputError, "storage.request.body"),
    "PGRST103": Rule(416, InputError, "storage.request.range"),
    "PGRST105": Rule(405, InputError, "storage.request.put"),
    "PGRST106": Rule(406, InputError, "storage.schema.not_exposed"),
    "PGRST107": Rule(406, InputError, "storage.request.media_type"),
    "PGRST108": Rule(400, InputError, "storage.embed.not_selected"),
    "PGRST109": Rule(400, InputError, "storage.request.unordered"),
    "PGRST111": Rule(500, PeerRefusedError, "storage.database.response_headers"),
    "PGRST112": Rule(500, PeerRefusedError, "storage.database.response_status"),
    "PGRST114": Rule(400, InputError, "storage.request.put"),
    "PGRST115": Rule(400, InputError, "storage.request.put"),
    "PGRST116": Rule(406, NotFoundError, "storage.not_one_row"),
    "PGRST117": Rule(405, InputError, "storage.request.method"),
    "PGRST118": Rule(400, InputError, "storage.embed.not_to_one"),
    "PGRST119": Rule(400, InputError, "storage.embed.not_to_one"),
    "PGRST120": Rule(400, InputError, "storage.embed.filter"),
    "PGRST121": Rule(500, PeerRefusedError, "storage.database.raise_unparsable"),
    "PGRST122": Rule(400, InputError, "storage.request.preference"),
    "PGRST123": Rule(400, InputError, "storage.request.aggregates_disabled"),
    "PGRST124": Rule(400, ConflictError, "storage.max_affected"),
    "PGRST125": Rule(404, NotFoundError, "storage.path_unknown"),
    "PGRST126": Rule(404, NotFoundError, "storage.path_unknown"),
    "PGRST127": Rule(400, InputError, "storage.request.unsupported"),
    "PGRST128": Rule(400, InputError, "storage.request.max_affected_call"),
    "PGRST129": Rule(400, InputError, "storage.request.preference"),
    "PGRST200": Rule(400, InputError, "storage.embed.unknown"),
    "PGRST201": Rule(300, InputError, "storage.embed.ambiguous"),
    "PGRST202": Rule(404, NotFoundError, "storage.function_unknown"),
    "PGRST203": Rule(300, InputError, "storage.function_ambiguous"),
    "PGRST204": Rule(400, InputError, "storage.column_unknown"),
    "PGRST205": Rule(404, NotFoundError, "storage.relation_unknown"),
    "PGRST300": Rule(500, PeerRefusedError, "storage.token.no_secret"),
    "PGRST301": Rule(401, DeniedError, "storage.token.invalid"),
    "PGRST302": Rule(401, DeniedError, "storage.token.missing"),
    "PGRST303": Rule(401, DeniedError, "storage.token.claims"),
    "PGRSTX00": _INTERNAL,
}
"""Every code of PostgREST's own."""

SQLSTATE_RULES: dict[str, Rule] = {
    "21000": Rule(400, InputError, "storage.cardinality"),
    "22P02": Rule(400, InputError, "storage.value.unreadable"),
    "23502": Rule(400, InputError, "storage.constraint.not_null"),
    "23503": Rule(409, ConflictError, "storage.constraint.foreign_key"),
    "23505": Rule(409, ConflictError, "storage.constraint.unique"),
    "23514": Rule(400, InputError, "storage.constraint.check"),
    "23P01": Rule(400, ConflictError, "storage.constraint.exclusion"),
    "25006": Rule(405, InputError, "storage.read_only"),
    "40001": Rule(500, ConflictError, "storage.serialization", retryable=True),
    "40P01": Rule(500, ConflictError, "storage.serialization", retryable=True),
    "42501": Rule(403, DeniedError, "storage.forbidden"),
    "42703": Rule(400, InputError, "storage.column_unknown"),
    "42883": Rule(404, NotFoundError, "storage.function_unknown"),
    "42P01": Rule(404, NotFoundError, "storage.relation_unknown"),
    "42P17": Rule(500, PeerRefusedError, "storage.database.recursion"),
    "53400": Rule(500, PeerRefusedError, "storage.database.limit"),
    "55P03": Rule(500, ConflictError, "storage.locked", retryable=True),
    "57014": Rule(500, LimitError, "storage.statement_timeout"),
    "57P01": Rule(503, PeerUnavailableError, "storage.database.unavailable", retryable=True),
    "57P02": Rule(500, PeerUnavailableError, "storage.database.unavailable", retryable=True),
    "57P03": Rule(500, PeerUnavailableError, "storage.database.unavailable", retryable=True),
    "P0001": _RAISED,
}
"""Five-letter SQLSTATEs that mean something of their own."""

SQLSTATE_CLASS_RULES: dict[str, Rule] = {
    "08": _DATABASE_GONE,
    "09": _INTERNAL,
    "0L": Rule(403, DeniedError, "storage.forbidden"),
    "0P": Rule(403, DeniedError, "storage.forbidden"),
    "22": Rule(400, InputError, "storage.value.invalid"),
    "23": Rule(400, InputError, "storage.constraint.other"),
    "25": _INTERNAL,
    "28": Rule(403, DeniedError, "storage.forbidden"),
    "2D": _INTERNAL,
    "38": _INTERNAL,
    "39": _INTERNAL,
    "3B": _INTERNAL,
    "40": Rule(500, ConflictError, "storage.serialization", retryable=True),
    "53": Rule(503, PeerUnavailableError, "storage.database.overloaded", retryable=True),
    "54": Rule(500, PeerRefusedError, "storage.database.limit"),
    "55": _INTERNAL,
    "57": _INTERNAL,
    "58": _INTERNAL,
    "F0": _INTERNAL,
    "HV": _INTERNAL,
    "P0": _INTERNAL,
    "XX": _INTERNAL,
}
"""The first two letters of a SQLSTATE, where the five are not listed."""

_STATUS_RULES: dict[int, Rule] = {
    401: Rule(401, DeniedError, "storage.forbidden"),
    403: Rule(403, DeniedError, "storage.forbidden"),
    404: Rule(404, NotFoundError, "storage.not_found"),
    409: Rule(409, ConflictError, "storage.conflict"),
    412: Rule(412, ConflictError, "storage.conflict"),
    413: Rule(413, LimitError, "storage.request.too_large"),
    414: Rule(414, LimitError, "storage.request.too_large"),
    408: Rule(408, PeerUnavailableError, "storage.unavailable", retryable=True),
    429: Rule(429, LimitError, "storage.rate_limited", retryable=True),
    502: Rule(502, PeerUnavailableError, "storage.unavailable", retryable=True),
    503: Rule(503, PeerUnavailableError, "storage.unavailable", retryable=True),
    504: Rule(504, PeerUnavailableError, "storage.unavailable", retryable=True),
    520: Rule(520, PeerUnavailableError, "storage.unavailable", retryable=True),
}


def is_sqlstate(code: str) -> bool:
    """Whether a code looks like PostgreSQL's and not like a word that some proxy says.

    >>> is_sqlstate("23505"), is_sqlstate("ERROR"), is_sqlstate("PGRST116")
    (True, False, False)
    """
    return len(code) == 5 and code.isascii() and code.isalnum() and code == code.upper() and not code.isalpha()


def find_rule(code: str) -> Rule | None:
    """Look a PostgREST code or SQLSTATE up.

    An unlisted SQLSTATE is a 400, as in PostgREST. `PTnnn` carries its own status.

    Args:
        code: Such as `PGRST116`, `23505`, `PT402`.

    Returns:
        The rule, or None when the text is neither PostgREST's code nor a SQLSTATE, such as the code that a
        function raised by itself; then the HTTP status decides: `find_status_rule`.

    >>> find_rule("23505").status, find_rule("22008").code, find_rule("PT402").status, find_rule("teapot")
    (409, 'storage.value.invalid', 402, None)
    """
    rule = PGRST_RULES.get(code) or SQLSTATE_RULES.get(code)
    if rule is not None:
        return rule
    if not is_sqlstate(code):
        return None
    if code.startswith("PT") and code[2:].isdigit():
        return attrs.evolve(find_status_rule(int(code[2:])), status=int(code[2:]))
    return SQLSTATE_CLASS_RULES.get(code[:2], _INVALID)


def find_status_rule(status: int) -> Rule:
    """The rule where the status is all that is known.

    >>> find_status_rule(409).code, find_status_rule(418).code, find_status_rule(500).code, find_status_rule(502).retryable
    ('storage.conflict', 'storage.refused', 'storage.database.internal', True)
    """
    rule = _STATUS_RULES.get(status)
    if rule is not None:
        return rule
    if 400 <= status < 500:
        return Rule(status, InputError, "storage.refused")
    if status >= 500:
        return attrs.evolve(_INTERNAL, status=status)
    return Rule(status, PeerGarbledError, "storage.answer.unexpected")


def find_status(code: str, *, authenticated: bool) -> int:
    """The HTTP status that PostgREST answers with.

    Args:
        code: PostgREST's code or the SQLSTATE.
        authenticated: Whether the request carried a valid token: without one, 42501 asks for proof.

    >>> find_status("42501", authenticated=False), find_status("42501", authenticated=True), find_status("99999", authenticated=True)
    (401, 403, 400)
    """
    if code == "42501" and not authenticated:
        return 401
    rule = find_rule(code)
    return 400 if rule is None else rule.status


def build_error(body: ErrorBody, *, retry_after_s: float | None = None) -> DealQuestError:
    """Make the error that a caller catches; `find_body` gives back what the server said.

    >>> error = build_error(ErrorBody(status=409, code="23505", message="duplicate key"))
    >>> type(error).__name__, error.code, find_body(error).code
    ('ConflictError', 'storage.constraint.unique', '23505')
    """
    rule = find_rule(body.code) or find_status_rule(body.status)
    label = f" ({body.code})" if body.code else ""
    hint = f" Hint: {body.hint}" if body.hint else ""
    message = f"{body.message}{label}{hint}"
    error: DealQuestError
    if issubclass(rule.error, DeniedError):
        error = rule.error(message, code=rule.code, forbidden=body.status == 403, retry_after_s=retry_after_s)
    else:
        error = rule.error(message, code=rule.code, retryable=rule.retryable, retry_after_s=retry_after_s)
    error.__dict__["body"] = body
    return error


def find_body(error: DealQuestError) -> ErrorBody | None:
    """What the server said, `details` included; None for an error that is not from its answer."""
    body = error.__dict__.get("body")
    return body if isinstance(body, ErrorBody) else None
