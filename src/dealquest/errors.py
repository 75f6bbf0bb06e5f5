"""The one error tree, sorted by who can mend it.

Every error carries a stable `code` (listed in docs/errors/), says whether the same call may be
`retryable`, and has a message that is safe to show and to log: it never holds a secret.
Rooms do not subclass; they raise the class that names the mender and give their own code.
"""

from collections.abc import Sequence
from typing import ClassVar


class DealQuestError(Exception):
    """The root of everything this library raises on purpose.

    Args:
        message: What happened, to what, and what to do next; never a secret.
        code: Stable dotted name, such as `auth.init_data.expired`.
        retryable: Whether the same call, unchanged, may succeed later.
        retry_after_s: Seconds the other side asked to wait, where it said so.
    """

    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str, retryable: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.reference: str | None = None
        """The peer's own id of the job that failed, where there is one: what it is resumed by."""

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders with their code."""
        state = {key: value for key, value in self.__dict__.items() if key not in {"message", "code"}}
        return (_rebuild, (type(self), self.message, self.code, state))


def _rebuild(cls: type[DealQuestError], message: str, code: str, state: dict[str, object]) -> DealQuestError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state, message=message, code=code)
    return error


class SettingsError(DealQuestError):
    """The operator can mend it: a variable is missing or wrong. All problems are reported at once."""


class InputError(DealQuestError):
    """The caller can mend it: the request itself is wrong. Nothing was sent or stored."""

    http_status = 400


class NotFoundError(DealQuestError):
    """The thing named does not exist, or not for this caller."""

    http_status = 404


class ConflictError(DealQuestError):
    """The state of the world forbids it: already there, or changed meanwhile."""

    http_status = 409


class DeniedError(DealQuestError):
    """Proof is missing, false or old (401), or not enough (403)."""

    http_status = 401

    def __init__(
        self, message: str, *, code: str, forbidden: bool = False, retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, retry_after_s=retry_after_s)
        self.forbidden = forbidden

    @property
    def status(self) -> int:
        """401 asks for proof, 403 says that it is not enough."""
        return 403 if self.forbidden else 401


class LimitError(DealQuestError):
    """A limit of ours was reached: budget, quota, deadline or size."""

    http_status = 429


class UnknownOutcomeError(DealQuestError):
    """A write was sent and its fate is not known: repeat it only with its idempotency key."""

    http_status = 502


class PeerError(DealQuestError):
    """Another machine failed us."""

    http_status = 502


class PeerRefusedError(PeerError):
    """The peer understood and said no: bad key, no credit, bad request."""


class PeerGarbledError(PeerError):
    """The peer's answer is unreadable, cut short, or an error dressed as success.

    `received` keeps what did arrive, for the caller to look at; it is never part of the message.
    """

    def __init__(self, message: str, *, code: str, retryable: bool = False, retry_after_s: float | None = None, received: str = "") -> None:
        super().__init__(message, code=code, retryable=retryable, retry_after_s=retry_after_s)
        self.received = received


class StreamInterruptedError(PeerGarbledError):
    """An answer broke off after its first part was delivered; it is not asked for a second time.

    `received` is the text so far, `usage` the tokens so far (a `dealquest.values.Usage`) where the peer
    told them, `request_id` the peer's name for the answer.
    """

    def __init__(
        self, message: str, *, code: str, received: str = "", usage: object = None, request_id: str = "", retryable: bool = True
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, received=received)
        self.usage = usage
        self.request_id = request_id


class PeerUnavailableError(PeerError):
    """The peer cannot be reached or is overloaded; the same call may succeed later."""

    http_status = 503

    def __init__(self, message: str, *, code: str, retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code, retryable=retryable, retry_after_s=retry_after_s)


class RoutesExhaustedError(PeerError):
    """Every route was tried; `failures` holds one error per route, in order."""

    http_status = 503

    def __init__(
        self,
        message: str,
        *,
        code: str,
        failures: Sequence[DealQuestError] = (),
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable, retry_after_s=retry_after_s)
        self.failures = tuple(failures)
