"""Short texts that a programmer writes: the tree they stand for, and where reading stops when they stand for none."""

from collections.abc import Callable

import pytest

from dealquest.errors import InputError
from dealquest.storage.postgrest.ast import Aggregate, Arrow, Column, Embed, Field, Order, SelectItem
from dealquest.storage.postgrest.notation import parse_field, parse_order, parse_select

ALL = Column(field=Field("*"))
ID = Column(field=Field("id"))


@pytest.fixture(autouse=True)
def forget() -> None:
    """What was read once is kept; each test reads anew."""
    for read in (parse_select, parse_field, parse_order):
        read.cache_clear()


def column(name: str, *path: Arrow, alias: str | None = None, cast: str | None = None, aggregate: Aggregate | None = None) -> Column:
    return Column(field=Field(name, path), alias=alias, cast=cast, aggregate=aggregate)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a", Field("a")),
        (" \t a \t ", Field("a")),
        ("$1_ü", Field("$1_ü")),
        ("first name ", Field("first name")),
        ("created-at", Field("created-at")),
        ('" a,b "', Field(" a,b ")),
        (r'"say \"hi\" \\ \n"', Field('say "hi" \\ n')),
        ('"a\\\nb"', Field("a\nb")),
        ("data->a", Field("data", (Arrow("a"),))),
        ("a-b->c-d->>e", Field("a-b", (Arrow("c-d"), Arrow("e", as_text=True)))),
        ("data->0->>-12", Field("data", (Arrow(0), Arrow(-12, as_text=True)))),
        ("data->>0 ", Field("data", (Arrow(0, as_text=True),))),
        ('data->"0"->1a', Field("data", (Arrow("0"), Arrow("1a")))),
        ('data->"a->b"', Field("data", (Arrow("a->b"),))),
    ],
)
def test_a_field_is_a_name_and_steps_into_it(text: str, field: Field) -> None:
    """Quotes hold any character, a number alone is an index, and blanks around a name are none of it."""
    assert parse_field(text) == field


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", ()),
        (" \t", ()),
        ("*", (ALL,)),
        (" * , id ", (ALL, ID)),
        ("a::int", (column("a", cast="int"),)),
        ("a :: double precision ,id", (column("a", cast="double precision"), ID)),
        ("n:a", (column("a", alias="n"),)),
        ("n: a ::text", (column("a", alias="n", cast="text"),)),
        ('"n:m":a', (column("a", alias="n:m"),)),
        ("data->0::int", (column("data", Arrow(0), cast="int"),)),
        ("data->0.max()", (column("data", Arrow(0), aggregate="max"),)),
        ("a.avg()", (column("a", aggregate="avg"),)),
        ("n:a::int.sum()::text", (Column(field=Field("a"), alias="n", cast="int", aggregate="sum", aggregate_cast="text"),)),
        ("count()", (column("*", aggregate="count"),)),
        ("n:count()::int,id", (Column(field=Field("*"), alias="n", aggregate="count", aggregate_cast="int"), ID)),
        ("count", (column("count"),)),
        ("a.count()", (column("a", aggregate="count"),)),
        ("users()", (Embed(relation="users", select=()),)),
        ("users( ),id", (Embed(relation="users", select=()), ID)),
        ("users( id , * )", (Embed(relation="users", select=(ID, ALL)),)),
        ("...users(id)", (Embed(relation="users", select=(ID,), spread=True),)),
        ("...count()", (Embed(relation="count", select=(), spread=True),)),
        ("boss:users(id)", (Embed(relation="users", alias="boss", select=(ID,)),)),
        ("users!inner(id)", (Embed(relation="users", join="inner", select=(ID,)),)),
        ("users!left(id)", (Embed(relation="users", join="left", select=(ID,)),)),
        ("users!fk!left(id)", (Embed(relation="users", hint="fk", join="left", select=(ID,)),)),
        ('users!"inner"!inner(id)', (Embed(relation="users", hint="inner", join="inner", select=(ID,)),)),
        ('users!"left"(id)', (Embed(relation="users", hint="left", select=(ID,)),)),
        (
            "a(b(c(id)),id)",
            (Embed(relation="a", select=(Embed(relation="b", select=(Embed(relation="c", select=(ID,)),)), ID)),),
        ),
    ],
)
def test_a_select_is_columns_and_embeds(text: str, items: tuple[SelectItem, ...]) -> None:
    """Alias, cast, aggregate, hint, join and spread stand where PostgREST's grammar puts them, at any depth."""
    assert parse_select(text) == items


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("a", Order(field=Field("a"))),
        ("-a", Order(field=Field("a"), direction="desc")),
        ("a.asc", Order(field=Field("a"), direction="asc")),
        ("a.desc ", Order(field=Field("a"), direction="desc")),
        ("a.nullsfirst", Order(field=Field("a"), nulls="first")),
        ("-a.nullslast", Order(field=Field("a"), direction="desc", nulls="last")),
        ("data->>a.asc.nullslast", Order(field=Field("data", (Arrow("a", as_text=True),)), direction="asc", nulls="last")),
        ("users(name)", Order(field=Field("name"), relation="users")),
        ("-users( name )", Order(field=Field("name"), relation="users", direction="desc")),
        ("users(data->a).desc.nullsfirst", Order(field=Field("data", (Arrow("a"),)), relation="users", direction="desc", nulls="first")),
    ],
)
def test_an_order_term_has_a_direction_and_a_place_for_nulls(text: str, order: Order) -> None:
    """A minus and PostgREST's words say the same; what is not said stays open."""
    assert parse_order(text) == order


@pytest.mark.parametrize(
    ("read", "text", "at", "wanted"),
    [
        (parse_field, "", 1, "a name"),
        (parse_field, "-a", 1, "a name"),
        (parse_field, "a->", 4, "a name"),
        (parse_field, "a b.c", 4, "the end"),
        (parse_field, '"a', 1, "a name"),
        (parse_select, "a,", 3, "a name"),
        (parse_select, "a,,b", 3, "a name"),
        (parse_select, "a)", 2, "the end"),
        (parse_select, "*b", 2, "the end"),
        (parse_select, "a.median()", 2, "one of avg, count, max, min, sum"),
        (parse_select, "a.MAX()", 2, "the end"),
        (parse_select, "a::", 2, "the end"),
        (parse_select, "a(b", 4, "')'"),
        (parse_select, "a(b))", 5, "the end"),
        (parse_select, "a!inner", 8, "'('"),
        (parse_select, "a!(b)", 3, "a name"),
        (parse_select, "...a", 5, "'('"),
        (parse_select, "...n:a(b)", 5, "'('"),
        (parse_select, "data->a(b)", 8, "the end"),
        (parse_select, "n:", 3, "a name"),
        (parse_select, "n:data->>a.b", 11, "the end"),
        (parse_order, "a.sideways", 2, "the end"),
        (parse_order, "-a.asc", 3, "the end"),
        (parse_order, "--a", 2, "a name"),
        (parse_order, "a.nullslast.desc", 12, "the end"),
        (parse_order, "data->a(b)", 9, "a relation's name"),
        (parse_order, "users(name", 11, "')'"),
        (parse_order, "users(a,b)", 8, "')'"),
    ],
)
def test_a_text_that_means_nothing_is_refused_where_it_stops(read: Callable[[str], object], text: str, at: int, wanted: str) -> None:
    """The error shows the text, the character where reading stopped, and what would have gone on."""
    with pytest.raises(InputError) as caught:
        read(text)
    assert (caught.value.code, str(caught.value)) == ("storage.notation", f"Cannot read {text!r}: at character {at} {wanted} is expected.")
