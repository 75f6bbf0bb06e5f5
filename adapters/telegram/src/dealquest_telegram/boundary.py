"""What the adapter needs of the coach: the durable conversation as one protocol, over the dialogue's own values. No I/O."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from dealquest.coach import Begun, Delivery, Done
from dealquest.coach.dialogue import Event


class Conversation(Protocol):
    """The durable conversation behind the bot; `dealquest.coach.Turns` is one.

    Every call is one transaction. `receive` ignores events it knows; `work` commits a turn once or not at all;
    `deliveries` gives each chat's replies in order and holds them for a while.
    """

    async def receive(self, events: Sequence[Event]) -> int:
        """Store events before anything is done with them; how many were new."""
        ...

    async def receive_and_begin(self, events: Sequence[Event]) -> tuple[int, Begun | None]:
        """The same, and claim the first of them where that is free: for a worker that has nothing else to do."""
        ...

    async def finish(self, begun: Begun, *, on_partial: Callable[[Event, str], Awaitable[None]] | None = None) -> Done | None:
        """Finish the turn of a claimed event."""
        ...

    async def hand_back(self, begun: Begun) -> None:
        """Give a claim up."""
        ...

    async def work(
        self,
        source: str,
        *,
        chat: str | None = None,
        update_id: int | None = None,
        only_jobs: bool = False,
        on_partial: Callable[[Event, str], Awaitable[None]] | None = None,
    ) -> Done | None:
        """Claim the oldest open event of a chat that nobody works on, and finish its turn; a slow answer is shown while it is written."""
        ...

    async def deliveries(self, source: str, *, chat: str | None = None, most: int = 20, lease_s: float = 15.0) -> list[Delivery]:
        """Take replies that wait, in order per chat."""
        ...

    async def mark_sent(self, delivery: Delivery, reference: Any = None) -> bool:
        """The reply arrived."""
        ...

    async def mark_unsent(self, delivery: Delivery, reason: str, *, retry_in_s: float = 0.0, give_up: bool = False) -> bool:
        """The reply did not arrive: later, or never."""
        ...

    async def is_next(self, event: Event) -> bool:
        """Whether nothing older of the event's chat waits for its turn, and no reply for its delivery."""
        ...

    async def note_placeholder(self, event: Event, reference: Any) -> None:
        """Remember which message the answer to an event belongs into; the first one noted stays."""
        ...

    async def take_lease(self, name: str, *, lease_s: float) -> bool:
        """Take, or keep, a job that one process does at a time."""
        ...

    async def drop_lease(self, name: str) -> None:
        """Hand that job back."""
        ...
