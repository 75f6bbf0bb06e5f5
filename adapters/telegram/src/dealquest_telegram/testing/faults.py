"""Scripted trouble: what a test wants to go wrong, for which method, how often. No I/O."""

from typing import Literal

import attrs

Drop = Literal["before", "after"]


@attrs.frozen(kw_only=True)
class Fault:
    """One kind of trouble.

    Attributes:
        method: The method it strikes, such as `sendMessage`; `*` strikes every one.
        status: Answer with this HTTP status instead of doing the work: 429, 502, 403 …
        description: The words of that answer.
        retry_after_s: Seconds in the `retry_after` parameter of a 429.
        hang_s: Wait so long before anything else happens.
        drop: Break the connection `before` the work is done, or `after` it, when the answer is lost.
        body: Answer these bytes with status 200, to see what the bot does with nonsense.
        skip: Let so many calls pass first.
        times: Strike so often; None is for ever.
    """

    method: str = "*"
    status: int | None = None
    description: str = "scripted"
    retry_after_s: int | None = None
    hang_s: float = 0.0
    drop: Drop | None = None
    body: bytes | None = None
    skip: int = 0
    times: int | None = 1


class FaultPlan:
    """The faults that are still to come, in the order they were planned."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int, int | None]] = []

    def add(self, fault: Fault) -> None:
        """Plan a fault."""
        self._waiting.append((fault, fault.skip, fault.times))

    def clear(self) -> None:
        """Let everything work again."""
        self._waiting.clear()

    def strike(self, method: str) -> Fault | None:
        """The fault that strikes this call, if any; counts it."""
        for index, (fault, skip, times) in enumerate(self._waiting):
            if fault.method != "*" and fault.method.casefold() != method.casefold():
                continue
            if skip > 0:
                self._waiting[index] = (fault, skip - 1, times)
                continue
            left = None if times is None else times - 1
            if left == 0:
                del self._waiting[index]
            else:
                self._waiting[index] = (fault, 0, left)
            return fault
        return None
