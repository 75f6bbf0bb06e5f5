"""The bar of `scripts/coverage` is one that can be missed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("src/dealquest", "adapters/telegram/src/dealquest_telegram", "adapters/http/src/dealquest_http")


def judge(tmp_path: Path, *taken: int) -> "subprocess.CompletedProcess[str]":
    """The verdict on a hundred branches in each distribution."""
    files: dict[str, Any] = {
        f"{place}/part.py": {"summary": {"covered_branches": count, "num_branches": 100, "covered_lines": 100, "num_statements": 100}}
        for place, count in zip(PLACES, taken, strict=False)
    }
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": files}))
    command = [sys.executable, str(ROOT / "scripts/read_coverage.py"), str(report)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("taken", "code"),
    [
        ((95, 95, 95), 0),
        ((100, 100, 85), 0),
        ((95, 95, 94), 1),  # a branch below
        ((100, 100, 0), 1),  # one was loaded and never run
        ((100, 100), 1),  # one was not measured at all
        ((0, 0, 0), 1),
        ((), 1),  # an empty measurement
    ],
)
def test_too_little_or_nothing_measured_fails(tmp_path: Path, taken: tuple[int, ...], code: int) -> None:
    """95 % of the branches of all three distributions together pass; less does not, and neither does a distribution left out."""
    done = judge(tmp_path, *taken)
    assert (done.returncode, done.stderr) == (code, "")


def test_the_lowest_share_is_never_rounded_up(tmp_path: Path) -> None:
    """284 of 300 are 94.67 %, which is not enough; the figure is printed."""
    done = judge(tmp_path, 95, 95, 94)
    assert "94.67 % of all branches" in done.stdout
