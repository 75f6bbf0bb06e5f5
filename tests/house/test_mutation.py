"""What the mutation run may call a success."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutate", ROOT / "scripts/mutate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("noticed", "missed", "unchecked", "enough"), [(85, 15, 0, True), (84, 16, 0, False), (99, 0, 1, False), (0, 0, 0, False)]
)
def test_only_a_finished_run_above_the_bar_succeeds(script: ModuleType, noticed: int, missed: int, unchecked: int, enough: bool) -> None:
    """A score below 85 %, a change that was not looked at, and a run that changed nothing all fail."""
    verdicts = [("dealquest.a.x", verdict) for verdict in ["killed"] * noticed + ["survived"] * missed + ["not checked"] * unchecked]
    assert script.judge("part", ("a",), verdicts) is enough


def test_a_file_in_which_nothing_was_changed_fails(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that moved, or that the tool passed by, is named."""
    assert not script.judge("part", ("a", "b/c"), [("dealquest.a.x", "killed")] * 9)
    assert "dealquest.b.c." in capsys.readouterr().out


def test_every_file_of_the_table_exists(script: ModuleType) -> None:
    """What is to be mutated, and the tests that must notice, are there."""
    for files, tests in script.PARTS.values():
        assert all((ROOT / f"src/dealquest/{name}.py").is_file() for name in files)
        assert all((ROOT / name).exists() for name in tests)
