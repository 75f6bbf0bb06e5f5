"""The way in: which flow an event belongs to. Commands always win over an open scenario."""

import re

import attrs

from . import remembering, roleplay
from .admin import ADMIN
from .answering import answer, ask_about_kept, keep_late, score_kept, show_ideal
from .asking import reason_of
from .catalogue import catalogue
from .effects import Failed, Hear, Heard
from .entry import leave_entry, read_entry
from .home import (
    COMMANDS,
    cancel,
    is_expired,
    note_expired,
    set_aside,
    show_help,
    show_start,
    show_stats,
    stale_button,
    unknown_command,
    unknown_text,
)
from .lead_talk import JOBS as LEAD_JOBS
from .leads import PART as LEADS
from .learn import begin_level, show_learning, show_lesson, show_track
from .leaving import guard_open, remind_of_talk
from .links import follow_link
from .my_data import MY_DATA
from .onboarding import ONBOARDING
from .part import Job, Part, finish
from .scene import Flow, Scene
from .settings_menu import SETTINGS
from .support import PART as SUPPORT
from .train import DIFFICULTIES, next_scenario, show_training, take_up
from .values import Turn
from .writing import write_scenarios

PARTS: tuple[Part, ...] = (ONBOARDING, SETTINGS, MY_DATA, roleplay.PART, remembering.PART, SUPPORT, LEADS, ADMIN)
"""The flows beside learning and practice; the first that knows a word takes it."""

JOBS: dict[str, Job] = {"memory": remembering.update_memory, "scenarios": write_scenarios, **LEAD_JOBS}
"""What is done later, by the kind a turn named in its `start_job`."""

LEFT_BY_COMMANDS = frozenset({"support", "lead_context", "lead_screenshot", "lead_edit", "lead_note"})
"""Flows that wait for words about one thing: whoever turns to something else is not asked about it any more."""

_COMMAND = re.compile(r"/([A-Za-z_]+)(?:@\w+)?(?:\s+(.*))?\Z", re.DOTALL)


def converse(scene: Scene) -> Flow:
    """One event to one turn.

    Yields:
        Effects to perform; send each one's result back. The generator's return value is the turn.
    """
    if (entry := read_entry(scene)) is not None:
        return (yield from finish(entry))
    scene = leave_entry(scene)
    if not is_expired(scene):
        return (yield from guard_open(scene, (yield from _route(scene))))
    scenario = scene.open_scenario()
    if scenario is not None and scene.event.kind == "text" and not scene.event.text.lstrip().startswith("/"):
        return keep_late(scene, scenario)
    note = note_expired(scene)
    idle = attrs.evolve(scene, view=attrs.evolve(scene.view, state=set_aside(scene.state)))
    if scene.event.kind == "text" and not scene.event.text.lstrip().startswith("/"):
        return Turn(replies=(note,), state=idle.state)
    turn = yield from guard_open(idle, (yield from _route(idle)))
    return attrs.evolve(turn, replies=(note, *turn.replies))


def commands_of(language: str, *, is_admin: bool = False) -> tuple[tuple[str, str], ...]:
    """Every command with what it does, for a channel's menu.

    >>> commands_of("en")[0]
    ('start', 'where you stand and what to do next')
    """
    texts = catalogue(language)
    return tuple((name, texts.label(f"command.{name}")) for name in _commands(is_admin=is_admin))


def _commands(*, is_admin: bool) -> tuple[str, ...]:
    return (*COMMANDS, *ADMIN.commands) if is_admin else COMMANDS


def _route(scene: Scene) -> Flow:
    event = scene.event
    match event.kind:
        case "hello":
            return (yield from remind_of_talk(scene, show_start(scene)))
        case "button":
            return (yield from _press(scene, event.text))
        case "voice":
            return (yield from _listen(scene))
        case "job":
            return (yield from finish(JOBS[event.text](scene))) if event.text in JOBS else scene.stay()
        case "photo":
            return (yield from finish(show_photo(scene)))
        case "other":
            return scene.stay(scene.reply(scene.say("unknown.media")))
    text = event.text.strip()
    if text.startswith("/"):
        return (yield from _command(scene, text))
    return (yield from _words(scene))


def _words(scene: Scene) -> Flow:
    """Words that are no command belong to whatever is open."""
    if scene.state.at == "answering":
        return (yield from answer(scene, scene.event.text))
    for part in PARTS:
        if scene.state.at in part.words:
            return (yield from finish(part.words[scene.state.at](scene)))
    return unknown_text(scene)


def _listen(scene: Scene) -> Flow:
    """A voice message counts as what was said in it, never as a command; it is shown as it was heard."""
    if not scene.house.hears or scene.event.media is None:
        return scene.stay(scene.reply(scene.say("voice.off")))
    heard = yield Hear(media=scene.event.media)
    if not isinstance(heard, Heard):
        assert isinstance(heard, Failed)
        return scene.stay(scene.reply(scene.say("voice.failed", reason=reason_of(scene, heard))))
    if not heard.text.strip():
        return scene.stay(scene.reply(scene.say("voice.silence")))
    turn = yield from _words(attrs.evolve(scene, event=attrs.evolve(scene.event, text=heard.text)))
    return attrs.evolve(turn, replies=(scene.reply(scene.say("voice.heard", text=heard.text)), *turn.replies))


def show_photo(scene: Scene) -> Flow | Turn:
    """A photo belongs to the flow that is open, where it takes photos."""
    for part in PARTS:
        if scene.state.at in part.photos:
            return part.photos[scene.state.at](scene)
    return scene.stay(scene.reply(scene.say("unknown.media")))


def _command(scene: Scene, text: str) -> Flow:
    match = _COMMAND.match(text)
    command = match.group(1).casefold() if match else text[1:].split(" ", maxsplit=1)[0]
    argument = (match.group(2) or "").strip().casefold() if match else ""
    if scene.state.at in LEFT_BY_COMMANDS and command in set(_commands(is_admin=scene.is_admin)) - {"help", "cancel"}:
        scene = attrs.evolve(scene, view=attrs.evolve(scene.view, state=set_aside(scene.state)))
    match command:
        case "start":
            linked = follow_link(scene, argument) if argument else None
            return linked or (yield from remind_of_talk(scene, show_start(scene)))
        case "learn":
            return show_learning(scene)
        case "train":
            if argument not in DIFFICULTIES:
                return show_training(scene)
            return ask_about_kept(scene) if _has_kept(scene) else (yield from next_scenario(scene, DIFFICULTIES[argument]))
        case "stats":
            return (yield from show_stats(scene))
        case "help":
            return show_help(scene, _commands(is_admin=scene.is_admin))
        case "cancel":
            return cancel(scene)
    for part in PARTS:
        if command in part.commands and (scene.is_admin or part is not ADMIN):
            return (yield from finish(part.commands[command](scene, argument)))
    return unknown_command(scene, command, _commands(is_admin=scene.is_admin))


def _press(scene: Scene, data: str) -> Flow:
    """A button's data is a wish, not a right: whatever it names is checked against what the user may do."""
    for part in PARTS:
        if (word := data.split(":", 1)[0]) in part.buttons:
            pressed = part.buttons[word](scene, data.split(":")[1:])
            if pressed is not None:
                return (yield from finish(pressed))
    turn: Turn | None
    match data.split(":", 2):
        case ["go", "learn"]:
            turn = show_learning(scene)
        case ["go", "train"]:
            turn = show_training(scene)
        case ["go", "stats"]:
            turn = yield from show_stats(scene)
        case ["learn", "track", track_id]:
            turn = show_track(scene, track_id)
        case ["learn", "level", level_id]:
            turn = show_lesson(scene, level_id)
        case ["go", "cancel"]:
            turn = cancel(scene)
        case ["learn", "scenario", _] | ["train", _, *_] | ["again", _] if _has_kept(scene):
            turn = ask_about_kept(scene)
        case ["learn", "scenario", level_id]:
            turn = begin_level(scene, level_id)
        case ["train", "diff", ("0" | "1" | "2" | "3") as difficulty]:
            turn = yield from next_scenario(scene, int(difficulty))
        case ["train", "next"]:
            turn = yield from next_scenario(scene, scene.state.difficulty)
        case ["again", scenario_id]:
            turn = take_up(scene, scenario_id) or _level_of_scenario(scene, scenario_id)
        case ["ideal", scenario_id]:
            turn = show_ideal(scene, scenario_id)
        case ["score", ("again" | "offline") as how]:
            return (yield from score_kept(scene, offline=how == "offline"))
        case _:
            turn = None
    return stale_button(scene) if turn is None else turn


def _has_kept(scene: Scene) -> bool:
    return scene.state.at == "answering" and scene.state.kept_answer is not None


def _level_of_scenario(scene: Scene, scenario_id: str) -> Turn | None:
    for track in scene.pack.tracks:
        for level in track.levels:
            if level.scenario.id == scenario_id:
                return begin_level(scene, level.id)
    return None
