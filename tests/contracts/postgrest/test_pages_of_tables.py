"""What the pages say of tables, fields and names (tables_views, url_grammar, computed_fields, domain_representations, pagination_count)."""

from replay import Case, replay

from dealquest.storage.engine import EngineConfig

CONFIG = EngineConfig(
    db_schemas=("fair",), db_anon_role="anon", db_extra_search_path=("tools",), db_tx_end="rollback-allow-override", db_max_rows=None
)
FULL = {"prefer": "return=representation"}


def ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def books(query: str, *numbers: int) -> Case:
    return Case(f"GET /books?select=id&order=id&{query}", ids(*numbers))


async def test_conditions(fair: str) -> None:
    """Every value of `is`, every operator with any and all, their negation, and searches of text in JSON."""
    await replay(
        fair,
        [
            books("rated=is.true", 1),
            books("rated=is.false", 2),
            books("rated=is.unknown", 3, 4),
            books("rated=not.is.true", 2, 3, 4),
            books("rated=is.TRUE", 1),
            Case("GET /books?rated=is.maybe", status=400),
            *(
                books(f"{operator}({quantifier}).{values}".replace(" ", "=", 1), *found)
                for operator, quantifier, values, found in (
                    ("id eq", "any", "{1,3}", (1, 3)),
                    ("id eq", "all", "{1}", (1,)),
                    ("id gt", "any", "{2,3}", (3, 4)),
                    ("id gt", "all", "{2,3}", (4,)),
                    ("id gte", "all", "{2,3}", (3, 4)),
                    ("id lt", "any", "{2,3}", (1, 2)),
                    ("id lte", "all", "{2,3}", (1, 2)),
                    ("title like", "any", "{S*,*s}", (1, 2, 3, 4)),
                    ("title ilike", "all", "{*A*,*S}", (1, 4)),
                    ("title match", "any", "{^S,^W}", (1, 3)),
                    ("title imatch", "all", "{^l,s$}", (4,)),
                    ("title not.like", "any", "{S*,W*}", (2, 4)),
                )
            ),
            Case("GET /books?id=in(any).{1}", status=400),
            books("notes=fts.cats", 1),
            books("notes=phfts(english).fat%20cats", 1),
            books("notes=not.phfts(english).fat%20cats", 2),
            books("title=wfts(simple).seas%20or%20woods", 1, 3),
            books('or=(ages.adj."[21,30)",ages.cs."[4,5]")', 1, 3),
            books("size->seats=gte.8", 1),
            books("size->>city=eq.Bonn", 2),
            Case("GET /books?id::text=eq.1", status=400),
        ],
        CONFIG,
    )


async def test_order_by_fields_of_a_field(fair: str) -> None:
    """Rows are ordered by what lies in JSON and in composites, too."""
    await replay(
        fair,
        [
            Case("GET /books?select=id&notes=not.is.null&order=notes->>pages.desc", ids(1, 2)),
            Case("GET /books?select=id&notes=not.is.null&order=notes->pages", status=404),
            Case("GET /books?select=id&size=not.is.null&order=size->>city", ids(2, 1)),
            Case("GET /books?select=id&size=not.is.null&order=size->seats.desc", ids(1, 2)),
        ],
        CONFIG,
    )


async def test_names_of_every_kind(fair: str) -> None:
    """Blanks, other alphabets, and the grammar's own characters in quotes: in paths, columns, aliases and values."""
    tags = "GET /Price%20Tags?select=price:Unit%20Price"
    await replay(
        fair,
        [
            Case(f"{tags}&Unit%20Price=lt.200&order=Unit%20Price", [{"price": 1}, {"price": 150}]),
            Case(f"{tags}&%22a.b%22=like.*MS*", [{"price": 150}]),
            Case(f"{tags}&%22a.b%22=in.(%22Hebdon,John%22,%22none%22)", [{"price": 1}]),
            Case(f"{tags}&%22a.b%22=in.(%22Quote:%5C%22%22)", [{"price": 250}]),
            Case(f"{tags}&gr%C3%B6%C3%9Fe=in.(%22Backslash:%5C%5C%22)", [{"price": 250}]),
            Case(
                f"{tags}&or=(%22a.b%22.eq.%22Hebdon,John%22,gr%C3%B6%C3%9Fe.eq.L)&order=%22Unit%20Price%22", [{"price": 1}, {"price": 150}]
            ),
            Case("GET /Price%20Tags?select=%22:x-%3Ey::z%22,%22(in)%22&gr%C3%B6%C3%9Fe=eq.L", [{":x->y::z": "v", "(in)": "w"}]),
            Case("GET /%D0%BA%D0%BD%D0%B8%D0%B3%D0%B8?select=%D0%BD%D0%B0%D0%B7%D0%B2%D0%B0%D0%BD%D0%B8%D0%B5", [{"название": "Моря"}]),
            Case(
                "POST /%D0%BA%D0%BD%D0%B8%D0%B3%D0%B8",
                [{"id": 2, "название": "Леса"}],
                201,
                {"id": 2, "название": "Леса"},
                headers=FULL,
            ),
            Case("GET /books?select=%22the%20id%22:id&id=eq.1", [{"the id": 1}]),
        ],
        CONFIG,
    )


async def test_computed_fields(fair: str) -> None:
    """A function of a row is a column for select, conditions and order, shows only when asked for, and may lie in the extra search path."""
    await replay(
        fair,
        [
            Case("GET /books?select=id,initial&id=eq.1", [{"id": 1, "initial": "S"}]),
            books("initial=eq.W", 3),
            Case("GET /books?select=id&order=initial.desc", ids(3, 1, 4, 2)),
            Case(
                "GET /books?id=eq.4&select=*",
                [{"id": 4, "title": "Lakes", "author_id": None, "notes": None, "size": None, "rated": None, "ages": None}],
            ),
            Case("GET /rpc/initial", status=404),
            Case("PATCH /books?initial=eq.L&select=id,initial", [{"id": 4, "initial": "L"}], 200, {"rated": True}, headers=FULL),
        ],
        CONFIG,
    )


async def test_a_representation_for_answers_alone(fair: str) -> None:
    """Without a cast from text or JSON, conditions and bodies are in the type's own notation."""
    await replay(
        fair,
        [
            Case("GET /codes", [{"id": 1, "code": "C-7"}]),
            Case("GET /codes?code=eq.7&select=id", ids(1)),
            Case("POST /codes", [{"id": 2, "code": "C-8"}], 201, {"id": 2, "code": 8}, headers=FULL),
            Case("PATCH /codes?code=eq.7", [{"id": 1, "code": "C-9"}], 200, {"code": 9}, headers=FULL),
        ],
        CONFIG,
    )


async def test_upserts_by_a_key_that_is_made(fair: str) -> None:
    """Rows without their key get a new one where missing values are defaults; a unique column takes the key's place."""
    merge = "resolution=merge-duplicates, return=representation"
    ignore = "resolution=ignore-duplicates, return=representation"
    rows = [{"id": 1, "name": "quill"}, {"name": "ink"}]
    await replay(
        fair,
        [
            Case(
                "POST /stock?columns=id,name,price&select=name,price",
                [{"name": "quill", "price": 100}, {"name": "ink", "price": 100}],
                201,
                rows,
                headers={"prefer": f"{merge}, missing=default"},
            ),
            Case("POST /stock?columns=id,name", status=400, body=rows, headers={"prefer": merge}),
            Case("POST /readers?on_conflict=name&select=name", [{"name": "Rae"}], 200, {"id": 1, "name": "Rae"}, headers={"prefer": merge}),
            Case("POST /readers?on_conflict=name", [], 201, {"id": 9, "name": "Rae"}, headers={"prefer": ignore}),
            Case("POST /readers?on_conflict=name", status=409, body={"id": 1, "name": "new"}, headers={"prefer": ignore}),
        ],
        CONFIG,
    )


async def test_counts_follow_the_operators_limit(fair: str) -> None:
    """An estimate is exact up to the operator's limit and the planner's beyond it; a page smaller than the total is a 206."""
    limited = EngineConfig(db_schemas=("fair",), db_anon_role="anon", db_max_rows=3)
    exact, estimated = {"prefer": "count=exact"}, {"prefer": "count=estimated"}
    await replay(
        fair,
        [
            Case("HEAD /readers?limit=2", "", 206, headers=estimated, shows={"content-range": "0-1/3"}),
            Case("HEAD /readers", "", 200, headers=estimated, shows={"content-range": "0-2/3"}),
            Case("HEAD /books", "", 206, headers=exact, shows={"content-range": "0-2/4", "content-length": None}),
            Case("GET /books?select=id&order=id", ids(1, 2, 3), 206, headers=exact, shows={"content-range": "0-2/4"}),
            Case("GET /titles?select=id&order=id&limit=1", ids(1), 206, headers=exact, shows={"content-range": "0-0/4"}),
            Case("GET /rpc/all_books?select=id&order=id&offset=3", ids(4), 206, headers=exact, shows={"content-range": "3-3/4"}),
            Case(
                "GET /books?select=id&order=id",
                ids(2, 3),
                headers={"range": "1-2", "range-unit": "items"},
                shows={"content-range": "1-2/*"},
            ),
            Case("GET /books?select=id&order=id", ids(4), headers={"range": "3-", "range-unit": "items"}, shows={"content-range": "3-3/*"}),
            Case("GET /books?select=id&order=id", ids(3, 4), headers={"range": "2-19"}, shows={"content-range": "2-3/*"}),
        ],
        limited,
    )
