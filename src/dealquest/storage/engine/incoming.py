"""One HTTP request as the engine takes it, from a socket or from this process."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Head(NamedTuple):
    """What is read from a request's headers, whichever request it is.

    Attributes:
        headers: Lower-case names to values.
        prefer: Every `Prefer` header.
        shaping: The headers that a plan depends on.
        shown: `request.headers` for the transaction.
    """

    headers: Mapping[str, str]
    prefer: tuple[str, ...]
    shaping: tuple[str | None, ...]
    shown: bytes


class Incoming(NamedTuple):
    """A request.

    Attributes:
        method: Upper-case method.
        path: Path without query, encoded.
        query: Query text, encoded.
        headers: Lower-case names to values.
        prefer: Every `Prefer` header.
        body: The body.
        timeout_s: Seconds that PostgreSQL has for it; None leaves it to the engine's statement timeout.
        timings: Takes the milliseconds of each step, for `Server-Timing`; None measures nothing.
        head: What the same headers gave before; None has them read.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    prefer: Sequence[str] = ()
    body: bytes = b""
    timeout_s: float | None = None
    timings: dict[str, float] | None = None
    head: Head | None = None
