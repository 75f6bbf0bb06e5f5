"""Receiving: the batch is stored in one transaction, and only then confirmed. Polling and webhooks share it.

Rules. The offset moves after the store has the batch on its disk, so a crash repeats updates and never loses one; the
store knows repeated ones. One process polls at a time, by lease. What no event can be made of is set aside with its raw text and
confirmed, so that the rest goes on. A refused token ends the bot; every other failure is waited out, at most 30 s long.
Source: https://core.telegram.org/bots/api#getupdates, read 2026-11-22.
"""

import json
import logging
import random
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec

from dealquest.coach import Begun
from dealquest.coach.dialogue import Event, Person, catalogue
from dealquest.errors import DealQuestError, InputError, PeerGarbledError, PeerRefusedError, SettingsError
from dealquest.values import Clock

from .boundary import Conversation
from .calls import BotCalls, Undecoded
from .render import Part
from .setaside import SetAside
from .translate import WANTED_UPDATES, Ignored, Incoming, Undecodable, decode_update

logger = logging.getLogger("dealquest.telegram")

POLL_TIMEOUT_S = 20
BATCH = 100
LEASE_S = 4.0
SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
CHAT_EVENTS_PER_MINUTE = 120
REFUSE_EVERY_S = 60.0
MOST_CHATS = 10_000

Admit = Callable[[Person], Awaitable[bool]]


class Intake:
    """Takes one bot's updates in.

    Args:
        turns: Where events are stored.
        calls: The bot.
        source: The channel's name.
        clock: For waiting and counting.
        admit: Whether a person may use the bot.
        set_aside: Keeps what cannot be understood.
        stored: Told of the events of each stored batch, whether all of them were new, and the one that is claimed already.
        may_begin: Whether a worker has nothing to do, given how many others are being claimed for one.
        group: Where answers to button presses run.
    """

    def __init__(
        self,
        turns: Conversation,
        calls: BotCalls,
        *,
        source: str,
        clock: Clock,
        admit: Admit,
        set_aside: SetAside,
        stored: Callable[[Sequence[Event], bool, Begun | None], None],
        may_begin: Callable[[int], bool],
        group: anyio.abc.TaskGroup,
    ) -> None:
        self.lease = f"poll:{source}"
        self._turns = turns
        self._calls = calls
        self._source = source
        self._clock = clock
        self._admit = admit
        self._set_aside = set_aside
        self._stored = stored
        self._may_begin = may_begin
        self._beginning = 0
        self._group = group
        self._quota = _Quota(CHAT_EVENTS_PER_MINUTE, clock)
        self._refusals = _Quota(60 / REFUSE_EVERY_S, clock)
        self._rng = random.Random()  # noqa: S311  # jitter of pauses
        self.last_alive = clock.monotonic()

    async def poll(self) -> None:
        """Poll until cancelled.

        Raises:
            SettingsError: `telegram.token_refused`.
        """
        while True:
            if not await self._take_lease():
                await anyio.sleep(SHORTEST_PAUSE_S)
                continue
            with anyio.CancelScope() as held:
                self._group.start_soon(self._keep_lease, held)
                try:
                    await self._poll_while_held()
                finally:
                    held.cancel()

    async def _poll_while_held(self) -> None:
        offset, pause_s = 0, SHORTEST_PAUSE_S
        while True:
            try:
                offset = await self.poll_once(offset, timeout_s=POLL_TIMEOUT_S)
            except SettingsError:
                raise
            except DealQuestError as exc:
                wait_s = exc.retry_after_s if exc.retry_after_s is not None else pause_s * self._rng.uniform(0.8, 1.0)
                logger.warning("No updates for %.1f s: %s", wait_s, exc.message)
                await anyio.sleep(wait_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                pause_s = SHORTEST_PAUSE_S

    async def _take_lease(self) -> bool:
        try:
            return await self._turns.take_lease(self.lease, lease_s=LEASE_S)
        except DealQuestError as exc:
            logger.warning("The store cannot be reached: %s", exc.message)
            return False

    async def _keep_lease(self, held: anyio.CancelScope) -> None:
        """Renew the lease beside the long poll; stop polling when another process has it."""
        while not held.cancel_called:
            await anyio.sleep(LEASE_S / 4)
            try:
                kept = await self._turns.take_lease(self.lease, lease_s=LEASE_S)
            except DealQuestError:
                continue  # it lasts a while longer; should another process poll meanwhile, Telegram tells one of the two
            if not kept:
                logger.warning("Another process polls for this bot now.")
                held.cancel()

    async def watch_over(self) -> None:
        """Beside a webhook: when the process that watched before is dead, what it had claimed becomes free at once.

        Processes may serve side by side; one of them holds the lease.
        """
        while True:
            self.note_alive()
            await self._take_lease()
            await anyio.sleep(LEASE_S / 4)

    def note_alive(self) -> None:
        """Updates are coming in, or could be."""
        self.last_alive = self._clock.monotonic()

    async def poll_once(self, offset: int, *, timeout_s: int) -> int:
        """Fetch one batch and store it; the offset that confirms it."""
        try:
            raws = await self._calls.fetch(offset=offset, limit=BATCH, timeout_s=timeout_s, kinds=WANTED_UPDATES)
        except Undecoded:
            raws = await self._fetch_one(offset)
        await self.take(raws)
        self.note_alive()
        ids = [raw["update_id"] for raw in raws if isinstance(raw, dict) and isinstance(raw.get("update_id"), int)]
        if raws and not ids:
            raise PeerGarbledError("The Bot API server sends updates without ids.", code="telegram.garbled")
        # The highest, not the last: a server may deliver in another order after a fault.
        return max(ids, default=offset - 1) + 1

    async def take(self, raws: Sequence[Any]) -> None:
        """Store what is in a batch of undecoded updates; returns when it is stored.

        Raises:
            PeerError: The store cannot be reached; nothing of the batch may be confirmed.
        """
        welcome: list[Incoming] = []
        for raw in raws:
            decoded = decode_update(raw, source=self._source)
            match decoded:
                case Undecodable(update_id=update_id, reason=reason):
                    logger.warning("Update %s is set aside: %s", update_id, reason)
                    await self._set_aside(self._source, update_id, _raw_text(raw), reason)
                case Ignored():
                    pass
                case Incoming(private=False):
                    # Keys and deals are talked about here: only in private chats.
                    logger.info("Update %d is not from a private chat.", decoded.event.update_id)
                case Incoming():
                    if await self._may_enter(decoded):
                        welcome.append(decoded)
        events = [incoming.event for incoming in welcome]
        if events:
            new, begun = await self._store(events)
            self._stored(events, new == len(events), begun)
            # The worker goes first: its user waits, while the next poll only asks for more.
            await anyio.lowlevel.checkpoint()
        for incoming in welcome:
            if incoming.callback_id is not None:
                self._group.start_soon(self._answer_press, incoming.callback_id, "")

    async def _fetch_one(self, offset: int) -> list[Any]:
        """One update at a time around a body that cannot be read, so that it spoils only itself."""
        try:
            return await self._calls.fetch(offset=offset, limit=1, timeout_s=0, kinds=WANTED_UPDATES)
        except Undecoded as exc:
            text = exc.body if isinstance(exc.body, str) else _raw_text(exc.body)
            found = re.search(r'"update_id"\s*:\s*([0-9]{1,16})', text)
            if found is None:
                raise PeerGarbledError(
                    "The Bot API server answered getUpdates with something unreadable.", code="telegram.garbled"
                ) from None
            update_id = int(found.group(1))
            logger.warning("Update %d is set aside: its JSON cannot be read", update_id)
            await self._set_aside(self._source, update_id, text, "its JSON cannot be read")
            return [{"update_id": update_id, "set_aside": True}]

    async def _store(self, events: Sequence[Event]) -> tuple[int, Begun | None]:
        try:
            if self._may_begin(self._beginning):
                self._beginning += 1
                try:
                    return await self._turns.receive_and_begin(events)
                finally:
                    self._beginning -= 1
            return await self._turns.receive(events), None
        except (InputError, PeerRefusedError) as exc:
            if len(events) > 1:
                return sum([await self._store_one(event) for event in events]), None
            await self._refused(events[0], exc)
            return 0, None

    async def _store_one(self, event: Event) -> int:
        try:
            return await self._turns.receive([event])
        except (InputError, PeerRefusedError) as exc:
            await self._refused(event, exc)
            return 0

    async def _refused(self, event: Event, error: DealQuestError) -> None:
        logger.warning("Update %d is set aside: the store refuses it: %s", event.update_id, error.message)
        await self._set_aside(self._source, event.update_id, _raw_text(msgspec.to_builtins(event)), error.message)

    async def _may_enter(self, incoming: Incoming) -> bool:
        event = incoming.event
        if not await self._admit(event.user):
            logger.warning("Refused: Telegram id %s", event.user.telegram_id)
            self._refuse(incoming, catalogue(event.user.language).label("telegram.refused", id=event.user.telegram_id or 0))
            return False
        if not self._quota.take(event.chat):
            logger.warning("Chat %s sends too much; update %d is dropped.", event.chat, event.update_id)
            self._refuse(incoming, catalogue(event.user.language).label("telegram.slow_down"))
            return False
        return True

    def _refuse(self, incoming: Incoming, words: str) -> None:
        if incoming.callback_id is not None:
            self._group.start_soon(self._answer_press, incoming.callback_id, words)
        elif self._refusals.take(incoming.event.chat):
            self._group.start_soon(self._tell, incoming.event.chat, words)

    async def _answer_press(self, callback_id: str, words: str) -> None:
        try:
            await self._calls.answer_press(callback_id, words, alert=bool(words))
        except DealQuestError as exc:
            logger.debug("A press stays unanswered: %s", exc.message)

    async def _tell(self, chat: str, words: str) -> None:
        try:
            await self._calls.send(chat, Part(text=words))
        except DealQuestError as exc:
            logger.debug("A refusal was not delivered: %s", exc.message)


class _Quota:
    """So many a minute per chat, the whole minute's worth at once if need be."""

    def __init__(self, per_minute: float, clock: Clock) -> None:
        self._interval_s = 60 / per_minute
        self._clock = clock
        self._chats: OrderedDict[str, float] = OrderedDict()

    def take(self, chat: str) -> bool:
        now = self._clock.monotonic()
        moment = max(self._chats.get(chat, now - 60), now - 60)
        if moment + self._interval_s > now:
            return False
        self._chats[chat] = moment + self._interval_s
        self._chats.move_to_end(chat)
        if len(self._chats) > MOST_CHATS:
            self._chats.popitem(last=False)
        return True


def _raw_text(raw: Any) -> str:
    # json escapes what is not ASCII, so that lone surrogates can be written down too.
    return raw if isinstance(raw, str) else json.dumps(raw)
