"""What both transports to the network have in common: their own headers, the time to connect, and how they name what went wrong.

URLs and headers stay out of the messages: they may hold keys.
"""

from dealquest.errors import InputError, LimitError, PeerGarbledError, PeerUnavailableError

from .decoding import ACCEPT_ENCODING
from .messages import Headers

CONNECT_TIMEOUT_S = 5.0
USER_AGENT = "dealquest"


def with_own_headers(headers: Headers) -> dict[str, str]:
    """The operator's headers over those that every request has."""
    return {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": ACCEPT_ENCODING, **dict(headers)}


def cannot_connect() -> PeerUnavailableError:
    """Nobody was reached: the request was not sent."""
    return PeerUnavailableError("Cannot connect to the server.", code="wire.connect")


def not_in_time(timeout_s: float) -> LimitError:
    """The answer was not whole within the request's time."""
    return LimitError(f"No whole answer within {timeout_s:g} s.", code="wire.timeout", retryable=True)


def cannot_send() -> InputError:
    """The request itself is wrong."""
    return InputError("The request cannot be sent: its URL or a header is malformed.", code="wire.bad_request")


def not_http() -> PeerGarbledError:
    """Something answered, and not in HTTP."""
    return PeerGarbledError("The server answered something that is not HTTP.", code="wire.garbled", retryable=True)


def connection_broke() -> PeerUnavailableError:
    """The connection ended before the answer did."""
    return PeerUnavailableError("The connection to the server broke.", code="wire.broken")
