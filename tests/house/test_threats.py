"""The table of attacks and faults in docs/security-model.md and the tests know each other, in both directions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security-model.md"
ROW = re.compile(r"^\| ((?:fault )?[A-Z]\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
PATH = re.compile(r"`([^`]+)`")
NAME = re.compile(r"test_(fault_)?((?:[a-z]\d{1,2}_)+)")
ID = r"(?:fault )?[A-Z]\d{1,2}"
IN_BRACKETS = re.compile(rf"\((?:rows? )?({ID}(?:(?:, | and | to ){ID})*)\)")
RANGE = re.compile(r"([A-Z])(\d+) to \1(\d+)")


def ids_of_name(name: str) -> Iterator[str]:
    """`test_u3_p7_x` is about U3 and P7, `test_fault_l2_x` about fault L2."""
    if found := NAME.match(name):
        yield from (("fault " if found[1] else "") + part.upper() for part in found[2].split("_") if part)


def ids_of_text(text: str) -> Iterator[str]:
    """`(K1, K4)` and `(rows Q2 to Q4)` at the end of a sentence."""
    for listed in IN_BRACKETS.findall(text):
        for letter, first, last in RANGE.findall(listed):
            yield from (f"{letter}{number}" for number in range(int(first), int(last) + 1))
        yield from re.findall(rf"{ID}\b", listed)


def ids_of(path: Path) -> set[str]:
    """Every id that a file of tests names, in a function's name, its sentence, or the file's own."""
    tree = ast.parse(path.read_text("utf-8"))
    found = set(ids_of_text(ast.get_docstring(tree) or ""))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {*ids_of_name(node.name), *ids_of_text(ast.get_docstring(node) or "")}
    return found


ROWS = dict(ROW.findall(PAGE.read_text("utf-8")))
TESTS = sorted([*(ROOT / "tests").rglob("test_*.py"), ROOT / "tests/conftest.py"])


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_files_that_name_it(row: str) -> None:
    """Whoever follows the table finds the test: the file is there, and says the id."""
    paths = PATH.findall(ROWS[row])
    assert paths
    for path in paths:
        assert (ROOT / path).is_file(), f"{row}: {path} does not exist"
        assert row in ids_of(ROOT / path), f"{row}: {path} does not name it"


def test_every_id_in_a_test_has_a_row() -> None:
    """A test that is named after an attack is found by the table's reader, too."""
    used = {name: path for path in TESTS for name in ids_of(path)}
    missing = {name: str(path.relative_to(ROOT)) for name, path in used.items() if name not in ROWS}
    assert not missing, f"add rows to {PAGE.name}, or name the tests otherwise: {missing}"
    assert len(ROWS) > 60


def test_every_path_of_the_page_exists() -> None:
    """Scripts for longer runs, too."""
    paths = [path for path in PATH.findall(PAGE.read_text("utf-8")) if "/" in path]
    assert not [path for path in paths if not (ROOT / path).exists()]
    assert len(paths) > 100


def test_ids_are_read_from_names_and_sentences() -> None:
    """Several ids, ranges, and faults whose letter an attack has, too."""
    assert list(ids_of_name("test_u3_p7_waits")) == ["U3", "P7"]
    assert list(ids_of_name("test_fault_l2_slow")) == ["fault L2"]
    assert list(ids_of_name("test_h264_video")) == []
    assert set(ids_of_text("What holds (rows Q2 to Q4, P21).")) == {"Q2", "Q3", "Q4", "P21"}
    assert set(ids_of_text("Kept (F1, fault L2) and (a note of 5)")) == {"F1", "fault L2"}
