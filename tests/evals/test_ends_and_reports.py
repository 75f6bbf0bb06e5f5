"""How a run with a judge ends, and what its report says when something is missing."""

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dealquest import evals
from dealquest.errors import ConflictError, DealQuestError
from dealquest.evals.journal import Journal
from dealquest.evals.manifest import find_commit
from dealquest.llm import Provider, Route, Router
from dealquest.testing import ChatAnswer, ChatModels, ChatQuestion, judge_by

SUITE = evals.load("foundations").sample(4)
ANSWER = "The lorries down your lane every morning: what do they cost you? Shall we look at it on Tuesday at nine together?"


def maker(answer: Any) -> Any:
    """What makes a router over scripted models."""
    route = Route(model="a/model", provider=Provider(name="openrouter", base_url="http://127.0.0.1:9/api/v1"))
    return partial(Router, [route], transport=ChatModels(answer))


def judged(question: ChatQuestion) -> ChatAnswer | str:
    """Judges give half of the points and prefer the first of two; the others answer."""
    if "judge" not in question.model:
        return ANSWER
    if "Which answer is better?" in question.text:
        return '{"reason": "It asks.", "better": "A"}'
    return judge_by(lambda _: 0.5)(question)


def run(folder: Path, suite: Any = SUITE, **options: Any) -> evals.Run:
    options = {"judge_check": 0, "progress": "none", "llm": maker(judged), **options}
    return evals.run_sync(suite, journal=folder / "run.jsonl", **options)


def test_a_coach_whose_judge_costs_too_much_ends_the_run(tmp_path: Path) -> None:
    """Money that is gone is no answer of the coach: the run stops, says so, and nothing counts as failed."""
    done = run(
        tmp_path, evals.anchors("foundations").sample(3), subjects=[evals.coach("a/judge")], scorers=[evals.card()], budget_usd=0.0001
    )
    assert done.stopped is not None
    assert done.stopped.code == "llm.budget.exceeded"
    assert done.failures() == []
    assert "not finished: " in str(done)


def test_a_coach_whose_judge_is_down_gives_no_card(tmp_path: Path) -> None:
    """The coach answers that it could not score; there is an answer, and no points."""
    llm = maker(lambda _: ChatAnswer(status=401))
    done = run(tmp_path, evals.anchors("foundations").sample(3), subjects=[evals.coach("a/judge")], scorers=[evals.card()], llm=llm)
    assert {item.failure.code for item in done.failures()} == {"evals.case.no_card"}


def test_a_judge_is_compared_with_a_yardstick_of_another_family(tmp_path: Path) -> None:
    """Without one it is said that it is missing; people's labels are one, also where they cover a part of the answers."""
    done = run(tmp_path, models=["a/one", "b/two"], scorers=[evals.rubric("a/judge")], judge_check=2)
    assert "people's labels, or a scorer of another family" in str(done.judge_report("rubric"))
    assert "against the anchors" in str(done)
    labelling = evals.Labelling(done, by="ann", size=5)
    while len(labelling):
        labelling.give(40.0)
    assert "people" in done.judge_report("rubric").family_note or done.judge_report("rubric").family.value is not None


def test_a_report_on_pairs_says_how_far_place_counts(tmp_path: Path) -> None:
    """A judge that prefers what stands first is found out."""
    against = {case.id: "Another answer to you." for case in SUITE}
    done = run(tmp_path, models=["a/one"], scorers=[evals.pairwise("a/judge", against=against)])
    [name] = done.scorers
    assert "the choice follows the place" in str(done.judge_report(name))


def test_a_subject_that_names_its_price_is_booked(tmp_path: Path) -> None:
    """Costs that a function reports count as those of the run."""

    async def paid(case: evals.Case) -> evals.Answer:
        return evals.Answer(text=case.id, cost_usd=Decimal("0.25"))

    done = run(tmp_path, subjects=[paid], scorers=[evals.regex("learn")])
    assert done.cost_usd == Decimal(1)


def test_a_journal_of_another_suite_names_the_suite(tmp_path: Path) -> None:
    """Two suites do not share a journal, and the refusal says what differs."""
    run(tmp_path, subjects=[evals.recorded({case.id: "x" for case in SUITE})], scorers=[evals.regex("x")])
    with pytest.raises(ConflictError, match="the suite") as caught:
        run(tmp_path, evals.load("foundations"), subjects=[evals.recorded({"a": "x"})], scorers=[evals.regex("x")])
    assert caught.value.code == "evals.resume.changed"


@pytest.mark.parametrize(
    ("scorer", "code"), [(evals.pairwise("a/judge", against={}), "evals.case.no_reference"), (evals.buyer_persona(), "evals.case.no_turns")]
)
async def test_what_is_nothing_to_compare_is_named(scorer: Any, code: str) -> None:
    """A pair needs another answer, and a buyer's part needs a conversation."""
    with pytest.raises(DealQuestError) as caught:
        await scorer.score(SUITE.cases[0], evals.Answer(text="x"), None)
    assert caught.value.code == code


def test_a_journal_is_closed_once(tmp_path: Path) -> None:
    """Closing again does no harm."""
    journal = Journal(tmp_path / "run.jsonl")
    journal.close()
    journal.close()
    with Journal(tmp_path / "run.jsonl"):
        pass


def test_a_commit_is_found_also_without_a_branch(tmp_path: Path) -> None:
    """A working folder that stands on a commit of no branch names that commit."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("0123abcd\n")
    assert find_commit(tmp_path / "deeper" / "still") == "0123abcd"
