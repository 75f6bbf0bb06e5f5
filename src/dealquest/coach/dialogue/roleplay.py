"""Role-play: a live talk of a few turns with a scenario's persona, scored at the end against the same rubric.

A model plays the persona; without one this flow says so and offers a single answer instead. The talk is kept with every
turn, so neither a restart nor a failing model loses it.
"""

from collections.abc import Generator, Sequence

import attrs
import msgspec

from dealquest.coach.pack import Scenario
from dealquest.coach.persona_prompt import Said, build_persona_orders, faults_of_reply, seller_text, tidy_reply
from dealquest.coach.scorecard import ScoreCard

from .answering import MAX_ANSWER_CHARACTERS, ask_about_kept, clean_answer, graded, open_buttons, start_buttons
from .asking import reason_of
from .effects import Answered, AskModel, Effect, EffectResult, Failed, Found, Line, Look, ScoreAnswer
from .home import cancel, stale_button
from .leaving import stored_talk
from .part import Part
from .rewards import reward
from .scene import OPEN_FOR, Flow, Rows, Scene, level_status, show_scenario
from .text import styled
from .train import DIFFICULTIES
from .values import Change, Reply, State, Turn

TURNS = {1: 4, 2: 5, 3: 6}
"""How often the seller speaks, by difficulty."""

MAX_LINE_CHARACTERS = (MAX_ANSWER_CHARACTERS - 100) // max(TURNS.values())
"""All lines together can be scored as one answer."""


def show_roleplay(scene: Scene, argument: str = "") -> Turn:
    """What it is, and the choice: the scenario at hand, or a new one."""
    if scene.offline:
        return _refuse(scene)
    if scene.state.at == "roleplay":
        return scene.stay(scene.reply(scene.say("roleplay.open"), buttons=open_buttons(scene)))
    if argument in DIFFICULTIES:
        return _pick(scene, DIFFICULTIES[argument])
    at_hand = _scenario_of(scene, scene.state.scenario_id)
    rows: Rows = ((scene.button("roleplay_this", f"role:start:{at_hand.id}", title=at_hand.title),),) if at_hand is not None else ()
    rows += (
        (scene.button("easy", "role:diff:1"), scene.button("medium", "role:diff:2")),
        (scene.button("hard", "role:diff:3"), scene.button("any", "role:diff:0")),
    )
    return scene.stay(scene.reply(scene.say("roleplay.menu"), buttons=rows))


def press(scene: Scene, words: Sequence[str]) -> Flow | Turn | None:
    """A button of this flow; those of a talk that is over are stale."""
    is_open = scene.state.at == "roleplay"
    match list(words):
        case ["start", _] | ["diff", _] if is_open:
            return scene.stay(attrs.evolve(scene.reply(scene.say("roleplay.open"), buttons=open_buttons(scene)), edit=False))
        case ["start", scenario_id]:
            return _refuse(scene) if scene.offline else begin(scene, scenario_id)
        case ["diff", ("0" | "1" | "2" | "3") as difficulty]:
            return _refuse(scene) if scene.offline else _pick(scene, int(difficulty))
        case ["go_on"]:
            return _go_on(scene) if is_open else _take_up(scene)
        case ["again"] if is_open:
            return _ask_again(scene)
        case ["end"] if is_open:
            return _end(scene, offline=False)
        case ["offline"] if is_open:
            return _end(scene, offline=True)
        case ["drop"] if is_open:
            return cancel(scene)
        case ["discard", scenario_id]:
            return _discard(scene, scenario_id)
        case _:
            return None


def begin(scene: Scene, scenario_id: str) -> Turn | None:
    """Open the talk on a practice scenario, or on that of an open level; None for any other."""
    scenario = _scenario_of(scene, scenario_id)
    if scenario is None:
        return None
    if scene.state.at == "answering" and scene.state.kept_answer is not None:
        return scene.stay(attrs.evolve(scene.reply(scene.say("roleplay.kept_first")), edit=False))
    start = scene.say("roleplay.start", name=scenario.persona.name, turns=_turns_of(scenario))
    shown = show_scenario(scene, scenario, head=scene.say("roleplay.head"))
    return Turn(
        replies=(attrs.evolve(shown, buttons=()), Reply(text=start)),
        state=State(at="roleplay", mode="roleplay", scenario_id=scenario.id, difficulty=scene.state.difficulty, since=scene.now),
        changes=(_keep(scenario, ()),),
    )


def say_line(scene: Scene) -> Flow:
    """What the seller says next; the persona answers, and after the last line the talk is scored."""
    talk = yield from _open_talk(scene)
    if isinstance(talk, Turn):
        return talk
    scenario, lines = talk
    if scene.state.since is not None and scene.now - scene.state.since > OPEN_FOR:
        return _go_on_late(scene, scenario)
    if _spoken(lines) >= _turns_of(scenario) and not _is_waiting(lines):
        return scene.stay(Reply(text=scene.say("roleplay.finished"), buttons=_kept_buttons(scene)))
    text = clean_answer(scene.event.text)
    if not text:
        return scene.stay(scene.reply(scene.say("answer.blank", name=scenario.persona.name)))
    if len(text) > MAX_LINE_CHARACTERS:
        return scene.too_long("roleplay.too_long", text, MAX_LINE_CHARACTERS)
    # A line that the persona could not answer yet is replaced by the new one.
    said = (*(lines[:-1] if _is_waiting(lines) else lines), Said("seller", text))
    return (yield from _answer(scene, scenario, said))


PART = Part(commands={"roleplay": show_roleplay}, buttons={"role": press}, words={"roleplay": say_line})


def _answer(scene: Scene, scenario: Scenario, lines: tuple[Said, ...]) -> Flow:
    """Have the persona answer the last line."""
    name, total = scenario.persona.name, _turns_of(scenario)
    is_last = _spoken(lines) >= total
    reply = yield from _ask_persona(scene, scenario, lines, is_last=is_last)
    if isinstance(reply, Failed):
        rows = ((scene.button("roleplay_ask_again", "role:again"),), *_kept_buttons(scene))
        told = Reply(text=scene.say("roleplay.silent", name=name, reason=reason_of(scene, reply)), buttons=rows)
        return Turn(replies=(told,), state=_still_open(scene), changes=(_keep(scenario, lines),))
    lines = (*lines, Said("persona", reply))
    heading = styled(f"{name}: ", "bold")
    if is_last:
        turn = yield from _score(scene, scenario, lines, offline=False)
        return attrs.evolve(turn, replies=(Reply(text=heading + reply), *turn.replies))
    place = scene.say("roleplay.turn", number=_spoken(lines) + 1, turns=total)
    rows = ((scene.button("roleplay_end", "role:end"),),)
    said = Reply(text=heading + reply + "\n\n" + place, buttons=rows)
    return Turn(replies=(said,), state=_still_open(scene), changes=(_keep(scenario, lines),))


def _ask_persona(
    scene: Scene, scenario: Scenario, lines: tuple[Said, ...], *, is_last: bool
) -> Generator[Effect, EffectResult, str | Failed]:
    """What the persona says; a reply that leaves the role is refused once, and then for good."""
    talk = [Line("user", scene.fenced(("seller", line.text))) if line.by == "seller" else Line("assistant", line.text) for line in lines]
    for stricter in (False, True):
        outcome = yield AskModel(
            purpose="persona",
            system=build_persona_orders(scenario, fence=scene.fence, is_last=is_last, stricter=stricter),
            lines=talk,
            max_tokens=600,
        )
        if not isinstance(outcome, Answered):
            assert isinstance(outcome, Failed)
            return outcome
        reply = tidy_reply(outcome.value, scenario, fence=scene.fence)
        if not faults_of_reply(reply, scenario):
            return reply
    return Failed(reason=scene.texts.label("roleplay.out_of_role"), code="coach.persona", retryable=True)


def _score(scene: Scene, scenario: Scenario, lines: tuple[Said, ...], *, offline: bool) -> Flow:
    text = seller_text(lines)
    card = yield ScoreAnswer(scenario_id=scenario.id, answer=text, offline=offline, turns=_spoken(lines))
    if not isinstance(card, ScoreCard):
        assert isinstance(card, Failed)
        reply = Reply(text=scene.say("roleplay.unscored", reason=reason_of(scene, card)), buttons=_kept_buttons(scene))
        return Turn(replies=(reply,), state=_still_open(scene), changes=(_keep(scenario, lines),))
    turn = graded(scene, scenario, text, card)
    rows: Rows = (
        (scene.button("roleplay_again", f"role:start:{scenario.id}"), scene.button("next_scenario", "train:next")),
        (scene.button("ideal", f"ideal:{scenario.id}"), scene.button("stats", "go:stats")),
    )
    turn = attrs.evolve(turn, replies=(attrs.evolve(turn.replies[0], buttons=rows),), changes=(*turn.changes, Change(kind="end_roleplay")))
    return (yield from reward(scene, scenario, turn))


def _end(scene: Scene, *, offline: bool) -> Flow:
    """The seller ends the talk: what was said so far is scored."""
    talk = yield from _open_talk(scene)
    if isinstance(talk, Turn):
        return talk
    scenario, lines = talk
    if not _spoken(lines):
        return scene.stay(scene.reply(scene.say("roleplay.nothing_said", name=scenario.persona.name)))
    return (yield from _score(scene, scenario, lines, offline=offline))


def _ask_again(scene: Scene) -> Flow:
    talk = yield from _open_talk(scene)
    if isinstance(talk, Turn):
        return talk
    scenario, lines = talk
    if not _is_waiting(lines):
        return scene.stay(scene.reply(scene.say("roleplay.turn", number=_spoken(lines) + 1, turns=_turns_of(scenario))))
    return (yield from _answer(scene, scenario, lines))


def _go_on(scene: Scene) -> Flow:
    """Show the talk so far and go on."""
    talk = yield from _open_talk(scene)
    if isinstance(talk, Turn):
        return talk
    scenario, lines = talk
    told = tuple(
        Reply(text=styled(f"{scene.texts.label('roleplay.you') if line.by == 'seller' else scenario.persona.name}: ", "bold") + line.text)
        for line in lines
    )
    if _spoken(lines) >= _turns_of(scenario):
        last = Reply(text=scene.say("roleplay.finished"), buttons=_kept_buttons(scene))
    else:
        rows = ((scene.button("roleplay_end", "role:end"), scene.button("drop", "role:drop")),)
        last = Reply(text=scene.say("roleplay.turn", number=_spoken(lines) + 1, turns=_turns_of(scenario)), buttons=rows)
    return Turn(
        replies=(attrs.evolve(show_scenario(scene, scenario), buttons=(), edit=False), *told, last),
        state=attrs.evolve(scene.state, since=scene.now),
    )


def _take_up(scene: Scene) -> Flow:
    """Open the talk that was set aside again, as it stands."""
    if scene.offline:
        return _refuse(scene)
    if scene.state.at == "answering" and scene.state.kept_answer is not None:
        return ask_about_kept(scene)
    talk = yield from stored_talk(scene)
    if isinstance(talk, Failed):
        return scene.stay(Reply(text=scene.say("roleplay.unread", reason=reason_of(scene, talk))))
    if talk is None or not talk.has_words:
        return stale_button(scene)
    state = State(at="roleplay", mode="roleplay", scenario_id=talk.scenario.id, difficulty=scene.state.difficulty, since=scene.now)
    return (yield from _go_on(attrs.evolve(scene, view=attrs.evolve(scene.view, state=state))))


def _discard(scene: Scene, scenario_id: str) -> Flow:
    """Drop the talk that was set aside, if it is still the one that was asked about."""
    talk = yield from stored_talk(scene)
    if isinstance(talk, Failed):
        return scene.stay(Reply(text=scene.say("roleplay.unread", reason=reason_of(scene, talk))))
    if talk is None or talk.scenario.id != scenario_id:
        return stale_button(scene)
    if scene.state.at == "roleplay":
        return cancel(scene)
    told = scene.reply(scene.say("cancel.done"), buttons=start_buttons(scene))
    return Turn(replies=(told,), state=scene.state, changes=(Change(kind="end_roleplay"),))


def _go_on_late(scene: Scene, scenario: Scenario) -> Turn:
    return scene.stay(Reply(text=scene.say("roleplay.late", title=scenario.title), buttons=open_buttons(scene)))


def _gone(scene: Scene) -> Turn:
    """The scenario left the pack, or the talk was ended elsewhere."""
    state = attrs.evolve(scene.state, at="idle", since=None)
    return Turn(replies=(Reply(text=scene.say("roleplay.gone"), buttons=start_buttons(scene)),), state=state)


def _refuse(scene: Scene) -> Turn:
    return scene.stay(attrs.evolve(scene.reply(scene.say("roleplay.offline"), buttons=start_buttons(scene)), edit=False))


def _pick(scene: Scene, difficulty: int) -> Turn:
    pool = [scenario for scenario in scene.pack.practice if difficulty in {0, scenario.difficulty}]
    fresh = [scenario for scenario in pool if scenario.id not in scene.view.seen] or pool
    if not fresh:
        return scene.stay(scene.reply(scene.say("train.nothing", difficulty=scene.texts.label(f"difficulty.{difficulty}"))))
    with_wish = attrs.evolve(scene, view=attrs.evolve(scene.view, state=attrs.evolve(scene.state, difficulty=difficulty)))
    turn = begin(with_wish, scene.rng.choice(fresh).id)
    assert turn is not None
    return turn


def _open_talk(scene: Scene) -> Generator[Effect, EffectResult, tuple[Scenario, tuple[Said, ...]] | Turn]:
    """The scenario of the open talk and what was said; or what to say where they cannot be had."""
    found = yield Look(function="look_roleplay")
    if not isinstance(found, Found):
        assert isinstance(found, Failed)
        return scene.stay(Reply(text=scene.say("roleplay.unread", reason=reason_of(scene, found)), buttons=open_buttons(scene)))
    scenario = next((scenario for scenario in scene.pack.scenarios if scenario.id == scene.state.scenario_id), None)
    if scenario is None or found.value is None or found.value["scenario_id"] != scenario.id:
        return _gone(scene)
    return scenario, tuple(msgspec.convert(found.value["lines"], list[Said]))


def _scenario_of(scene: Scene, scenario_id: str | None) -> Scenario | None:
    """A practice scenario, or one of a level that is open to this user."""
    scenario = next((scenario for scenario in scene.pack.practice if scenario.id == scenario_id), None)
    if scenario is not None:
        return scenario
    for track in scene.pack.tracks:
        for index, level in enumerate(track.levels):
            if level.scenario.id == scenario_id and level_status(scene.view, track, index) != "locked":
                return level.scenario
    return None


def _turns_of(scenario: Scenario) -> int:
    return TURNS[scenario.difficulty]


def _spoken(lines: Sequence[Said]) -> int:
    return sum(line.by == "seller" for line in lines)


def _is_waiting(lines: Sequence[Said]) -> bool:
    """Whether the persona owes an answer."""
    return bool(lines) and lines[-1].by == "seller"


def _still_open(scene: Scene) -> State:
    return attrs.evolve(scene.state, since=scene.now)


def _keep(scenario: Scenario, lines: Sequence[Said]) -> Change:
    return Change(kind="keep_roleplay", values={"scenario_id": scenario.id, "lines": msgspec.to_builtins(tuple(lines))})


def _kept_buttons(scene: Scene) -> Rows:
    return (
        (scene.button("roleplay_score", "role:end"), scene.button("score_offline", "role:offline")),
        (scene.button("drop", "role:drop"),),
    )
