"""What the client writes into URL and headers, case by case."""

from typing import Any

import pytest

from dealquest.errors import InputError
from dealquest.storage import all_of, any_of, col, embed, negate
from dealquest.storage.postgrest import ast
from dealquest.storage.postgrest.dialects import DIALECTS
from dealquest.storage.postgrest.query import read_items, read_terms
from dealquest.storage.postgrest.render import render, render_prefer


def query(dialect: str = "postgrest16", **shape: Any) -> list[tuple[str, str]]:
    return list(render(ast.Read(relation="t", **shape), DIALECTS[dialect]).query)


def where(*conditions: ast.Condition, dialect: str = "postgrest16") -> list[tuple[str, str]]:
    return query(dialect, where=conditions)


@pytest.mark.parametrize(
    ("condition", "pair"),
    [
        (col("a").eq(1), ("a", "eq.1")),
        (col("a").eq(None), ("a", "is.null")),
        (col("a").neq(None), ("a", "not.is.null")),
        (col("a").neq("x"), ("a", "neq.x")),
        (col("a").gt(1.5), ("a", "gt.1.5")),
        (col("a").lte(True), ("a", "lte.true")),
        (col("a").like("x%"), ("a", "like.x%")),
        (col("a").ilike("*x*"), ("a", "ilike.*x*")),
        (col("a").match("^x"), ("a", "match.^x")),
        (col("a").contains("50% (x)"), ("a", r"match.50% \(x\)")),
        (col("a").startswith("x.", ignore_case=True), ("a", r"imatch.^x\.")),
        (col("a").isdistinct("x"), ("a", "isdistinct.x")),
        (col("a").isdistinct(None), ("a", "not.is.null")),
        (col("a").is_("not_null"), ("a", "is.not_null")),
        (col("a").is_(True), ("a", "is.true")),
        (col("a").in_([1, 2, 2]), ("a", 'in.("1","2")')),
        (col("a").in_([]), ("a", "in.()")),
        (col("a").in_([""]), ("a", 'in.("","")')),
        (col("a").in_(["a,b", 'q"', "b\\"]), ("a", 'in.("a,b","q\\"","b\\\\")')),
        (col("a").any("like", ["a*", "b,c"]), ("a", 'like(any).{"a*","b,c"}')),
        (col("a").all("gt", [1, 2]), ("a", "gt(all).{1,2}")),
        (col("a").search("fat & cat", kind="fts", language="english"), ("a", "fts(english).fat & cat")),
        (col("a").search("fat cat"), ("a", "wfts.fat cat")),
        (col("a").cs([1, "x"]), ("a", 'cs.{1,"x"}')),
        (col("a").cs({"k": [1]}), ("a", 'cs.{"k":[1]}')),
        (col("a").ov("[1,5)"), ("a", "ov.[1,5)")),
        (col("a").adj("[1,5)"), ("a", "adj.[1,5)")),
        (negate(col("a").eq("x")), ("a", "not.eq.x")),
        (col("data->items->0->>name").eq("x"), ("data->items->0->>name", "eq.x")),
        (col('"order"').eq("x"), ('"order"', "eq.x")),
        (col('"a.b"').eq("x"), ('"a.b"', "eq.x")),
        (col('data->"a b"->>-1').eq("x"), ('data->"a b"->>-1', "eq.x")),
        (any_of(col("a").eq("x,y"), col("b").gte(2)), ("or", '(a.eq."x,y",b.gte.2)')),
        (negate(all_of(col("a").eq(1), any_of(col("b").is_(None)))), ("not.and", "(a.eq.1,or(b.is.null))")),
    ],
)
def test_every_operator_has_its_place(condition: ast.Condition, pair: tuple[str, str]) -> None:
    """Each operator and each kind of value is written as PostgREST's documentation says."""
    assert where(condition) == [pair]


def test_q1_reserved_characters_leave_through_the_url_and_nowhere_else() -> None:
    """A plus, a hash, an ampersand or a quote in a value is percent-encoded."""
    url = render(ast.Read(relation="t", where=(col("a").eq('1+1 =#&"é'),))).url
    assert url == "/t?a=eq.1%2B1%20%3D%23%26%22%C3%A9"
    assert render(ast.Read(relation="t", where=(col("a").eq("*(),.:!'~-_@/ "),))).url == "/t?a=eq.*(),.:!'~-_@/%20"


def test_an_embed_brings_its_own_conditions() -> None:
    """Filters, order and window of an embed carry its name, nested ones the whole path."""
    inner = embed("tags", "name", where=[col("name").neq("x")], limit=3)
    outer = embed("users", "id", inner, alias="who", hint="fk", join="inner", order=["-id"], offset=1)
    assert query(select=(outer, *read_items(["...place(city)", "n:amount::int.sum()::text", "count()"]))) == [
        ("select", "who:users!fk!inner(id,tags(name)),...place(city),n:amount::int.sum()::text,count()"),
        ("who.order", "id.desc"),
        ("who.offset", "1"),
        ("who.tags.name", "neq.x"),
        ("who.tags.limit", "3"),
    ]


def test_a_select_says_stars_counts_and_hints_apart() -> None:
    """A star is no name, a count of a column is none of rows, and a hint that begins like a join is quoted."""
    items = ["*", "a.count()", "count()::int", "u!inner_fk(*)", "u!left_fk!left(*)", "u!fk!inner(*)"]
    assert query(select=read_items(items)) == [
        ("select", '*,a.count(),count()::int,u!"inner_fk"(*),u!"left_fk"!left(*),u!fk!inner(*)'),
    ]


def test_order_takes_both_notations() -> None:
    """A leading minus is descending, PostgREST's own words work too."""
    assert query(order=read_terms(["-a", "b.asc.nullslast", "users(name).desc", "data->>x"])) == [
        ("order", "a.desc,b.asc.nullslast,users(name).desc,data->>x")
    ]


def test_insforge_gets_no_repeated_key() -> None:
    """Two filters on one column become one `and`, since its proxy breaks repeated keys."""
    pair = (col("a").gte(1), col("a").lt(5), col("b").eq(2))
    assert where(*pair) == [("a", "gte.1"), ("a", "lt.5"), ("b", "eq.2")]
    assert where(*pair, dialect="insforge") == [("b", "eq.2"), ("and", "(a.gte.1,a.lt.5)")]
    twice = (any_of(col("a").eq(1)), any_of(col("b").eq(2)), all_of(col("c").eq(3)))
    assert where(*twice, dialect="insforge") == [("and", "(and(c.eq.3),or(a.eq.1),or(b.eq.2))")]
    once = (any_of(col("c").eq(1)), negate(all_of(col("d").eq(2))))
    assert where(*once, dialect="insforge") == where(*once)
    assert where(*pair, *once, dialect="insforge") == [
        ("b", "eq.2"),
        ("or", "(c.eq.1)"),
        ("not.and", "(d.eq.2)"),
        ("and", "(a.gte.1,a.lt.5)"),
    ]


def test_old_servers_get_old_words() -> None:
    """`is.not_null` is PostgREST 13's; before it is `not.is.null`."""
    assert where(col("a").is_("not_null"), dialect="postgrest12") == [("a", "not.is.null")]
    assert where(negate(col("a").is_("not_null")), dialect="insforge") == [("a", "is.null")]
    assert where(col("a").is_("not_null"), dialect="postgrest13") == [("a", "is.not_null")]


def test_old_servers_get_old_words_at_any_depth() -> None:
    """Inside trees and embeds the same holds."""
    old, gone = col("a").is_("not_null"), negate(col("b").is_("not_null"))
    assert where(any_of(old, all_of(gone)), dialect="postgrest12") == [("or", "(a.not.is.null,and(b.is.null))")]
    assert where(any_of(old, all_of(gone)), dialect="postgrest13") == [("or", "(a.is.not_null,and(b.not.is.not_null))")]
    inner = embed("tags", "name", where=[old])
    assert query("postgrest12", select=(embed("users", inner, where=[any_of(old)]),)) == [
        ("select", "users(tags(name))"),
        ("users.or", "(a.not.is.null)"),
        ("users.tags.a", "not.is.null"),
    ]


def test_paths_of_the_dialects() -> None:
    """Each server has its own prefix, and a name never leaves its path segment."""
    paths = {name: render(ast.Read(relation="a b/../c"), dialect).path for name, dialect in DIALECTS.items()}
    assert paths == {
        "postgrest12": "/a%20b%2F..%2Fc",
        "postgrest13": "/a%20b%2F..%2Fc",
        "postgrest16": "/a%20b%2F..%2Fc",
        "supabase": "/rest/v1/a%20b%2F..%2Fc",
        "insforge": "/api/database/records/a%20b%2F..%2Fc",
    }
    assert render(ast.Call(function="f"), DIALECTS["insforge"]).path == "/api/database/rpc/f"
    described = [render(ast.Describe(head=head), DIALECTS["supabase"]) for head in (False, True)]
    assert [(each.method, each.path) for each in described] == [("GET", "/rest/v1/"), ("HEAD", "/rest/v1/")]


def test_every_request_has_its_method() -> None:
    """The method says what is done; a head asks for the headers alone."""
    requests = {
        "GET": ast.Read(relation="t"),
        "HEAD": ast.Read(relation="t", head=True),
        "POST": ast.Insert(relation="t"),
        "PATCH": ast.Update(relation="t"),
        "PUT": ast.Put(relation="t"),
        "DELETE": ast.Delete(relation="t"),
    }
    assert {method: (render(request).method, render(request).path) for method, request in requests.items()} == {
        method: (method, "/t") for method in requests
    }


def test_headers_say_what_is_preferred() -> None:
    """Preferences, profile, media types and range travel in their headers."""
    prefer = ast.Prefer(returning="minimal", handling="strict", max_affected=3, timezone="Europe/Berlin", tx="rollback", missing="default")
    headers = dict(render(ast.Upsert(relation="t", resolution="ignore-duplicates", prefer=prefer, profile="api")).headers)
    assert headers == {
        "accept": "application/json",
        "content-type": "application/json",
        "prefer": "resolution=ignore-duplicates, missing=default, return=minimal, tx=rollback, "
        "handling=strict, timezone=Europe/Berlin, max-affected=3",
        "content-profile": "api",
    }
    read = dict(render(ast.Read(relation="t", profile="api", range=ast.Range(5, 9), accept=(ast.CSV_MEDIA,))).headers)
    assert read == {"accept": "text/csv", "accept-profile": "api", "range-unit": "items", "range": "5-9"}
    assert dict(render(ast.Read(relation="t", head=True, range=ast.Range(5))).headers)["range"] == "5-"


def test_a_media_type_quotes_what_its_parameters_need() -> None:
    """A word is a word, everything else stands in quotes; of several types each weighs less than the one before."""
    media = ast.Media("application/vnd.pgrst.plan+json", (("for", "text/csv"), ("options", "analyze|Verbose"), ("x", 'a"b')))
    headers = dict(render(ast.Read(relation="t", accept=(media, ast.JSON_MEDIA))).headers)
    written = r'application/vnd.pgrst.plan+json;for="text/csv";options=analyze|Verbose;x="a\"b",application/json;q=0.999'
    assert headers == {"accept": written}


@pytest.mark.parametrize(
    ("request_", "sends"),
    [(ast.Update(relation="t"), True), (ast.Put(relation="t"), True), (ast.Insert(relation="t"), True), (ast.Delete(relation="t"), False)],
)
def test_what_writes_says_the_type_of_its_body(request_: ast.Request, sends: bool) -> None:
    """Also an empty body has a type; what has none says none."""
    assert ("content-type" in dict(render(request_).headers)) is sends


def test_every_preference_has_its_word() -> None:
    """Each is written as PostgREST spells it, and what nobody knows is passed on."""
    prefer = ast.Prefer(params="single-object", count="planned", unknown=("x=y", "z"))
    assert render_prefer(prefer) == "params=single-object, count=planned, x=y, z"
    assert render_prefer(ast.Prefer()) == ""


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (ast.Read(relation=".."), "name", "'..' is not a name of a table or function."),
        (ast.Read(relation="."), "name", "'.' is not a name of a table or function."),
        (ast.Read(relation=""), "name", "'' is not a name of a table or function."),
        (ast.Call(function="f\0"), "name", "'f\\x00' is not a name of a table or function."),
        (ast.Read(relation="t", select=(ast.Column(field=ast.Field("")),)), "name", "'' is not a name."),
        (ast.Read(relation="t", order=(ast.Order(field=ast.Field("a\0")),)), "name", "'a\\x00' is not a name."),
        (ast.Read(relation="t", profile="a\r\nx: y"), "name", "'a\\r\\nx: y' is not a schema's name that a header can carry."),
        (ast.Read(relation="t", prefer=ast.Prefer(timezone="UTC, tx=commit")), "name", "'UTC, tx=commit' is not the name of a time zone."),
        (
            ast.Read(relation="t", select=(ast.Column(field=ast.Field("a"), cast="int);--"),)),
            "name",
            "'int);--' is not the name of a type to cast to.",
        ),
        (
            ast.Read(relation="t", where=(ast.Filter(field=ast.Field("a"), operator="fts", value="x", language="a)b"),)),
            "name",
            "'a)b' is not the name of a text-search configuration.",
        ),
        (
            ast.Read(relation="t", where=(ast.Logic(operator="and", items=()),)),
            "unrenderable",
            "A logic tree needs at least one condition.",
        ),
        (
            ast.Read(relation="t", where=(ast.Filter(field=ast.Field("a"), operator="eq", value=("x",)),)),
            "unrenderable",
            "eq takes one value, not a list.",
        ),
        (
            ast.Read(relation="t", where=(any_of(ast.Filter(field=ast.Field("a"), operator="in", value="x")),)),
            "unrenderable",
            "in takes a list of values.",
        ),
        (
            ast.Read(relation="t", select=(ast.Embed(relation="u", alias="v", spread=True),)),
            "unrenderable",
            "A spread embed has no alias; u has 'v'.",
        ),
        (
            ast.Read(relation="t", select=(embed("u", limit=1), embed("u"))),
            "unrenderable",
            "Two embeds are named u, so a condition on it is ambiguous; give one an alias.",
        ),
        (
            ast.Call(function="f", method="GET", arguments=(("a", "not.in.(1)"),)),
            "ambiguous_argument",
            "The argument a reads like a filter in a URL; call the function by POST.",
        ),
    ],
)
def test_q1_what_the_grammar_cannot_carry_is_refused(request_: ast.Request, code: str, words: str) -> None:
    """Names that would leave their header or path, and values that would turn into filters, never leave the house."""
    with pytest.raises(InputError) as caught:
        render(request_)
    assert (caught.value.code, caught.value.message) == (f"storage.request.{code}", words)


def test_put_is_refused_where_it_does_not_arrive() -> None:
    """InsForge forwards no PUT, and the client says so before it sends."""
    with pytest.raises(InputError) as caught:
        render(ast.Put(relation="t"), DIALECTS["insforge"])
    assert (caught.value.code, caught.value.message) == ("storage.request.unsupported", "insforge forwards no PUT; use upsert.")
