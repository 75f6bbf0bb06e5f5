"""One conversation over HTTP: an event is stored once under its caller's name, its turn is finished, its replies are told.

A turn that began goes on when its caller leaves; the replies then wait in `GET /api/coach/replies`.
"""

import base64
import binascii
import hashlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import attrs
import msgspec

from dealquest.coach import Delivery, Turns
from dealquest.coach.dialogue import Event, Person
from dealquest.compose import Kit
from dealquest.errors import ConflictError, InputError, LimitError, PeerUnavailableError

from .people import Seat
from .shapes import EventRequest
from .uploads import Uploads

SOURCE = "http"
PATIENCE_S = 90.0
MOST_REPLIES = 50
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5

OnPartial = Callable[[str], Awaitable[None]]


@attrs.frozen(kw_only=True)
class _Stored:
    update_id: int = 0
    digest: str = ""
    kept: bool = False
    is_refused: bool = False
    retry_in_s: float | None = None


class Conversations:
    """Everybody's conversations over HTTP.

    Args:
        kit: The cores.
    """

    def __init__(self, kit: Kit) -> None:
        self._records = kit.records
        self._clock = kit.clock
        self._rng = random.SystemRandom()
        self._admission = kit.admission
        self._most_a_day = kit.settings.coach_events_a_day
        self.uploads = Uploads(kit.settings.home / "uploads")
        self.turns: Turns = kit.turns(media=self.uploads, is_admin=self._is_admin)

    async def receive(self, seat: Seat, asked: EventRequest) -> Event:
        """Store an event, once; a repeat finds the first one.

        Raises:
            InputError: `http.coach.media` when text and upload do not fit the kind.
            ConflictError: `http.coach.event_reused` for other content under a known id, `http.coach.event_old` for one that was
                answered days ago.
            LimitError: `http.coach.too_many`.
        """
        media = await self._take_upload(seat, asked)
        event = Event(
            source=SOURCE,
            chat=seat.chat,
            update_id=_number(self._clock.now(), self._rng),
            user=seat.person,
            kind=asked.kind,
            text=asked.text,
            media=media,
        )
        try:
            return attrs.evolve(event, update_id=await self._store(event, asked))
        except (ConflictError, LimitError):
            await self.uploads.drop(media)
            raise

    async def _store(self, event: Event, asked: EventRequest) -> int:
        digest = hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
        call = self._records.rpc(
            "receive_named_event",
            event_name=asked.id,
            event=msgspec.to_builtins(event),
            event_digest=digest,
            most_a_day=self._most_a_day,
        )
        stored = await call.repeatable().value(_Stored)
        if stored.is_refused:
            raise LimitError(
                f"You sent the coach {self._most_a_day} messages within a day; go on later.",
                code="http.coach.too_many",
                retry_after_s=stored.retry_in_s,
            )
        if stored.digest != digest:
            raise ConflictError("This id was used for another event; give each event an id of its own.", code="http.coach.event_reused")
        if not stored.kept:
            raise ConflictError("This event was answered days ago; send it anew under another id.", code="http.coach.event_old")
        return stored.update_id

    async def answer(self, event: Event, *, on_partial: OnPartial | None = None, patience_s: float = PATIENCE_S) -> list[Delivery] | None:
        """Finish the event's turn; its replies, or None while it goes on elsewhere."""
        since, pause_s = self._clock.monotonic(), _FIRST_PAUSE_S

        async def show(worked_on: Event, text: str) -> None:
            if on_partial is not None and worked_on.update_id == event.update_id:
                await on_partial(text)

        while (replies := await self._attempt(event, show)) is None:
            if self._clock.monotonic() - since > patience_s:
                return None
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        await self.uploads.drop(event.media)
        return replies

    async def waiting(self, seat: Seat) -> list[Delivery]:
        """Replies that the person has not acknowledged."""
        return (
            await self._records.rpc("waiting_replies", for_source=SOURCE, for_chat=seat.chat, most=MOST_REPLIES)
            .repeatable()
            .value(list[Delivery])
        )

    async def acknowledge(self, seat: Seat, through: int) -> int:
        """The person has seen every reply up to this one."""
        return (
            await self._records.rpc("acknowledge_replies", for_source=SOURCE, for_chat=seat.chat, through=through).repeatable().value(int)
        )

    async def _attempt(self, event: Event, on_partial: Callable[[Event, str], Awaitable[None]]) -> list[Delivery] | None:
        replies = await self.turns.replies_to(SOURCE, event.update_id)
        if replies is not None:
            return replies
        try:
            # The oldest of the conversation, which may be one that an earlier process left open.
            done = await self.turns.work(SOURCE, chat=event.chat, on_partial=on_partial)
        except (PeerUnavailableError, ConflictError):
            return None  # a database that is coming back, or a worker that was quicker; the event is stored
        if done is not None and done.event.update_id == event.update_id:
            return list(done.deliveries)
        return None

    async def _take_upload(self, seat: Seat, asked: EventRequest) -> dict[str, object] | None:
        if asked.kind not in {"voice", "photo"}:
            if asked.media is not None:
                raise InputError("media: only a voice or a photo carries media.", code="http.coach.media")
            return None
        if asked.media is None:
            raise InputError(f"media: a {asked.kind} needs its bytes.", code="http.coach.media")
        if not asked.media.type.startswith("image/" if asked.kind == "photo" else "audio/"):
            raise InputError(f"media.type: this is no type of a {asked.kind}.", code="http.coach.media")
        try:
            data = base64.b64decode(asked.media.data, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise InputError("media.data: this is not base64.", code="http.coach.media") from exc
        media: dict[str, object] = await self.uploads.keep(seat.chat, asked.id, data, asked.media.type)
        if asked.media.duration_s is not None:
            media["duration_s"] = asked.media.duration_s
        return media

    async def _is_admin(self, person: Person) -> bool:
        """Only who came by Telegram: an account's name is its owner's choice, and nobody here sits at the terminal."""
        return person.telegram_id is not None and await self._admission.is_admin(person)


def _number(now: datetime, rng: random.Random) -> int:
    """Events are handled in the order of their numbers, so they grow with time."""
    return int(now.timestamp() * 1000) << 20 | rng.getrandbits(20)
