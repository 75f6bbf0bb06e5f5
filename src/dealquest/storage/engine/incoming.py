"""One HTTP request as the engine takes it, from a socket or from this process."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


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
        shown_headers: `request.headers` for the transaction, where it was written before; None has it written.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    prefer: Sequence[str] = ()
    body: bytes = b""
    timeout_s: float | None = None
    timings: dict[str, float] | None = None
    shown_headers: bytes | None = None
