"""Spaced practice, its reasons, and badges: the rules alone, then through the dialogue on the real engine."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.pack import Scenario
from dealquest.coach.progress import BADGES, Tally, new_badges
from dealquest.coach.scenarios import load_pack
from dealquest.coach.signals import score_by_signals
from dealquest.coach.skills import AreaPoints, SkillCard, choose_focus, points_by_area, review, weights_of
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import SERVICE

from .flows import chatter, open_scenario, rows

PACK = load_pack("en")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCENARIO = PACK.practice[0]
STRONG, WEAK = (score_by_signals(SCENARIO, anchor.text) for anchor in (SCENARIO.anchors.strong, SCENARIO.anchors.weak))


@pytest.fixture
async def records(database: Any, anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


def test_every_area_of_an_answer_gets_a_card_and_better_answers_wait_longer() -> None:
    """A strong answer is due later than a weak one, and again later when it was strong twice."""
    strong, weak = (review((), card, NOW) for card in (STRONG, WEAK))
    assert {card.area for card in strong} == set(points_by_area(STRONG)) == set(weights_of(SCENARIO))
    assert all(after.due > before.due for after, before in zip(strong, weak, strict=True))
    later = NOW + timedelta(days=9)
    twice = review(strong, STRONG, later)
    assert all(second.due - later > first.due - NOW for second, first in zip(twice, strong, strict=True))


@given(shares=st.lists(st.integers(0, 10), min_size=1, max_size=30), gaps=st.lists(st.integers(0, 90), min_size=30, max_size=30))
def test_no_history_breaks_a_card(shares: list[int], gaps: list[int]) -> None:
    """Whatever the scores and pauses: the card stays finite, is due after its review, and within sixty days."""
    cards: tuple[SkillCard, ...] = ()
    moment = NOW
    for share, gap in zip(shares, gaps, strict=False):
        item = attrs.evolve(STRONG.criteria[0], score=share, max=10)
        cards = review(cards, attrs.evolve(STRONG, criteria=(item,)), moment)
        assert 0 < cards[0].stability < float("inf")
        assert moment < cards[0].due <= moment + timedelta(days=61)
        moment += timedelta(days=gap, hours=gap)


def test_the_weakest_of_the_week_comes_first_then_what_is_most_overdue() -> None:
    """Only areas that the scenarios at hand can practise count, and without any reason none is invented."""
    week = [
        AreaPoints(area="value", score=41, max=100),
        AreaPoints(area="discovery", score=60, max=100),
        AreaPoints(area="clarity", score=9, max=10),
    ]
    old = SkillCard(area="clarity", stability=2.0, difficulty=5.0, due=NOW - timedelta(days=5), last_review=NOW - timedelta(days=7))
    older = attrs.evolve(old, area="rapport", last_review=NOW - timedelta(days=30))
    found = choose_focus([old, older], week, {"value", "discovery", "clarity"}, NOW)
    assert found is not None
    assert (found.area, found.why, found.percent) == ("value", "weak", 41)
    found = choose_focus([old, older], week, {"clarity", "rapport"}, NOW)
    assert found is not None
    assert (found.area, found.why, found.days) == ("rapport", "due", 30)
    assert choose_focus([attrs.evolve(old, due=NOW + timedelta(days=1))], week[2:], {"clarity"}, NOW) is None


def test_badges_are_earned_once_and_by_their_own_measure() -> None:
    """Every badge is reached exactly at its number, and never a second time."""
    for badge in BADGES:
        below, at = (attrs.evolve(Tally(), **{badge.measure: number}) for number in (badge.least - 1, badge.least))
        assert badge not in new_badges(below, ())
        assert badge in new_badges(at, ())
        assert badge not in new_badges(at, {badge.id})


def strengthen(scenario: Scenario, *, but: str) -> dict[str, Any]:
    """A stored attempt's card with full points everywhere except in one area."""
    criteria = [
        {"criterion": item.id, "name": item.name, "area": item.area, "score": 0 if item.area == but else item.weight, "max": item.weight}
        for item in scenario.rubric
    ]
    return {"criteria": criteria}


async def test_practice_turns_to_the_weakest_area_and_says_so(records: Postgrest) -> None:
    """After a week in which one area earned nothing, every choice practises that area, names it, and stays new."""
    chat = chatter(records)
    assert "Chosen because" not in await chat.says("/train easy")
    await chat.says(PACK.practice[0].anchors.fair.text)
    (user,) = await rows(records, "users")
    await records.table("attempts").delete().where(user_id=user["id"]).run()
    scenario = next(scenario for scenario in PACK.practice if weights_of(scenario).get("negotiation", 0) >= 20)
    await records.table("attempts").insert(
        {
            "user_id": user["id"], "source": "old", "update_id": 1, "scenario_id": scenario.id, "mode": "train", "difficulty": 2,
            "answer": "-", "score": 50, "scorer": "signals", "xp_earned": 0, "feedback_json": strengthen(scenario, but="negotiation"),
        }
    ).run()  # fmt: skip
    for _ in range(3):
        heard = await chat.says("/train any")
        assert "Chosen because negotiation was your weakest area this week: 0% of its points." in heard
        assert weights_of(await open_scenario(records)).get("negotiation", 0) >= 15


async def test_what_is_due_again_is_chosen_with_its_reason(records: Postgrest) -> None:
    """Cards are stored with the attempt; when one is due, its area is practised next."""
    chat = chatter(records)
    await chat.says("/train any")
    scenario = await open_scenario(records)
    await chat.says(scenario.anchors.strong.text)
    stored = {row["area"]: row for row in await rows(records, "skill_cards")}
    assert set(stored) == set(weights_of(scenario))
    area = max(weights_of(scenario), key=lambda name: (weights_of(scenario)[name], name))
    old = datetime.now(UTC) - timedelta(days=40)
    await (
        records.table("skill_cards")
        .update({"due": (old + timedelta(days=20)).isoformat(), "last_review": old.isoformat()})
        .where(area=area)
        .run()
    )
    await records.table("attempts").update({"created_at": old.isoformat()}).where(source="test").run()
    assert "last practised it: 40" in await chat.presses("Next scenario")
    assert weights_of(await open_scenario(records)).get(area, 0) >= 15  # type: ignore[call-overload]  # an area's name


async def test_a_difficulty_is_never_repeated_before_its_round_is_over(records: Postgrest) -> None:
    """Every easy scenario comes once, whatever is weak; then a new round of easy alone begins."""
    chat = chatter(records)
    await chat.says("/train easy")
    easy = [scenario for scenario in PACK.practice if scenario.difficulty == 1]
    met = []
    for _ in easy:
        met.append((await open_scenario(records)).id)
        await chat.says("Thanks, let us talk.")
        heard = await chat.presses("Next scenario")
    assert sorted(met) == sorted(scenario.id for scenario in easy)
    assert "a new round begins" in heard


async def test_badges_and_level_ups_follow_the_feedback_and_stand_in_the_stats(records: Postgrest) -> None:
    """The first graded answer earns its badge once, with a date; completed scenarios are those that were passed."""
    chat = chatter(records)
    await chat.says("/train easy")
    first = await open_scenario(records)
    heard = await chat.says(first.anchors.strong.text)
    assert heard.index("of 100") < heard.index("New badge: First win")
    await chat.presses("Next scenario")
    heard = await chat.says((await open_scenario(records)).anchors.weak.text)
    assert "First win" not in heard
    stats = await chat.says("/stats")
    assert "Scenarios completed: 1 of 2 tried" in stats
    assert f"First win · common · {datetime.now(UTC).date().isoformat()}" in stats
    assert [row["badge"] for row in await rows(records, "badges")].count("first-win") == 1


async def test_a_level_up_is_told_with_its_rank(records: Postgrest) -> None:
    """Passing 200 XP says so after the feedback."""
    chat = chatter(records)
    said = ""
    for _ in range(3):
        await chat.says("/train easy")
        said += await chat.says((await open_scenario(records)).anchors.strong.text)
    assert "Level 2: you are Associate now." in said
