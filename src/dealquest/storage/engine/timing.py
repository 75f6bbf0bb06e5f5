"""How long the steps of an answer took, for the `Server-Timing` header.

Source: W3C, "Server Timing", read 2026-11-22.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from dealquest.values import Clock

_NOTHING = nullcontext()


def timed(timings: dict[str, float] | None, step: str, clock: Clock) -> AbstractContextManager[None]:
    """Note how long a step takes, also when it fails; without `timings` nothing is measured."""
    return _NOTHING if timings is None else _measure(timings, step, clock)


@contextmanager
def _measure(timings: dict[str, float], step: str, clock: Clock) -> Iterator[None]:
    started = clock.monotonic()
    try:
        yield
    finally:
        timings[step] = (clock.monotonic() - started) * 1000


def write_timings(timings: dict[str, float] | None) -> list[tuple[str, str]]:
    """The header, if anything was measured.

    >>> write_timings({"jwt": 0.25, "parse": 1.0})
    [('server-timing', 'jwt;dur=0.2, parse;dur=1.0')]
    """
    return [("server-timing", ", ".join(f"{step};dur={took:.1f}" for step, took in timings.items()))] if timings else []
