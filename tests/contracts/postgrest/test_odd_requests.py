"""Requests at the edges of the grammar: what PostgREST takes is taken, and what it cannot mean is refused with its code."""

import pytest
from replay import Case, replay

from dealquest.storage.engine import EngineConfig


@pytest.mark.parametrize(
    "line",
    [
        "GET /films?select=info->a(id)",
        "GET /films?order=%20",
        "GET /films?genre=is.nullable",
        "GET /films?title=is.nul",
        "GET /films?select=info->-x",
        "GET /films?or=(nand(id.eq.1))",
        "GET /films?and=(id.eq.1,not.(id.eq.2))",
        "GET /films?id=in.(1,2",
        f"GET /films?select={'directors(films(' * 40}id{'))' * 40}",
        f"GET /films?or={'(and' * 70}(id.eq.1,id.eq.2){')' * 70}",
        f"GET /films?select={','.join(['id'] * 501)}",
        f"GET /films?select={'directors(films(' * 5}id{'))' * 5}",
    ],
)
async def test_what_cannot_be_parsed_is_pgrst100(cinema: str, line: str) -> None:
    """Half a word, brackets in the wrong place, too many levels and too many columns are one kind of refusal."""
    await replay(cinema, [Case(line, status=400)])


async def test_long_numbers_are_keys_and_words_end(cinema: str) -> None:
    """A number too long to be an index is a key; a word of `is` ends at a blank or at the end, and nowhere else."""
    await replay(
        cinema,
        [
            Case("GET /films?select=x:info->12345678901&id=eq.1", [{"x": None}]),
            Case("GET /films?select=x:info->list->>1&id=eq.1", [{"x": "2"}]),
            Case("GET /films?select=id&or=(director_id.is.null,id.eq.1)&order=id", [{"id": 1}, {"id": 4}]),
        ],
    )


async def test_hints_name_a_key_a_column_or_a_table_between(cinema: str) -> None:
    """A junction's hint is its table; a key over two columns has no column that could be one."""
    await replay(
        cinema,
        [
            Case("GET /films?select=id,actors!parts(name)&id=eq.2", [{"id": 2, "actors": [{"name": "Zoe"}]}]),
            Case("GET /films?select=id,actors!nothing(name)&id=eq.2", status=400),
            Case("GET /films?select=id,directors!director_id(name)&id=eq.1", [{"id": 1, "directors": {"name": "Ada"}}]),
        ],
    )


async def test_aggregates_of_spread_embeds_keep_their_cast_and_their_neighbours(cinema: str) -> None:
    """The parent computes them, one level up or two, beside plain columns and embeds, and in the type that was asked for."""
    await replay(
        cinema,
        [
            Case("GET /reviews?select=...films(year.max()::text)", [{"max": "2001"}]),
            Case(
                "GET /reviews?select=...films(title,id.count())&order=films(title)",
                [{"title": "Alpha", "count": 2}, {"title": "Beta", "count": 1}],
            ),
            Case("GET /reviews?select=...films(...directors(id.max()))", [{"max": 1}]),
            Case("GET /reviews?select=...films(*)&id=eq.3&select=id"),
            Case("GET /films?select=id,...directors(films(id))&id=eq.3", [{"id": 3, "films": [{"id": 3}]}]),
            Case("GET /films?select=id,...directors(name,films())&id=eq.3", [{"id": 3, "name": "Ben"}]),
        ],
    )


async def test_a_called_function_can_be_related_and_counted(cinema: str) -> None:
    """Rows of a function have the computed relationships of their table, a window and a count."""
    await replay(
        cinema,
        [
            Case("GET /rpc/films_of?maker=1&select=id,owner:maker(name)&limit=1", [{"id": 1, "owner": {"name": "Ada"}}]),
            Case("GET /rpc/numbers?offset=1&limit=1", [2], 206, headers={"prefer": "count=exact"}, shows={"content-range": "1-1/3"}),
            Case("GET /rpc/numbers?offset=2", [3]),
        ],
    )


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/xml", b"<a/>", 400),
        ("text/csv", b"\n", 400),
        ("text/csv", b"id,name\n1", 400),
        ("application/vnd.api+json", b'{"id": 77, "name": "New"}', 201),
        ("application/json; charset=latin-1; x=1", b'{"id": 77, "name": "New"}', 201),
    ],
)
async def test_bodies_by_their_content_type(cinema: str, content_type: str, body: bytes, status: int) -> None:
    """JSON by any of its names is read; another type, an empty table and rows of unequal length are refused."""
    rolled_back = {"content-type": content_type, "prefer": "tx=rollback"}
    await replay(cinema, [Case("POST /actors", status=status, body=body, headers=rolled_back)])


async def test_functions_read_what_was_posted(cinema: str) -> None:
    """The same types as the body of a call; for one that no function takes there is none."""
    await replay(
        cinema,
        [
            Case("POST /rpc/add", 3, body={"a": 1, "b": 2}, headers={"content-type": "application/vnd.api+json"}),
            Case("POST /rpc/add", status=404, body=b"<a/>", headers={"content-type": "text/xml"}),
        ],
    )


async def test_media_types_and_plans(cinema: str) -> None:
    """An empty item of `Accept` is passed over, a weight that is no number counts as none, and a plan is shown only where it is allowed."""
    await replay(
        cinema,
        [
            Case("GET /actors?select=id&order=id", "id\n1\n2", headers={"accept": "application/json;q=0.9, ,text/csv;q=much"}),
            Case("GET /actors?select=id&order=id", [{"id": 1}, {"id": 2}], headers={"accept": ",,"}),
        ],
    )
    plan = {"accept": "application/vnd.pgrst.plan+json"}
    await replay(cinema, [Case("GET /actors", status=406, headers=plan)], EngineConfig(db_schemas=("cinema",), db_anon_role="anon"))


async def test_of_equal_weights_the_type_that_says_most_counts(cinema: str) -> None:
    """A wildcard yields to a name, and a name to one with parameters, wherever they stand; else the first one counts."""
    stripped = "application/vnd.pgrst.array+json;nulls=stripped"
    await replay(
        cinema,
        [
            Case("GET /actors?select=id&order=id", "id\n1\n2", headers={"accept": "*/*, text/csv"}),
            Case("GET /actors?select=id&order=id", "id\n1\n2", headers={"accept": "text/csv, application/json"}),
            Case("GET /films?select=id,info&id=eq.3", [{"id": 3}], headers={"accept": f"application/json, {stripped}"}),
            Case("GET /films?select=id,info&id=eq.3", [{"id": 3, "info": None}], headers={"accept": f"application/json, {stripped};q=0.9"}),
        ],
    )


async def test_estimates_hold_beyond_the_largest_answer(cinema: str) -> None:
    """An estimated count is exact up to the limit of rows, and beyond it, or without one, no smaller than what was seen."""
    config = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_max_rows=1)
    counted = {"prefer": "count=estimated"}
    cases = [Case("GET /films?select=id&order=id", [{"id": 1}], 206, headers=counted), Case("GET /k?select=k", [], headers=counted)]
    await replay(cinema, cases, config)


async def test_without_a_largest_answer_the_greater_count_is_told(cinema: str) -> None:
    """An estimated count is the planner's where no limit of rows says which tables are small, unless more rows are there."""
    counted = {"prefer": "count=estimated"}
    endless = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_max_rows=None)
    await replay(cinema, [Case("GET /guessed?select=id", status=206, headers=counted, shows={"content-range": "0-1/70"})], endless)
    await replay(cinema, [Case("GET /guessed?select=id", headers=counted, shows={"content-range": "0-1/2"})])


async def test_a_pattern_is_no_value_of_a_represented_column(cinema: str) -> None:
    """`like` on a column that is parsed from text gets the text, and PostgreSQL says that there is no such operator."""
    told = {
        "code": "42883",
        "details": None,
        "hint": "No operator matches the given name and argument types. You might need to add explicit type casts.",
        "message": "operator does not exist: hex ~~ unknown",
    }
    await replay(cinema, [Case("GET /directors?select=id&colour=like.*ff", told, 404)])


async def test_what_may_follow_a_whole_term_of_an_order(cinema: str) -> None:
    """Behind the place of nulls there is nothing but the next term."""
    told = {
        "code": "PGRST100",
        "details": "unexpected 'i' expecting \",\" or end of input",
        "hint": None,
        "message": '"failed to parse order (id.desc.nullslasting)" (line 1, column 18)',
    }
    await replay(cinema, [Case("GET /films?order=id.desc.nullslasting", told, 400)])
