"""Suites: every source gives the same cases, and every fault is named at once."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest import evals
from dealquest.coach import load_pack
from dealquest.errors import InputError, NotFoundError

ROWS = [{"id": "a", "input": "Say yes.", "reference": "yes", "level": 1}, {"id": "b", "input": "Say no.", "reference": "no", "level": 3}]


def test_packs_tracks_and_categories_are_found_by_name(tmp_path: Path) -> None:
    """A language, a track, a category, a pack object and a file give their scenarios."""
    pack = load_pack("en")
    assert len(evals.load("en")) == len(evals.load(pack)) == len(pack.scenarios)
    assert [case.id for case in evals.load("foundations")] == [level.scenario.id for level in pack.track("foundations").levels]
    assert {case.tags["category"] for case in evals.load("closing")} == {"closing"}
    file = Path(evals.__file__).parents[1] / "coach/packs/en/practice_closing.toml"
    assert [case.id for case in evals.load(file)] == [case.id for case in evals.load("closing")]


def test_a_case_hides_what_the_seller_must_not_know() -> None:
    """Hidden facts, dealbreakers, anchors and the model answer are not part of the input."""
    for case in evals.load("en"):
        assert case.scenario is not None
        persona = case.scenario.persona
        hidden = [*persona.hidden_facts, *persona.dealbreakers, case.scenario.ideal, *(anchor.text for anchor in case.scenario.anchors)]
        assert not [text for text in hidden if text in case.input]
        assert case.scenario.situation in case.input


def test_jsonl_csv_rows_and_frames_give_the_same_cases(tmp_path: Path) -> None:
    """The same rows are the same cases wherever they stand."""
    import pandas as pd

    jsonl, csv = tmp_path / "suite.jsonl", tmp_path / "suite.csv"
    jsonl.write_bytes(b"\n".join(msgspec.json.encode(row) for row in ROWS) + b"\n\n")
    csv.write_text("id,input,reference,level\na,Say yes.,yes,1\nb,Say no.,no,3\n", "utf-8-sig")
    suites = [evals.load(source) for source in (ROWS, jsonl, pd.DataFrame(ROWS))]
    assert {suite.digest for suite in suites} == {evals.load(csv).digest}
    assert [case.id for case in suites[0].where(level=">=2")] == ["b"]
    assert [case.id for case in evals.load(csv).where(level=">=2")] == ["b"]


def test_columns_may_have_other_names_and_scenarios_come_from_a_pack() -> None:
    """A mapping names the columns; a scenario makes a case that can be scored by its rubric."""
    rows = [{"nr": 1, "frage": "Write to Ines.", "scenario": "learn_1_1"}]
    (case,) = evals.load(rows, columns={"id": "nr", "input": "frage"})
    assert (case.id, case.input, case.cluster) == ("1", "Write to Ines.", "learn_1_1")
    assert case.scenario == load_pack("en").scenario("learn_1_1")


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([{"id": "a", "input": "x"}, {"id": "a", "input": "y"}, {"id": "b", "input": "z"}], "evals.suite.duplicate", "'a' 2 times"),
        ([{"name": "a", "input": "x"}], "evals.suite.columns", "no column 'id'"),
        ([{"id": "a", "question": "x"}], "evals.suite.columns", "it has id, question"),
        ([{"id": "a", "input": "x"}, {"id": None, "input": "y"}, {"id": "c", "input": " "}], "evals.suite.invalid", "2 faults"),
        ([{"id": "a", "input": "x", "scenario": "nope"}], "evals.suite.invalid", "no scenario 'nope'"),
        ([{"id": "a", "input": "x"}, "text"], "evals.suite.invalid", "row 1: a mapping is wanted, this is str"),
        ([], "evals.suite.empty", "holds no case"),
    ],
)
def test_faults_of_rows_are_named_and_counted(rows: list[dict[str, object]], code: str, words: str) -> None:
    """Duplicate ids, missing columns and empty cells are errors with their place; no case is dropped in silence."""
    with pytest.raises(InputError, match=words) as caught:
        evals.load(rows)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"id": "a", "input": "x"}\n{"id": "b", \n', "row 2: no JSON"),
        ("a.jsonl", b'{"id": "a", "input": "x"}\n[1]\n', "row 2: a JSON object is wanted, this is list"),
        ("a.csv", b"id,input\na,x\nb,y,z\n", "row 3: 3 cells under 2 columns"),
        ("a.csv", b"id,input\na,\xff\n", "not text in UTF-8"),
        ("a.jsonl", b"", "holds no case"),
    ],
)
def test_faults_of_files_are_named_by_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """The number is the one a text editor or a spreadsheet shows."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        evals.load(path)


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    """A typing error shows the choices."""
    with pytest.raises(NotFoundError, match="foundations, objections") as caught:
        evals.load("fundations")
    assert caught.value.code == "evals.suite.unknown"
    with pytest.raises(NotFoundError):
        evals.load(tmp_path / "nothing.jsonl")


def test_conditions_that_cannot_hold_are_errors() -> None:
    """A tag that no case has, and a choice that leaves nothing, are not an empty suite."""
    suite = evals.load(ROWS)
    assert [case.id for case in suite.where(level=[3, 4])] == ["b"]
    assert [case.id for case in suite.where(level=lambda level: level < 2)] == ["a"]
    assert [case.id for case in suite.where(id="!=a")] == ["b"]
    with pytest.raises(InputError, match="there are cluster, id, level"):
        suite.where(difficulty=">=2")
    with pytest.raises(InputError, match="nothing of 'rows' is left"):
        suite.where(level=">9")


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_a_sample_repeats_with_its_seed(size: int, seed: int) -> None:
    """The same seed chooses the same cases, in the suite's order."""
    suite = evals.load("en")
    chosen = [case.id for case in suite.sample(size, seed=seed)]
    assert chosen == [case.id for case in suite.sample(size, seed=seed)]
    assert len(chosen) == min(size, len(suite))
    assert chosen == [case.id for case in suite if case.id in set(chosen)]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)


@settings(deadline=None, max_examples=40)
@given(st.lists(cells, min_size=1, max_size=5, unique=True), cells)
def test_csv_brings_back_any_text(tmp_path_factory: pytest.TempPathFactory, ids: list[str], text: str) -> None:
    """Line breaks, quotes and commas inside cells survive."""
    import csv

    path = tmp_path_factory.mktemp("csv") / "suite.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["id", "input"])
        writer.writerows([name, text] for name in ids)
    assert [(case.id, case.input) for case in evals.load(path)] == [(name, text) for name in ids]


def test_anchors_make_a_suite_with_labels() -> None:
    """Three answers a scenario, with the points their authors agreed on."""
    suite = evals.anchors("foundations")
    assert len(suite) == 18
    assert all(isinstance(case.reference, int) and case.answer for case in suite)
    assert len({case.cluster for case in suite}) == 6
