"""Embedding: every cardinality, hints, inner joins, spread, aggregates, computed relationships, keys through views (resource_embedding)."""

from replay import Case, replay

from dealquest.storage.engine import EngineConfig


async def test_cardinalities(cinema: str) -> None:
    """Many-to-one, one-to-many, one-to-one, many-to-many and recursive embeds."""
    await replay(
        cinema,
        [
            Case(
                "GET /films?select=title,directors(name)&id=in.(1,4)&order=id",
                [{"title": "Alpha", "directors": {"name": "Ada"}}, {"title": "Delta*", "directors": None}],
            ),
            Case(
                "GET /directors?select=name,films(id)&order=id",
                [{"name": "Ada", "films": [{"id": 1}, {"id": 2}]}, {"name": "Ben", "films": [{"id": 3}]}, {"name": "Cleo", "films": []}],
            ),
            Case(
                "GET /films?select=id,specs(runtime)&id=in.(1,3)&order=id", [{"id": 1, "specs": {"runtime": 90}}, {"id": 3, "specs": None}]
            ),
            Case(
                "GET /actors?select=name,films(id)&films.order=id&order=id",
                [{"name": "Zoe", "films": [{"id": 1}, {"id": 2}]}, {"name": "Yan", "films": [{"id": 1}]}],
            ),
            Case("GET /staff?select=name,boss(name)&id=eq.2", [{"name": "Mid", "boss": {"name": "Top"}}]),
            Case("GET /staff?select=name,under:staff!boss(name)&id=eq.1", [{"name": "Top", "under": [{"name": "Mid"}]}]),
            Case("GET /films?select=id,d:director_id(name)&id=eq.1", [{"id": 1, "d": {"name": "Ada"}}]),
            Case("GET /films?select=id,films_director_id_fkey(name)&id=eq.1", [{"id": 1, "films_director_id_fkey": {"name": "Ada"}}]),
            Case(
                "GET /directors?select=id,films(id,actors(name))&id=eq.1&films.id=eq.1&films.actors.order=id",
                [{"id": 1, "films": [{"id": 1, "actors": [{"name": "Zoe"}, {"name": "Yan"}]}]}],
            ),
        ],
    )


async def test_hints_and_ambiguity(cinema: str) -> None:
    """Two keys to one table need a hint; without it 300 tells the choices."""
    await replay(
        cinema,
        [
            Case(
                "GET /orders?select=b:addresses!billing(street),s:addresses!shipping_key(street)",
                [{"b": {"street": "First"}, "s": {"street": "Second"}}],
            ),
            Case(
                "GET /orders?select=billing(street),shipping_key(street)",
                [{"billing": {"street": "First"}, "shipping_key": {"street": "Second"}}],
            ),
            Case(
                "GET /orders?select=addresses(street)",
                {
                    "code": "PGRST201",
                    "details": [
                        {
                            "cardinality": "many-to-one",
                            "embedding": "orders with addresses",
                            "relationship": "billing_key using orders(billing) and addresses(id)",
                        },
                        {
                            "cardinality": "many-to-one",
                            "embedding": "orders with addresses",
                            "relationship": "shipping_key using orders(shipping) and addresses(id)",
                        },
                    ],
                    "hint": "Try changing 'addresses' to one of the following: 'addresses!billing_key', 'addresses!shipping_key'. "
                    "Find the desired relationship in the 'details' key.",
                    "message": "Could not embed because more than one relationship was found for 'orders' and 'addresses'",
                },
                300,
            ),
            Case(
                "GET /films?select=keyless(a)",
                {
                    "code": "PGRST200",
                    "details": "Searched for a foreign key relationship between 'films' and 'keyless' "
                    "in the schema 'cinema', but no matches were found.",
                    "hint": "Perhaps you meant 'reviews' instead of 'keyless'.",
                    "message": "Could not find a relationship between 'films' and 'keyless' in the schema cache",
                },
                400,
            ),
        ],
    )


async def test_filters_on_and_in_embeds(cinema: str) -> None:
    """Inner joins, null tests, conditions, order and limits inside embeds, and counts that follow them."""
    exact = {"prefer": "count=exact"}
    await replay(
        cinema,
        [
            Case(
                "GET /directors?select=name,films!inner(id)&films.year=eq.1999",
                [{"name": "Ada", "films": [{"id": 1}]}],
                headers=exact,
                shows={"content-range": "0-0/1"},
            ),
            Case("GET /films?select=id,directors!inner(name)&directors.name=eq.Ben", [{"id": 3, "directors": {"name": "Ben"}}]),
            Case("GET /directors?select=name,films()&films=is.null", [{"name": "Cleo"}], headers=exact, shows={"content-range": "0-0/1"}),
            Case("GET /directors?select=name,films()&films=not.is.null&order=id", [{"name": "Ada"}, {"name": "Ben"}]),
            Case("GET /films?select=id,directors()&directors=is.null", [{"id": 4}]),
            Case(
                "GET /films?select=id,specs(),actors()&or=(specs.is.null,actors.is.null)&order=id",
                [{"id": 3}, {"id": 4}],
                headers=exact,
                shows={"content-range": "0-1/2"},
            ),
            Case("GET /directors?select=id,films(id)&films.or=(id.eq.1,id.eq.3)&id=eq.1", [{"id": 1, "films": [{"id": 1}]}]),
            Case("GET /directors?select=id,films(id)&films.order=id.desc&films.limit=1&id=eq.1", [{"id": 1, "films": [{"id": 2}]}]),
            Case("GET /directors?select=id,films(id)&films.order=id&films.offset=1&id=eq.1", [{"id": 1, "films": [{"id": 2}]}]),
            Case(
                "GET /films?select=id,directors(name)&order=directors(name).desc.nullslast,id",
                [
                    {"id": 3, "directors": {"name": "Ben"}},
                    {"id": 1, "directors": {"name": "Ada"}},
                    {"id": 2, "directors": {"name": "Ada"}},
                    {"id": 4, "directors": None},
                ],
            ),
            Case("GET /directors?select=id,films(id)&order=films(id)", status=400),
            Case("GET /staff?select=id,boss(name)&boss=eq.1", [{"id": 2, "boss": {"name": "Top"}}]),
            Case(
                "GET /directors?select=id&films.id=eq.1",
                {
                    "code": "PGRST108",
                    "details": None,
                    "hint": "Verify that 'films' is included in the 'select' query parameter.",
                    "message": "'films' is not an embedded resource in this request",
                },
                400,
            ),
        ],
    )


async def test_an_embed_is_asked_for_null_and_for_nothing_else(cinema: str) -> None:
    """`is.null` on an embed's name is about its rows, even where a column has that name; any other filter is about a column."""

    def unknown(column: str, *, near: str | None = None) -> dict[str, object]:
        hint = None if near is None else f'Perhaps you meant to reference the column "{near}".'
        return {"code": "42703", "details": None, "hint": hint, "message": f"column {column} does not exist"}

    missing = {
        "code": "PGRST108",
        "details": None,
        "hint": "Verify that 'directors' is included in the 'select' query parameter.",
        "message": "'directors' is not an embedded resource in this request",
    }
    await replay(
        cinema,
        [
            Case(
                "GET /staff?select=id,boss(name)&boss.name=eq.Top&boss=is.null&order=id", [{"id": 1, "boss": None}, {"id": 3, "boss": None}]
            ),
            Case(
                "GET /staff?select=id,boss(name)&boss=in.(1,2)&boss.name=eq.Top&order=id",
                [{"id": 2, "boss": {"name": "Top"}}, {"id": 3, "boss": None}],
            ),
            Case("GET /directors?select=id,films()&or=(films.is.null,id.eq.2)&order=id", [{"id": 2}, {"id": 3}]),
            Case("GET /films?select=id,by:directors()&by=is.null", [{"id": 4}]),
            Case("GET /films?select=id,by:directors()&directors=is.null", unknown("films.directors", near="films.director_id"), 400),
            Case("GET /films?select=id,by:directors(name)&order=directors(name)", missing, 400),
            Case("GET /directors?select=id,films(id)&films=eq.1", unknown("directors.films"), 400),
            Case("GET /directors?select=id,films(id)&films=is.not_null", unknown("directors.films"), 400),
        ],
    )


async def test_a_hidden_junction_is_no_way_and_no_misspelling(cinema: str) -> None:
    """Tables that only a hidden table ties together are not related, and no other table's name is proposed."""
    told = {
        "code": "PGRST200",
        "details": "Searched for a foreign key relationship between 'stages' and 'lamps' in the schema 'cinema', "
        "but no matches were found.",
        "hint": None,
        "message": "Could not find a relationship between 'stages' and 'lamps' in the schema cache",
    }
    await replay(cinema, [Case("GET /stages?select=lamps(id)", told, 400)])


async def test_spread(cinema: str) -> None:
    """A spread embed lifts its columns; a to-many one as lists."""
    await replay(
        cinema,
        [
            Case("GET /films?select=id,...directors(by:name)&id=in.(1,4)&order=id", [{"id": 1, "by": "Ada"}, {"id": 4, "by": None}]),
            Case("GET /reviews?select=score,...films(title,...directors(by:name))&id=eq.1", [{"score": 9, "title": "Alpha", "by": "Ada"}]),
            Case("GET /films?select=id,...specs(*)&id=eq.1", [{"id": 1, "film_id": 1, "runtime": 90}]),
            Case(
                "GET /directors?select=name,...films(ids:id,title)&id=in.(1,3)&order=id",
                [{"name": "Ada", "ids": [1, 2], "title": ["Alpha", "Beta"]}, {"name": "Cleo", "ids": [], "title": []}],
            ),
            Case(
                "GET /directors?select=name,...films(id,...reviews(score))&id=eq.1", [{"name": "Ada", "id": [1, 2], "score": [[9, 5], [7]]}]
            ),
            Case("GET /films?select=id,cast:parts(part,...actors(name))&id=eq.2", [{"id": 2, "cast": [{"part": "queen", "name": "Zoe"}]}]),
        ],
    )


async def test_aggregates(cinema: str) -> None:
    """count, sum, avg, max and min, grouped by what stands beside them, in embeds and spreads."""
    unready = {
        "code": "PGRST127",
        "details": "Aggregates are not implemented for one-to-many or many-to-many spreads.",
        "hint": None,
        "message": "Feature not implemented",
    }
    await replay(
        cinema,
        [
            Case("GET /films?select=count()", [{"count": 4}]),
            Case("GET /films?select=n:count()::text", [{"n": "4"}]),
            Case(
                "GET /films?select=year,count()&order=year",
                [{"year": 1999, "count": 1}, {"year": 2001, "count": 2}, {"year": 2010, "count": 1}],
            ),
            Case("GET /reviews?select=score.sum(),score.avg()::int,lo:score.min(),score.max()", [{"sum": 21, "avg": 7, "lo": 5, "max": 9}]),
            Case("GET /films?select=info->>len::int.sum()", [{"sum": 217}]),
            Case("GET /directors?select=name,films(count())&order=id&limit=1", [{"name": "Ada", "films": [{"count": 2}]}]),
            Case("GET /films?select=directors(name),id.max()&director_id=eq.1", [{"directors": {"name": "Ada"}, "max": 2}]),
            Case("GET /reviews?select=score.sum(),...films(title)&film_id=eq.1", [{"sum": 14, "title": "Alpha"}]),
            Case("GET /reviews?select=...films(year.max())", [{"max": 2001}]),
            Case("GET /reviews?select=film_id,...films(count())&order=film_id", [{"film_id": 1, "count": 2}, {"film_id": 2, "count": 1}]),
            Case(
                "GET /films?select=count,...directors(name)&order=directors(name)",
                [{"count": 2, "name": "Ada"}, {"count": 1, "name": "Ben"}, {"count": 1, "name": None}],
            ),
            Case("GET /films?select=id,...reviews(count())", unready, 400),
            Case("GET /directors?select=name,...films(...reviews(score.sum()))", unready, 400),
            Case("GET /directors?select=count(),...films(ids:id)&id=eq.1", [{"count": 1, "ids": [1, 2]}]),
            Case(
                "GET /directors?select=...films(specs(runtime,...films(title)))&id=eq.1",
                [{"specs": [{"runtime": 90, "title": "Alpha"}, {"runtime": 120, "title": "Beta"}]}],
            ),
        ],
    )
    plain = EngineConfig(db_schemas=("cinema",), db_anon_role="anon")
    disabled = {"code": "PGRST123", "details": None, "hint": None, "message": "Use of aggregate functions is not allowed"}
    await replay(
        cinema,
        [
            Case("GET /films?select=count()", disabled, 400),
            Case("GET /films?select=count", [{"count": 4}]),
            Case("GET /directors?select=name,films(count)&id=eq.1", [{"name": "Ada", "films": [{"count": 2}]}]),
            Case("GET /films?select=year,count", disabled, 400),
            Case("GET /directors?select=...films(id.max())", disabled, 400),
            Case("GET /directors?select=...films(id)&id=eq.1", [{"id": [1, 2]}]),
        ],
        plain,
    )


async def test_computed_relationships_and_views(cinema: str) -> None:
    """Functions as relationships, and foreign keys through views, both ways."""
    await replay(
        cinema,
        [
            Case("GET /films?select=id,maker(name)&id=eq.1", [{"id": 1, "maker": {"name": "Ada"}}]),
            Case("GET /directors?select=name,works(id)&works.order=id&id=eq.1", [{"name": "Ada", "works": [{"id": 1}, {"id": 2}]}]),
            Case("GET /recent?select=name,directors(name)&order=film&limit=1", [{"name": "Beta", "directors": {"name": "Ada"}}]),
            Case("GET /directors?select=name,recent(film)&id=eq.1", [{"name": "Ada", "recent": [{"film": 2}]}]),
            Case("GET /recent?select=film,actors(name)&film=eq.2", [{"film": 2, "actors": [{"name": "Zoe"}]}]),
            Case("GET /recent?select=film,reviews(score)&film=eq.2", [{"film": 2, "reviews": [{"score": 7}]}]),
        ],
    )


async def test_empty_embeds_and_views_of_themselves(cinema: str) -> None:
    """An embed that shows nothing at any depth has no key; a view embeds its own rows by the key's column."""
    await replay(
        cinema,
        [
            Case("GET /films?select=id,directors(films())&id=eq.1", [{"id": 1}]),
            Case("GET /films?select=&id=eq.0", []),
            Case("GET /crew?select=id,boss(name)&id=eq.2", [{"id": 2, "boss": {"name": "Top"}}]),
            Case("GET /crew?select=id,team:crew!boss(id)&id=eq.1", [{"id": 1, "team": [{"id": 2}]}]),
            Case("GET /films?select=id,directors(name)),junk&id=eq.4", [{"id": 4, "directors": None}]),
        ],
    )


async def test_grouped_rows_are_counted(cinema: str) -> None:
    """With a condition, too, the total is the number of groups."""
    grouped = "GET /films?select=director_id,id.count()&id=gte.1&order=director_id"
    rows = [{"director_id": 1, "count": 2}, {"director_id": 2, "count": 1}, {"director_id": None, "count": 1}]
    await replay(
        cinema,
        [
            Case(grouped, rows, headers={"prefer": "count=exact"}, shows={"content-range": "0-2/3"}),
            Case(grouped + "&limit=1", rows[:1], 206, headers={"prefer": "count=exact"}, shows={"content-range": "0-0/3"}),
            Case(grouped, status=206, headers={"prefer": "count=planned"}),
            Case(grouped, rows, headers={"prefer": "count=estimated"}, shows={"content-range": "0-2/3"}),
        ],
    )
