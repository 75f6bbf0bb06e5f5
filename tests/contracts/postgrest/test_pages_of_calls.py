"""What the pages say of calls and media types (functions, media_type_handlers, resource_representation)."""

from replay import Case, replay
from test_pages_of_tables import CONFIG


async def test_what_functions_take(fair: str) -> None:
    """Lists as JSON, as literals and repeated; documents, bytes and text as the one argument; names as they are spelt."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    await replay(
        fair,
        [
            Case("POST /rpc/plus_one", [2, 3], 200, {"arr": [1, 2]}),
            Case("GET /rpc/plus_one?arr=%7B1,2%7D", [2, 3]),
            Case("POST /rpc/plus_each", [2, 3], 200, {"v": [1, 2]}),
            Case("GET /rpc/plus_each?v=1&v=2", [2, 3]),
            Case("POST /rpc/plus_each", [2, 3], 200, b"v=1&v=2", headers=form),
            Case("POST /rpc/measure", 3, 200, b"\x00\xff\x01", headers={"content-type": "application/octet-stream"}),
            Case("POST /rpc/measure", status=404, body={}),
            Case("POST /rpc/times", 8, 200, {"x": 4, "y": 2}),
            Case("POST /rpc/times", 5, 200, {"a": 5}),
            Case("GET /rpc/times?x=4&y=2", status=404),
            Case("POST /rpc/someFunc", '"Hi"', 200, {"someParam": "Hi"}),
            Case("GET /rpc/someFunc?someParam=Hi", '"Hi"'),
            Case("POST /rpc/somefunc", status=404, body={"someparam": "Hi"}),
            Case("POST /rpc/each_of", 2, 200, {"items": [{"a": 1}, {"a": 2}]}),
            Case("POST /rpc/no_function", status=404, body={}),
        ],
        CONFIG,
    )


async def test_what_functions_give(fair: str) -> None:
    """Records without a type are shown whole, and cannot be picked apart; a set of rows takes what a table takes."""
    await replay(
        fair,
        [
            Case("GET /rpc/records", [{"id": 1, "title": "Seas"}, {"id": 2, "title": "Hills"}]),
            Case("GET /rpc/records?select=id", status=400),
            Case("GET /rpc/records?id=eq.1", status=400),
            Case("GET /rpc/someFunc?someParam=Hi&select=id", status=400),
            Case("GET /rpc/someFunc?someParam=Hi&select=*", '"Hi"'),
            Case("GET /rpc/all_books?select=title&rated=is.true", [{"title": "Seas"}]),
            Case("POST /rpc/all_books?select=title&order=title.desc&limit=1", [{"title": "Woods"}], 200, {}),
            Case("GET /rpc/all_books?select=id&order=id&limit=1", "id\n1", headers={"accept": "text/csv"}),
            Case("HEAD /rpc/all_books?select=id", "", 200, shows={"content-range": "0-3/*", "content-length": None}),
        ],
        CONFIG,
    )


async def test_a_table_has_handlers_of_its_own(fair: str) -> None:
    """An aggregate over a table's rows answers a media type for it and for functions that give its rows, also in the place of ours."""
    titles = {"accept": "application/vnd.titles"}
    await replay(
        fair,
        [
            Case("GET /books?order=id", "Seas;Hills;Woods;Lakes;", headers=titles, shows={"content-type": "application/vnd.titles"}),
            Case("GET /rpc/all_books?id=lt.3&order=id", "Seas;Hills;", headers=titles, shows={"content-type": "application/vnd.titles"}),
            Case("GET /readers", status=406, headers=titles),
            Case("GET /books?select=title", status=406, headers=titles),
            Case(
                "GET /covers?order=id",
                "id|colour\n1|red\n2|blue\n",
                headers={"accept": "text/csv"},
                shows={"content-type": "text/csv; charset=utf-8", "content-disposition": 'attachment; filename="covers.csv"'},
            ),
            Case("GET /readers?select=name&id=eq.1", "name\nRae", headers={"accept": "text/csv"}, shows={"content-disposition": None}),
            Case(
                "GET /rpc/one_cover?id=1", "red", headers={"accept": "application/vnd.one"}, shows={"content-type": "application/vnd.one"}
            ),
            Case("GET /rpc/one_cover?id=1", status=406, headers={"accept": "application/xml"}),
        ],
        CONFIG,
    )


async def test_a_handler_for_any_media_type(fair: str) -> None:
    """It answers whatever is asked for, as bytes unless it says otherwise, and refuses by itself."""
    names = "Rae\nSol\nAnn\n"
    await replay(
        fair,
        [
            Case("GET /list.any?order=id", names, shows={"content-type": "application/octet-stream"}),
            Case("GET /list.any?order=id", names, headers={"accept": "*/*"}, shows={"content-type": "application/octet-stream"}),
            Case("GET /list.any?order=id", names, headers={"accept": "text/x-list"}, shows={"content-type": "text/x-list"}),
            Case("GET /list.any", status=415, headers={"accept": "unknown/media"}),
            Case("GET /list.any", status=415, headers={"accept": "application/json"}),
        ],
        CONFIG,
    )


async def test_representations_of_one_row_and_of_nulls(fair: str) -> None:
    """The vendor's own types: one object or none, nulls left out of both, for tables and functions; the first acceptable one is given."""
    one, bare, list_ = (
        "application/vnd.pgrst.object+json",
        "application/vnd.pgrst.object+json;nulls=stripped",
        "application/vnd.pgrst.array+json;nulls=stripped",
    )
    await replay(
        fair,
        [
            Case("GET /books?id=eq.4&select=id,notes", {"id": 4, "notes": None}, headers={"accept": one}),
            Case(
                "GET /books?id=eq.4&select=id,notes", {"id": 4}, headers={"accept": bare}, shows={"content-type": f"{bare}; charset=utf-8"}
            ),
            Case("GET /books?id=gte.3&select=id,author_id&order=id", [{"id": 3, "author_id": 2}, {"id": 4}], headers={"accept": list_}),
            Case("GET /rpc/all_books?id=eq.4&select=id,notes", {"id": 4}, headers={"accept": bare}),
            Case("GET /books?id=eq.4&select=id,notes", {"id": 4, "notes": None}, headers={"accept": "application/vnd.pgrst.object"}),
            Case("GET /books?id=eq.4&select=id", [{"id": 4}], headers={"accept": "APPLICATION/JSON"}),
            Case("GET /books?id=eq.4&select=id", "id\n4", headers={"accept": "text/csv, application/json;q=0.9"}),
            Case("GET /books?id=eq.4&select=id", status=406, headers={"accept": "image/png, application/vnd.unknown"}),
        ],
        CONFIG,
    )
