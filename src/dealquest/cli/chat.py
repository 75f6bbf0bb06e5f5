"""`dealquest chat`: the coach in the terminal.

The event loop runs beside, in a portal; this thread belongs to the person who types, so line editing
works and Ctrl-C means what it always means.
"""

import contextlib
import getpass
import os
import random
import select
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dealquest.coach.dialogue import Button, Event, EventKind, Person, storable
from dealquest.coach.turns import Delivery, Turns
from dealquest.compose import open_kit
from dealquest.errors import DealQuestError, InputError, PeerUnavailableError
from dealquest.settings import load_settings
from dealquest.values import Clock, SystemClock

from .terminal import Face, buttons_of, choose_face

SOURCE = "terminal"
MAX_NAME = 64
PATIENCE_S = 8.0
_LEASE_S = 3.0
_PAUSE_S = 0.05
_PASTE_PAUSE_S = 0.02


def chat(*, plain: bool = False, name: str | None = None) -> None:
    """Open the coach in the terminal.

    Args:
        plain: Text alone, without colour and boxes; also chosen when the output is not a terminal.
        name: Who practises; the account's name when left out. Each name has XP and progress of its own.
    """
    if sys.stdin is None or sys.stdout is None:
        raise InputError("The chat needs its input and output open; do not close them.", code="cli.chat.closed")
    person = storable(name if name is not None else _account_name()).strip()
    if not person or not person.isprintable() or len(person) > MAX_NAME:
        raise InputError(f"--name takes 1 to {MAX_NAME} printable characters.", code="cli.chat.name")
    settings = load_settings()
    face = choose_face(sys.stdout, plain=plain)
    with (
        _terminated_like_interrupted(),
        contextlib.suppress(KeyboardInterrupt),
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_kit(settings)) as kit,
    ):
        turns = kit.turns(worker=f"terminal:{os.getpid()}:{uuid.uuid4().hex[:8]}", lease_s=_LEASE_S)
        conversation = Conversation(turns, person=person, clock=SystemClock())
        _talk(portal, conversation, face)


class Conversation:
    """One person's chat, as events and replies; every line is stored before it is handled."""

    def __init__(self, turns: Turns, *, person: str, clock: Clock) -> None:
        self._turns = turns
        self._person = Person(local_name=person, first_name=person)
        self._chat = person
        self._clock = clock
        self._rng = random.SystemRandom()
        self._unstored: list[Event] = []
        self._trouble: PeerUnavailableError | None = None

    async def open(self) -> list[Delivery]:
        """Finish what an earlier run left open, greet, and take every reply that was not shown yet."""
        while await self._turns.work(SOURCE, chat=self._chat) is not None:
            pass
        await self._turns.sweep()
        return await self.send("", "hello")

    def what_is_kept(self) -> str:
        """After a failure: where the last line is."""
        if self._unstored:
            return "Your line is kept in this window and is sent again with your next one."
        return "Your line is stored; its answer follows when this works again."

    async def send(self, text: str, kind: EventKind = "text") -> list[Delivery]:
        """Store one event, see its turn finished, and return every reply that waits for this person."""
        moment = int(self._clock.now().timestamp() * 1000)
        event = Event(
            source=SOURCE, chat=self._chat, update_id=moment << 20 | self._rng.getrandbits(20), user=self._person, kind=kind, text=text
        )
        self._unstored.append(event)
        await self._turns.receive(self._unstored)
        self._unstored.clear()
        # An older line may still be open: another terminal works on it, or a process died over it and its lease runs out.
        since = self._clock.monotonic()
        while not await self._is_finished(event):
            if self._clock.monotonic() - since > PATIENCE_S and self._trouble is not None:
                raise self._trouble
            await anyio.sleep(_PAUSE_S)
        waiting = await self._turns.deliveries(SOURCE, chat=self._chat, most=50, lease_s=_LEASE_S)
        if any(delivery.update_id == event.update_id for delivery in waiting):
            return waiting
        # Another terminal of the same person was quicker and took them.
        return [*waiting, *(await self._turns.replies_to(SOURCE, event.update_id) or ())]

    async def _is_finished(self, event: Event) -> bool:
        """Work on the line, or on one before it; whether the line has its answer now."""
        self._trouble = None
        try:
            done = await self._turns.work(SOURCE, chat=self._chat, update_id=event.update_id)
            if done is not None:
                return True
            await self._turns.work(SOURCE, chat=self._chat)
            return await self._turns.replies_to(SOURCE, event.update_id) is not None
        except PeerUnavailableError as exc:
            self._trouble = exc  # a server that was killed is back in a moment
            return False

    async def shown(self, deliveries: Sequence[Delivery]) -> None:
        """The person has seen these."""
        for delivery in deliveries:
            await self._turns.mark_sent(delivery)


def _talk(portal: BlockingPortal, conversation: Conversation, face: Face) -> None:
    choices: list[Button] = []

    def show(call: Callable[[], Awaitable[list[Delivery]]]) -> None:
        """Show what a call brings; only the buttons of the newest replies can be pressed."""
        nonlocal choices
        try:
            deliveries = portal.call(call)
        except DealQuestError as exc:
            face.note(f"{exc.message} {conversation.what_is_kept()}")
            return
        choices = []
        for delivery in deliveries:
            face.show(delivery.reply, first_button=len(choices) + 1)
            choices += buttons_of([delivery.reply])
        try:
            portal.call(conversation.shown, deliveries)
        except DealQuestError as exc:
            face.note(exc.message)

    show(conversation.open)
    for line in _lines(face):
        kind, text = _meaning(line, choices)
        show(partial(conversation.send, text, kind))


def _meaning(line: str, choices: Sequence[Button]) -> tuple[EventKind, str]:
    """A number or a label of the buttons on screen presses it; everything else is text."""
    word = line.strip()
    if word.isascii() and word.isdigit() and 1 <= int(word) <= len(choices):
        return "button", choices[int(word) - 1].data
    for button in choices:
        if word.casefold() == button.label.casefold():
            return "button", button.data
    return "text", line


def _lines(face: Face) -> Iterator[str]:
    """What is typed or piped, until the end of input."""
    if not sys.stdin.isatty():
        for raw in sys.stdin.buffer:
            line = raw.decode(errors="replace").rstrip("\r\n")
            face.note(face.prompt + line)
            yield line
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # importing it gives input() line editing and history
    while True:
        lines: list[str] = []
        at_end = False
        try:
            lines.append(input(face.prompt))
            # A pasted answer of several lines is one answer.
            while select.select([sys.stdin], [], [], _PASTE_PAUSE_S)[0]:
                lines.append(input())
        except EOFError:
            at_end = True
        except UnicodeDecodeError:
            face.note("A line was not valid UTF-8 text and was left out. Check the terminal's encoding.")
        if any(line.strip() for line in lines):
            yield "\n".join(lines)
        if at_end:
            face.note("")
            return


def _account_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "you"  # an account without a name, as some containers have


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and a closed terminal end the chat as Ctrl-C does: cleanly."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
