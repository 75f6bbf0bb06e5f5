"""One HTTP request as the engine takes it, from a socket or from this process."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from dealquest.storage.postgrest.ast import JSON_MEDIA

from .negotiate import parse_media

_SHAPING = ("accept", "range", "content-type", "accept-profile", "content-profile")


class Head:
    """What a request's headers say. A client repeats its own, so one head serves many requests and is compared as an object.

    Args:
        pairs: Lower-case names and values in order; of a repeated one the first counts, cookies are joined.

    Attributes:
        headers: Names to values.
        prefer: Every `Prefer` header.
        shaping: The headers that a plan depends on, `Prefer` aside.
        announces_body: Whether a body follows in HTTP/1 (RFC 9112, section 6.3).
        is_json: Whether a body is JSON, as one without a media type is too.
        shown: `request.headers` for the transaction: cookies have a setting of their own.
    """

    __slots__ = ("announces_body", "headers", "is_json", "prefer", "shaping", "shown")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        headers: dict[str, str] = {}
        prefer: list[str] = []
        for name, value in pairs:
            if name == "prefer":
                prefer.append(value)
            if name == "cookie" and name in headers:
                headers[name] = f"{headers[name]}; {value}"
            else:
                headers.setdefault(name, value)
        self.headers: Mapping[str, str] = headers
        self.prefer = tuple(prefer)
        self.shaping = tuple([headers.get(name) for name in _SHAPING])
        self.announces_body = "content-length" in headers or "transfer-encoding" in headers
        self.is_json = parse_media(headers.get("content-type", JSON_MEDIA.name)) == JSON_MEDIA
        self.shown = msgspec.json.encode({name: value for name, value in headers.items() if name != "cookie"})


@lru_cache(maxsize=512)
def read_head(pairs: tuple[tuple[str, str], ...]) -> Head:
    """The head of lower-case names and values; remembered."""
    return Head(pairs)


@lru_cache(maxsize=512)
def decode_head(raw: tuple[tuple[bytes, bytes], ...]) -> Head:
    """The head of names and values as they came from a socket; remembered."""
    return Head((name.decode("latin-1").lower(), _read_value(value)) for name, value in raw)


def _read_value(raw: bytes) -> str:
    """Names of schemas and time zones come as UTF-8; anything else is taken byte by byte."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class Incoming(NamedTuple):
    """A request.

    Attributes:
        method: Upper-case method.
        path: Path without query, encoded.
        query: Query text, encoded.
        head: Its headers.
        body: The body.
        timeout_s: Seconds that PostgreSQL has for it; None leaves it to the engine's statement timeout.
        timings: Takes the milliseconds of each step, for `Server-Timing`; None measures nothing.
    """

    method: str
    path: str
    query: str = ""
    head: Head = read_head(())
    body: bytes = b""
    timeout_s: float | None = None
    timings: dict[str, float] | None = None
