"""What is open when something else begins: nothing that was said is lost without a word.

A talk with a line of the seller's is asked about before another scenario begins, and set aside, to be taken up again, when a
flow of another kind begins. A scenario without an answer gives way, with a sentence. Looks only at what a turn would do; begins nothing.
"""

from collections.abc import Sequence

import attrs
import msgspec

from dealquest.coach.pack import Scenario
from dealquest.coach.persona_prompt import Said

from .answering import open_buttons
from .asking import Step, reason_of
from .effects import Failed, Found, Look
from .scene import Flow, Rows, Scene
from .text import Text
from .values import Reply, Turn


@attrs.frozen
class Talk:
    """The role-play that is stored of a user, open or set aside."""

    scenario: Scenario
    lines: Sequence[Said]

    @property
    def has_words(self) -> bool:
        """Whether the seller said anything."""
        return any(line.by == "seller" for line in self.lines)


def stored_talk(scene: Scene) -> Step[Talk | Failed | None]:
    """The user's stored talk; None where there is none, or its scenario left the pack."""
    found = yield Look(function="look_roleplay")
    if not isinstance(found, Found):
        assert isinstance(found, Failed)
        return found
    if found.value is None:
        return None
    scenario = next((scenario for scenario in scene.pack.scenarios if scenario.id == found.value["scenario_id"]), None)
    return None if scenario is None else Talk(scenario, msgspec.convert(found.value["lines"], list[Said]))


def guard_open(scene: Scene, turn: Turn) -> Flow:
    """The turn as it may be done: as it is, with a sentence on what it closes, or a question in its place."""
    was, now = scene.state, turn.state
    if was.at == "roleplay" and now.at not in {"roleplay", "idle"}:
        talk = yield from stored_talk(scene)
        if not isinstance(talk, Talk) or not talk.has_words or talk.scenario.id != was.scenario_id:
            return turn
        if now.at == "answering":
            return _ask(scene, scene.say("roleplay.before_leaving", title=talk.scenario.title), open_buttons(scene))
        return _with_note(turn, scene.say("roleplay.set_aside", title=talk.scenario.title))
    if was.at != "roleplay" and now.at == "roleplay" and _begins_talk(turn):
        talk = yield from stored_talk(scene)
        if isinstance(talk, Failed):
            return _ask(scene, scene.say("roleplay.unread", reason=reason_of(scene, talk)), ())
        if talk is not None and talk.has_words:
            return _ask(scene, scene.say("roleplay.aside", title=talk.scenario.title), aside_buttons(scene, talk))
    scenario = scene.open_scenario()
    if scenario is not None and was.kept_answer is None and now.at != "idle" and (now.at, now.scenario_id) != (was.at, was.scenario_id):
        is_same = now.at == "roleplay" and now.scenario_id == was.scenario_id
        return turn if is_same else _with_note(turn, scene.say("scenario.left", title=scenario.title))
    return turn


def remind_of_talk(scene: Scene, turn: Turn) -> Flow:
    """The turn, and after it the talk that was set aside, with the way back."""
    if turn.state.at == "roleplay" or not scene.view.user.greeted:
        return turn
    talk = yield from stored_talk(scene)
    if not isinstance(talk, Talk) or not talk.has_words:
        return turn
    reply = Reply(text=scene.say("roleplay.aside", title=talk.scenario.title), buttons=aside_buttons(scene, talk))
    return attrs.evolve(turn, replies=(*turn.replies, reply))


def aside_buttons(scene: Scene, talk: Talk) -> Rows:
    """What can be done with a talk that was set aside."""
    return ((scene.button("roleplay_go_on", "role:go_on"), scene.button("drop", f"role:discard:{talk.scenario.id}")),)


def _begins_talk(turn: Turn) -> bool:
    return any(change.kind == "keep_roleplay" and not change.values["lines"] for change in turn.changes)


def _ask(scene: Scene, words: Text, rows: Rows) -> Turn:
    return scene.stay(attrs.evolve(scene.reply(words, buttons=rows), edit=False))


def _with_note(turn: Turn, note: Text) -> Turn:
    if not turn.replies:
        return turn
    first, *others = turn.replies
    return attrs.evolve(turn, replies=(attrs.evolve(first, text=note + "\n\n" + first.text), *others))
