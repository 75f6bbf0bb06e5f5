"""`dealquest chat`: the coach in the terminal.

The event loop runs beside, in a portal; this thread belongs to the person who types, so line editing
works and Ctrl-C means what it always means.
"""

import contextlib
import getpass
import io
import os
import random
import select
import shlex
import signal
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import anyio
import attrs
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dealquest.coach import Delivery, Turns
from dealquest.coach.dialogue import Button, Document, Event, EventKind, Person, storable
from dealquest.compose import open_kit
from dealquest.errors import DealQuestError, InputError, PeerUnavailableError
from dealquest.settings import load_settings
from dealquest.values import Clock, SystemClock

from .local_media import LocalMedia, check_file
from .terminal import Face, buttons_of, choose_face

SOURCE = "terminal"
MAX_NAME = 64
PATIENCE_S = 8.0
_LEASE_S = 3.0
_PAUSE_S = 0.05
_PASTE_PAUSE_S = 0.02
_JOBS_EVERY_S = 1.0
_NO_BUTTON_DIGITS = 3
"""A number of so many digits is no slip of the finger, but something to say."""
_FILES = "Here also: /photo PATH caption, and /voice PATH, for a picture or a recording on this machine."


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
        turns = kit.turns(worker=f"terminal:{os.getpid()}:{uuid.uuid4().hex[:8]}", lease_s=_LEASE_S, media=LocalMedia())
        conversation = Conversation(turns, person=person, clock=SystemClock())
        _Talk(portal, conversation, face, folder=settings.home / "documents").run()


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

    async def send(self, text: str, kind: EventKind = "text", media: Mapping[str, Any] | None = None) -> list[Delivery]:
        """Store one event, see its turn finished, and return every reply that waits for this person."""
        moment = int(self._clock.now().timestamp() * 1000)
        number = moment << 20 | self._rng.getrandbits(20)
        event = Event(
            source=SOURCE, chat=self._chat, update_id=number, user=self._person, kind=kind, text=text, message_id=number, media=media
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
        waiting = await self.waiting()
        if any(delivery.update_id == event.update_id for delivery in waiting):
            return waiting
        # Another terminal of the same person was quicker and took them.
        return [*waiting, *(await self._turns.replies_to(SOURCE, event.update_id) or ())]

    async def work_off_jobs(self) -> bool:
        """Do what earlier turns left to be done later and what is due by now; whether there was anything."""
        worked = False
        while await self._turns.work(SOURCE, only_jobs=True) is not None:
            worked = True
        return worked

    async def waiting(self) -> list[Delivery]:
        """Every reply that waits for this person."""
        return await self._turns.deliveries(SOURCE, chat=self._chat, most=50, lease_s=_LEASE_S)

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


@attrs.frozen
class _Meant:
    """What a line means."""

    kind: EventKind
    text: str
    media: Mapping[str, Any] | None = None


class _Talk:
    """What is on screen: replies, the buttons that can be pressed, and what jobs bring while the person types."""

    def __init__(self, portal: BlockingPortal, conversation: Conversation, face: Face, *, folder: Path) -> None:
        self._portal = portal
        self._conversation = conversation
        self._face = face
        self._folder = folder
        self._choices: list[Button] = []
        self._screen = threading.Lock()

    def run(self) -> None:
        """Talk until the end of input."""
        self._show(self._conversation.open)
        if not sys.stdin.isatty():
            for line in _lines(self._face):
                self._take(line)
                self._show_jobs()
            return
        watching = self._portal.start_task_soon(self._watch)
        try:
            for line in _lines(self._face):
                self._take(line)
        finally:
            watching.cancel()
            with contextlib.suppress(CancelledError):
                watching.result()

    def _take(self, line: str) -> None:
        try:
            meant = _meaning(line, self._choices)
        except DealQuestError as exc:
            self._face.note(exc.message)
            return
        self._show(partial(self._conversation.send, meant.text, meant.kind, meant.media))
        if line.split(maxsplit=1)[:1] == ["/help"]:
            self._face.note(_FILES)

    def _show(self, call: Callable[[], Awaitable[list[Delivery]]], *, anew: bool = True) -> None:
        """Show what a call brings; only the buttons of the newest replies can be pressed."""
        with self._screen:
            try:
                deliveries = self._portal.call(call)
            except DealQuestError as exc:
                self._face.note(f"{exc.message} {self._conversation.what_is_kept()}")
                return
            if anew:
                self._choices = []
            self._print(deliveries)

    def _print(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            reply = delivery.reply
            if reply.erase is not None:
                self._face.note(reply.erase.otherwise.plain)  # nobody can take back what stands on a screen
            self._face.show(reply, first_button=len(self._choices) + 1)
            self._choices += buttons_of([reply])
            if reply.document is not None:
                self._save(reply.document)
        try:
            self._portal.call(self._conversation.shown, deliveries)
        except DealQuestError as exc:
            self._face.note(exc.message)

    def _save(self, document: Document) -> None:
        """A file for its owner alone, beside earlier ones."""
        name = Path(document.name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = 1
            while (path := self._folder / f"{name.stem}{'' if number == 1 else f'-{number}'}{name.suffix}").exists():
                number += 1
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(document.content)
        except OSError as exc:
            self._face.note(f"The file {name.name} cannot be saved in {self._folder} ({exc.strerror}).")
            return
        self._face.note(f"Saved as {path}")

    def _show_jobs(self) -> None:
        """Do what is due, and show what it brings."""
        try:
            worked = self._portal.call(self._conversation.work_off_jobs)
        except DealQuestError:
            return  # the job stays open; whoever comes next tries it again
        if worked:
            self._show(self._conversation.waiting, anew=False)

    async def _watch(self) -> None:
        """Do what is due while the person thinks, and show what it brings above the line being typed."""
        while True:
            await anyio.sleep(_JOBS_EVERY_S)
            with contextlib.suppress(DealQuestError):  # storage is away; the job stays open
                if await self._conversation.work_off_jobs():
                    await to_thread.run_sync(self._interject)

    def _interject(self) -> None:
        with self._screen:
            deliveries = self._portal.call(self._conversation.waiting)
            if not deliveries:
                return
            self._face.note("")
            self._print(deliveries)
            sys.stdout.write(self._face.prompt + _typed_so_far())
            sys.stdout.flush()


def _meaning(line: str, choices: Sequence[Button]) -> _Meant:
    """A number or a label of the buttons on screen presses it; everything else is text, or a file's path."""
    word = line.strip()
    if choices and word.isascii() and word.isdigit() and len(word) < _NO_BUTTON_DIGITS:
        if not 1 <= int(word) <= len(choices):
            raise InputError(f"There is no button {word} here: they go from 1 to {len(choices)}.", code="cli.chat.no_button")
        return _Meant("button", choices[int(word) - 1].data)
    for button in choices:
        if word.casefold() == button.label.casefold():
            return _Meant("button", button.data)
    match word.split(maxsplit=1):
        case ["/photo", rest]:
            path, caption = _path_and_rest(rest)
            return _Meant("photo", caption, {"path": str(path)})
        case ["/voice", rest]:
            path, _ = _path_and_rest(rest)
            return _Meant("voice", "", {"path": str(path)})
        case ["/photo" | "/voice"]:
            raise InputError(_FILES, code="cli.media.no_path")
    return _Meant("text", line)


def _path_and_rest(text: str) -> tuple[Path, str]:
    """A path, quoted where it holds blanks, and what stands after it."""
    source = io.StringIO(text)
    reader = shlex.shlex(source, posix=True)
    reader.whitespace_split = True
    reader.commenters = ""
    try:
        word = reader.get_token() or ""
    except ValueError:
        word = text  # a quote that does not close belongs to the name
    path = Path(word)
    with contextlib.suppress(RuntimeError):  # the home of somebody who is not known here is no home
        path = path.expanduser()
    path = path.absolute()
    check_file(path)
    return path, source.read().strip()


def _typed_so_far() -> str:
    with contextlib.suppress(ImportError):
        import readline  # where there is none, there is no line to bring back

        return readline.get_line_buffer()
    return ""


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
