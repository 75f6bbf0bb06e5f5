"""Writing at the edges: rows without keys, bodies that hold no rows, preferences that say nothing, and what is told first."""

from replay import Case, replay

FULL = {"prefer": "return=representation"}
MERGE = {"prefer": "resolution=merge-duplicates, return=representation"}
STRICT = "handling=strict, "


async def test_rows_without_keys_take_every_default(cinema: str) -> None:
    """As many rows as were sent, none for none; with a resolution too, and then as rows that were inserted."""
    await replay(
        cinema,
        [
            Case("POST /tickets?select=seat,stars", [{"seat": "A01", "stars": 3}], 201, {}, headers=FULL),
            Case("POST /tickets?select=seat,kind", [{"seat": "A01", "kind": "drama"}] * 2, 201, [{}, {}], headers=FULL),
            Case("POST /tickets", "", 201, [], headers={"prefer": "count=exact"}, shows={"content-range": "*/0"}),
            Case("POST /tickets", [], 201, [], headers=FULL),
            Case("POST /reviews?select=score", [{"score": None}], 201, {}, headers=MERGE),
            Case("POST /reviews?select=score", [], 200, [], headers=MERGE),
            Case(
                "POST /reviews?select=score",
                [{"score": None}] * 2,
                201,
                [{}, {}],
                headers={"prefer": "resolution=ignore-duplicates, return=representation"},
            ),
        ],
    )


async def test_a_body_that_is_neither_row_nor_list_holds_no_rows(cinema: str) -> None:
    """A number, a text or null writes nothing; a list of them is no list of rows, and what is no JSON is refused."""
    await replay(
        cinema,
        [
            *(Case("POST /actors", [], 201, body, headers=FULL) for body in (b"7", b'"x"', b"null", b"[]")),
            Case("POST /actors", "", 201, b"true"),
            Case("POST /actors", [], 200, b"7", headers=MERGE),
            Case("PATCH /actors?id=eq.1", [], 200, b"7", headers=FULL),
            Case("PATCH /actors?id=eq.1", "", 204, b"7"),
            Case("GET /actors?id=eq.1", [{"id": 1, "name": "Zoe"}]),
            *(Case("POST /actors", status=400, body=body) for body in (b"[7]", b"7 7", b"nil", b"")),
        ],
    )


async def test_put_writes_the_whole_row(cinema: str) -> None:
    """`columns` chooses nothing of a row that PUT replaces."""
    await replay(cinema, [Case("PUT /actors?id=eq.1&columns=id", [{"id": 1, "name": "P"}], 200, {"id": 1, "name": "P"}, headers=FULL)])


async def test_a_location_says_a_number_as_the_database_does(cinema: str) -> None:
    """The zeros that a number's type asks for stay, so that the address is the row's."""
    await replay(
        cinema,
        [
            Case(
                "POST /prices",
                "",
                201,
                {"price": 1.5},
                headers={"prefer": "return=headers-only"},
                shows={"location": "/prices?price=eq.1.50"},
            )
        ],
    )


async def test_max_affected_is_a_known_preference_whatever_it_says(cinema: str) -> None:
    """A value that is no number limits nothing, the first one counts, and only changes of present rows and calls are limited."""
    handled = {"preference-applied": "handling=strict"}
    parts = "DELETE /parts?film_id=eq.1"
    await replay(
        cinema,
        [
            Case("GET /films?id=eq.1", headers={"prefer": STRICT + "max-affected=many"}, shows=handled),
            Case(parts, "", 204, headers={"prefer": STRICT + "max-affected="}, shows=handled),
            Case(parts, "", 204, headers={"prefer": STRICT + "max-affected=few, max-affected=1"}, shows=handled),
            Case(parts, status=400, headers={"prefer": STRICT + "max-affected=1, max-affected=9"}),
            Case(parts, status=400, headers={"prefer": STRICT + "max-affected=-1"}),
            Case(parts, status=400, headers={"prefer": STRICT + "max-affected"}),
            Case("POST /actors", "", 201, [{"id": 81}, {"id": 82}], headers={"prefer": STRICT + "max-affected=1"}, shows=handled),
            Case(
                "POST /actors",
                "",
                200,
                [{"id": 1}, {"id": 2}],
                headers={"prefer": STRICT + "max-affected=1, resolution=merge-duplicates"},
                shows={"preference-applied": "resolution=merge-duplicates, handling=strict"},
            ),
            Case("POST /rpc/add", 3, 200, {"a": 1, "b": 2}, headers={"prefer": STRICT + "max-affected=x"}, shows=handled),
        ],
    )


async def test_of_several_faults_the_first_that_is_met_is_told(cinema: str) -> None:
    """Body, table, columns, then what is preferred; an answer that cannot be made is last for changes, and before that for reads."""
    odd = {"prefer": STRICT + "odd", "accept": "image/png"}
    await replay(
        cinema,
        [
            Case("POST /nowhere", status=400, body=b"{", headers=odd),
            Case("POST /nowhere", status=404, body={}, headers=odd),
            Case("GET /nowhere", status=404, headers=odd),
            Case("GET /films?select=nothing(id)", status=400, headers=odd),
            Case("GET /films", status=406, headers=odd),
            Case("PATCH /films?id=eq.1", status=400, body={"year": 1}, headers=odd),
            Case("PATCH /films?id=eq.1", status=406, body={"year": 1}, headers={"accept": "image/png"}),
            Case("GET /rpc/nowhere", status=404, headers=odd),
            Case("GET /rpc/numbers", status=406, headers=odd),
        ],
    )
