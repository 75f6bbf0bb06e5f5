"""The table that both sides share: statuses as PostgREST documents them, every code explained."""

import pickle
import re
from pathlib import Path

import pytest

from dealquest.errors import ConflictError, DeniedError
from dealquest.storage import ErrorBody, find_body
from dealquest.storage.postgrest.errors import (
    PGRST_RULES,
    SQLSTATE_CLASS_RULES,
    SQLSTATE_RULES,
    build_error,
    find_rule,
    find_status,
    find_status_rule,
)

DOCS = (Path(__file__).parents[2] / "docs/errors/storage.md").read_text("utf-8")
# PostgREST's own two tables, written once more.
TABLE = """
08000 503 09000 500 0L000 403 0P000 403 23503 409 23505 409 23502 400 25006 405 25001 500 28000 403
2D000 500 38000 500 39000 500 3B000 500 40001 500 53400 500 53100 503 54000 500 55000 500 57014 500
57P01 503 58000 500 F0000 500 HV000 500 P0001 400 P0002 500 XX000 500 42883 404 42P01 404 42P17 500
42703 400 22P02 400 0A000 400 PT402 402
PGRST000 503 PGRST001 503 PGRST002 503 PGRST003 504 PGRST100 400 PGRST101 405 PGRST102 400 PGRST103 416 PGRST105 405 PGRST106 406
PGRST108 400 PGRST109 400 PGRST111 500 PGRST112 500 PGRST114 400 PGRST115 400 PGRST116 406 PGRST117 405 PGRST118 400 PGRST120 400
PGRST121 500 PGRST122 400 PGRST123 400 PGRST124 400 PGRST125 404 PGRST126 404 PGRST127 400 PGRST128 400 PGRST129 400 PGRST200 400
PGRST201 300 PGRST202 404 PGRST203 300 PGRST204 400 PGRST205 404 PGRST300 500 PGRST301 401 PGRST302 401 PGRST303 401 PGRSTX00 500
"""
DOCUMENTED = TABLE.split()


@pytest.mark.parametrize(("code", "status"), list(zip(DOCUMENTED[::2], DOCUMENTED[1::2], strict=True)))
def test_the_status_of_each_code_is_postgrests(code: str, status: str) -> None:
    """Every documented code has the HTTP status that PostgREST gives it."""
    assert find_status(code, authenticated=True) == int(status)


def test_a_missing_right_asks_for_proof_first() -> None:
    """Without a token 42501 is a 401, with one a 403, and the error knows which."""
    assert (find_status("42501", authenticated=False), find_status("42501", authenticated=True)) == (401, 403)
    errors = [build_error(ErrorBody(status=status, code="42501", message="no")) for status in (401, 403)]
    assert [error.status for error in errors if isinstance(error, DeniedError)] == [401, 403]


def test_every_code_is_explained_with_its_class() -> None:
    """Each of our codes has a line in the docs that names its class and PostgREST's codes."""
    for rules in (PGRST_RULES, SQLSTATE_RULES, SQLSTATE_CLASS_RULES):
        for said, rule in rules.items():
            line = re.search(rf"^\| `{re.escape(rule.code)}` .*$", DOCS, re.MULTILINE)
            assert line is not None, rule.code
            assert f"`{rule.error.__name__}`" in line[0], rule.code
            assert re.search(rf"[| ]{said}[, ]", line[0]), (rule.code, said)


def test_a_code_of_somebody_elses_leaves_the_word_to_the_status() -> None:
    """A code that a function or proxy made up says nothing; the HTTP status does."""
    assert find_rule("teapot") is None
    assert find_rule("ERROR") is None
    error = build_error(ErrorBody(status=409, code="ERROR", message="m"))
    assert (type(error), error.code) == (ConflictError, "storage.conflict")
    assert find_status_rule(599).error.__name__ == "PeerRefusedError"


def test_errors_cross_process_borders_with_what_the_server_said() -> None:
    """A pickled error keeps class, code and the server's body."""
    error = build_error(ErrorBody(status=409, code="23505", message="m", details={"a": 1}, hint="h"))
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), back.code, find_body(back)) == (ConflictError, "storage.constraint.unique", find_body(error))
