"""The audit of what we depend on: it cannot pass by looking at nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def judged(script: str, report: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / script), str(report)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([{"name": "attrs", "version": "26.1.0", "vulns": []}], 0, "1 of 1 pinned packages were looked at; 0 known weaknesses"),
        ([{"name": "attrs", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}], 1, "attrs 1: X-1, fixed in 2"),
        ([{"name": "attrs", "skip_reason": "no answer"}], 1, "proves nothing"),
        ([], 1, "0 of 0"),
        (None, 1, "nothing was looked at"),
    ],
    ids=["clean", "weak", "unseen", "empty", "no report"],
)
def test_an_audit_passes_only_when_everything_was_looked_at(packages: list[Any] | None, code: int, words: str, tmp_path: Path) -> None:
    """A weakness, a package without an answer, an empty list and a missing report all fail, and say why."""
    report = tmp_path / "audit.json"
    if packages is not None:
        report.write_text(json.dumps({"dependencies": packages}), "utf-8")
    ended, said = judged("read_audit.py", report)
    assert ended == code
    assert words in said


@pytest.mark.parametrize(
    ("licence", "code"), [("MIT", 0), ("GPL-3.0-only", 1), ("LGPL-3.0-only", 1), ("UNKNOWN", 1)], ids=["free", "strong", "weak", "unknown"]
)
def test_a_licence_that_we_do_not_accept_fails(licence: str, code: int, tmp_path: Path) -> None:
    """Permissive licences pass; copyleft does not without a reason in the table, and neither does silence."""
    report = tmp_path / "licences.json"
    report.write_text(json.dumps([{"Name": "new-thing", "Version": "1", "License": licence}]), "utf-8")
    assert judged("read_licences.py", report)[0] == code
