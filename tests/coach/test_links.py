"""Deep links open what exists and may be opened, and are otherwise a plain start."""

import random
from datetime import UTC, datetime

import attrs
import pytest

from dealquest.coach.dialogue import Event, Found, Look, Person, Scene, State, Turn, User, View, catalogue, converse
from dealquest.coach.scenarios import load_pack

PACK = load_pack("en")
PRACTICE = PACK.practice[0]
GREETED = View(user=User(id=1, first_name="Ann", greeted=True))


def starts(payload: str, view: View = GREETED) -> Turn:
    scene = Scene(
        view=view,
        event=Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), text=f"/start {payload}"),
        pack=PACK,
        texts=catalogue("en"),
        now=datetime(2026, 11, 22, tzinfo=UTC),
        rng=random.Random(1),
    )
    flow = converse(scene)
    try:
        effect = next(flow)
        while True:
            assert isinstance(effect, Look)
            effect = flow.send(Found(None))
    except StopIteration as end:
        turn: Turn = end.value
        return turn


def said(turn: Turn) -> str:
    return "\n".join(reply.text.plain for reply in turn.replies)


def test_a_link_opens_a_scenario_or_a_track() -> None:
    """A practice scenario and an open lesson's are opened, a track is shown."""
    assert starts(PRACTICE.id).state.scenario_id == PRACTICE.id
    first = PACK.tracks[0].levels[0]
    assert starts(first.scenario.id.upper()).state.level_id == first.id
    assert PACK.tracks[1].name in said(starts(PACK.tracks[1].id))


def test_a_link_opens_no_locked_level() -> None:
    """A lesson that is not reached yet stays locked."""
    turn = starts(PACK.tracks[0].levels[3].scenario.id)
    assert turn.state.at == "idle"
    assert "locked" in said(turn)


@pytest.mark.parametrize("payload", ["", "nowhere", "lead:delete:1", "../../x", "a" * 64, "learn_1_1; drop table users"])
def test_a_link_to_nowhere_is_a_plain_start(payload: str) -> None:
    """What names nothing changes nothing."""
    assert said(starts(payload)) == said(starts(""))


def test_a_newcomer_is_greeted_first() -> None:
    """Whoever arrives by a link still learns where they are."""
    turn = starts(PRACTICE.id, attrs.evolve(GREETED, user=User(id=1, first_name="Ann")))
    assert "Welcome to dealquest, Ann" in turn.replies[0].text.plain
    assert turn.state.scenario_id == PRACTICE.id


def test_a_link_drops_no_answer_that_waits_for_its_score() -> None:
    """An unscored answer is asked about first."""
    state = State(at="answering", mode="train", scenario_id=PRACTICE.id, kept_answer="my answer", since=datetime(2026, 11, 22, tzinfo=UTC))
    turn = starts(PACK.practice[1].id, attrs.evolve(GREETED, state=state))
    assert turn.state == state
