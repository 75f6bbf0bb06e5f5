"""What is remembered: computed once for each interaction, bounded, shown, and forgotten for good."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.memory import (
    MAX_BYTES,
    Interaction,
    Material,
    Memory,
    Patterns,
    memory_summary,
    needs_patterns,
    read_memory,
    remember,
    trend_of,
    with_patterns,
)
from dealquest.coach.skills import AreaPoints
from dealquest.errors import PeerUnavailableError
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import Chatter, ScriptedModels
from dealquest.values import SERVICE

from .flows import chatter, open_scenario, rows

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
async def records(database: Any, anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


async def practises(records: Postgrest, chat: Chatter, times: int = 1, *, anchor: str = "weak") -> None:
    for _ in range(times):
        await chat.says("/train any")
        await chat.says(getattr((await open_scenario(records)).anchors, anchor).text)


async def memory_of(records: Postgrest) -> Memory:
    (row,) = await rows(records, "user_memory")
    return read_memory(row["memory"])


async def test_each_graded_answer_is_remembered_once_by_its_job(records: Postgrest) -> None:
    """Lessons count as lessons, XP holds the bonus, areas are those of the answers, and a job done twice changes nothing."""
    chat = chatter(records)
    await chat.presses("data:learn:scenario:1.1")
    await chat.says((await open_scenario(records)).anchors.strong.text)
    await practises(records, chat, 2)
    jobs = [row["payload"]["text"] for row in await rows(records, "inbox") if row["is_job"]]
    assert jobs == ["memory"] * 3
    assert await chat.works_off_jobs() == ""
    memory = await memory_of(records)
    (user,) = await rows(records, "users")
    assert (memory.interactions, memory.total_xp) == (3, user["total_xp"])
    assert [recent.mode for recent in memory.recent] == ["train", "train", "learn"]
    assert memory.completed == 1
    assert memory.weak_areas
    shares = [points.share for points in memory.weak_areas]
    assert shares == sorted(shares)
    await records.table("inbox").update({"status": "open"}).where(is_job=True).run()
    await chat.works_off_jobs()
    again = await memory_of(records)
    assert msgspec.to_builtins(again) | {"updated_at": None} == msgspec.to_builtins(memory) | {"updated_at": None}


async def test_deals_are_remembered_beside_answers(records: Postgrest) -> None:
    """A support session counts as an interaction, by its key concern."""
    chat = chatter(records)
    await practises(records, chat)
    (user,) = await rows(records, "users")
    output = {"analysis": {"key_concern": "price", "prospect_type": "founder"}}
    session = {"user_id": user["id"], "input_type": "text", "input_text": "-", "output_json": output, "provider": "-"}
    await records.table("support_sessions").insert(session).run()
    await chat.works_off_jobs()
    memory = await memory_of(records)
    assert memory.interactions == 2
    assert ("support", "price", None) in [(recent.mode, recent.what, recent.score) for recent in memory.recent]


async def test_memory_is_shown_and_forgotten_for_good(records: Postgrest) -> None:
    """Forgetting asks first, and the very next press answers; afterwards nothing of before comes back, not even by an open job."""
    chat = chatter(records)
    assert "I remember nothing of you yet" in await chat.says("/memory")
    await practises(records, chat, 2)
    await chat.works_off_jobs()
    shown = await chat.says("/memory")
    assert "interactions: 2" in shown
    assert "Weak" in shown
    await practises(records, chat)
    await chat.says("/memory")
    assert "Shall I forget" in await chat.presses("Forget all of it")
    await chat.says("/stats")
    assert "earlier step" in await chat.presses("data:confirm_forget:yes")
    await chat.says("/memory")
    await chat.presses("Forget all of it")
    assert "Forgotten" in await chat.presses("Yes, forget it")
    assert await rows(records, "skill_cards") == []
    await chat.works_off_jobs()
    assert (await memory_of(records)).interactions == 0
    await practises(records, chat)
    await chat.works_off_jobs()
    memory = await memory_of(records)
    assert (memory.interactions, len(memory.recent)) == (1, 1)
    assert len(await rows(records, "attempts")) == 4


async def test_every_ten_interactions_the_model_looks_for_patterns(records: Postgrest) -> None:
    """It sees numbers and no words of the user; what it says is kept short and shown; a failing model leaves computed patterns."""
    models = ScriptedModels(Patterns(patterns=["Value comes late. " * 40], recommendations=["Ask\x00 first."]))
    chat = chatter(records, models)
    await practises(records, chat, 10)
    await chat.works_off_jobs()
    memory = await memory_of(records)
    assert (memory.patterns_at, len(memory.patterns[0]), memory.recommendations) == (10, 200, ("Ask first.",))
    (question,) = models.questions
    answers = [row["answer"] for row in await rows(records, "attempts")]
    assert not any(answer[:30] in question.lines[0].text for answer in answers)
    assert "Value comes late." in await chat.says("/memory")
    models.answers.append(PeerUnavailableError("away", code="llm.unavailable.test"))
    await practises(records, chat, 10)
    await chat.works_off_jobs()
    memory = await memory_of(records)
    assert memory.patterns_at == 20
    assert "last five" in memory.patterns[0]


times = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the strategy adds the zone
interactions = st.builds(
    Interaction, at=times, mode=st.sampled_from(["learn", "train", "roleplay"]), what=st.text(max_size=2000), score=st.integers(0, 100),
    difficulty=st.integers(1, 3), words=st.integers(1, 9999), missed=st.lists(st.text(max_size=400), max_size=6).map(tuple),
)  # fmt: skip


@given(st.lists(interactions, max_size=30).map(tuple), st.lists(st.text(max_size=900), max_size=40))
def test_memory_is_bounded_whatever_was_done(attempts: tuple[Interaction, ...], patterns: list[str]) -> None:
    """Lists are capped, the whole fits its column, and it is read back as it was written."""
    memory = with_patterns(remember(Material(attempts=attempts, counts={"train": len(attempts)}), total_xp=5, now=NOW), patterns, patterns)
    encoded = msgspec.json.encode(memory)
    assert len(encoded) <= MAX_BYTES
    assert len(memory.recent) <= 20
    assert read_memory(msgspec.json.decode(encoded)) == memory
    assert len(memory_summary(memory)) < 2_000


def test_a_trend_needs_ten_answers() -> None:
    """Five against five: better, worse, or steady within five points."""
    at = [NOW - timedelta(hours=hour) for hour in range(10)]
    made = lambda scores: tuple(Interaction(at=moment, mode="train", score=score) for moment, score in zip(at, scores, strict=False))  # noqa: E731  # a table's maker
    assert trend_of(made([90] * 9)) == "unknown"
    assert trend_of(made([90] * 5 + [50] * 5)) == "improving"
    assert trend_of(made([50] * 5 + [90] * 5)) == "declining"
    assert trend_of(made([52] * 5 + [50] * 5)) == "stable"


def test_patterns_are_looked_for_at_every_ten_and_areas_need_two_answers() -> None:
    """A burst that jumps over a ten still counts it; one answer makes no area weak."""
    assert not needs_patterns(Memory(interactions=9))
    assert needs_patterns(Memory(interactions=12, patterns_at=9))
    assert not needs_patterns(Memory(interactions=19, patterns_at=12))
    areas = (AreaPoints(area="value", score=0, max=10, answers=1), AreaPoints(area="clarity", score=1, max=10, answers=2))
    assert [points.area for points in remember(Material(areas=areas), total_xp=0, now=NOW).weak_areas] == ["clarity"]
