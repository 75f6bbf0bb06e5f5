"""Limits that people and models meet: too many words, too many files, too little to choose from, or too much of it."""

from pathlib import Path

import attrs
import msgspec
import pytest

from dealquest.auth import AccessPolicy
from dealquest.coach.admission import Admission, NameRows
from dealquest.coach.dialogue import Person, State
from dealquest.coach.dialogue.values import Entering
from dealquest.coach.knowledge import MAX_FILES, read_folder
from dealquest.coach.leads import LeadAdvice, check_words
from dealquest.coach.memory import MAX_BYTES, Interaction, Material, remember
from dealquest.coach.pack import GENERATED
from dealquest.coach.scenario_prompt import WRITTEN_AT_MOST
from dealquest.coach.scenarios import load_pack, weigh_anchors
from dealquest.coach.strategist import MAX_DRAFT_WORDS, check_advice
from dealquest.errors import InputError
from dealquest.testing import FrozenClock

from .deals import ADVICE
from .test_rare_turns import NOW, PACK, play, words


def test_a_model_may_not_write_without_end() -> None:
    """Advice and drafts have a longest length, and the fault says what it is."""
    endless = LeadAdvice(assessment="x" * 9_000, next_actions=["Call"], message="Hi.")
    assert check_words(endless, "fence") == ["the answer is far too long"]
    draft = attrs.evolve(ADVICE.draft, message="word " * (MAX_DRAFT_WORDS + 1))
    assert any("at most" in fault for fault in check_advice(attrs.evolve(ADVICE, draft=draft), cases=[], fence="fence"))


def test_a_folder_of_too_many_notes_is_refused(tmp_path: Path) -> None:
    """More files than are read is an error that says to join some, and not a silent choice."""
    for number in range(MAX_FILES + 1):
        (tmp_path / f"note-{number}.md").write_text("# A note\n\nText.")
    with pytest.raises(InputError, match="join some") as caught:
        read_folder(tmp_path)
    assert caught.value.code == "coach.knowledge.unreadable"


def test_anchors_that_the_signals_cannot_tell_apart_are_told() -> None:
    """A weak answer as good as the strong one is found, with the points that were given."""
    scenario = PACK.practice[0]
    strong = scenario.anchors.strong
    alike = attrs.evolve(scenario, anchors=attrs.evolve(scenario.anchors, weak=strong, fair=strong))
    told = "\n".join(weigh_anchors(alike))
    assert "they must rise" in told
    assert "it passes" in told
    assert weigh_anchors(scenario) == []


def test_a_memory_stays_small() -> None:
    """However long the texts of what was done, what is remembered has a largest size, and the newest is kept."""
    attempts = tuple(Interaction(at=NOW, mode="train", what="\N{GRINNING FACE}" * 4_000, score=50) for _ in range(30))
    memory = remember(Material(attempts=attempts, counts={"train": 30}), total_xp=1, now=NOW)
    assert len(msgspec.json.encode(memory)) <= MAX_BYTES


def test_training_without_scenarios_says_so() -> None:
    """A pack without practice, or without any of that difficulty, has nothing to open."""
    empty = attrs.evolve(load_pack("en"), practice=())
    turn, asked = play("train:diff:2", kind="button", pack=empty)
    assert asked == []
    assert turn.state.at == "idle"
    assert words(turn)


def test_a_city_in_two_zones_is_asked_about() -> None:
    """A name that fits one zone is taken, one that fits several is offered, and one that fits none is said."""
    asking = State(entering=Entering(what="time_zone", since=NOW))
    for text, several in (("Louisville", True), ("Lisbon", False), ("Nowhere at all", False)):
        turn, _ = play(text, state=asking)
        zones = [button.data for reply in turn.replies for row in reply.buttons for button in row if button.data.startswith("zone:")]
        assert (len(zones) > 1) == several


def test_no_more_is_written_than_is_kept() -> None:
    """A pool of written scenarios that is full asks no model for more."""
    written = tuple(attrs.evolve(PACK.practice[0], id=f"{GENERATED}{number}") for number in range(WRITTEN_AT_MOST))
    turn, asked = play("scenarios", kind="job", pack=attrs.evolve(PACK, practice=written))
    assert (asked, turn.replies, turn.changes) == ([], (), ())


async def test_who_is_nowhere_known_is_not_let_in() -> None:
    """Without an id of a channel only the person at the machine's own terminal is let in, and is its admin."""
    admission = Admission(AccessPolicy.from_lists("", ""), NameRows(None, FrozenClock()))
    for person, is_in in ((Person(local_name="ann"), True), (Person(), False)):
        assert (await admission.may_use(person), await admission.is_admin(person)) == (is_in, is_in)
