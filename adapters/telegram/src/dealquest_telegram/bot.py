"""The bot: intake, workers and outlet around the durable conversation, from start to a graceful end.

Rules. Updates are stored before they are confirmed; a few workers finish turns, oldest first per chat; the outlet
delivers. On SIGTERM polling stops at once, turns that run may end within the grace and are handed back otherwise, and
what is being sent is sent. Whatever is killed instead is found again in the store.
"""

import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.abc
import attrs

from dealquest.coach import Begun, Done
from dealquest.coach.dialogue import Event
from dealquest.errors import DealQuestError, SettingsError
from dealquest.values import Clock

from .boundary import Conversation
from .calls import BotCalls
from .intake import Admit, Intake
from .outlet import Outlet
from .pace import Pace
from .progress import Progress
from .setaside import SetAside

logger = logging.getLogger("dealquest.telegram")

WORKERS = 8
IDLE_S = 1.0
BEGUN_KEEPS_S = 3.0
FAILURE_PAUSE_S = 1.0
QUIET_S = 90.0
# All of them, and the last words in `running`, are less than the ten seconds that hosts leave between SIGTERM and SIGKILL.
GRACE_S = 5.0
DELIVERY_GRACE_S = 1.5

Receive = Callable[[Intake], Awaitable[None]]
"""How updates come in: `Intake.poll`, or a webhook server that calls `Intake.take`; runs until cancelled."""


class TelegramBot:
    """One bot on one durable conversation.

    Args:
        turns: The durable conversation.
        calls: The bot's account.
        clock: For waiting.
        admit: Whether a person may use the bot.
        set_aside: Keeps updates that cannot be understood.
        workers: Most turns at a time.
        careful: Whether every answer is an edit of a placeholder, see `Outlet`.
        pace: How fast messages may go out.
    """

    def __init__(
        self,
        turns: Conversation,
        calls: BotCalls,
        *,
        clock: Clock,
        admit: Admit,
        set_aside: SetAside,
        workers: int = WORKERS,
        careful: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.source = f"telegram:{calls.bot_id}"
        self._lease = f"poll:{self.source}"
        self._turns = turns
        self._calls = calls
        self._clock = clock
        self._admit = admit
        self._set_aside = set_aside
        self._workers = workers
        self._careful = careful
        self._pace = pace or Pace()
        self._permits = anyio.Semaphore(0)
        self._waiting: Counter[str] = Counter()  # events stored by this process and not finished by it, per chat
        self._idle = 0  # workers that wait to be told of work
        self._begun: deque[tuple[Begun, float]] = deque()  # events that were claimed when they were stored
        self._stopping = False
        self._intake: Intake | None = None
        self._failure: SettingsError | None = None

    @property
    def is_receiving(self) -> bool:
        """Whether updates came in, or were asked for, within the last minute and a half."""
        return self._intake is not None and self._clock.monotonic() - self._intake.last_alive < QUIET_S

    async def run(self, stop: anyio.Event, receive: Receive = Intake.poll) -> None:
        """Serve until `stop` is set.

        Args:
            stop: Ends the bot gracefully, within ten seconds.
            receive: How updates come in.

        Raises:
            SettingsError: `telegram.token_refused`.
        """
        async with anyio.create_task_group() as group:
            progress = Progress(self._turns, self._calls, group)
            outlet = self._make_outlet()
            intake = self._intake = self._make_intake(group, progress)
            receiving, working = anyio.CancelScope(), anyio.CancelScope()
            received, worked = anyio.Event(), anyio.Event()
            group.start_soon(outlet.run)
            group.start_soon(progress.run)
            group.start_soon(self._run_workers, working, worked, outlet, progress)
            group.start_soon(self._run_intake, receiving, received, receive, intake, stop)
            logger.info("The bot %s is ready.", self.source)
            await stop.wait()
            self._stopping = True
            for _ in range(self._workers):
                self._permits.release()
            receiving.cancel()
            await received.wait()
            with anyio.move_on_after(GRACE_S):
                await worked.wait()
            working.cancel()
            await worked.wait()
            with anyio.move_on_after(DELIVERY_GRACE_S):
                await outlet.drain()
            with anyio.move_on_after(DELIVERY_GRACE_S):
                await outlet.put_back()
                for begun, _ in self._begun:
                    await self._turns.hand_back(begun)
            group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def run_once(self) -> int:
        """Take what waits, answer it, deliver it, and return: for hosts that start the bot now and then.

        Returns:
            How many turns were finished.

        Raises:
            SettingsError: `telegram.token_refused`.
            PeerError: Telegram or the store cannot be reached.
        """
        count = 0
        async with anyio.create_task_group() as group:
            progress = Progress(self._turns, self._calls, group)
            outlet = self._make_outlet()
            intake = self._make_intake(group, progress)
            offset = await intake.poll_once(0, timeout_s=0)
            # The call that finds nothing confirms what the one before it found.
            while (after := await intake.poll_once(offset, timeout_s=0)) != offset:
                offset = after
            while (done := await self._turns.work(self.source)) is not None:
                await outlet.deliver(await self._settle(done, progress))
                count += 1
            await outlet.deliver_all()
            group.cancel_scope.cancel()
        return count

    async def hand_over(self) -> None:
        """Let another process poll at once, without waiting for this one's lease to end."""
        try:
            await self._turns.drop_lease(self._lease)
        except DealQuestError as exc:
            logger.info("The poll lease could not be handed over, it ends by itself: %s", exc.message)

    def _make_outlet(self) -> Outlet:
        return Outlet(self._turns, self._calls, source=self.source, pace=self._pace, clock=self._clock, careful=self._careful)

    def _make_intake(self, group: anyio.abc.TaskGroup, progress: Progress) -> Intake:
        def on_stored(events: Sequence[Event], all_new: bool, begun: Begun | None) -> None:
            if begun is not None:
                self._begun.append((begun, anyio.current_time()))
            for event in events:
                self._waiting[event.chat] += 1
                # A repeated update may have its answer already, so nobody is told to wait for it.
                if all_new:
                    progress.begin(event)
            for _ in events:
                self._permits.release()

        return Intake(
            self._turns,
            self._calls,
            source=self.source,
            clock=self._clock,
            admit=self._admit,
            set_aside=self._set_aside,
            stored=on_stored,
            may_begin=lambda beginning: self._idle > len(self._begun) + beginning,
            group=group,
        )

    async def _run_intake(self, scope: anyio.CancelScope, ended: anyio.Event, receive: Receive, intake: Intake, stop: anyio.Event) -> None:
        try:
            with scope:
                await receive(intake)
        except SettingsError as exc:
            self._failure = exc
            stop.set()
        finally:
            ended.set()

    async def _run_workers(self, scope: anyio.CancelScope, ended: anyio.Event, outlet: Outlet, progress: Progress) -> None:
        try:
            with scope:
                async with anyio.create_task_group() as group:
                    for number in range(self._workers):
                        group.start_soon(self._worker, number == 0, outlet, progress)
        finally:
            ended.set()

    async def _worker(self, watchful: bool, outlet: Outlet, progress: Progress) -> None:  # one call, above
        while not self._stopping:
            try:
                done = await self._next_turn(progress)
            except DealQuestError as exc:
                logger.warning("A turn failed and will be tried again: %s", exc.message)
                await anyio.sleep(FAILURE_PAUSE_S)
                continue
            except Exception:  # the store has written the fault down; one bad turn must not end the bot
                logger.exception("A turn failed for a reason of our own.")
                await anyio.sleep(FAILURE_PAUSE_S)
                continue
            if done is None:
                await self._wait_for_work(watchful=watchful)
                continue
            more = self._has_more(done.event.chat)
            outlet.take(await self._settle(done, progress))
            if not more:
                await self._wait_for_work(watchful=watchful)

    async def _next_turn(self, progress: Progress) -> Done | None:
        """Finish what was claimed when it was stored, else whatever is the oldest."""
        while self._begun:
            begun, since = self._begun.popleft()
            # All workers were taken meanwhile: its lease has run all the time, so somebody else may have it soon.
            if anyio.current_time() - since < BEGUN_KEEPS_S:
                return await self._turns.finish(begun, on_partial=progress.show)
        return await self._turns.work(self.source, on_partial=progress.show)

    def _has_more(self, chat: str) -> bool:
        """Whether to look for work at once after a turn of this chat, instead of waiting to be told of some."""
        if self._waiting[chat] == 0:
            # Another process had received it and left it behind: there may be more of that, for other workers too.
            del self._waiting[chat]
            self._permits.release()
            return True
        self._waiting[chat] -= 1
        if self._waiting[chat] > 0:
            return True
        del self._waiting[chat]
        return False

    async def _wait_for_work(self, *, watchful: bool) -> None:
        """Sleep until something was stored; one worker also looks now and then for what a dead process left behind."""
        self._idle += 1
        try:
            with anyio.move_on_after(IDLE_S if watchful else math.inf):
                await self._permits.acquire()
        finally:
            self._idle -= 1

    async def _settle(self, done: Done, progress: Progress) -> Done:
        """Before delivery no more signs of being busy are given; the first reply takes the place of what they left."""
        placeholder = await progress.end(done.event)
        if placeholder is None or not done.deliveries:
            return done
        return attrs.evolve(done, deliveries=(attrs.evolve(done.deliveries[0], placeholder=placeholder), *done.deliveries[1:]))
