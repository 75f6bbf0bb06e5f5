"""What a sink is: it takes records of one kind and says truthfully what became of them.

The sender owns retries, back-off, splitting and dead letters; a sink tries once, within the time it is given.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import attrs

from ..records import Record  # noqa: TID252  # a folder of one room


@attrs.frozen
class Accepted:
    """All of them are stored; those that were there before count too."""


@attrs.frozen
class Unavailable:
    """Nobody is to blame but the moment or the operator: keep the records and try again later.

    Attributes:
        reason: For the log; no secret.
        retry_after_s: Seconds the other side asked to wait.
    """

    reason: str
    retry_after_s: float | None = None


@attrs.frozen
class Refused:
    """The other side did not like these records, or anything; the sender finds out which.

    Attributes:
        reason: For the log and the dead letter; no secret.
        too_large: Whether fewer at a time may help.
    """

    reason: str
    too_large: bool = False


Outcome: TypeAlias = Accepted | Unavailable | Refused


class Sink(Protocol):
    """A place where records end up. Called by one thread at a time.

    A sink may also have `run`, a coroutine function that `async with collector` keeps running on the host's event loop,
    and `reset_after_fork`, called in a forked child to let go of what belongs to the parent.

    Attributes:
        name: Names its cursor in the spool: lower-case letters, digits, `-` and `_`.
    """

    @property
    def name(self) -> str:
        """Its name, the same in every process."""
        ...

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:
        """Store records of one kind, each id once; never raise."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
