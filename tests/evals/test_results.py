"""What a run shows: tables without a bare number, reprs that survive an export, pictures, labels, exports."""

import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dealquest import evals
from dealquest.errors import InputError
from dealquest.evals.labelling import label_in_terminal
from dealquest.evals.progress import LineProgress, NoProgress, NotebookProgress, Standing, choose_progress

SUITE = evals.load("foundations")
EVIL = "<script>alert(1)</script> =HYPERLINK(1) \x1b[31m | \x00 ]]>"


@pytest.fixture
def run(tmp_path: Path) -> evals.Run:
    """Two subjects that differ, one that fails, one whose words are hostile."""

    async def strong(case: evals.Case) -> str:
        assert case.scenario is not None
        return case.scenario.anchors.strong.text

    async def weak(case: evals.Case) -> str:
        assert case.scenario is not None
        return case.scenario.anchors.weak.text

    async def failing(case: evals.Case) -> str:
        raise ValueError(EVIL)

    async def hostile(case: evals.Case) -> str:
        return EVIL

    return evals.run_sync(
        SUITE,
        subjects=[strong, weak, failing, evals.subject(hostile, name="<img src=x onerror=alert(1)>")],
        repeats=2,
        judge_check=6,
        journal=tmp_path / "run.jsonl",
        progress="none",
    )


class Tags(HTMLParser):
    """The tags and attributes of a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def test_b5_html_reprs_load_nothing_and_run_nothing(run: evals.Run) -> None:
    """No script, no link, no image, no event handler, whatever models and errors say."""
    labelling = run.label("anna")
    shown = [run, run.case("learn_1_1"), run.judge_report(), run.plan, SUITE, run.compare("strong", "weak"), labelling]
    for thing in shown:
        found = Tags(thing._repr_html_())  # type: ignore[union-attr]  # each has one
        assert not found.tags & {"script", "img", "link", "iframe", "object", "style", "a", "form"}, type(thing)
        assert not [name for name, value in found.attributes if name.startswith("on") or name in {"src", "href"}]
        assert not [value for _, value in found.attributes if value and "url(" in value]


def test_no_number_stands_without_its_interval(run: evals.Run) -> None:
    """Every mean in text, Markdown and HTML has its interval or says why it has none."""
    for text in (repr(run), run._repr_markdown_()):
        rows = [line for line in text.splitlines() if re.search(r"\b(strong|weak|failing)\b.*signals", line)]
        assert len(rows) == 3
        assert all(re.search(r"\d+\.\d \[-?\d+\.\d, \d+\.\d\]|no interval", row) for row in rows)
    assert "no interval (0 clusters, two are the least)" in repr(run)
    assert "12 x evals.subject.raised while answering: missing, not counted as zero" in repr(run)


def test_subjects_are_compared_pair_by_pair(run: evals.Run) -> None:
    """Strong beats weak surely, every pair is adjusted for their number, and what is unpaired is said."""
    found = run.compare("strong", "weak")
    assert found.difference.low is not None
    assert found.difference.low > 30
    assert found.needed(5.0) > found.needed(20.0)
    everyone = run.compare_all()
    assert len(everyone) == 6
    assert run.compare("strong", "failing").unpaired == 6
    assert {comparison.comparisons for comparison in everyone if comparison.p_adjusted is not None} == {3}
    assert not run.gate(max_drop=5, baseline="strong")
    with pytest.raises(InputError):
        run.gate(max_drop=5)


def test_one_case_is_told_as_a_story(run: evals.Run) -> None:
    """Question, answers, points, reasons and quotes stand in the trace."""
    told = str(run.case("learn_1_1").trace)
    assert "case learn_1_1" in told
    assert "Not seen" in told
    assert "failed (evals.subject.raised)" in told


def test_exports_hold_every_row_and_run_nothing(run: evals.Run, tmp_path: Path) -> None:
    """CSV, Parquet and data frame have the same rows; a spreadsheet runs no formula; XML stays well-formed."""
    import csv
    import xml.etree.ElementTree as ET

    import pyarrow.parquet as pq

    rows = run.to_rows()
    assert len(rows) == 48
    assert len(run.to_pandas()) == 48
    assert pq.read_table(run.to_parquet(tmp_path / "rows.parquet")).num_rows == 48
    with run.to_csv(tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 48
    assert {row["failure"] for row in read} == {"", "evals.subject.raised"}
    assert not [cell for row in read for cell in row.values() if cell.startswith(("=", "+", "@", "-"))]
    suite = ET.parse(run.to_junit(tmp_path / "report.xml", min_score=50)).getroot()[0]
    assert (suite.get("tests"), suite.get("errors")) == ("48", "12")


def test_pictures_are_drawn_for_print_and_screen(run: evals.Run, tmp_path: Path) -> None:
    """Every picture is made, saves as PNG, PDF and SVG, and opens no window."""
    from matplotlib.figure import Figure

    plots = run.plot
    for number, figure in enumerate([plots(), plots.scores(), plots.cost_quality(), plots.heat(), plots.latency(), plots.agreement()]):
        assert isinstance(figure, Figure)
        for ending in ("png", "svg"):
            path = tmp_path / f"{number}.{ending}"
            figure.savefig(path)
            assert path.stat().st_size > 2000


def test_labels_go_to_the_journal_and_correct_the_judge(run: evals.Run) -> None:
    """A person's points are kept, shown in the report, and bring the judge's mean towards them."""
    labelling = run.label("anna", seed=3)
    assert labelling.current is not None
    assert labelling.current.subject == ""
    assert "strong" not in repr(labelling).split("answer:")[0]
    first = labelling.current
    labelling.give({criterion.id: 1 for criterion in first.rubric}, note="short")
    while len(labelling):
        current = labelling.current
        assert current is not None
        labelling.give(90 if current.answer in {c.scenario.anchors.strong.text for c in SUITE if c.scenario} else 5)
    with pytest.raises(InputError):
        labelling.give(5)
    again = evals.read(run.path)
    assert len(again.ledger.labels) == 36
    report = again.judge_report()
    assert report.people is not None
    assert report.people.kappa.value is not None
    assert report.corrected["strong"].low is not None
    assert "mean corrected by people: strong" in str(report)
    assert len(again.label("anna")) == 0
    assert len(again.label("bert")) == 36


@pytest.mark.parametrize("points", [-1, 101, {"relevance": 5}, {"nothing": 1}])
def test_points_that_are_none_are_refused(run: evals.Run, points: object) -> None:
    """Labels are checked like any input, and nothing is written."""
    labelling = run.label("anna")
    before = run.path.read_bytes()
    with pytest.raises(InputError) as caught:
        labelling.give(points)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.code == "evals.label.points"
    assert run.path.read_bytes() == before


def test_the_terminal_view_takes_points_skips_and_leaves(run: evals.Run) -> None:
    """A person types; whatever they type, the view goes on or ends."""
    said = iter(["50", "s", "many", "300", "20", "q"])
    shown: list[str] = []
    assert label_in_terminal(run.label("anna"), show=shown.append, ask=lambda prompt: next(said)) == 2
    assert len(run.ledger.labels) == 2
    assert any("no number" in text for text in shown)

    def gone(prompt: str) -> str:
        raise EOFError

    assert label_in_terminal(run.label("bert"), show=shown.append, ask=gone) == 0


def test_the_same_person_may_correct_a_label(run: evals.Run) -> None:
    """A later label of one person takes the earlier one's place; another person's stands beside it."""
    from dealquest.evals.journal import Journal
    from dealquest.evals.journal_lines import LabelLine

    key = next(iter(run.ledger.scores))[0]
    at = datetime(2026, 11, 22, tzinfo=UTC)
    with Journal(run.path) as journal:
        for by, points in (("anna", 10), ("anna", 30), ("bert", 50)):
            journal.write(LabelLine(key=key, by=by, points=points, at=at))
    assert [label for _, label, _ in evals.read(run.path).label_pairs()] == [40]


def standing(elapsed_s: float, done: int = 5) -> Standing:
    from decimal import Decimal

    return Standing(done=done, total=10, fresh=done, failed=1, spent_usd=Decimal("0.5"), elapsed_s=elapsed_s)


def test_progress_says_rate_money_and_time_left() -> None:
    """One line, at most four times a second; plain lines where nothing can be written over."""
    out = io.StringIO()
    live = LineProgress(out, live=True)
    for tick in range(20):
        live.update(standing(tick / 10))
    live.close(standing(2.0, 10))
    shown = out.getvalue().split("\r")[1:]
    assert len(shown) <= 2.0 / 0.25 + 2
    assert "5/10 (50 %)" in shown[-2]
    assert "0.5000 USD" in shown[-2]
    assert "1 failed" in shown[-2]
    assert "left" in shown[-2]
    assert "left" not in shown[-1]
    log = io.StringIO()
    plain = LineProgress(log, live=False)
    for tick in range(40):
        plain.update(standing(float(tick)))
    assert "\r" not in log.getvalue()
    assert len(log.getvalue().splitlines()) == 2


def test_progress_fits_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told or found out: nothing, a line, a cell, or whoever the caller brings."""
    mine = NoProgress()
    assert choose_progress(mine) is mine
    assert isinstance(choose_progress("none"), NoProgress)
    assert isinstance(choose_progress("notebook"), NotebookProgress)
    assert isinstance(choose_progress("auto"), LineProgress)


def test_the_plan_is_made_before_anything_is_asked() -> None:
    """Calls, expected cost and the smallest difference stand in it; an unknown price is said, not guessed."""
    plan = evals.plan(SUITE, models=["openai/gpt-oss-120b", "moonshotai/kimi-k2.5"], scorers=[evals.rubric("x/unpriced")], repeats=3)
    assert plan.size == 36
    assert plan.calls == {"openai/gpt-oss-120b": 18, "moonshotai/kimi-k2.5": 18, "x/unpriced": 36 + 30}
    assert plan.expected_usd is None
    assert "no price for x/unpriced" in str(plan)
    smallest = plan.smallest_difference()
    assert smallest is not None
    assert 15 < smallest < 20
    cheap = evals.plan(SUITE, models=["openai/gpt-oss-120b"])
    assert cheap.expected_usd is not None
    assert 0 < cheap.expected_usd < 1
    assert evals.plan(SUITE, models=["openai/gpt-oss-120b"]).digest == cheap.digest
    assert evals.plan(SUITE, models=["openai/gpt-oss-120b"], repeats=2).digest != cheap.digest
