"""What is kept of a user, in their own hands: seen, taken along, begun anew, deleted. Each question says exactly what goes."""

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import msgspec

from .asking import reason_of
from .effects import Failed, Found, Look
from .home import streak_of
from .keys import without_entering
from .part import Answer, Part
from .remembering import show_memory
from .scene import Flow, Rows, Scene
from .text import Text, join
from .values import Change, Document, Entering, Reply, State, Turn

_RESET = ("attempts", "xp_ledger", "scenarios_seen", "track_progress", "badges", "skill_cards", "roleplays", "user_memory")


def press_data(scene: Scene, words: Sequence[str]) -> Answer | None:
    """The buttons of the settings that concern one's own data."""
    match words:
        case ["memory"]:
            return show_memory(scene)
        case ["export"]:
            return _export(scene)
        case ["reset"]:
            return _ask_reset(scene)
        case ["delete"]:
            return _ask_delete(scene)
    return None


def back_to_settings(scene: Scene) -> Rows:
    """The way back."""
    return ((scene.button("back", "settings:back"),),)


def _export(scene: Scene) -> Flow:
    found = yield Look(function="look_my_data")
    if not isinstance(found, Found):
        return _failed(scene, found)
    content = msgspec.json.format(msgspec.json.encode({"exported_at": scene.now, **found.value}), indent=2).decode()
    document = Document(name=f"dealquest-{scene.now:%Y-%m-%d}.json", content=content)
    reply = Reply(text=scene.say("export.done"), document=document, buttons=back_to_settings(scene))
    return scene.stay(reply)


def _ask_reset(scene: Scene) -> Flow:
    found = yield Look(function="look_my_footprint")
    if not isinstance(found, Found):
        return _failed(scene, found)
    what = _listed(scene, {name: count for name, count in found.value.items() if name in _RESET})
    words = scene.say("reset.ask", xp=scene.view.user.total_xp, streak=streak_of(scene))
    return _ask(scene, "reset", (words, what, scene.say("reset.stays")))


def _ask_delete(scene: Scene) -> Flow:
    found = yield Look(function="look_my_footprint")
    if not isinstance(found, Found):
        return _failed(scene, found)
    return _ask(scene, "delete", (scene.say("delete.ask"), _listed(scene, found.value), scene.say("delete.stays")))


def _ask(scene: Scene, what: Literal["reset", "delete"], parts: Sequence[Text]) -> Turn:
    rows = ((scene.button(f"confirm_{what}", f"confirm_{what}:yes"),), *back_to_settings(scene))
    state = attrs.evolve(scene.state, entering=Entering(what=what, since=scene.now))
    return Turn(replies=(scene.reply(*parts, buttons=rows),), state=state)


def _reset(scene: Scene, words: Sequence[str]) -> Turn | None:
    if list(words) != ["yes"] or not _was_asked(scene, "reset"):
        return None
    rows = ((scene.button("first_lesson", "go:learn"), scene.button("settings", "settings:back")),)
    return Turn(replies=(scene.reply(scene.say("reset.done"), buttons=rows),), state=State(), changes=(Change(kind="reset_progress"),))


def _delete(scene: Scene, words: Sequence[str]) -> Turn | None:
    if list(words) != ["yes"] or not _was_asked(scene, "delete"):
        return None
    return Turn(replies=(scene.reply(scene.say("delete.done")),), state=State(), changes=(Change(kind="delete_everything"),))


def _was_asked(scene: Scene, what: str) -> bool:
    return scene.state.entering is not None and scene.state.entering.what == what


def _listed(scene: Scene, counts: Mapping[str, int]) -> Text:
    """A line per kind of row; a table without a name of its own is called by its name."""
    names = scene.texts.templates
    lines = []
    for table, count in sorted(counts.items(), key=lambda item: -item[1]):
        name = names.get(f"table.{table}", table.replace("_", " "))
        lines.append(scene.say("delete.line", count=count, name=name))
    return join(lines) if lines else scene.say("delete.nothing")


def _failed(scene: Scene, found: object) -> Turn:
    assert isinstance(found, Failed)
    return attrs.evolve(
        scene.stay(scene.reply(scene.say("data.failed", reason=reason_of(scene, found)), buttons=back_to_settings(scene))),
        state=without_entering(scene.state),
    )


MY_DATA = Part(buttons={"confirm_reset": _reset, "confirm_delete": _delete})
