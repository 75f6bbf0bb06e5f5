"""The caller's address: the socket's, or what the nearest trusted proxies say it is.

Source: RFC 7239 section 8 on trust; the de-facto X-Forwarded-For (each hop appends), read 2026-11-22.
"""

import ipaddress
from collections.abc import Iterable

UNKNOWN = "unknown"
_IPV6_PREFIX = 64


def client_address(peer: str | None, headers: Iterable[tuple[bytes, bytes]], *, trusted_hops: int) -> str:
    """The address to log and to count.

    Args:
        peer: The socket's other end.
        headers: The request's, lower-case names.
        trusted_hops: Proxies of the operator in front; each appended the address it saw. 0 believes nobody.

    >>> client_address("10.0.0.1", [(b"x-forwarded-for", b"6.6.6.6, 9.9.9.9")], trusted_hops=1)
    '9.9.9.9'
    >>> client_address("10.0.0.1", [(b"x-forwarded-for", b"6.6.6.6")], trusted_hops=0)
    '10.0.0.1'
    """
    if trusted_hops > 0:
        written = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1").split(",")
        seen = [entry.strip() for entry in written if entry.strip()]
        if len(seen) >= trusted_hops and (address := _read(seen[-trusted_hops])) is not None:
            return address
    return _read(peer or "") or UNKNOWN


def counted_as(address: str) -> str:
    """Whom a limit counts: one IPv6 customer owns a whole /64.

    >>> counted_as("2001:db8::1") == counted_as("2001:db8::2"), counted_as("192.0.2.1")
    (True, '192.0.2.1')
    """
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))


def _read(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
