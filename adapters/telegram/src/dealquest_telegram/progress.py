"""While an answer takes long: show that somebody is typing, and put a placeholder where the answer will be.

One event per chat is watched, the oldest that this process received and that is not finished; nothing is lost when a
watch is, since the answer is then sent as a new message.
"""

import contextlib
import logging
from collections import OrderedDict, deque

import anyio
import anyio.abc
import attrs

from dealquest.coach.dialogue import Event
from dealquest.errors import DealQuestError

from .boundary import Conversation
from .calls import BotCalls
from .render import Part

logger = logging.getLogger("dealquest.telegram")

FIRST_SIGN_S = 0.7
TYPING_EVERY_S = 4.5
PLACEHOLDER_AFTER_S = 2.0
MOST_SIGNS_S = 300.0
MOST_CHATS = 1000
MOST_EVENTS = 100
PLACEHOLDER = Part(text="… reading your message")


@attrs.define
class _Watch:
    waiting: deque[Event] = attrs.field(factory=deque)
    scope: anyio.CancelScope | None = None
    placeholder: int | None = None
    settled: anyio.Event = attrs.field(factory=anyio.Event)


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

    def begin(self, event: Event) -> None:
        """An event was stored and waits for its answer."""
        watch = self._chats.get(event.chat)
        if watch is None:
            if len(self._chats) >= MOST_CHATS:
                return
            watch = self._chats[event.chat] = _Watch()
        if len(watch.waiting) >= MOST_EVENTS:
            return
        watch.waiting.append(event)
        if len(watch.waiting) == 1:
            self._start(watch, event)

    async def end(self, event: Event) -> None:
        """The event has its answer: stop the signs before it is delivered."""
        watch = self._chats.get(event.chat)
        if watch is None or event not in watch.waiting:
            return
        was_first = watch.waiting[0] == event
        if was_first and watch.scope is not None:
            watch.scope.cancel()
            await watch.settled.wait()
        with contextlib.suppress(ValueError):  # somebody else may have ended it meanwhile
            watch.waiting.remove(event)
        if not watch.waiting:
            self._chats.pop(event.chat, None)
        elif was_first:
            self._start(watch, watch.waiting[0])

    def _start(self, watch: _Watch, event: Event) -> None:
        watch.scope, watch.settled = anyio.CancelScope(), anyio.Event()
        self._group.start_soon(self._show_signs, watch.scope, watch.settled, event)

    async def _show_signs(self, scope: anyio.CancelScope, settled: anyio.Event, event: Event) -> None:
        try:
            with scope:
                await anyio.sleep(FIRST_SIGN_S)
                await self._typing(event)
                await anyio.sleep(PLACEHOLDER_AFTER_S - FIRST_SIGN_S)
                if event.kind != "button":
                    # Once it is sent it must be noted, or it would stay behind.
                    with anyio.CancelScope(shield=True):
                        await self._place(event)
                with anyio.move_on_after(MOST_SIGNS_S):
                    while True:
                        await self._typing(event)
                        await anyio.sleep(TYPING_EVERY_S)
        finally:
            settled.set()
        if not scope.cancel_called:
            # Nobody finished it here; another process may have. It must not stand before the chat's next one.
            await self.end(event)

    async def _typing(self, event: Event) -> None:
        try:
            await self._calls.show_busy(event.chat)
        except DealQuestError as exc:
            logger.debug("No chat action: %s", exc.message)

    async def _place(self, event: Event) -> None:
        try:
            await self._turns.note_placeholder(event, await self._calls.send(event.chat, PLACEHOLDER))
        except DealQuestError as exc:
            logger.debug("No placeholder: %s", exc.message)
