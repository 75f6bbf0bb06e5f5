"""What the house does not have is said; what a pack's author wrote wrongly in a list is named with its place."""

from typing import Any

import pytest

from dealquest.coach import check_pack, load_pack
from dealquest.coach.dialogue import AskModel, CheckKey, Consult, Consulted, Failed, Line, Look, ScoreAnswer, SearchWeb, User
from dealquest.coach.effects import Caller, Effects
from dealquest.coach.scenarios import PACKS
from dealquest.testing import ScriptedModels

CALLER = Caller(user=User(id=7))
FOUNDATIONS = (PACKS / "en" / "foundations.toml").read_text(encoding="utf-8")
PHOTO = AskModel(purpose="test", system="Look.", lines=[Line("user", "What is it?")], photo={"file_id": "a"})


@pytest.mark.parametrize(
    ("effect", "parts", "told"),
    [
        (SearchWeb(prospect="Ann"), {}, "searches the web"),
        (CheckKey(provider="openrouter", key="k"), {}, "Keys cannot be stored"),
        (PHOTO, {"models": ScriptedModels("A cat.")}, "Photos cannot be fetched"),
        (PHOTO, {}, "No model"),
        (Look(function="look_x"), {}, "no storage"),
    ],
)
async def test_a_part_that_the_house_lacks_is_named(effect: Any, parts: dict[str, Any], told: str) -> None:
    """Each effect is answered with the part that is missing, so that the conversation goes on."""
    result = await Effects(packs=lambda _: load_pack("en"), **parts).perform(effect, CALLER)
    assert isinstance(result, Failed)
    assert result.code == "coach.part_missing"
    assert told in result.reason


async def test_what_needs_no_part_works_without() -> None:
    """Notes that nobody keeps are empty, and an answer is scored by signals."""
    effects = Effects(packs=lambda _: load_pack("en"))
    scenario = load_pack("en").practice[0]
    assert await effects.perform(Consult(query="price"), CALLER) == Consulted()
    card = await effects.perform(ScoreAnswer(scenario_id=scenario.id, answer=scenario.ideal, turns=2), CALLER)
    assert getattr(card, "scorer", "") == "signals"


@pytest.mark.parametrize(
    ("table", "path", "says"),
    [
        ('name = " "', "tracks[0].name", "the text is empty"),
        ('description = ""', "tracks[0].description", "the text is empty"),
        ("mistakes = []", "tracks[0].levels[0].scenario.mistakes", "needed, found 0"),
        (f'mistakes = ["{"x" * 3000}", "y", "z"]', "tracks[0].levels[0].scenario.mistakes[0]", "3000 characters"),
        ("key_points = [7]", "tracks[0].levels[0].lesson.key_points[0]", "expected a text, found"),
    ],
)
def test_a_fault_in_a_text_or_a_list_is_named(table: str, path: str, says: str) -> None:
    """An empty text, too few of a list, and an item that is too long or no text have each their place."""
    key = table.partition(" = ")[0]
    start = FOUNDATIONS.index(f"\n{key} = ") + 1
    end = FOUNDATIONS.index("\n]" if FOUNDATIONS.startswith(f"{key} = [\n", start) else "\n", start)
    end += 2 if FOUNDATIONS.startswith("\n]", end) else 0
    faults = {fault.path: fault.message for fault in check_pack(FOUNDATIONS[:start] + table + FOUNDATIONS[end:])}
    assert says in faults[path]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('like = "relevance"\nweight = 30', 'like = "clarity"\nweight = 30', "already the id of another criterion"),
        ('like = "relevance"\nweight = 30', 'like = "relevance"\nweight = 30\nneed = 99', "99 points are needed, but the signals give"),
    ],
)
def test_a_rubric_that_cannot_be_met_is_refused(old: str, new: str, says: str) -> None:
    """Two criteria of one id, and one that needs more points than its signals can give, are faults."""
    assert old in FOUNDATIONS
    assert any(says in fault.message for fault in check_pack(FOUNDATIONS.replace(old, new, 1)))
