"""A law of the whole dialogue: whatever is said or pressed wherever it stands, and whatever fails meanwhile, ends in a turn."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest.coach.dialogue import (
    AskModel,
    Effect,
    EffectResult,
    Entering,
    Event,
    Failed,
    Found,
    Heard,
    House,
    Look,
    Person,
    Scene,
    State,
    Turn,
    User,
    View,
    catalogue,
    converse,
)
from dealquest.coach.dialogue.effects import CheckKey, Hear, KeyChecked
from dealquest.coach.scenarios import load_pack

PACK = load_pack("en")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCENARIOS = [*(scenario.id for scenario in PACK.practice[:2]), PACK.tracks[0].levels[0].scenario.id, "left-the-pack"]
LEVELS = [PACK.tracks[0].levels[0].id, PACK.tracks[0].levels[-1].id, "no-such-level"]
TRACE = "7f000000-0000-4000-8000-000000000001"

BUTTONS = [
    *(f"go:{word}" for word in ("learn", "train", "stats", "cancel", "leads", "support", "x")),
    *(f"learn:{word}:{level}" for word in ("track", "level", "scenario") for level in (*LEVELS, PACK.tracks[0].id)),
    *(f"train:{word}" for word in ("diff:0", "diff:3", "diff:9", "next", "x")),
    *(f"{word}:{scenario}" for word in ("again", "ideal", "role:start", "role:discard") for scenario in SCENARIOS),
    *(f"score:{word}" for word in ("again", "offline", "x")),
    *(f"role:{word}" for word in ("diff:0", "diff:3", "diff:x", "go_on", "again", "end", "offline", "drop", "x")),
    *(f"admin:{word}" for word in ("back", "close", f"trace:{TRACE}", "trace:x", "users", "users:1", "users:x", "perf", "queue", "x")),
    *(f"settings:{word}" for word in ("back", "leave", "close", "switch_provider", "update_key", "change_model", "language", "time_zone")),
    *(f"settings:{word}" for word in ("remove_keys", "memory", "export", "reset", "delete", "x")),
    *(f"switch:{word}" for word in ("team", "offline", "openrouter", "anthropic", "claude", "x")),
    *(f"{word}:{name}" for word in ("setup", "provider") for name in ("auto", "offline", "custom", "openrouter", "anthropic", "x")),
    *("model:no/model", "model:openai/gpt-oss-120b", "language:de", "language:xx", "zone:Europe/Lisbon", "zone:Nowhere", "memory:forget"),
    *(f"confirm_{word}:{answer}" for word in ("reset", "delete", "forget", "delete_lead:1") for answer in ("yes", "no")),
    *(f"lead:{word}:1" for word in ("view", "plan", "draft", "note", "edit", "context", "screenshot", "delete", "session", "page", "x")),
    *(f"support:{word}:1" for word in ("retry", "drop", "again", "shorter", "bolder", "done", "bad", "draft", "x")),
    *("lead:back", "lead:status:1:reached_out", "lead:step:1:0:done", "support", "", ":", "x:y:z"),
]
TEXTS = [
    *("/start", "/start x", "/start ideal", "/learn", "/train", "/train easy", "/train x", "/stats", "/help", "/cancel", "/roleplay", "/x"),
    *("/roleplay easy", "/settings", "/leads", "/support", "/memory", "/admin", "/", "  ", "lisbon", "york", "openai/gpt-oss-120b", "yes"),
    *("What does it cost you each month? Shall we talk on Thursday at 10?", "x" * 9000, "sk-or-v1-good0123456789abcdef", "name: Ann"),
]
TALKS = [
    {"scenario_id": scenario, "lines": lines}
    for scenario in SCENARIOS
    for lines in ([], [{"by": "seller", "text": "Hi"}], [{"by": "seller", "text": "Hi"}, {"by": "persona", "text": "Yes?"}] * 4)
]
AWAY = Failed(reason="it is away", code="storage.connect", retryable=True)


def answers_to(effect: Effect) -> list[EffectResult]:
    """What may come back: a failure always, and something plain where that is easy to make up."""
    match effect:
        case Look(function="look_roleplay"):
            return [AWAY, Found(None), *map(Found, TALKS)]
        case Look(function="look_my_data"):
            return [AWAY, Found({"users": [], "attempts": []})]
        case Look(function="look_my_footprint"):
            return [AWAY, Found({"attempts": 3, "total_xp": 40, "keys": 1, "support_sessions": 0, "leads": 0})]
        case Look():
            return [AWAY, Found(None)]
        case Hear():
            return [AWAY, Heard(text=""), Heard(text="/cancel"), Heard(text="What does it cost you?")]
        case CheckKey():
            return [AWAY, *(KeyChecked(verdict=verdict, sealed="sealed") for verdict in ("good", "wrong", "no_credit", "unreachable"))]
        case AskModel():
            return [AWAY, Failed(reason="", code="llm.answer.refused")]
    return [AWAY]


moments = st.sampled_from([None, NOW, NOW - timedelta(minutes=5), NOW - timedelta(days=2)])
asked = st.none() | st.builds(
    Entering,
    what=st.sampled_from(["key", "model", "time_zone", "reset", "delete", "forget", "delete_lead"]),
    since=st.sampled_from([NOW, NOW - timedelta(days=2)]),
    provider=st.sampled_from([None, "openrouter", "anthropic"]),
    lead_id=st.sampled_from([None, 1]),
)
states = st.builds(
    State,
    at=st.sampled_from(get_args(State.__annotations__["at"])),
    mode=st.sampled_from([None, "learn", "train", "roleplay"]),
    scenario_id=st.sampled_from([None, *SCENARIOS]),
    track_id=st.sampled_from([None, PACK.tracks[0].id]),
    level_id=st.sampled_from([None, *LEVELS]),
    difficulty=st.integers(0, 3),
    kept_answer=st.sampled_from([None, "A kept answer?"]),
    since=moments,
    lead_id=st.sampled_from([None, 1]),
    entering=asked,
)
users = st.builds(
    User,
    id=st.just(1),
    language=st.sampled_from(["en", "de"]),
    greeted=st.booleans(),
    provider=st.sampled_from(["openrouter", "anthropic", "offline"]),
    model=st.sampled_from(["", "own/model"]),
    uses_shared_key=st.booleans(),
    key_providers=st.sampled_from([(), ("openrouter",), ("openrouter", "anthropic")]),
    total_xp=st.sampled_from([0, 500]),
    streak_days=st.sampled_from([0, 3]),
)
houses = st.builds(
    House, shared_model=st.sampled_from(["", "team/model"]), stores_keys=st.booleans(), hears=st.booleans(), searches=st.booleans()
)
said = st.one_of(
    st.tuples(st.just("button"), st.sampled_from(BUTTONS)),
    st.tuples(st.just("text"), st.sampled_from(TEXTS) | st.text(max_size=30)),
    st.tuples(st.sampled_from(["hello", "voice", "photo", "other"]), st.sampled_from(["", "a caption"])),
)


def scene_of(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Scene:
    """One event, anywhere; no strategy of its own, as the repr of a scene holds the whole pack."""
    kind, text = draw(said)
    user = draw(users)
    media = draw(st.sampled_from([None, {"file_id": "f"}]))
    event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind=kind, text=text, media=media, message_id=7)
    return Scene(
        view=View(user=user, state=draw(states), seen=frozenset(SCENARIOS[:1]), recent_scores=(50, 60)),
        event=event,
        pack=PACK,
        texts=catalogue(user.language),
        now=NOW,
        rng=random.Random(1),
        house=draw(houses),
        offline=draw(st.booleans()),
        is_admin=draw(st.booleans()),
    )


def play(scene: Scene, choose: Callable[[Sequence[EffectResult]], EffectResult]) -> Turn:
    """The turn of a scene whose effects bring what is chosen; it must end, answer, and stand where the dialogue can stand."""
    flow, result = converse(scene), None
    for _ in range(40):
        try:
            effect = next(flow) if result is None else flow.send(result)
        except StopIteration as end:
            turn: Turn = end.value
            break
        result = choose(answers_to(effect))
    else:
        pytest.fail("the flow asks for ever")
    assert turn.replies
    assert all(reply.text.plain.strip() or reply.document for reply in turn.replies)
    assert turn.state.at in get_args(State.__annotations__["at"])
    assert turn.attempt is None
    return turn


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(0, 2**32))
def test_whatever_happens_wherever_it_ends_in_a_turn(data: st.DataObject, seed: int) -> None:
    """Every event gets an answer, and the next state is one that the dialogue itself can take."""
    play(scene_of(data.draw), random.Random(seed).choice)


OPEN, OWN = SCENARIOS[0], User(id=1, uses_shared_key=False, model="own/model", key_providers=("openrouter",))
PLACES = [
    *(State(at=at, lead_id=1, since=NOW) for at in get_args(State.__annotations__["at"])),
    *(
        State(at=at, scenario_id=OPEN, mode="train", since=NOW, kept_answer=kept)
        for at in ("answering", "roleplay")
        for kept in (None, "Kept?")
    ),
    State(at="roleplay", scenario_id="left-the-pack", mode="roleplay", since=NOW),
    State(at="answering", scenario_id=OPEN, mode="train", since=NOW - timedelta(days=2)),
    *(State(entering=Entering(what=what, since=NOW, lead_id=1)) for what in get_args(Entering.__annotations__["what"])),
]
WORLDS: list[dict[str, Any]] = [
    {"view": View(user=User(id=1)), "offline": True},
    {"view": View(user=OWN), "offline": False, "is_admin": True, "house": House(stores_keys=True, hears=True, searches=True)},
    {"view": View(user=User(id=1)), "offline": False, "house": House(shared_model="team/model", hears=True)},
]
TOLD = [
    *(("button", data) for data in BUTTONS),
    *(("text", text) for text in TEXTS),
    ("hello", ""),
    ("voice", ""),
    ("photo", ""),
    ("other", ""),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda state: f"{state.at}-{state.entering.what if state.entering else state.scenario_id}")
def test_every_button_has_an_answer_in_every_place(place: State) -> None:
    """Each button and command that there is, in each kind of state: records and models away, nothing stored, and a talk open."""
    for kind, text in TOLD:
        event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind=kind, text=text, media={"file_id": "f"})
        for parts in WORLDS:
            world = {**parts, "view": attrs.evolve(parts["view"], state=place)}
            scene = Scene(event=event, pack=PACK, texts=catalogue("en"), now=NOW, rng=random.Random(1), **world)
            for chosen in range(4):
                play(scene, lambda answers, chosen=chosen: answers[min(chosen, len(answers) - 1)])  # type: ignore[misc]  # bound per round
