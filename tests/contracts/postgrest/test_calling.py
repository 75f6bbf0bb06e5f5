"""Calling functions, settings of a transaction, errors raised in SQL, schemas (functions, transactions, errors, schemas)."""

import attrs
from replay import CONFIG, Case, ask, replay

from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Principal


async def test_calls(cinema: str) -> None:
    """POST with arguments, GET with a query, sets, composites, forms, unnamed documents, overloads."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    await replay(
        cinema,
        [
            Case("POST /rpc/add", 3, 200, {"a": 1, "b": 2}, shows={"content-range": "0-0/*", "content-location": None}),
            Case("POST /rpc/add", 2, 200, {"a": 1}),
            Case("GET /rpc/add?a=3", 4),
            Case("GET /rpc/add?a=3&a=5&b=1", 6),
            Case("POST /rpc/add", 4, 200, b"a=1&b=3", headers=form),
            Case("POST /rpc/add?columns=a", 2, 200, {"a": 1, "b": 9}),
            Case("POST /rpc/add", 3, 200, [{"a": 1, "b": 2}, {"a": 5, "b": 5}]),
            Case("POST /rpc/nothing", "", 204, {}, shows={"content-type": None}),
            Case("GET /rpc/numbers", [1, 2, 3]),
            Case("GET /rpc/numbers?limit=1&offset=1", [2], shows={"content-range": "1-1/*"}),
            Case("GET /rpc/numbers?limit=1", [1], 206, headers={"prefer": "count=exact"}, shows={"content-range": "0-0/3"}),
            Case("GET /rpc/one_place", {"city": "Rome", "seats": 10}),
            Case("GET /rpc/two", {"x": 1, "y": "z"}),
            Case("GET /rpc/listed?n=eq.2", [{"n": 2}]),
            Case("GET /rpc/films_of?maker=1&select=id,directors(name)&id=gt.1", [{"id": 2, "directors": {"name": "Ada"}}]),
            Case(
                "POST /rpc/films_of?select=id&order=id.desc&limit=1",
                [{"id": 2}],
                206,
                {"maker": 1},
                headers={"prefer": "count=exact"},
                shows={"content-range": "0-0/2"},
            ),
            Case("HEAD /rpc/films_of?maker=1", "", 200, headers={"prefer": "count=exact"}, shows={"content-range": "0-1/2"}),
            Case("GET /rpc/joined?v=a&v=b", '"a+b"'),
            Case("GET /rpc/joined", '""'),
            Case("POST /rpc/joined", '"x+y"', 200, {"v": ["x", "y"]}),
            Case("POST /rpc/joined", '"p+q"', 200, b"v=p&v=q", headers=form),
            Case("POST /rpc/echo", {"a": [1]}, 200, {"a": [1]}),
            Case("POST /rpc/echo", [1, 2], 200, [1, 2]),
            Case("POST /rpc/shout", '"HEY"', 200, b"hey", headers={"content-type": "text/plain"}),
            Case("POST /rpc/over", '"two"', 200, {"a": 1, "b": 2}),
            Case("GET /rpc/over?a=1", '"int"'),
            Case("GET /rpc/plain", "hello", headers={"accept": "text/plain"}, shows={"content-type": "text/plain; charset=utf-8"}),
            Case("GET /rpc/plain", '"hello"'),
            Case("GET /rpc/grow", status=405),
            Case("POST /rpc/grow", 99, 200),
            Case("GET /rpc/one_place", {"city": "Rome", "seats": 10}, headers={"accept": "application/vnd.pgrst.object+json"}),
            Case("GET /rpc/films_of?maker=1", status=406, headers={"accept": "application/vnd.pgrst.object+json"}),
            Case("POST /rpc/add?a=1", status=400, body={"a": 1}),
        ],
    )


async def test_counts_of_calls(cinema: str) -> None:
    """A plan knows no number of a function's rows; a function of one value or row has one, whatever is left to show of it."""
    planned, exact = {"prefer": "count=planned"}, {"prefer": "count=exact"}
    await replay(
        cinema,
        [
            Case("GET /rpc/numbers", [1, 2, 3], headers=planned, shows={"content-range": "0-2/*", "preference-applied": "count=planned"}),
            Case("GET /rpc/films_of?maker=1&select=id&limit=1", [{"id": 1}], headers=planned, shows={"content-range": "0-0/*"}),
            Case("GET /rpc/add?a=1", 2, headers=exact, shows={"content-range": "0-0/1"}),
            Case("GET /rpc/add?a=1", 2, headers={"prefer": "count=estimated"}, shows={"content-range": "0-0/1"}),
            Case("GET /rpc/one_place?city=eq.Oslo", None, shows={"content-range": "0-0/*"}),
            Case("GET /rpc/films_of?maker=1&id=eq.9", [], headers=exact, shows={"content-range": "*/0"}),
        ],
    )
    unlimited = attrs.evolve(CONFIG, db_max_rows=None)
    await replay(cinema, [Case("GET /rpc/one_place?city=eq.Oslo", None, headers=exact, shows={"content-range": "0-0/1"})], unlimited)


async def test_unknown_and_ambiguous_functions(cinema: str) -> None:
    """404 with the nearest name or arguments, 300 when several overloads fit."""
    await replay(
        cinema,
        [
            Case(
                "GET /rpc/number",
                {
                    "code": "PGRST202",
                    "details": "Searched for the function cinema.number without parameters, but no matches were found in the schema cache.",
                    "hint": "Perhaps you meant to call the function cinema.numbers",
                    "message": "Could not find the function cinema.number without parameters in the schema cache",
                },
                404,
            ),
            Case(
                "GET /rpc/add?a=1&c=2",
                {
                    "code": "PGRST202",
                    "details": "Searched for the function cinema.add with parameters a, c, but no matches were found in the schema cache.",
                    "hint": "Perhaps you meant to call the function cinema.add(a, b)",
                    "message": "Could not find the function cinema.add(a, c) in the schema cache",
                },
                404,
            ),
            Case("POST /rpc/add", status=404, body={}),
            Case(
                "POST /rpc/add",
                {
                    "code": "PGRST202",
                    "details": "Searched for the function cinema.add with a single unnamed text "
                    "parameter, but no matches were found in the schema cache.",
                    "hint": None,
                    "message": "Could not find the function cinema.add in the schema cache",
                },
                404,
                b"x",
                headers={"content-type": "text/plain"},
            ),
            Case(
                "GET /rpc/same?a=1",
                {
                    "code": "PGRST203",
                    "details": None,
                    "hint": "Try renaming the parameters or the function itself in the database so function overloading can be resolved",
                    "message": "Could not choose the best candidate function between: cinema.same(a => integer), cinema.same(a => text)",
                },
                300,
            ),
        ],
    )


async def test_an_operator_may_have_any_number_of_settings(cinema: str) -> None:
    """More settings than a function takes arguments are all set, and the role with them."""
    settings = {f"app.settings.n{number}": f"v{number}" for number in range(150)}
    asked = [Case(f"GET /rpc/setting?name=app.settings.n{number}", f'"v{number}"') for number in (0, 45, 46, 149)]
    await replay(cinema, [*asked, Case("GET /rpc/setting?name=role", '"authenticated"')], attrs.evolve(CONFIG, app_settings=settings))


async def test_settings_of_a_transaction(cinema: str) -> None:
    """A function sees the request and decides headers and status."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", app_settings={"app.settings.host": "here"})
    await replay(
        cinema,
        [
            Case("GET /rpc/setting?name=request.method", '"GET"'),
            Case("POST /rpc/setting", '"/rpc/setting"', 200, {"name": "request.path"}),
            Case("GET /rpc/setting?name=request.headers", headers={"x-a": "b"}),
            Case("GET /rpc/setting?name=role", '"authenticated"'),
            Case("GET /rpc/setting?name=app.settings.host", '"here"'),
            Case("GET /rpc/setting?name=statement_timeout", '"10s"'),
            Case("POST /rpc/teapot", '"short"', 418, {}, shows={"x-pot": "tea", "set-cookie": "a=1"}),
            Case("POST /rpc/bad_headers", status=500, body={}),
            Case(
                "POST /rpc/bad_status",
                {"code": "PGRST112", "details": None, "hint": None, "message": "response.status guc must be a valid status code"},
                500,
                {},
            ),
        ],
        config,
    )


async def test_raised_errors(cinema: str) -> None:
    """SQLSTATEs become their status, PT codes their number, PGRST errors say everything themselves."""
    raised = {"code": "P0001", "details": "because", "hint": "ask", "message": "no"}
    await replay(
        cinema,
        [
            Case("POST /rpc/fail", raised, 400, {"state": "P0001"}),
            Case("POST /rpc/fail", {**raised, "code": "PT402"}, 402, {"state": "PT402"}, shows={"proxy-status": "PostgREST; error=PT402"}),
            Case("POST /rpc/fail", status=500, body={"state": "PT40A"}),
            Case("POST /rpc/fail", status=403, body={"state": "42501"}),
            Case("POST /rpc/fail", status=409, body={"state": "23505"}),
            Case("POST /rpc/fail", status=503, body={"state": "53300"}),
            Case("POST /rpc/fail", status=500, body={"state": "XX000"}),
            Case("POST /rpc/fail_wholly", {"code": "123", "details": "D", "hint": "H", "message": "M"}, 402, {}, shows={"x-why": "nerd"}),
            Case("POST /rpc/fail_badly", status=500, body={}),
        ],
    )


async def test_pre_request(cinema: str) -> None:
    """A function before every request may refuse it."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_pre_request="cinema.check_request")
    await replay(cinema, [Case("GET /films?id=eq.1"), Case("GET /films?id=eq.1", status=403, headers={"x-deny": "yes"})], config)


async def test_schemas(cinema: str) -> None:
    """Profiles pick the schema; one that is not exposed is refused."""
    config = EngineConfig(db_schemas=("cinema", "archive"), db_anon_role="anon")
    old = {"accept-profile": "archive"}
    await replay(
        cinema,
        [
            Case("GET /films?select=id&id=eq.1", [{"id": 1}], shows={"content-profile": "cinema"}),
            Case("POST /actors", "", 201, {"id": 70}, shows={"content-profile": None}),
            Case("GET /films", [{"id": 7, "title": "Old"}], headers=old, shows={"content-profile": "archive"}),
            Case("GET /actors", status=404, headers=old),
            Case(
                "GET /films",
                {
                    "code": "PGRST106",
                    "details": None,
                    "hint": "Only the following schemas are exposed: cinema, archive",
                    "message": "Invalid schema: hidden",
                },
                406,
                headers={"accept-profile": "hidden"},
            ),
            Case(
                "PATCH /films?id=eq.7",
                "",
                204,
                {"title": "Old"},
                headers={"content-profile": "archive"},
                shows={"content-profile": None},
            ),
        ],
        attrs.evolve(config, db_tx_end="rollback"),
    )
    await replay(cinema, [Case("GET /k", [], headers={"accept-profile": "cinema"}, shows={"content-profile": "cinema"})])


async def test_root_document(cinema: str) -> None:
    """The root describes what the role may use, and nothing more."""
    async with await Engine.open(cinema, CONFIG) as engine:
        mine = (await ask(engine, Case("GET /"))).json()
        theirs = (await ask(engine, Case("GET /"), Principal(role="anon"))).json()
        head = await ask(engine, Case("HEAD /"))
    assert head.header("content-type") == "application/openapi+json; charset=utf-8"
    assert mine["definitions"]["films"]["properties"]["director_id"]["description"] == (
        "Note:\nThis is a Foreign Key to `directors.id`.<fk table='directors' column='id'/>"
    )
    assert mine["definitions"]["films"]["properties"]["genre"]["enum"] == ["drama", "comedy"]
    assert mine["paths"]["/directors"]["get"]["summary"] == "Directors"
    assert "get" in mine["paths"]["/rpc/add"]
    assert "get" not in mine["paths"]["/rpc/grow"]
    assert "/secrets" not in mine["paths"]
    assert "/notes" in mine["paths"]
    assert "/notes" not in theirs["paths"]
    closed = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", openapi_mode="disabled", db_root_spec="one_place")
    await replay(cinema, [Case("GET /", status=404), Case("OPTIONS /", status=404)], closed)


async def test_types_and_defaults_of_the_root_document(cinema: str) -> None:
    """A column shows the built-in type under its domain, a default only where JSON can hold it, and a key through views."""
    async with await Engine.open(cinema, CONFIG) as engine:
        answer = await ask(engine, Case("GET /", headers={"accept": "application/json", "accept-profile": "cinema"}))
        document = answer.json()
    assert answer.header("content-type") == "application/openapi+json; charset=utf-8"
    assert answer.header("content-profile") == "cinema"
    assert document["definitions"]["tickets"]["properties"] == {
        "id": {"type": "integer", "format": "int64"},
        "seat": {"type": "string", "format": "character", "default": "'A01'::bpchar", "maxLength": 3},
        "price": {"type": "number", "format": "numeric", "default": 9.5},
        "paid": {"type": "boolean", "format": "boolean", "default": False},
        "day": {"type": "string", "format": "date", "default": "1990-01-01"},
        "sold": {"type": "string", "format": "timestamp with time zone", "default": "now()"},
        "stars": {"type": "integer", "format": "int32", "default": 3},
        "kind": {"type": "string", "format": "cinema.kind", "default": "'drama'::cinema.genre", "enum": ["drama", "comedy"]},
        "extra": {"format": "jsonb"},
        "rows": {"type": "array", "items": {"type": "integer"}, "format": "integer[]"},
    }
    assert document["definitions"]["shows"]["properties"]["hall"]["description"] == (
        "Note:\nThis is a Foreign Key to `halls.number`.<fk table='halls' column='number'/>"
    )
    two = document["paths"]["/rpc/two"]["post"]
    assert two["parameters"][0]["schema"] == {"type": "object"}
    assert two["produces"] == [
        "application/json",
        "application/vnd.pgrst.object+json;nulls=stripped",
        "application/vnd.pgrst.object+json",
    ]
    assert [item["name"] for item in document["paths"]["/rpc/over"]["get"]["parameters"]] == ["a", "b"]


async def test_the_operators_own_root(cinema: str) -> None:
    """A function answers the root instead of the engine's document."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_root_spec="one_place")
    await replay(cinema, [Case("GET /", {"city": "Rome", "seats": 10}, headers={"accept": "application/json"}), Case("HEAD /", "")], config)


async def test_what_functions_take_and_give(cinema: str) -> None:
    """Parameters without a length, records without columns, computed columns of rows, rows that are no JSON."""
    missing = "Could not find the function cinema.echo(a, b) in the schema cache"
    searched = "Searched for the function cinema.echo with parameters a, b, but no matches were found in the schema cache."
    await replay(
        cinema,
        [
            Case("GET /rpc/measure?code=abcdef", 6),
            Case("POST /rpc/measure", 3, 200, {"code": "abc"}),
            Case("GET /rpc/loose", {"f1": 1, "f2": "z"}),
            Case("GET /rpc/films_of?maker=1&select=id,initial&order=initial.desc", [{"id": 2, "initial": "B"}, {"id": 1, "initial": "A"}]),
            Case("GET /rpc/films_of?maker=1&select=id&initial=eq.B", [{"id": 2}]),
            Case("GET /rpc/films_of?maker=1&limit=1", headers={"prefer": "count=exact"}, status=206, shows={"content-range": "0-0/2"}),
            Case("GET /rpc/films_of?maker=1", headers={"prefer": "count=exact"}, shows={"content-range": "0-1/2"}),
            Case(
                "POST /rpc/echo",
                {
                    "code": "PGRST202",
                    "details": searched,
                    "hint": None,
                    "message": missing,
                },
                404,
                b"a,b\n1,2",
                headers={"content-type": "text/csv"},
            ),
        ],
    )
