"""What a case, a run or a person did not give is named with its code; it is never counted as a zero."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dealquest import evals
from dealquest.errors import DealQuestError
from dealquest.evals.agreement import krippendorff_alpha, weighted_kappa
from dealquest.evals.cases import Suite
from dealquest.evals.stats import Comparison, Estimate

BARE = evals.load([{"id": "one", "input": "What do you sell?"}], name="bare")
PACK = evals.load("foundations").where(id="learn_1_1")


async def says(case: evals.Case) -> evals.Answer:
    """A subject that hands over a finished answer."""
    return evals.Answer(text=f"An answer to {case.id}.", data={"points": 7})


async def quiet(case: evals.Case) -> dict[str, int]:
    """A subject without words."""
    return {"points": len(case.id)}


async def asks(case: evals.Case, meter: evals.Meter) -> str:
    """A subject that needs a model."""
    return (await meter.ask(case.input, model="a/model")).text


def found(folder: Path, suite: Suite, **options: Any) -> tuple[evals.Run, set[str]]:
    """A run without models, and the codes of what it could not do."""
    options = {"scorers": [evals.regex("answer")], "judge_check": 0, "progress": "none", **options}
    run = evals.run_sync(suite, journal=folder / "run.jsonl", **options)
    return run, {item.failure.code for item in run.failures()}


@pytest.mark.parametrize(
    ("suite", "subject", "scorer", "code"),
    [
        (BARE, says, evals.exact(), "evals.case.no_reference"),
        (BARE, says, evals.closeness(), "evals.case.no_reference"),
        (BARE, says, evals.card(), "evals.case.no_card"),
        (BARE, evals.coach(), evals.card(), "evals.case.no_scenario"),
        (PACK, evals.coach(), evals.card(), "evals.case.no_answer"),
        (BARE, evals.recorded(), evals.regex("x"), "evals.subject.no_answer"),
        (BARE, evals.recorded({"other": "yes"}), evals.regex("x"), "evals.subject.no_answer"),
        (BARE, asks, evals.regex("x"), "evals.input.no_models"),
    ],
)
def test_what_a_case_lacks_is_a_failure_with_a_code(tmp_path: Path, suite: Suite, subject: Any, scorer: Any, code: str) -> None:
    """The item is missing from the table, and its failure says what to give."""
    run, codes = found(tmp_path, suite, subjects=[subject], scorers=[scorer])
    assert codes == {code}
    assert [row.points.value for row in run.table()] == [None]
    assert f"1 x {code} while" in str(run)


def test_an_answer_and_an_object_are_taken_as_they_are(tmp_path: Path) -> None:
    """A finished `Answer` keeps its text and data; an object without words is checked as JSON of a class."""
    run, codes = found(tmp_path, BARE, subjects=[says, quiet], scorers=[evals.schema(Mapping[str, int])])
    assert codes == set()
    assert sorted(line.points for line in run.ledger.scores.values()) == [0.0, 100.0]
    assert {line.text for line in run.ledger.answers.values()} == {"An answer to one.", ""}


@pytest.mark.parametrize("scorer", [evals.signals(), evals.rubric("a/model")])
async def test_a_rubric_needs_a_scenario(scorer: Any) -> None:
    """The scorers of a rubric name the case that has none, before they ask anybody."""
    with pytest.raises(DealQuestError) as caught:
        await scorer.score(BARE.case("one"), evals.Answer(text="x"), None)
    assert caught.value.code == "evals.case.no_scenario"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda run: BARE.case("nothing"), "evals.case.unknown"),
        (lambda run: evals.ModelLimit(concurrent=0), "evals.input.limit"),
        (lambda run: evals.ModelLimit(per_minute=0), "evals.input.limit"),
        (lambda run: evals.Labelling(run, by=" "), "evals.label.by"),
        (lambda run: evals.load([]), "evals.suite.empty"),
    ],
)
def test_what_cannot_mean_anything_is_refused(tmp_path: Path, make: Any, code: str) -> None:
    """An unknown case, a limit that lets nothing through, a label of nobody and an empty suite are refused at once."""
    run, _ = found(tmp_path, BARE, subjects=[says])
    with pytest.raises(DealQuestError) as caught:
        make(run)
    assert caught.value.code == code


def test_points_beyond_a_criterion_are_refused(tmp_path: Path) -> None:
    """A person may give a criterion its weight and no more."""
    run, _ = found(tmp_path, PACK, subjects=[says])
    labelling = evals.Labelling(run, by="ann")
    scenario = PACK.case("learn_1_1").scenario
    assert scenario is not None
    with pytest.raises(DealQuestError, match="points, not 1000") as caught:
        labelling.give({criterion.id: 1000 for criterion in scenario.rubric})
    assert caught.value.code == "evals.label.points"


def test_conditions_fit_values_of_any_kind() -> None:
    """A number is compared as one, a collection holds it, and a case without the tag never fits."""
    rows = [{"id": "a", "input": "x", "size": 3}, {"id": "b", "input": "x", "size": 5}, {"id": "c", "input": "x"}]
    suite = evals.load(rows)
    wanted: dict[str, Any] = {"b": 5, "a": {3, 4}, "a b": lambda size: size > 2}
    for ids, condition in wanted.items():
        assert [case.id for case in suite.where(size=condition)] == ids.split()


def test_cases_and_missing_numbers_are_loaded() -> None:
    """Finished cases make a suite; a hole in a data frame is no tag, and not the number NaN."""
    import pandas as pd

    assert evals.load(list(BARE)).cases == BARE.cases
    frame = pd.DataFrame({"id": ["a", "b"], "input": ["x", "y"], "size": [3.0, None], "note": [None, "z"]})
    assert [case.tags.get("size") for case in evals.load(frame)] == [3.0, None]


def test_measures_that_are_not_defined_are_nan() -> None:
    """Nothing rated twice, or everything rated alike, gives NaN and no perfect agreement."""
    alone = np.array([[10.0, np.nan], [np.nan, 20.0]])
    same = np.array([50.0, 50.0])
    assert np.isnan([krippendorff_alpha(alone), krippendorff_alpha(np.stack([same, same])), weighted_kappa(same, same)]).all()


def test_a_comparison_of_nothing_claims_nothing() -> None:
    """Without common cases there is a sentence and no number; cases of one side alone are counted aloud."""
    nothing = Comparison(first="a", second="b", difference=Estimate(value=None))
    assert len(nothing.lines()) == 1
    assert str(nothing).startswith("a minus b: ")
    lonely = Comparison(first="a", second="b", difference=Estimate(value=1.0, n=2, clusters=2), unpaired=3)
    assert "3 cases were answered by one of the two only" in str(lonely)
    assert "bootstrap" not in str(lonely)


def test_pictures_of_a_run_without_points(tmp_path: Path) -> None:
    """A run in which everything failed is drawn without curves and without a legend."""
    run, codes = found(tmp_path, BARE, subjects=[evals.recorded()])
    assert codes == {"evals.subject.no_answer"}
    for kind in ("cost_quality", "latency", "agreement"):
        axes = getattr(run.plot, kind)().axes[0]
        assert axes.get_legend() is None
