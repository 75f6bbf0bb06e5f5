"""While an answer takes long: show that somebody is typing, put a placeholder where the answer will be, or show it being written.

One event per chat is watched, the oldest that this process received and that is not finished; nothing is lost when a
watch is, since the answer is then sent as a new message. A streamed answer is shown as drafts; where the server has
none, or a placeholder stands already, as edits of the placeholder. One task makes all of an event's calls, and it has
ended before the answer is delivered, so that nothing of it comes later. A sign that fails is left out.
Source: https://core.telegram.org/bots/api#sendmessagedraft and #sendchataction, read 2026-11-22.
"""

import contextlib
import logging
from collections import OrderedDict, deque

import anyio
import anyio.abc
import attrs

from dealquest.coach.dialogue import Event, Text, catalogue
from dealquest.errors import DealQuestError

from .boundary import Conversation
from .calls import BotCalls
from .render import Part, render

logger = logging.getLogger("dealquest.telegram")

FIRST_SIGN_S = 0.7
TYPING_EVERY_S = 4.5
PLACEHOLDER_AFTER_S = 2.0
DRAFT_EVERY_S = 0.7
EDIT_EVERY_S = 1.5
DRAFT_LIVES_S = 20.0
MOST_SIGNS_S = 300.0
LONGEST_CALL_S = 3.0
MOST_CHATS = 1000
MOST_EVENTS = 100
LARGEST_DRAFT_ID = 2**31 - 1


@attrs.define(eq=False)
class _Watch:
    """One chat: who waits, and the task that shows signs for the first of them, once there is one."""

    waiting: deque[Event] = attrs.field(factory=deque)
    since: float = 0.0
    scope: anyio.CancelScope | None = None
    settled: anyio.Event = attrs.field(factory=anyio.Event)
    text: str = ""
    news: anyio.Event = attrs.field(factory=anyio.Event)
    placeholder: int | None = None


@attrs.define
class _Shown:
    """What an event's chat has been shown."""

    text: str = ""
    drafts: bool = False
    frame_at: float = 0.0
    typing_at: float = float("-inf")


class Progress:
    """Watches the events that this process received.

    Args:
        turns: Where the placeholder is noted.
        calls: The bot.
        group: Where the watching tasks live.
    """

    def __init__(self, turns: Conversation, calls: BotCalls, group: anyio.abc.TaskGroup) -> None:
        self._turns = turns
        self._calls = calls
        self._group = group
        self._chats: OrderedDict[str, _Watch] = OrderedDict()
        self._begun = anyio.Event()
        self._has_drafts = True

    async def run(self) -> None:
        """Start signs for what waits longer than a moment, until cancelled: most answers are there before."""
        while True:
            await self._begun.wait()
            self._begun = anyio.Event()
            while self._chats:
                await anyio.sleep(FIRST_SIGN_S / 2)
                late = anyio.current_time() - FIRST_SIGN_S
                for watch in [watch for watch in self._chats.values() if watch.scope is None and watch.since <= late]:
                    self._start(watch)

    def begin(self, event: Event) -> None:
        """An event was stored and waits for its answer."""
        watch = self._chats.get(event.chat)
        if watch is None:
            if len(self._chats) >= MOST_CHATS:
                return
            watch = self._chats[event.chat] = _Watch(since=anyio.current_time())
            self._begun.set()
        if len(watch.waiting) < MOST_EVENTS:
            watch.waiting.append(event)

    async def show(self, event: Event, text: str) -> None:
        """The answer to an event, as far as it is written; returns at once."""
        watch = self._chats.get(event.chat)
        if watch is None or watch.waiting[0].update_id != event.update_id:
            return
        watch.text = text
        watch.news.set()
        if watch.scope is None:
            self._start(watch)

    async def end(self, event: Event) -> int | None:
        """The event has its answer: stop the signs before it is delivered.

        Returns:
            The placeholder that stands for the answer.
        """
        watch = self._chats.get(event.chat)
        if watch is None:
            return None
        if watch.waiting[0].update_id != event.update_id:
            for other in [other for other in watch.waiting if other.update_id == event.update_id]:
                watch.waiting.remove(other)
            return None
        if watch.scope is not None:
            watch.scope.cancel()
            await watch.settled.wait()
        placeholder = watch.placeholder
        self._drop_first(event.chat, watch)
        return placeholder

    def _drop_first(self, chat: str, watch: _Watch) -> None:
        watch.waiting.popleft()
        watch.scope, watch.settled, watch.text, watch.news, watch.placeholder = None, anyio.Event(), "", anyio.Event(), None
        watch.since = anyio.current_time()
        if not watch.waiting:
            self._chats.pop(chat, None)

    def _start(self, watch: _Watch) -> None:
        watch.scope = anyio.CancelScope()
        self._group.start_soon(self._show_signs, watch, watch.scope, watch.settled, watch.waiting[0])

    async def _show_signs(self, watch: _Watch, scope: anyio.CancelScope, settled: anyio.Event, event: Event) -> None:
        try:
            with scope, anyio.move_on_after(MOST_SIGNS_S):
                shown = _Shown()
                while True:
                    wait_s = await self._show_next(watch, event, shown)
                    with anyio.move_on_after(wait_s):
                        await watch.news.wait()
        finally:
            settled.set()
        if not scope.cancel_called:
            # Nobody finished it here; another process may have. It must not stand before the chat's next one.
            self._drop_first(event.chat, watch)

    async def _show_next(self, watch: _Watch, event: Event, shown: _Shown) -> float:
        """Show one sign that is due; seconds until the next one may be."""
        now = anyio.current_time()
        if watch.text != shown.text or (shown.drafts and now - shown.frame_at > DRAFT_LIVES_S):
            every_s = DRAFT_EVERY_S if shown.drafts else EDIT_EVERY_S
            if (wait_s := shown.frame_at + every_s - now) > 0:
                await anyio.sleep(wait_s)
            watch.news, shown.text, shown.frame_at = anyio.Event(), watch.text, anyio.current_time()
            await self._show_frame(watch, event, shown)
            return DRAFT_LIVES_S
        if watch.placeholder is None and not shown.drafts and event.kind != "button" and now - watch.since >= PLACEHOLDER_AFTER_S:
            await self._place(watch, event)
        if not shown.drafts and now - shown.typing_at >= TYPING_EVERY_S:
            shown.typing_at = now
            with contextlib.suppress(DealQuestError):
                await self._calls.show_busy(event.chat)
        if watch.placeholder is None and now - watch.since < PLACEHOLDER_AFTER_S:
            return max(PLACEHOLDER_AFTER_S - (anyio.current_time() - watch.since), 0.0)
        return TYPING_EVERY_S

    async def _show_frame(self, watch: _Watch, event: Event, shown: _Shown) -> None:
        """Show the newest text: as a draft, or in the placeholder once that stands or where there are no drafts."""
        part = render(Text(shown.text))[-1] if shown.text.strip() else Part(text="")
        try:
            if self._has_drafts and watch.placeholder is None:
                shown.drafts = True
                # A frame on its way is waited for, or it could arrive after the answer.
                with anyio.move_on_after(LONGEST_CALL_S, shield=True):
                    await self._calls.send_draft(event.chat, event.update_id % LARGEST_DRAFT_ID or 1, part)
                return
            if watch.placeholder is None:
                await self._place(watch, event)
            if watch.placeholder is not None and part.text:
                with anyio.move_on_after(LONGEST_CALL_S, shield=True):
                    await self._calls.edit(event.chat, watch.placeholder, part)
        except DealQuestError as exc:
            if exc.code == "telegram.unknown_method":
                self._has_drafts = shown.drafts = False
            logger.debug("A frame of a streamed answer was not shown: %s", exc.message)
            if exc.retry_after_s is not None:
                await anyio.sleep(exc.retry_after_s)

    async def _place(self, watch: _Watch, event: Event) -> None:
        try:
            # What a dead process left behind is answered first, and must not stand below this.
            if not await self._turns.is_next(event):
                return
        except DealQuestError:
            return
        # Once it is sent it must be noted, or it would stay behind.
        with anyio.CancelScope(shield=True):
            try:
                watch.placeholder = await self._calls.send(
                    event.chat, Part(text=catalogue(event.user.language).label("telegram.placeholder"))
                )
                await self._turns.note_placeholder(event, watch.placeholder)
            except DealQuestError as exc:
                logger.debug("No placeholder: %s", exc.message)
