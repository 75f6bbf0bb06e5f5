"""Whether a failed request may be sent again, and what a write's failure says about its fate. Pure.

    read         nothing changes: any passing failure is tried again
    repeatable   a write with a unique key: as a read, but a failure after an unknown fate stays unknown
    once         any other write: again only where nothing was done for certain

Source: RFC 9110 section 9.2.2 (idempotent methods); PostgreSQL appendix A (class 40: rolled back), read 2026-11-22.
"""

from typing import Literal, TypeAlias

from dealquest.errors import DealQuestError, UnknownOutcomeError

from .answers import is_from_postgrest
from .errors import find_body

Safety: TypeAlias = Literal["read", "repeatable", "once"]

_NOTHING_SENT = frozenset(("wire.connect", "storage.timeout"))
# A connection that died may have died after COMMIT; so may a backend that was told to go. The headers and the
# status that a function sets are read after it.
_UNKNOWN_CODES = ("08", "57P", "58", "XX", "40003", "PGRST001", "PGRST111", "PGRST112", "PGRSTX")
_BEFORE_THE_DATABASE = frozenset((400, 401, 403, 404, 405, 406, 409, 411, 413, 414, 415, 422, 429))


def is_fate_known(error: DealQuestError) -> bool:
    """Whether a failed write certainly changed nothing.

    Args:
        error: What the transport raised, or what the answer says.
    """
    body = find_body(error)
    if body is None:
        return error.code in _NOTHING_SENT
    if is_from_postgrest(error):
        return not body.code.startswith(_UNKNOWN_CODES)
    return body.status in _BEFORE_THE_DATABASE


def may_repeat(error: DealQuestError, safety: Safety) -> bool:
    """Whether to try again, given time and budget."""
    return error.retryable and (safety != "once" or is_fate_known(error))


def build_unknown_outcome(what: str, error: DealQuestError) -> UnknownOutcomeError:
    """The error of a write that may or may not have happened; raise it from its cause."""
    return UnknownOutcomeError(
        f"{what} was sent, and it is not known whether it was done: {error.message} "
        "Look before sending it again, or make it repeatable with a unique key.",
        code="storage.write.unknown_outcome",
        retry_after_s=error.retry_after_s,
    )
