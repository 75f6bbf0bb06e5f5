"""Every error that the documentation lists, with its status and words (errors); but for PGRST120, which version 16 never gives (0068)."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from replay import CONFIG, Case, replay

from dealquest.storage.engine import EngineConfig

# SQLSTATEs of the table "HTTP Status Codes", each with the status of its row.
STATUSES: Mapping[int, str] = {
    400: "22012 22P02 23502 23514 42703 42601 P0001 01000",
    403: "0L000 0P000 28000 28P01 42501",
    404: "42883 42P01",
    405: "25006",
    409: "23503 23505",
    500: "09000 21000 25000 25P02 2D000 38000 39000 3B000 40001 40P01 53400 54001 55000 55P03 57014 58000 F0000 HV000 P0002 XX000 42P17",
    503: "08000 08006 53000 53300 57P01",
}


def told(code: str, message: str, details: Any = None, hint: Any = None) -> dict[str, Any]:
    return {"code": code, "message": message, "details": details, "hint": hint}


@pytest.mark.parametrize("status", STATUSES)
async def test_an_sqlstate_has_the_status_of_its_class(cinema: str, status: int) -> None:
    """What PostgreSQL refuses is told in its own words, with the status that its code's class has, and the code once more for HEAD."""
    await replay(
        cinema,
        [
            Case(
                "POST /rpc/fail",
                told(state, "no", "because", "ask"),
                status,
                {"state": state},
                shows={"proxy-status": f"PostgREST; error={state}"},
            )
            for state in STATUSES[status].split()
        ],
    )


async def test_a_raised_status_may_be_any(cinema: str) -> None:
    """PTxyz is the status xyz, also one that HTTP does not know; what is no number is a 500."""
    await replay(
        cinema,
        [
            Case("POST /rpc/fail", told(f"PT{number}", "no", "because", "ask"), number, {"state": f"PT{number}"})
            for number in (402, 404, 419, 503)
        ],
    )


async def test_errors_of_a_request(cinema: str) -> None:
    """Codes PGRST100 to PGRST128, where a request alone is wrong."""
    json_error = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    hint = "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'."
    one = {"accept": "application/vnd.pgrst.object+json"}
    strict = {"prefer": "handling=strict, max-affected=1"}
    only_sets = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"
    await replay(
        cinema,
        [
            Case("PUT /rpc/add", told("PGRST101", "Cannot use the PUT method on RPC"), 405, {"a": 1}),
            Case("DELETE /rpc/add", told("PGRST101", "Cannot use the DELETE method on RPC"), 405),
            Case(
                "GET /films?limit=-1",
                told("PGRST103", "Requested range not satisfiable", "Limit should be greater than or equal to zero."),
                416,
                shows={"proxy-status": "PostgREST; error=PGRST103"},
            ),
            Case("GET /films", told("PGRST107", "None of these media types are available: x/y"), 406, headers={"accept": "x/y"}),
            Case(
                "GET /films?directors.id=eq.1",
                told(
                    "PGRST108",
                    "'directors' is not an embedded resource in this request",
                    hint="Verify that 'directors' is included in the 'select' query parameter.",
                ),
                400,
            ),
            Case(
                "GET /films",
                told("PGRST116", "Cannot coerce the result to a single JSON object", "The result contains 4 rows"),
                406,
                headers=one,
            ),
            Case("TRACE /films", told("PGRST117", "Unsupported HTTP method: TRACE"), 405),
            Case(
                "GET /directors?select=id,films(id)&order=films(id)",
                told(
                    "PGRST118",
                    "A related order on 'films' is not possible",
                    "'directors' and 'films' do not form a many-to-one or one-to-one relationship",
                ),
                400,
            ),
            Case("POST /rpc/fail_badly", told("PGRST121", json_error, "Invalid JSON value for MESSAGE: 'x'", hint), 500, {}),
            Case("GET /films/1", told("PGRST125", "Invalid path specified in request URL"), 404),
            Case("POST /rpc/add", told("PGRST128", only_sets), 400, {"a": 1}, headers=strict),
        ],
    )


async def test_the_root_may_be_switched_off(cinema: str) -> None:
    """PGRST126 says that the operator describes nothing."""
    off = told("PGRST126", "Root endpoint metadata is disabled")
    await replay(cinema, [Case("GET /", off, 404), Case("HEAD /", "", 404)], attrs.evolve(CONFIG, openapi_mode="disabled"))


async def test_minimal_errors_keep_details_and_hint_back(cinema: str) -> None:
    """With the least verbosity an error is its code and message, wherever it comes from."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", client_error_verbosity="minimal")
    beyond = {"code": "PGRST103", "message": "Requested range not satisfiable"}
    await replay(
        cinema,
        [
            Case("GET /directorx", {"code": "PGRST205", "message": "Could not find the table 'cinema.directorx' in the schema cache"}, 404),
            Case("POST /rpc/fail", {"code": "P0001", "message": "no"}, 400, {"state": "P0001"}),
            Case("POST /rpc/fail_wholly", {"code": "123", "message": "M"}, 402, {}, shows={"x-why": "nerd"}),
            Case("GET /films?offset=9", beyond, 416, headers={"prefer": "count=exact"}),
        ],
        config,
    )
