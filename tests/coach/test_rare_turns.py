"""Turns that are seldom taken: a part fails in the middle, a thing is gone, or there is nothing left to do."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import msgspec
import pytest

from dealquest.coach import score_by_signals
from dealquest.coach.dialogue import (
    Answered,
    AskModel,
    Consult,
    Consulted,
    Effect,
    EffectResult,
    Event,
    Failed,
    Found,
    House,
    Look,
    Person,
    Reported,
    Scene,
    SearchWeb,
    State,
    Turn,
    User,
    View,
    catalogue,
    converse,
)
from dealquest.coach.dialogue.values import Best, Progress
from dealquest.coach.leads import Lead, LeadDraft
from dealquest.coach.memory import Memory, Preferences, memory_summary
from dealquest.coach.scenarios import load_pack
from dealquest.coach.strategist import DealFacts

from .deals import ADVICE, FACTS, PLAN

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PACK = load_pack("en")
LEAD = msgspec.to_builtins(Lead(id=1, status="analyzed", created_at=NOW, name="Ann Lee"))
DOWN = Failed(reason="It is down.", code="llm.unavailable.test", retryable=True)
WAITING = State(at="lead_screenshot", lead_id=1, since=NOW)
DEAL = State(at="support", since=NOW)
NAMELESS = attrs.evolve(FACTS, name="", title="", company="", wants_research=True)


def says(value: Any) -> Answered:
    """What a model answers."""
    return Answered(value=value)


Looks = Mapping[str, Any]


def play(
    text: str,
    looks: Looks | None = None,
    *answers: EffectResult,
    kind: Any = "text",
    media: Mapping[str, Any] | None = None,
    view: View | None = None,
    state: State | None = None,
    **scene: Any,
) -> tuple[Turn, list[Effect]]:
    """One turn: looks by their function's name, questions of a model and of the web in their order."""
    event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind=kind, text=text, media=media)
    view = view or View(user=User(id=1, greeted=True))
    if state is not None:
        view = attrs.evolve(view, state=state)
    scene = {"pack": PACK, "offline": False, **scene}
    flow = converse(Scene(view=view, event=event, texts=catalogue("en"), now=NOW, rng=random.Random(1), **scene))
    asked: list[Effect] = []
    left, result = list(answers), None
    while True:
        try:
            effect = next(flow) if result is None else flow.send(result)
        except StopIteration as end:
            turn: Turn = end.value
            return turn, asked
        asked.append(effect)
        if isinstance(effect, Look):
            value = (looks or {}).get(effect.function)
            result = value if isinstance(value, Failed) else Found(value)
        else:
            result = Consulted() if isinstance(effect, Consult) else left.pop(0)


def words(turn: Turn) -> str:
    return "\n".join(reply.text.plain for reply in turn.replies)


@pytest.mark.parametrize("text", ["lead:new_draft:1", "lead:advice:1"])
def test_a_lead_outlives_a_model_that_is_down(text: str) -> None:
    """What a model could not write is said with its reason, and the lead is not changed."""
    turn, _ = play(text, {"look_lead": LEAD}, DOWN, kind="button")
    assert "down" in words(turn)
    assert turn.changes == ()


def test_comments_that_could_not_be_made_cost_nothing() -> None:
    """A post whose comments failed leaves the lead as it is, for words and for a photo."""
    for kind, media in (("text", None), ("photo", {"file_id": "a"})):
        turn, _ = play("A post about budgets.", {"look_lead": LEAD}, DOWN, kind=kind, media=media, state=WAITING)
        assert "down" in words(turn)
    lost, asked = play("", kind="photo", state=WAITING)
    assert lost.replies
    assert asked == []


def test_a_lead_without_a_draft_says_so() -> None:
    """The view of a draft that was never written offers to write one."""
    turn, _ = play("lead:draft:1", {"look_lead": LEAD}, kind="button")
    assert any(button.data == "lead:new_draft:1" for row in turn.replies[0].buttons for button in row)


def test_an_answer_that_waits_goes_before_a_lead() -> None:
    """Before words are asked for a lead, the answer that could not be scored is asked about."""
    state = State(at="answering", mode="train", scenario_id=PACK.practice[0].id, kept_answer="My answer.", since=NOW)
    turn, _ = play("lead:note:1", {"look_lead": LEAD}, kind="button", state=state)
    assert turn.state.at == "answering"


@pytest.mark.parametrize(
    ("looks", "answers", "offline", "steps"),
    [
        ({"look_lead": None}, (), False, None),
        ({"look_lead": LEAD}, (), True, None),
        (
            {"look_lead": {**LEAD, "engagement_plan": [{"step_id": 1, "action_type": "call", "description": "Call"}]}},
            (Reported(text="News", fenced="News"),),
            False,
            0,
        ),
        ({"look_lead": LEAD}, (DOWN, says(PLAN)), False, 5),
        ({"look_lead": LEAD}, (DOWN, attrs.evolve(DOWN, retryable=False)), False, 0),
    ],
)
def test_a_job_looks_a_lead_up_as_far_as_it_can(looks: Looks, answers: tuple[Any, ...], offline: bool, steps: int | None) -> None:
    """A lead that is gone, or a house without a model, is left alone; a plan that is there is kept; research may fail alone."""
    media = {"lead_id": 1}
    turn, _ = play("enrich_lead", looks, *answers, kind="job", media=media, offline=offline, house=House(searches=True))
    kept = [change.values for change in turn.changes if change.kind == "enrich_lead"]
    assert [len(values["plan"] or ()) for values in kept] == ([] if steps is None else [steps])


@pytest.mark.parametrize(
    ("facts", "house", "web", "told"),
    [
        (NAMELESS, House(searches=True), (), "support.web_whom"),
        (attrs.evolve(FACTS, wants_research=True), House(), (), "support.web_off"),
        (attrs.evolve(FACTS, wants_research=True), House(searches=True), (DOWN,), "support.web_failed"),
        (attrs.evolve(NAMELESS, wants_research=False), House(), (), None),
    ],
)
def test_advice_comes_without_the_web(facts: DealFacts, house: House, web: tuple[EffectResult, ...], told: str | None) -> None:
    """What could not be looked up is said, and the advice is given; nobody's name makes no lead."""
    turn, asked = play("She says our price is too high and went silent.", {}, says(facts), *web, says(ADVICE), state=DEAL, house=house)
    assert sum(isinstance(effect, SearchWeb) for effect in asked) == len(web)
    assert (catalogue("en").say(told).plain in words(turn)) if told else "web" not in words(turn)
    assert bool(facts.name) == any("lead" in change.kind for change in turn.changes)


@pytest.mark.parametrize("offline", [True, False])
def test_a_casebook_that_cannot_be_read_keeps_the_deal(offline: bool) -> None:
    """The deal is stored as failed, with a button to try again."""
    turn, _ = play("She says our price is too high, again.", {"look_casebook": DOWN}, says(FACTS), state=DEAL, offline=offline)
    assert turn.changes
    assert any(button.data.endswith("retry:1") for reply in turn.replies for row in reply.buttons for button in row)


def test_an_unanswered_deal_can_be_dropped() -> None:
    """The session is closed, without a word to a model."""
    stored = {"update_id": 5, "variant": "first", "status": "failed", "input_type": "text", "input_text": "A deal."}
    turn, asked = play("support:drop:5", {"look_session": stored}, kind="button", state=DEAL)
    assert turn.state.at == "idle"
    assert turn.changes
    assert all(isinstance(effect, Look) for effect in asked)


def test_an_open_scenario_that_left_the_pack_is_let_go() -> None:
    """Words to a scenario that is gone are not scored."""
    turn, asked = play("My answer to you.", state=State(at="answering", mode="train", scenario_id="gone", since=NOW))
    assert asked == []
    assert turn.attempt is None


def test_a_strong_answer_is_for_those_who_tried() -> None:
    """A button that was never offered shows nothing; a scenario without a pause is shown without a note on pauses."""
    scenario = next(scenario for scenario in PACK.practice if "…" not in scenario.ideal)
    unseen, _ = play(f"ideal:{scenario.id}", kind="button")
    assert scenario.ideal not in words(unseen)
    tried = View(user=User(id=1, greeted=True), bests=(Best(scenario_id=scenario.id, best_score=40, last_score=40, attempts=1),))
    assert scenario.ideal in words(play(f"ideal:{scenario.id}", kind="button", view=tried)[0])


def offline_answer(view: View, state: State) -> Turn:
    """A strong answer to a scenario, scored by signals."""
    scenario = PACK.scenario(state.scenario_id or "")
    card = score_by_signals(scenario, scenario.anchors.strong.text)
    return play(scenario.anchors.strong.text, {}, card, view=view, state=state)[0]


def test_a_second_day_is_a_streak_and_a_lost_level_is_no_loss() -> None:
    """Points count also where the level left the pack; the second day in a row is told."""
    day_before = User(id=1, greeted=True, streak_days=1, last_graded_on=(NOW - timedelta(days=1)).date())
    scenario = PACK.tracks[0].levels[0].scenario
    state = State(at="answering", mode="learn", scenario_id=scenario.id, track_id="gone", level_id="gone", since=NOW)
    turn = offline_answer(View(user=day_before), state)
    assert (turn.streak_days, turn.progress) == (2, ())
    assert turn.attempt is not None
    assert catalogue("en").say("feedback.streak", days=2).plain in words(turn)


def test_a_pack_with_one_track_shows_its_levels_at_once() -> None:
    """Nothing has to be chosen where there is one track; when all levels are completed none is next."""
    pack = attrs.evolve(PACK, tracks=PACK.tracks[:1])
    turn, _ = play("/learn", pack=pack)
    data = {button.data for reply in turn.replies for row in reply.buttons for button in row}
    assert f"learn:level:{pack.tracks[0].levels[0].id}" in data
    assert "go:learn" not in data
    done = tuple(
        Progress(track_id=track.id, level_id=level.id, status="completed", best_score=90) for track in PACK.tracks for level in track.levels
    )
    assert play("/start", view=View(user=User(id=1, greeted=True), progress=done))[0].replies


def test_a_pack_without_practice_of_a_difficulty_says_so() -> None:
    """A role-play of a difficulty that nothing has is refused in words."""
    pack = attrs.evolve(PACK, practice=())
    turn, _ = play("role:diff:2", kind="button", pack=pack)
    assert turn.state.at != "roleplay"


@pytest.mark.parametrize(
    ("preferences", "mean", "said"),
    [
        (Preferences(), None, ("3",)),
        (Preferences(mode="train", difficulty=2, words=40, draft="shorter"), 61.0, ("61", "40")),
    ],
)
def test_what_is_remembered_is_shown_as_far_as_it_goes(preferences: Preferences, mean: float | None, said: tuple[str, ...]) -> None:
    """Preferences stand there where there are some, a mean where there is one; a prompt is told the same."""
    memory = Memory(interactions=3, mean_score=mean, preferences=preferences)
    turn, _ = play("/memory", {"look_memory": {"memory": msgspec.to_builtins(memory)}})
    assert all(word in words(turn) for word in said)
    assert ("shorter" in memory_summary(memory)) == (preferences.draft == "shorter")


def test_patterns_need_a_model() -> None:
    """The job that looks for patterns asks a model once, and makes plain ones without."""
    attempts = [{"at": (NOW - timedelta(hours=number)).isoformat(), "mode": "train", "score": 50 + number} for number in range(12)]
    looks = {"look_memory": {"memory": None, "attempts": attempts, "counts": {"train": 12}}}
    for offline, answers in ((True, ()), (False, (DOWN,))):
        turn, asked = play("memory", looks, *answers, kind="job", offline=offline)
        assert sum(isinstance(effect, AskModel) for effect in asked) == len(answers)
        assert [change.kind for change in turn.changes] == ["remember"]


def test_a_draft_is_kept_in_the_lead() -> None:
    """What a model wrote is shown and stored."""
    draft = LeadDraft(platform="email", message="Dear Ann, shall we speak on Tuesday?")
    turn, _ = play("lead:new_draft:1", {"look_lead": LEAD}, says(draft), kind="button")
    assert "Tuesday" in words(turn)
    assert turn.changes


def test_a_reminder_of_a_lead_without_a_plan() -> None:
    """A follow-up that is due is told also where no step was planned; the same job done before its time tells nothing."""
    for due, replies in ((NOW, 1), (NOW + timedelta(hours=1), 0)):
        turn, _ = play("remind_lead", {"look_lead": {**LEAD, "next_followup": due.isoformat()}}, kind="job", media={"lead_id": 1})
        assert (len(turn.replies), len(turn.changes)) == (replies, replies)
