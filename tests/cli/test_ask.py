"""`dealquest ask`: one question, its answer on standard output, its cost beside it."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dealquest.testing import ModelServer


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, call: Callable[..., int]) -> Iterator[ModelServer]:
    with ModelServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def test_the_answer_and_its_cost_go_to_two_streams(
    model: ModelServer, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output holds the answer alone; model, tokens and cost stand on the error stream."""
    assert call("ask", "Hello?") == 0
    printed = capsys.readouterr()
    assert printed.out == "Hello there.\n"
    assert printed.err.endswith(" · 15 tokens · 0.0002 USD\n")


def test_a_streamed_answer_is_the_same_text(model: ModelServer, call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """`--stream` prints the same answer, and what it cost; a peer that names no price costs an unknown amount."""
    model.usage = {"prompt_tokens": 10, "completion_tokens": 5}
    assert call("ask", "Hello?", "--stream") == 0
    printed = capsys.readouterr()
    assert printed.out == "Hello there.\n"
    assert printed.err.endswith(" · 15 tokens · cost unknown\n")
    assert model.requests[-1]["stream"] is True


def test_a_dash_reads_standard_input(model: ModelServer, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` takes the question from standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("What is BATNA?"))
    assert call("ask", "-") == 0
    assert model.requests[-1]["messages"][-1]["content"] == "What is BATNA?"


def test_a_mistyped_option_is_no_question(model: ModelServer, call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is asked about `--steam`."""
    assert call("ask", "--steam") == 1
    assert "There is no option --steam" in capsys.readouterr().err
    assert model.requests == []


def test_an_object_of_a_class_in_the_current_folder(
    model: ModelServer, call: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--json module:Class` prints one validated JSON object; what is no class, or not there, is one clear line."""
    (tmp_path / "asked_cards.py").write_text("import attrs\n\n\n@attrs.frozen\nclass Card:\n    points: int\n\n\nLIMIT = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    model.words = ('{"points": 7}',)
    assert call("ask", "How good?", "--json", "asked_cards:Card") == 0
    assert json.loads(capsys.readouterr().out) == {"points": 7}
    for place in ("asked_cards:Missing", "no_such_module:Card", "asked_cards:LIMIT", ":"):
        assert call("ask", "How good?", "--json", place) == 1
        assert "class" in capsys.readouterr().err
    assert call("ask", "How good?", "--json", "asked_cards:Card", "--stream") == 1
    assert "leave out --stream or --json" in capsys.readouterr().err
