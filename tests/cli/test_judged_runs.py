"""`dealquest eval` with models behind a socket: money that runs out, samples, runs that are compared and judged."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from dealquest import evals
from dealquest.llm import Provider, Route, Router
from dealquest.testing import ChatModels, ChatQuestion, ModelServer, judge_by

Call = Callable[..., int]
PROVIDER = Provider(name="openrouter", base_url="http://127.0.0.1:9/api/v1")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, call: Call) -> Iterator[ModelServer]:
    with ModelServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.csv"
    path.write_text("id,input,reference,answer\n" + "".join(f"c{number},Say {number}.,{number},{number}\n" for number in range(8)))
    return path


def test_money_that_runs_out_ends_with_three(
    call: Call, model: ModelServer, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was answered is kept, the reason is said, and the next session goes on with the rest."""
    journal = tmp_path / "run.jsonl"
    assert call("eval", suite, "--model", "some/model", "--journal", journal, "--budget-usd", "0.0005", "--concurrency", "1") == 3
    printed = capsys.readouterr()
    assert "stopped early" in printed.err
    assert str(journal) in printed.out
    assert call("eval", "resume", journal, "--budget-usd", "1") == 0
    assert len(model.requests) == 8


def test_a_sample_is_so_many_cases(call: Call, suite: Path, tmp_path: Path) -> None:
    """By chance, and the same ones for the same seed."""
    for name in ("one", "two"):
        assert call("eval", suite, "--recorded", "--sample", "3", "--seed", "5", "--journal", tmp_path / f"{name}.jsonl") == 0
    one, two = evals.read(tmp_path / "one.jsonl"), evals.read(tmp_path / "two.jsonl")
    assert one.size == two.size == 3
    assert [line.case for line in one.ledger.answers.values()] == [line.case for line in two.ledger.answers.values()]


def test_a_judged_run_is_shown_with_its_comparisons_and_judges(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every pair of subjects and the report of every judge that was checked, also by `resume`, which has nothing left to ask."""
    journal = tmp_path / "run.jsonl"

    def answer(question: ChatQuestion) -> str:
        if question.model == "judge/model":
            judged = judge_by(lambda text: min(1.0, len(text) / 400))(question)
            assert isinstance(judged, str)
            return judged
        return "What does the queue cost you a day? Shall we talk on Tuesday at nine?"

    async def judged_run() -> None:
        models = ["a/model", "b/model", "judge/model"]
        llm = partial(Router, [Route(model="a/model", provider=PROVIDER)], transport=ChatModels(answer))
        scorers = [evals.rubric("judge/model"), evals.signals()]
        suite = evals.load("foundations")
        await evals.run(suite, models=models[:2], scorers=scorers, judge_check=2, llm=llm, journal=journal, progress="none")

    anyio.run(judged_run)
    assert call("eval", "show", journal, "--compare", "--judges") == 0
    shown = capsys.readouterr().out
    assert "rubric against the anchors" in shown
    assert "a/model" in shown.split("rubric against the anchors")[0]
    assert call("eval", "resume", journal, OPENAI_BASE_URL="http://127.0.0.1:9/v1") == 0
    assert "rubric against the anchors" in capsys.readouterr().out
