"""What comes before every flow: keys in the wrong place, and what was asked to be typed beside the open scenario."""

import re

import attrs

from .keys import holds_key, read_key, refuse_key, without_entering
from .part import Answer
from .scene import OPEN_FOR, Scene
from .settings_menu import read_model, read_time_zone
from .values import Entering

_CANCEL = re.compile(r"/cancel(@\w+)?", re.IGNORECASE)
_CONFIRMING = {"confirm_reset": "reset", "confirm_delete": "delete", "confirm_forget": "forget", "confirm_delete_lead": "delete_lead"}


def read_entry(scene: Scene) -> Answer | None:
    """The answer to an event that belongs to no flow: a key, or what was asked for; None for everything else."""
    event, entering = scene.event, _open_entering(scene)
    if event.kind in {"button", "job", "hello"}:
        return None
    text = event.text.strip()
    if event.kind == "text" and _CANCEL.fullmatch(text) and entering is not None:
        reply = scene.reply(scene.say("entry.left"))
        return attrs.evolve(scene.stay(reply), state=without_entering(scene.state))
    if text.startswith("/") or entering is None or entering.what in _CONFIRMING.values():
        return refuse_key(scene) if holds_key(text) else None
    match entering.what:
        case "key":
            return read_key(scene, entering)
        case _ if holds_key(text):
            return refuse_key(scene)
        case _ if event.kind != "text":
            return scene.stay(scene.reply(scene.say("entry.text_only")))
        case "model":
            return read_model(scene, text)
        case _:
            return read_time_zone(scene, text)


def leave_entry(scene: Scene) -> Scene:
    """The scene as the flows see it: whatever was asked for is off, unless this is the button that confirms it."""
    entering, event = _open_entering(scene), scene.event
    if event.kind == "job" or scene.state.entering is None:
        return scene
    if event.kind == "button" and entering is not None and _CONFIRMING.get(event.text.split(":", 1)[0]) == entering.what:
        return scene
    return attrs.evolve(scene, view=attrs.evolve(scene.view, state=without_entering(scene.state)))


def _open_entering(scene: Scene) -> Entering | None:
    entering = scene.state.entering
    return None if entering is None or scene.now - entering.since > OPEN_FOR else entering
