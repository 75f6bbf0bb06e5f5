"""Writing: insert, bulk, upsert, update, delete, put, singular, preferences, transactions (tables_views, preferences, transactions)."""

from replay import Case, replay

from dealquest.storage.engine import EngineConfig

FULL = {"prefer": "return=representation"}
ONE = "application/vnd.pgrst.object+json"


async def test_insert(cinema: str) -> None:
    """One row, many, forms and CSV; what is returned, and where it lies."""
    await replay(
        cinema,
        [
            Case(
                "POST /actors",
                "",
                201,
                {"id": 5, "name": "N"},
                shows={"content-range": "*/*", "content-type": None, "location": None, "content-length": "0"},
            ),
            Case(
                "POST /actors",
                "",
                201,
                {"id": 5},
                headers={"prefer": "return=headers-only"},
                shows={"location": "/actors?id=eq.5", "preference-applied": "return=headers-only"},
            ),
            Case(
                "POST /pairs",
                "",
                201,
                {"k1": 12, "k2": "Rock & R+ll"},
                headers={"prefer": "return=headers-only"},
                shows={"location": "/pairs?k1=eq.12&k2=eq.Rock%20%26%20R%2Bll"},
            ),
            Case(
                "POST /actors?select=name",
                [{"name": "N"}],
                201,
                {"id": 5, "name": "N"},
                headers={"prefer": "return=representation, count=exact"},
                shows={"content-range": "*/1", "preference-applied": "return=representation, count=exact"},
            ),
            Case(
                "POST /films?select=title,directors(name)",
                [{"title": "E", "directors": {"name": "Ada"}}],
                201,
                {"title": "E", "director_id": 1},
                headers=FULL,
            ),
            Case("POST /actors?select=id&order=id.desc", [{"id": 7}, {"id": 6}], 201, [{"id": 6}, {"id": 7}], headers=FULL),
            Case("POST /actors", [], 201, [], headers=FULL),
            Case("POST /keyless", [{"a": None, "b": None}], 201, {}, headers=FULL),
            Case(
                "POST /actors?select=id,name",
                [{"id": 8, "name": "a,b"}],
                201,
                b'id,name\n8,"a,b"',
                headers={**FULL, "content-type": "text/csv"},
            ),
            Case(
                "POST /actors?select=id,name",
                [{"id": 8, "name": None}],
                201,
                b"id,name\n8,NULL",
                headers={**FULL, "content-type": "text/csv"},
            ),
            Case(
                "POST /actors",
                [{"id": 9, "name": "a b"}],
                201,
                b"id=9&name=a+b",
                headers={**FULL, "content-type": "application/x-www-form-urlencoded"},
            ),
            Case("POST /actors?columns=id", [{"id": 9, "name": None}], 201, {"id": 9, "name": "x", "other": 1}, headers=FULL),
            Case(
                "POST /films?columns=title,year&select=title,year",
                [{"title": "F", "year": 2000}],
                201,
                [{"title": "F"}],
                headers={"prefer": "return=representation, missing=default"},
                shows={"preference-applied": "missing=default, return=representation"},
            ),
            Case("POST /films?columns=title,year&select=title,year", [{"title": "F", "year": None}], 201, [{"title": "F"}], headers=FULL),
            Case(
                "POST /actors",
                {"code": "PGRST102", "details": None, "hint": None, "message": "All object keys must match"},
                400,
                [{"id": 1}, {"name": "x"}],
            ),
            Case("POST /actors", {"code": "PGRST102", "details": None, "hint": None, "message": "Empty or invalid json"}, 400, b"}{"),
            Case("POST /actors", {"code": "PGRST102", "details": None, "hint": None, "message": "Empty or invalid json"}, 400),
            Case(
                "POST /actors",
                {
                    "code": "PGRST204",
                    "details": None,
                    "hint": None,
                    "message": "Could not find the 'nam' column of 'actors' in the schema cache",
                },
                400,
                {"nam": 1},
            ),
            Case("POST /actors", status=409, body={"id": 1}),
            Case("POST /films", status=400, body={"year": 1}),
            Case("POST /films", status=409, body={"title": "x", "director_id": 77}),
            Case("POST /reviews", status=400, body={"score": 11}),
            Case("POST /actors", status=400, body=b"a", headers={"content-type": "application/unknown"}),
        ],
    )


async def test_upsert_and_put(cinema: str) -> None:
    """Merge and ignore duplicates by key or on_conflict, and PUT of one row by its key."""
    merge = {"prefer": "resolution=merge-duplicates, return=representation"}
    ignore = {"prefer": "resolution=ignore-duplicates, return=representation"}
    applied = {"preference-applied": "resolution=merge-duplicates, return=representation"}
    await replay(
        cinema,
        [
            Case(
                "POST /actors",
                [{"id": 1, "name": "A"}, {"id": 9, "name": "B"}],
                201,
                [{"id": 1, "name": "A"}, {"id": 9, "name": "B"}],
                headers=merge,
                shows=applied,
            ),
            Case("POST /actors", [{"id": 1, "name": "A"}], 200, [{"id": 1, "name": "A"}], headers=merge),
            Case("POST /actors", [], 200, [], headers=merge),
            Case("POST /actors", [{"id": 9, "name": "B"}], 201, [{"id": 1, "name": "A"}, {"id": 9, "name": "B"}], headers=ignore),
            Case("POST /actors", [], 201, [{"id": 1, "name": "A"}], headers=ignore),
            Case(
                "POST /reviews?on_conflict=author&select=author,score",
                [{"author": "p", "score": 1}],
                200,
                {"author": "p", "score": 1},
                headers=merge,
            ),
            Case(
                "POST /keyless",
                [{"a": "1", "b": None}],
                201,
                {"a": "1"},
                headers=merge,
                shows={"preference-applied": "return=representation"},
            ),
            Case("PUT /actors?id=eq.1", [{"id": 1, "name": "P"}], 200, {"id": 1, "name": "P"}, headers=FULL),
            Case("PUT /actors?id=eq.1", "", 204, {"id": 1, "name": "P"}),
            Case("PUT /actors?id=eq.50", "", 204, {"id": 50, "name": "P"}),
            Case("POST /actors", "", 201, {"id": 50}, headers={"prefer": "count=estimated"}, shows={"content-range": "*/1"}),
            Case("PUT /actors?id=eq.50", [{"id": 50, "name": "P"}], 201, {"id": 50, "name": "P"}, headers=FULL),
            Case(
                "PUT /pairs?k1=eq.1&k2=eq.x",
                [{"k1": 1, "k2": "x", "extra": "new"}],
                200,
                {"k1": 1, "k2": "x", "extra": "new"},
                headers=FULL,
            ),
            Case(
                "PUT /actors?id=eq.1",
                {"code": "PGRST115", "details": None, "hint": None, "message": "Payload values do not match URL in primary key column(s)"},
                400,
                {"id": 2},
            ),
            Case(
                "PUT /actors?name=eq.x",
                {
                    "code": "PGRST105",
                    "details": None,
                    "hint": None,
                    "message": "Filters must include all and only primary key columns with 'eq' operators",
                },
                405,
                {"id": 2},
            ),
            # No row, or none with the key that the URL names.
            *(Case("PUT /actors?id=eq.1", status=400, body=body) for body in ([], {}, [{}], [{}, {}])),
            Case("PUT /pairs?k1=eq.1", status=405, body={"k1": 1, "k2": "x"}),
            Case("PUT /keyless?a=eq.1", status=405, body={"a": "1"}),
            Case(
                "PUT /actors?id=eq.1&limit=1",
                {
                    "code": "PGRST114",
                    "details": None,
                    "hint": None,
                    "message": "limit/offset querystring parameters are not allowed for PUT",
                },
                400,
                {"id": 1},
            ),
        ],
    )


async def test_update_and_delete(cinema: str) -> None:
    """Rows that meet the conditions, and no others; counts and ranges of what was touched."""
    await replay(
        cinema,
        [
            Case(
                "PATCH /actors?id=eq.1",
                "",
                204,
                {"name": "U"},
                shows={"content-range": "0-0/*", "content-type": None, "content-length": None},
            ),
            Case(
                "PATCH /actors?id=gt.0&select=id",
                [{"id": 1}, {"id": 2}],
                200,
                {"name": "U"},
                headers={"prefer": "return=representation, count=exact"},
                shows={"content-range": "0-1/2"},
            ),
            Case("PATCH /actors?id=eq.77", [], 200, {"name": "U"}, headers=FULL, shows={"content-range": "*/*"}),
            Case("PATCH /actors?id=eq.1", [], 200, {}, headers=FULL),
            Case("PATCH /actors?id=eq.1&columns=name&select=name", [{"name": "U"}], 200, {"name": "U", "id": 5}, headers=FULL),
            Case(
                "PATCH /films?id=eq.1&columns=year&select=year",
                [{"year": 2000}],
                200,
                {},
                headers={"prefer": "return=representation, missing=default"},
            ),
            Case("PATCH /actors?id=eq.1", status=400, body={"nam": "U"}),
            Case(
                "PATCH /films?or=(id.eq.1,id.eq.2)&select=id,directors(name)",
                [{"id": 1, "directors": {"name": "Ada"}}, {"id": 2, "directors": {"name": "Ada"}}],
                200,
                {"year": 1},
                headers=FULL,
            ),
            Case("DELETE /parts?film_id=eq.2", "", 204, shows={"content-range": "*/*", "content-type": None}),
            Case(
                "DELETE /parts?film_id=eq.1&select=part&order=part",
                [{"part": "fool"}, {"part": "hero"}],
                200,
                headers={"prefer": "return=representation, count=exact"},
                shows={"content-range": "*/2"},
            ),
            Case("DELETE /actors?id=eq.1", status=409),
        ],
    )


async def test_singular_changes_are_undone(cinema: str) -> None:
    """A change that must touch one row and touches another number leaves nothing behind."""
    wrong = {"accept": ONE, "prefer": "tx=commit"}
    await replay(
        cinema,
        [
            Case("PATCH /actors?id=eq.1", {"id": 1, "name": "U"}, 200, {"name": "U"}, headers={**FULL, "accept": ONE}),
            Case("PATCH /actors?id=gt.0", status=406, body={"name": "broken"}, headers=wrong),
            Case("POST /actors", status=406, body=[{"id": 60}, {"id": 61}], headers=wrong),
            Case("DELETE /parts", status=406, headers=wrong),
            Case("GET /actors?select=id&or=(name.eq.broken,id.gt.50)", []),
            Case("GET /parts?select=count()", [{"count": 3}]),
        ],
    )


async def test_preferences(cinema: str) -> None:
    """Strict handling, time zones, max-affected, and the end of a transaction."""
    strict = "handling=strict, "
    await replay(
        cinema,
        [
            Case(
                "GET /films",
                {
                    "code": "PGRST122",
                    "details": "Invalid preferences: anything",
                    "hint": None,
                    "message": "Invalid preferences given with handling=strict",
                },
                400,
                headers={"prefer": strict + "anything"},
            ),
            Case("GET /films?id=eq.1", headers={"prefer": "handling=lenient, anything"}, shows={"preference-applied": "handling=lenient"}),
            Case(
                "GET /rpc/setting?name=timezone",
                '"Europe/Paris"',
                headers={"prefer": "timezone=Europe/Paris"},
                shows={"preference-applied": "timezone=Europe/Paris"},
            ),
            Case("GET /films", status=400, headers={"prefer": "timezone=Nowhere/None"}),
            Case("GET /films?select=id&id=eq.1", [{"id": 1}], headers={"prefer": "timezone=America/Argentina/Buenos_Aires"}),
            Case("GET /films?select=id&id=eq.1", [{"id": 1}], headers={"prefer": "timezone=<abcdefghijklmnopqrs>+03"}),
            Case(
                "GET /films",
                {
                    "code": "PGRST129",
                    "message": "A time zone of more than 24 characters must be a name",
                    "details": None,
                    "hint": "Prefer a name such as America/Argentina/Buenos_Aires.",
                },
                status=400,
                headers={"prefer": "timezone=<abcdefghijklmnopqrst>+03"},
            ),
            Case(
                "DELETE /parts?film_id=eq.1",
                {
                    "code": "PGRST124",
                    "details": "The query affects 2 rows",
                    "hint": None,
                    "message": "Query result exceeds max-affected preference constraint",
                },
                400,
                headers={"prefer": strict + "max-affected=1"},
            ),
            Case(
                "DELETE /parts?film_id=eq.1",
                "",
                204,
                headers={"prefer": strict + "max-affected=2"},
                shows={"preference-applied": "handling=strict, max-affected=2"},
            ),
            Case("POST /rpc/nothing", status=400, headers={"prefer": strict + "max-affected=2"}),
            Case("POST /rpc/films_of", status=400, body={"maker": 1}, headers={"prefer": strict + "max-affected=1"}),
            Case("POST /actors", "", 201, {"id": 70}, headers={"prefer": "tx=rollback"}, shows={"preference-applied": "tx=rollback"}),
            Case("GET /actors?id=eq.70", []),
            Case("POST /later", status=409, body={"id": 2, "n": 1}),
        ],
    )


async def test_committed_by_default(cinema: str) -> None:
    """Without an override the transaction is kept, and Prefer: tx changes nothing."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon")
    rollback = {"prefer": "tx=rollback"}
    await replay(
        cinema,
        [
            Case("DELETE /actors?id=eq.70", "", 204),
            Case("POST /actors", "", 201, {"id": 70}, headers=rollback, shows={"preference-applied": None}),
            Case("GET /actors?select=id&id=eq.70", [{"id": 70}]),
            Case("DELETE /actors?id=eq.70", "", 204),
            Case("POST /later", status=409, body={"id": 2, "n": 1}),
            Case("GET /later?select=id", [{"id": 1}]),
        ],
        config,
    )


async def test_a_key_of_any_name_is_a_location(cinema: str) -> None:
    """A column may be called what the engine's own SQL calls things."""
    await replay(
        cinema,
        [Case("POST /k", "", 201, {"k": "x y", "v": 1}, headers={"prefer": "return=headers-only"}, shows={"location": "/k?k=eq.x%20y"})],
    )
