"""Delivery: what the outbox holds becomes messages, per chat in order, paced, and repeated until it arrived.

Rules. One task per chat sends that chat's replies one after the other: first those of turns that this process has
just committed, as long as they are its own and nothing waits before them, then what the outbox holds. A reply whose
target message is known is an edit of it, so that a repeat after a crash shows nothing new; the target is noted before
the edit. `retry_after` puts the chat back into the outbox for that long; a blocked bot or a gone chat ends the reply as
a dead letter; refused formatting is sent plain; anything else is tried again, ever later.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Sequence

import anyio
import anyio.abc

from dealquest.coach import Delivery, Done
from dealquest.coach.dialogue import Erase, Event, Person, join
from dealquest.errors import DealQuestError, NotFoundError, PeerGarbledError, PeerRefusedError, PeerUnavailableError
from dealquest.values import Clock

from .boundary import Conversation
from .calls import BotCalls, Keyboard
from .pace import Pace
from .render import Part, render
from .rich import Page, rich_pages
from .translate import encode_keyboard

logger = logging.getLogger("dealquest.telegram")

BATCH = 20
LEASE_S = 60.0
HOLD_MARGIN_S = 1.0
SWEEP_S = 2.0
LONGEST_RETRY_S = 60.0
MAX_ATTEMPTS = 200
PLACEHOLDER = Part(text="…")
MOST_UNNOTED = 5
"""So many placeholders may be sent and not noted yet: a process that is killed leaves no more of them behind."""


class Outlet:
    """Delivers one bot's replies.

    Args:
        turns: Where the outbox is.
        calls: The bot.
        source: The channel's name.
        pace: How fast messages may go out.
        clock: For waiting.
        careful: Send every new answer as a placeholder that is edited into it: one call more, and a crash at any
            point repeats nothing that the user sees.
    """

    def __init__(self, turns: Conversation, calls: BotCalls, *, source: str, pace: Pace, clock: Clock, careful: bool = False) -> None:
        self._turns = turns
        self._calls = calls
        self._source = source
        self._pace = pace
        self._clock = clock
        self._careful = careful
        self._unnoted = anyio.Semaphore(MOST_UNNOTED)
        self._has_rich = True
        self._group: anyio.abc.TaskGroup | None = None
        self._serving: set[str] = set()
        self._again: set[str] = set()  # chats with something in the outbox
        self._held: defaultdict[str, deque[tuple[Delivery, float]]] = defaultdict(deque)
        self._delayed: set[str] = set()  # chats that must wait; what is committed meanwhile waits behind
        self._idle = anyio.Event()

    async def run(self) -> None:
        """Deliver until cancelled: what `wake` names at once, and every few seconds whatever else is due."""
        async with anyio.create_task_group() as group:
            self._group = group
            while True:
                await self._sweep(group)
                await anyio.sleep(SWEEP_S)

    def take(self, done: Done) -> None:
        """Deliver the replies of a turn that this process committed."""
        if not done.deliveries:
            return
        chat = done.deliveries[0].chat
        if done.held_s <= 0:
            self.wake(chat)
        elif chat not in self._delayed:
            until = self._clock.monotonic() + done.held_s - HOLD_MARGIN_S
            self._held[chat].extend((row, until) for row in done.deliveries)
            self._start(chat)

    def wake(self, chat: str) -> None:
        """There are replies for this chat in the outbox."""
        self._again.add(chat)
        self._start(chat)

    def _start(self, chat: str) -> None:
        if chat not in self._serving and self._group is not None:
            self._serving.add(chat)
            self._group.start_soon(self._serve, chat, ())

    async def deliver(self, done: Done) -> None:
        """Deliver a turn's replies here and now, if they are ours; for hosts that start the bot now and then."""
        if done.held_s > 0:
            await self._deliver_rows(done.deliveries)

    async def put_back(self) -> None:
        """Hand back what was not delivered, so that the next process need not wait for it."""
        for chat in list(self._held):
            await self._release(chat)

    async def drain(self) -> None:
        """Wait until nothing is being delivered."""
        while self._serving:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def deliver_all(self) -> int:
        """Deliver everything that is due, then return: for hosts that start the bot now and then.

        Returns:
            How many replies were taken.
        """
        count = 0
        while rows := await self._turns.deliveries(self._source, most=BATCH, lease_s=LEASE_S):
            count += len(rows)
            for of_chat in _by_chat(rows).values():
                await self._deliver_rows(of_chat)
        return count

    async def _sweep(self, group: anyio.abc.TaskGroup) -> None:
        try:
            rows = await self._turns.deliveries(self._source, most=BATCH, lease_s=LEASE_S)
            for chat, of_chat in _by_chat(rows).items():
                if chat in self._serving:
                    # Taken from under a task that is slow: put back, that task comes to it.
                    for row in of_chat:
                        await self._turns.mark_unsent(row, "another task serves this chat")
                    self._again.add(chat)
                else:
                    self._serving.add(chat)
                    group.start_soon(self._serve, chat, of_chat)
        except DealQuestError as exc:
            logger.warning("The outbox cannot be read: %s", exc.message)

    async def _serve(self, chat: str, rows: Sequence[Delivery]) -> None:
        try:
            going_on = await self._deliver_rows(rows)
            while going_on:
                if chat in self._held:
                    going_on = await self._deliver_held(chat)
                elif chat in self._again:
                    self._again.discard(chat)
                    taken = await self._turns.deliveries(self._source, chat=chat, most=BATCH, lease_s=LEASE_S)
                    if len(taken) == BATCH:
                        self._again.add(chat)
                    going_on = await self._deliver_rows(taken)
                else:
                    return
        except DealQuestError as exc:
            logger.warning("The outbox cannot be reached, replies wait: %s", exc.message)
        finally:
            self._serving.discard(chat)
            self._idle.set()

    async def _deliver_held(self, chat: str) -> bool:
        """Deliver what this process holds for a chat; False when the chat has to wait."""
        held = self._held[chat]
        while held:
            row, until = held.popleft()
            if self._clock.monotonic() > until:
                # It is anybody's by now, so it comes by way of the outbox.
                self._again.add(chat)
            elif not await self._deliver(row):
                await self._release(chat)
                return False
        del self._held[chat]
        return True

    async def _release(self, chat: str) -> None:
        """Give what is held for a chat to the outbox."""
        for row, _ in self._held.pop(chat, ()):
            await self._turns.mark_unsent(row, "it comes by way of the outbox")

    async def _deliver_rows(self, rows: Sequence[Delivery]) -> bool:
        for index, row in enumerate(rows):
            if not await self._deliver(row):
                # Keep the order: what comes after it waits in the outbox behind it.
                for later in rows[index + 1 :]:
                    await self._turns.mark_unsent(later, "an earlier reply waits")
                await self._release(row.chat)
                return False
        return True

    async def _deliver(self, row: Delivery) -> bool:
        """Show one reply; False when it has to wait, and the chat with it."""
        try:
            shown = await self._show(row)
        except PeerUnavailableError as exc:
            wait_s = exc.retry_after_s if exc.retry_after_s is not None else min(2.0 ** min(row.attempts - 1, 10), LONGEST_RETRY_S)
            if exc.retry_after_s is not None:
                self._pace.hold(row.chat, until=self._clock.monotonic() + exc.retry_after_s)
            await self._turns.mark_unsent(row, exc.message, retry_in_s=wait_s, give_up=row.attempts >= MAX_ATTEMPTS)
            self._later(row.chat, wait_s)
            return False
        except PeerGarbledError as exc:
            # It was most likely done; a repeat of an edit is harmless, a repeat of a message is counted.
            await self._turns.mark_unsent(row, exc.message, retry_in_s=1.0, give_up=row.attempts >= MAX_ATTEMPTS)
            self._later(row.chat, 1.0)
            return False
        except (PeerRefusedError, NotFoundError) as exc:
            logger.warning("Reply %d to update %d is a dead letter: %s", row.id, row.update_id, exc.message)
            await self._turns.mark_unsent(row, exc.message, give_up=True)
            return True
        await self._turns.mark_sent(row, shown)
        return True

    async def _show(self, row: Delivery) -> list[int]:
        reply = row.reply
        text = reply.text
        if reply.erase is not None and not await self._erase(row.chat, reply.erase):
            text = join((reply.erase.otherwise, text), "\n\n")
        keyboard = encode_keyboard(reply.buttons)
        target = row.placeholder if row.seq == 0 and isinstance(row.placeholder, int) else None
        parts = render(text)
        pages = rich_pages(text) if len(parts) > 1 and self._has_rich else []
        try:
            shown = await self._show_pieces(row, pages or parts, keyboard, target)
        except (NotFoundError, PeerRefusedError) as exc:
            if not pages or exc.code not in {"telegram.unknown_method", "telegram.refused", "telegram.entities_refused"}:
                raise
            self._has_rich = exc.code != "telegram.unknown_method"
            logger.info("A long answer goes out in parts, since it was refused as a rich message: %s", exc.message)
            shown = await self._show_pieces(row, parts, keyboard, target)
        if reply.document is not None:
            await self._wait_turn(row.chat)
            shown.append(await self._calls.send_document(row.chat, reply.document, None if parts else keyboard))
        return shown

    async def _show_pieces(self, row: Delivery, pieces: Sequence[Part | Page], keyboard: Keyboard | None, target: int | None) -> list[int]:
        shown: list[int] = []
        for index, piece in enumerate(pieces):
            below = keyboard if index == len(pieces) - 1 else None
            await self._wait_turn(row.chat)
            if index == 0 and row.seq == 0 and target is None and self._careful:
                target = await self._place(row)
            if index == 0 and target is not None:
                shown.append(await self._edit(row.chat, target, piece, below))
            else:
                shown.append(await self._send(row.chat, piece, below))
        return shown

    async def _place(self, row: Delivery) -> int:
        """Send a placeholder and note it, even while the bot ends: one that nobody knows of would stay behind."""
        async with self._unnoted:
            with anyio.CancelScope(shield=True):
                target = await self._calls.send(row.chat, PLACEHOLDER)
                await self._turns.note_placeholder(_event_of(row, self._source), target)
            return target

    async def _erase(self, chat: str, erase: Erase) -> bool:
        """Delete a message of the user's; False when Telegram keeps it."""
        try:
            await self._calls.delete(chat, erase.message_id)
        except NotFoundError:
            return True
        except PeerRefusedError as exc:
            logger.warning("A message that was to vanish stays: %s", exc.message)
            return False
        return True

    async def _edit(self, chat: str, target: int, piece: Part | Page, keyboard: Keyboard | None) -> int:
        try:
            if isinstance(piece, Page):
                await self._calls.edit_rich(chat, target, piece.blocks, keyboard)
            else:
                await self._calls.edit(chat, target, piece, keyboard)
        except NotFoundError as exc:
            if exc.code != "telegram.message_gone":
                raise
            return await self._send(chat, piece, keyboard)
        except PeerRefusedError as exc:
            if exc.code != "telegram.entities_refused" or isinstance(piece, Page):
                raise
            await self._calls.edit(chat, target, piece, keyboard, plain=True)
        return target

    async def _send(self, chat: str, piece: Part | Page, keyboard: Keyboard | None) -> int:
        if isinstance(piece, Page):
            return await self._calls.send_rich(chat, piece.blocks, keyboard)
        try:
            return await self._calls.send(chat, piece, keyboard)
        except PeerRefusedError as exc:
            if exc.code != "telegram.entities_refused":
                raise
            return await self._calls.send(chat, piece, keyboard, plain=True)

    async def _wait_turn(self, chat: str) -> None:
        wait_s = self._pace.wait_s(chat, now=self._clock.monotonic())
        if wait_s > 0:
            await anyio.sleep(wait_s)

    def _later(self, chat: str, wait_s: float) -> None:
        async def wake_later() -> None:
            await anyio.sleep(wait_s)
            self._delayed.discard(chat)
            self.wake(chat)

        if self._group is not None:
            self._delayed.add(chat)
            self._group.start_soon(wake_later)


def _by_chat(rows: Sequence[Delivery]) -> dict[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = defaultdict(list)
    for row in rows:
        found[row.chat].append(row)
    return found


def _event_of(row: Delivery, source: str) -> Event:
    return Event(source=source, chat=row.chat, update_id=row.update_id, user=Person(), kind="other")
