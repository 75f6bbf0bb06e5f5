"""The way in: which flow an event belongs to. Commands always win over an open scenario."""

import re

import attrs

from .answering import answer, ask_about_kept, keep_late, score_kept, show_ideal
from .home import (
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
from .learn import begin_level, show_learning, show_lesson, show_track
from .scene import Flow, Scene
from .train import DIFFICULTIES, next_scenario, show_training, take_up
from .values import Turn

_COMMAND = re.compile(r"/([A-Za-z_]+)(?:@\w+)?(?:\s+(.*))?\Z", re.DOTALL)


def converse(scene: Scene) -> Flow:
    """One event to one turn.

    Yields:
        Effects to perform; send each one's result back. The generator's return value is the turn.
    """
    if not is_expired(scene):
        return (yield from _route(scene))
    scenario = scene.open_scenario()
    if scenario is not None and scene.event.kind == "text" and not scene.event.text.lstrip().startswith("/"):
        return keep_late(scene, scenario)
    note = note_expired(scene)
    idle = attrs.evolve(scene, view=attrs.evolve(scene.view, state=set_aside(scene.state)))
    if scene.event.kind == "text" and not scene.event.text.lstrip().startswith("/"):
        return Turn(replies=(note,), state=idle.state)
    turn = yield from _route(idle)
    return attrs.evolve(turn, replies=(note, *turn.replies))


def _route(scene: Scene) -> Flow:
    event = scene.event
    if event.kind == "hello":
        return show_start(scene)
    if event.kind == "button":
        return (yield from _press(scene, event.text))
    if event.kind != "text":
        return scene.stay(scene.reply(scene.say("unknown.media")))
    text = event.text.strip()
    if text.startswith("/"):
        return _command(scene, text)
    if scene.state.at == "answering":
        return (yield from answer(scene, event.text))
    return unknown_text(scene)


def _command(scene: Scene, text: str) -> Turn:
    match = _COMMAND.match(text)
    command = match.group(1).casefold() if match else text[1:].split(" ", maxsplit=1)[0]
    argument = (match.group(2) or "").strip().casefold() if match else ""
    match command:
        case "start":
            return show_start(scene)
        case "learn":
            return show_learning(scene)
        case "train":
            if argument not in DIFFICULTIES:
                return show_training(scene)
            return ask_about_kept(scene) if _has_kept(scene) else next_scenario(scene, DIFFICULTIES[argument])
        case "stats":
            return show_stats(scene)
        case "help":
            return show_help(scene)
        case "cancel":
            return cancel(scene)
        case _:
            return unknown_command(scene, command)


def _press(scene: Scene, data: str) -> Flow:
    """A button's data is a wish, not a right: whatever it names is checked against what the user may do."""
    turn: Turn | None
    match data.split(":", 2):
        case ["go", "learn"]:
            turn = show_learning(scene)
        case ["go", "train"]:
            turn = show_training(scene)
        case ["go", "stats"]:
            turn = show_stats(scene)
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
            turn = next_scenario(scene, int(difficulty))
        case ["train", "next"]:
            turn = next_scenario(scene, scene.state.difficulty)
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
