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
from types import FrameType
from typing import NoReturn

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dealquest.coach.dialogue import Button, Event, EventKind, Person
from dealquest.coach.turns import Delivery, Turns
from dealquest.compose import open_kit
from dealquest.errors import DealQuestError
from dealquest.settings import load_settings
from dealquest.values import Clock, SystemClock

from .terminal import Face, buttons_of, choose_face

SOURCE = "terminal"
_LEASE_S = 3.0
_PASTE_PAUSE_S = 0.02


def chat(*, plain: bool = False, name: str | None = None) -> None:
    """Open the coach in the terminal.

    Args:
        plain: Text alone, without colour and boxes; also chosen when the output is not a terminal.
        name: Who practises; the account's name when left out. Each name has XP and progress of its own.
    """
    settings = load_settings()
    face = choose_face(sys.stdout, plain=plain)
    with (
        _terminated_like_interrupted(),
        contextlib.suppress(KeyboardInterrupt),
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_kit(settings)) as kit,
    ):
        turns = kit.turns(worker=f"terminal:{os.getpid()}:{uuid.uuid4().hex[:8]}", lease_s=_LEASE_S)
        conversation = Conversation(turns, person=name or _account_name(), clock=SystemClock())
        _talk(portal, conversation, face)


class Conversation:
    """One person's chat, as events and replies; every line is stored before it is handled."""

    def __init__(self, turns: Turns, *, person: str, clock: Clock) -> None:
        self._turns = turns
        self._person = Person(local_name=person, first_name=person)
        self._chat = person
        self._clock = clock
        self._rng = random.SystemRandom()

    async def left_over(self) -> list[Delivery]:
        """Finish what an earlier run left open, and take the replies it did not show."""
        while await self._turns.work(SOURCE, chat=self._chat) is not None:
            pass
        return await self._turns.deliveries(SOURCE, chat=self._chat, most=50, lease_s=_LEASE_S)

    async def send(self, text: str, kind: EventKind = "text") -> list[Delivery]:
        """Store one event, see its turn finished, and return every reply that waits for this person."""
        moment = int(self._clock.now().timestamp() * 1000)
        event = Event(
            source=SOURCE, chat=self._chat, update_id=moment << 20 | self._rng.getrandbits(20), user=self._person, kind=kind, text=text
        )
        await self._turns.receive([event])
        # An older line may still be open: another terminal works on it, or a process died over it and its lease runs out.
        while True:
            done = await self._turns.work(SOURCE, chat=self._chat, update_id=event.update_id) or await self._turns.work(
                SOURCE, chat=self._chat
            )
            if done is not None and done.event.update_id == event.update_id:
                break
            if done is None:
                if await self._turns.replies_to(SOURCE, event.update_id) is not None:
                    break
                await anyio.sleep(0.05)
        waiting = await self._turns.deliveries(SOURCE, chat=self._chat, most=50, lease_s=_LEASE_S)
        if any(delivery.update_id == event.update_id for delivery in waiting):
            return waiting
        # Another terminal of the same person was quicker and took them.
        return [*waiting, *(await self._turns.replies_to(SOURCE, event.update_id) or ())]

    async def shown(self, deliveries: Sequence[Delivery]) -> None:
        """The person has seen these."""
        for delivery in deliveries:
            await self._turns.mark_sent(delivery)


def _talk(portal: BlockingPortal, conversation: Conversation, face: Face) -> None:
    choices: list[Button] = []
    for call in (conversation.left_over, _greeting(conversation)):
        choices = _show(portal, conversation, face, call) or choices
    for line in _lines(face):
        kind, text = _meaning(line, choices)
        choices = _show(portal, conversation, face, _sending(conversation, text, kind)) or choices


def _greeting(conversation: Conversation) -> Callable[[], Awaitable[list[Delivery]]]:
    return _sending(conversation, "", "hello")


def _sending(conversation: Conversation, text: str, kind: EventKind) -> Callable[[], Awaitable[list[Delivery]]]:
    async def send() -> list[Delivery]:
        return await conversation.send(text, kind)

    return send


def _show(portal: BlockingPortal, conversation: Conversation, face: Face, call: Callable[[], Awaitable[list[Delivery]]]) -> list[Button]:
    """Show what a call brings; returns the buttons that can be pressed now."""
    try:
        deliveries = portal.call(call)
    except DealQuestError as exc:
        face.note(f"{exc.message} What you wrote is kept where it was stored; send it again if nothing follows.")
        return []
    number = 1
    for delivery in deliveries:
        face.show(delivery.reply, first_button=number)
        number += len(buttons_of([delivery.reply]))
    try:
        portal.call(conversation.shown, deliveries)
    except DealQuestError as exc:
        face.note(exc.message)
    return buttons_of([delivery.reply for delivery in deliveries])


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
        try:
            line = input(face.prompt)
            # A pasted answer of several lines is one answer.
            while select.select([sys.stdin], [], [], _PASTE_PAUSE_S)[0]:
                line += "\n" + input()
        except EOFError:
            face.note("")
            return
        except UnicodeDecodeError:
            face.note("That line is not valid UTF-8 text. Check the terminal's encoding and write it again.")
            continue
        if line.strip():
            yield line


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
