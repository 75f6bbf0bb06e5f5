"""Reading: operators, logic, select, json, ordering, limits, counts, media (tables_views, pagination_count, resource_representation)."""

import attrs
from replay import Case, replay

from dealquest.storage.engine import EngineConfig


def ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def films(query: str, *numbers: int) -> Case:
    return Case(f"GET /films?select=id&order=id&{query}", ids(*numbers))


async def test_operators(cinema: str) -> None:
    """Every operator of the documentation finds the rows that its SQL finds."""
    await replay(
        cinema,
        [
            films("id=eq.1", 1),
            films("id=neq.1", 2, 3, 4),
            films("year=gt.1999&year=lt.2010", 2, 3),
            films("year=gte.2001&year=lte.2001", 2, 3),
            films("id=in.(1,3)", 1, 3),
            films('title=in.("Alpha","Gamma, \\"the (third)\\"")', 1, 3),
            films("id=in.()"),
            films("id=in.(  )"),
            films("id=not.in.(1,2)", 3, 4),
            films("title=like.*eta", 2),
            films("title=like.Alp%25", 1),
            films("title=ilike.ALPHA", 1),
            films("title=match.^A", 1),
            films("title=imatch.^a", 1),
            films("title=like(any).{Al*,Be*}", 1, 2),
            films("title=like(all).{*a,B*}", 2),
            films("id=eq(any).{1,4}", 1, 4),
            films("genre=is.null", 3),
            films("genre=not.is.null", 1, 2, 4),
            films("genre=is.not_null", 1, 2, 4),
            films("director_id=isdistinct.1", 3, 4),
            films("words=fts.cat", 1),
            films("words=fts(english).cats", 1),
            films("words=plfts.rat%20ran", 2),
            films("words=phfts(english).fat%20cats", 1),
            films("words=wfts.cats%20-rat", 1),
            films("title=fts(english).alpha", 1),
            films("tags=cs.{b}", 1, 2),
            films("tags=cd.{a,b}", 1, 2, 3),
            films("tags=ov.{a}", 1),
            films("shown=sl.(8,100)", 1, 2),
            films("shown=sr.(1,6)", 4),
            films("shown=nxr.(1,9)", 1, 2),
            films("shown=nxl.(5,9)", 4),
            films("shown=adj.[5,6)", 1),
            films("shown=ov.[4,6)", 1, 2),
        ],
    )


async def test_q1_values_that_look_like_operators_stay_values(cinema: str) -> None:
    """Text that reads like syntax is compared as text."""
    await replay(
        cinema,
        [
            films("title=eq.eq.1"),
            films("title=eq.in.(1,2)"),
            films("title=eq.or=(id.eq.1)"),
            films('title=eq.Gamma, "the (third)"', 3),
            films("title=eq.Delta*", 4),
            films("title=like.Delta**", 4),
            films("title=eq.%27;drop table films;--"),
            films("title=eq.%22%5C"),
            Case("GET /films?title=eq.a%00b", status=400),
            Case("GET /films?id=eq.1'", status=400),
        ],
    )


async def test_logic(cinema: str) -> None:
    """and, or, not and their nesting, with quotes and blanks."""
    await replay(
        cinema,
        [
            films("or=(id.eq.1,id.eq.2)", 1, 2),
            films("not.or=(id.eq.1,id.eq.2)", 3, 4),
            films("and=(id.gt.1,or(year.eq.2001,id.eq.4))", 2, 3, 4),
            films("or=(not.and(id.eq.1,year.eq.1999),id.eq.1)", 1, 2, 3, 4),
            films('or=(title.eq."Gamma, \\"the (third)\\"",id.in.(1,2))', 1, 2, 3),
            films("and=( id.in.( 1, 2 ) , or ( id.eq.2 , id.eq.3 ) )", 2),
            films("or=(tags.cs.{a,b},id.eq.4)", 1, 4),
            Case(
                "GET /films?or=()",
                {
                    "code": "PGRST100",
                    "details": 'unexpected ")" expecting field name (* or [a..z0..9_$]), '
                    "negation operator (not) or logic operator (and, or)",
                    "hint": None,
                    "message": '"failed to parse logic tree (())" (line 1, column 4)',
                },
                400,
            ),
        ],
    )


async def test_select_and_json(cinema: str) -> None:
    """Columns, aliases, casts, json paths, arrays, composites and computed columns."""
    await replay(
        cinema,
        [
            Case("GET /films?select=t:title,year::text&id=eq.1", [{"t": "Alpha", "year": "1999"}]),
            Case("GET /films?select=info->by->>who,info->len,n:info->list->0&id=eq.1", [{"who": "x", "len": 90, "n": 1}]),
            Case("GET /films?select=info->list->-1&id=eq.1", [{"list": 2}]),
            Case("GET /films?select=place->>city,tag:tags->0&id=eq.1", [{"city": "Rome", "tag": "a"}]),
            Case("GET /films?select=id&info->len=gt.90", ids(2)),
            Case("GET /films?select=id&info->>len=eq.90", ids(1)),
            Case("GET /films?select=id&info->by->>who=eq.x", ids(1)),
            Case("GET /films?select=id,long_title&id=eq.1", [{"id": 1, "long_title": "Alpha!"}]),
            Case("GET /films?select=id&long_title=eq.Beta!", ids(2)),
            Case("GET /films?select=&id=eq.1", status=200),
            Case('GET /films?select="title"&id=eq.1', [{"title": "Alpha"}]),
            Case("GET /films?select=year::notatype", status=400),
            Case("GET /films?select=nope", status=400),
            Case("GET /films?select=title,", status=400),
        ],
    )


async def test_order_limit_and_counts(cinema: str) -> None:
    """Ordering, limits, the Range header, and the three ways to count."""
    exact = {"prefer": "count=exact"}
    await replay(
        cinema,
        [
            Case("GET /films?select=id&order=year.desc,id.desc", ids(4, 3, 2, 1)),
            Case("GET /films?select=id&order=director_id.nullsfirst,id", ids(4, 1, 2, 3)),
            Case("GET /films?select=id&order=director_id.desc.nullslast,id", ids(3, 1, 2, 4)),
            Case("GET /films?select=id&order=info->len.asc.nullslast", ids(4, 1, 2, 3)),
            Case("GET /films?select=id&order=id&limit=2&offset=1", ids(2, 3), shows={"content-range": "1-2/*"}),
            Case("GET /films?select=id&order=id&offset=-4&limit=1", ids(1)),
            Case("GET /films?limit=0", [], shows={"content-range": "*/*"}),
            Case("GET /films?limit=-1", status=416),
            Case(
                "GET /films?select=id&order=id",
                ids(1, 2),
                headers={"range": "0-1", "range-unit": "items"},
                shows={"content-range": "0-1/*"},
            ),
            Case("GET /films?select=id&order=id", ids(3, 4), headers={"range": "2-"}),
            Case("GET /films", status=416, headers={"range": "5-1"}),
            Case(
                "GET /films?select=id&limit=2",
                status=206,
                headers=exact,
                shows={"content-range": "0-1/4", "preference-applied": "count=exact"},
            ),
            Case("GET /films?select=id", status=200, headers=exact, shows={"content-range": "0-3/4"}),
            Case("GET /films?id=eq.77", [], 200, headers=exact, shows={"content-range": "*/0"}),
            Case(
                "GET /films?offset=9",
                {
                    "code": "PGRST103",
                    "message": "Requested range not satisfiable",
                    "details": "An offset of 9 was requested, but there are only 4 rows.",
                    "hint": None,
                },
                416,
                headers=exact,
                shows={
                    "content-range": "*/4",
                    "content-location": "/films?offset=9",
                    "preference-applied": "count=exact",
                    "vary": "Accept, Prefer, Range",
                    "proxy-status": None,
                },
            ),
            Case("HEAD /films?offset=9", "", 416, headers=exact, shows={"content-range": "*/4", "content-length": None}),
            Case("GET /films", status=416, headers={"range": "5-1"}, shows={"proxy-status": "PostgREST; error=PGRST103"}),
            Case("HEAD /films?limit=1", "", 206, headers=exact, shows={"content-range": "0-0/4"}),
            Case("GET /films?select=id", headers={"prefer": "count=estimated"}, shows={"content-range": "0-3/4"}),
            Case("GET /films?order=nope", status=400),
            Case("GET /films?order=id.sideways", status=400),
        ],
    )


async def test_server_row_limit(cinema: str) -> None:
    """The operator's limit holds at the root and inside embeds, and no request lifts it."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_max_rows=1)
    await replay(
        cinema,
        [
            Case("GET /films?select=id&order=id", ids(1), shows={"content-range": "0-0/*"}),
            Case("GET /films?select=id&order=id&limit=100", ids(1)),
            Case("GET /directors?select=films(id)&films.order=id&id=eq.1", [{"films": ids(1)}]),
        ],
        config,
    )


async def test_representations(cinema: str) -> None:
    """Singular objects, CSV, stripped nulls, the explain output, and 406 for the rest."""
    one = {"accept": "application/vnd.pgrst.object+json"}
    await replay(
        cinema,
        [
            Case(
                "GET /films?select=id&id=eq.1",
                {"id": 1},
                headers=one,
                shows={"content-type": "application/vnd.pgrst.object+json; charset=utf-8"},
            ),
            Case(
                "GET /films?id=gt.1",
                {
                    "code": "PGRST116",
                    "details": "The result contains 3 rows",
                    "hint": None,
                    "message": "Cannot coerce the result to a single JSON object",
                },
                406,
                headers=one,
            ),
            Case("GET /films?id=eq.77", status=406, headers=one),
            Case("GET /films?select=id,title&id=lt.3&order=id", "id,title\n1,Alpha\n2,Beta", headers={"accept": "text/csv"}),
            Case(
                "GET /directors?id=eq.3",
                [{"id": 3, "name": "Cleo"}],
                headers={"accept": "application/vnd.pgrst.array+json;nulls=stripped"},
                shows={"content-type": "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
            ),
            Case(
                "GET /directors?id=eq.3", {"id": 3, "name": "Cleo"}, headers={"accept": "application/vnd.pgrst.object+json;nulls=stripped"}
            ),
            Case("GET /films", headers={"accept": "application/vnd.pgrst.plan"}),
            Case("GET /films", headers={"accept": "application/vnd.pgrst.plan+json; options=analyze|verbose"}),
            Case(
                "GET /films?id=eq.1",
                headers={"accept": "unknown/unknown, text/csv;q=0.1, */*;q=0.5"},
                shows={"content-type": "application/json; charset=utf-8"},
            ),
            Case(
                "GET /films",
                {"code": "PGRST107", "details": None, "hint": None, "message": "None of these media types are available: unknown/unknown"},
                406,
                headers={"accept": "unknown/unknown"},
            ),
            Case(
                "GET /films?id=eq.1&select=id,title",
                "(1,Alpha)\n",
                headers={"accept": "application/x-lines"},
                shows={"content-type": "application/x-lines"},
            ),
        ],
    )


async def test_data_representations(cinema: str) -> None:
    """A domain with casts is shown, compared and taken in its own notation."""
    await replay(
        cinema,
        [
            Case("GET /directors?select=id,colour&id=eq.1", [{"id": 1, "colour": "#0000ff"}]),
            Case("GET /directors?id=eq.2", [{"id": 2, "name": "Ben", "colour": "#ff0000"}]),
            Case("GET /directors?select=id&colour=eq.0000ff", ids(1)),
            Case("GET /directors?select=id&colour=in.(0000ff,ff0000)&order=id", ids(1, 2)),
            Case(
                "POST /directors?select=colour",
                [{"colour": "#00ff00"}],
                201,
                {"id": 9, "name": "Dee", "colour": "#00ff00"},
                headers={"prefer": "return=representation"},
            ),
        ],
    )


async def test_errors(cinema: str) -> None:
    """Unknown paths, tables, columns and methods, with PostgREST's own words."""
    await replay(
        cinema,
        [
            Case(
                "GET /a/b/c", {"code": "PGRST125", "details": None, "hint": None, "message": "Invalid path specified in request URL"}, 404
            ),
            Case(
                "GET /film",
                {
                    "code": "PGRST205",
                    "details": None,
                    "hint": "Perhaps you meant the table 'cinema.films'",
                    "message": "Could not find the table 'cinema.film' in the schema cache",
                },
                404,
            ),
            Case("GET /vault", status=404),
            Case(
                "GET /films?nope=eq.1", {"code": "42703", "details": None, "hint": None, "message": "column films.nope does not exist"}, 400
            ),
            Case("TRACE /films", status=405),
            Case("PUT /rpc/add", status=405),
            Case("GET /secrets", status=403),
            Case("GET /films?a.b=eq.1", status=400),
            Case("GET /films?id=nope.1", status=400),
            Case("OPTIONS /films", "", shows={"allow": "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"}),
            Case("OPTIONS /rpc/add", "", shows={"allow": "OPTIONS,GET,HEAD,POST"}),
            Case("OPTIONS /rpc/grow", "", shows={"allow": "OPTIONS,POST"}),
            Case("OPTIONS /", "", shows={"allow": "OPTIONS,GET,HEAD"}),
            Case("OPTIONS /rpc/nothing", "", shows={"allow": "OPTIONS,POST"}),
            Case("OPTIONS /rpc/nosuch", status=404),
            Case("GET /films?select=id&id=eq.1&flag", [{"id": 1}]),
            Case("GET /films?select=..directors(name)", status=400),
            Case("GET /films?columns=", status=400),
        ],
    )


async def test_names_beside_aliases(cinema: str) -> None:
    """A condition may still call an aliased embed by its relation, which the answer warns of, unless the operator ended that."""
    warning = (
        '299 PostgRESTv16 "Embedded resource was referenced by relation name even though it has an alias. This is deprecated and will '
        'stop working in a future release. Update `reviews` to `votes` in query string filters, orders or limits."'
    )
    rows = [{"id": 1, "votes": [{"score": 5}]}]
    await replay(
        cinema,
        [
            Case("GET /films?select=id,votes:reviews(score)&id=eq.1&reviews.score=lt.9", rows, shows={"warning": warning}),
            Case("GET /films?select=id,votes:reviews(score)&id=eq.1&votes.score=lt.9", rows, shows={"warning": None}),
            Case(
                "GET /films?select=id,reviews(id),votes:reviews(score)&id=eq.1&reviews.limit=1&votes.score=lt.9",
                [{"id": 1, "reviews": [{"id": 1}], "votes": [{"score": 5}]}],
                shows={"warning": None},
            ),
        ],
    )
    ended = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", url_use_legacy_target_names=False)
    body = {
        "code": "PGRST108",
        "details": "Target names are not allowed in filters if they have an alias",
        "hint": "Change 'reviews' to 'votes' in filters, orders or limits.",
        "message": "'reviews' is not an embedded resource in this request",
    }
    await replay(cinema, [Case("GET /films?select=id,votes:reviews(score)&reviews.score=lt.9", body, 400)], ended)


async def test_what_an_error_tells(cinema: str) -> None:
    """A near table is named, a far one is not; with minimal errors nothing is."""
    near = {"code": "PGRST205", "details": None, "hint": "Perhaps you meant the table 'cinema.directors'"}
    told = [
        Case("GET /directorx", {**near, "message": "Could not find the table 'cinema.directorx' in the schema cache"}, 404),
        Case("GET /dirrrr", {**near, "hint": None, "message": "Could not find the table 'cinema.dirrrr' in the schema cache"}, 404),
        Case(
            "POST /films?columns=",
            {
                "code": "PGRST100",
                "details": "unexpected end of input expecting field name (* or [a..z0..9_$])",
                "hint": None,
                "message": '"failed to parse columns parameter ()" (line 1, column 1)',
            },
            400,
            {"id": 1},
        ),
    ]
    await replay(cinema, told)
    minimal = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", client_error_verbosity="minimal")
    short = {"code": "PGRST205", "message": "Could not find the table 'cinema.directorx' in the schema cache"}
    await replay(cinema, [Case("GET /directorx", short, 404)], minimal)


async def test_answers_name_what_they_vary_by(cinema: str) -> None:
    """A cache may not give one reader's representation to another."""
    vary = {"vary": "Accept, Prefer, Range"}
    await replay(
        cinema,
        [
            Case("GET /films?limit=1", shows=vary),
            Case("POST /rpc/add", 3, 200, {"a": 1, "b": 2}, shows=vary),
            Case("DELETE /films?id=eq.0", status=204, shows=vary),
            Case("GET /nothing", status=404, shows={"vary": None}),
            Case("GET /films?select=&id=eq.1&limit=1", status=200),
        ],
    )


async def test_older_versions(cinema: str) -> None:
    """The engine answers as version 12 or 13 where a program is tested against them."""
    older = EngineConfig(db_schemas=("cinema", "archive"), db_anon_role="anon", dialect="postgrest12")
    gone = {"code": "42P01", "details": None, "hint": None, "message": 'relation "cinema.directorx" does not exist'}
    await replay(
        cinema,
        [
            Case("GET /directorx", gone, 404, shows={"proxy-status": None, "content-length": None}),
            Case("GET /films?select=id&id=eq.1", [{"id": 1}], shows={"vary": None, "content-length": None}),
            Case("GET /films?genre=is.not_null", status=400),
            Case("GET /films?and=(genre.is.not_null,id.eq.1)", status=400),
            Case(
                "GET /directors?select=name,...films(id)",
                {
                    "code": "PGRST119",
                    "details": "'directors' and 'films' do not form a many-to-one or one-to-one relationship",
                    "hint": None,
                    "message": "A spread operation on 'films' is not possible",
                },
                400,
            ),
            Case(
                "GET /films",
                {"code": "PGRST106", "details": None, "hint": None, "message": "The schema must be one of the following: cinema, archive"},
                406,
                headers={"accept-profile": "hidden"},
            ),
        ],
        older,
    )
    trying = attrs.evolve(older, db_schemas=("cinema",), db_tx_end="rollback")
    full = {"prefer": "return=representation"}
    unordered = "A 'limit' was applied without an explicit 'order'"
    await replay(
        cinema,
        [
            Case("PATCH /pairs?order=k1&limit=0&select=k1", [], 200, {"extra": "new"}, headers=full),
            Case("PATCH /films?order=id.desc&limit=2&offset=1&select=id", [{"id": 3}, {"id": 2}], 200, {"year": 1}, headers=full),
            Case("DELETE /reviews?order=id&limit=1&select=id&score=lt.9", [{"id": 2}], headers=full),
            Case(
                "DELETE /reviews?limit=1",
                {"code": "PGRST109", "details": None, "hint": "Apply an 'order' using unique column(s)", "message": unordered},
                400,
            ),
        ],
        trying,
    )
    newer = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", dialect="postgrest13")
    await replay(cinema, [Case("GET /films?genre=is.not_null&select=id&id=eq.1", [{"id": 1}], shows={"vary": None})], newer)


async def test_plans_of_formats(cinema: str) -> None:
    """EXPLAIN shows the statement of the format that `for` names."""
    plan = "application/vnd.pgrst.plan+json"
    named = f'{plan}; for="application/vnd.pgrst.object+json"; charset=utf-8'
    await replay(
        cinema,
        [
            Case("GET /films", headers={"accept": f'{plan}; for="application/vnd.pgrst.object"'}, shows={"content-type": named}),
            Case("GET /films", status=406, headers={"accept": f'{plan}; for="image/png"'}),
            Case("GET /films", status=406, headers={"accept": "application/geo+json"}),
            Case("POST /films", status=200, body={"title": "New"}, headers={"accept": plan}),
        ],
    )
