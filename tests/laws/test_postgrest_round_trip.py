"""A request survives its own URL: what the client renders, the engine reads as the same tree (Q1)."""

from typing import Any

import attrs
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from dealquest.errors import InputError
from dealquest.storage.engine.incoming import Incoming, read_head
from dealquest.storage.engine.parse import Limits, parse_request, split_query
from dealquest.storage.postgrest import ast
from dealquest.storage.postgrest.conditions import build_filter
from dealquest.storage.postgrest.dialects import DIALECTS
from dealquest.storage.postgrest.notation import parse_order, parse_select
from dealquest.storage.postgrest.render import render, render_order, render_select

WIDE = Limits(max_url_bytes=10**9, max_body_bytes=10**9, max_embed_depth=50, max_filters=10**6, max_select_items=10**6)

# Everything that means something somewhere in the grammar, and some letters that do not.
MARKS = "ab1 .,:;()[]{}\"\\'*%&=+#!?<>-|/_$~@^`\t\n\u00e9\u4e2d\U0001f600"
WORDS = ["eq.", "not.", "in.(", "is.null", "or=(", "->>", "%2C", "inner", "left", "order", "limit", "and", "count"]
whole = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)
texts = st.lists(st.sampled_from([*MARKS, *WORDS]), max_size=6).map("".join) | whole
names = texts.filter(lambda name: name not in {"", "*"})
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
arrows = st.builds(ast.Arrow, st.integers(-99, 99) | names, st.booleans())
fields = st.builds(ast.Field, names, st.lists(arrows, max_size=2).map(tuple))


@st.composite
def filters(draw: st.DrawFn) -> ast.Filter:
    operator = draw(st.sampled_from(sorted(ast.OPERATORS)))
    value: Any = draw(texts)
    modifier = language = None
    if operator == "in":
        value = draw(st.lists(texts, max_size=3).map(tuple).filter(lambda found: found != ("",)))
    elif operator == "is":
        value = draw(st.sampled_from(sorted(ast.IS_VALUES)))
    elif operator in ast.QUANT_OPERATORS:
        modifier = draw(st.sampled_from([None, "any", "all"]))
    elif operator in ast.SEARCH_OPERATORS:
        language = draw(st.none() | words)
    return ast.Filter(field=draw(fields), operator=operator, value=value, modifier=modifier, language=language, negated=draw(st.booleans()))


conditions = st.recursive(
    filters(),
    lambda inner: st.builds(
        ast.Logic, operator=st.sampled_from(["and", "or"]), items=st.lists(inner, min_size=1, max_size=3).map(tuple), negated=st.booleans()
    ),
    max_leaves=5,
)
wheres = st.lists(conditions, max_size=3).map(tuple)
orders = st.lists(
    st.builds(
        ast.Order,
        field=fields,
        relation=st.none() | names,
        direction=st.sampled_from([None, "asc", "desc"]),
        nulls=st.sampled_from([None, "first", "last"]),
    ),
    max_size=2,
).map(tuple)
windows = st.none() | st.integers(0, 10**6)


@st.composite
def columns(draw: st.DrawFn) -> ast.Column:
    aggregate = draw(st.sampled_from([None, *sorted(ast.AGGREGATES)]))
    field = draw(fields)
    cast = draw(st.none() | words)
    if aggregate == "count" and draw(st.booleans()):
        field, cast = ast.Field("*"), None
    return ast.Column(
        field=field,
        alias=draw(st.none() | names),
        cast=cast,
        aggregate=aggregate,
        aggregate_cast=draw(st.none() | words) if aggregate else None,
    )


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> tuple[ast.SelectItem, ...]:
    items: list[ast.SelectItem] = draw(st.lists(columns() | st.just(ast.ALL_COLUMNS[0]), max_size=3))
    # Siblings have names of their own: otherwise no path could tell them apart.
    called = draw(st.lists(names.filter(lambda name: name != "count"), max_size=4, unique=True)) if depth else []
    for relation, other in zip(called[::2], called[1::2], strict=False):
        spread = draw(st.booleans())
        alias = None if spread else draw(st.sampled_from([None, other]))
        items.append(
            ast.Embed(
                relation=relation,
                alias=alias,
                hint=draw(st.none() | names.filter(lambda name: name not in {"inner", "left"})),
                join=draw(st.sampled_from([None, "inner", "left"])),
                spread=spread,
                select=draw(selects(depth=depth - 1)),
                where=draw(wheres),
                order=draw(orders),
                limit=draw(windows),
                offset=draw(windows),
            )
        )
    return tuple(items)


prefers = st.builds(
    ast.Prefer,
    returning=st.sampled_from([None, "minimal", "headers-only", "representation"]),
    count=st.sampled_from([None, "exact", "planned", "estimated"]),
    missing=st.sampled_from([None, "default", "null"]),
    handling=st.sampled_from([None, "strict", "lenient"]),
    timezone=st.sampled_from([None, "America/Los_Angeles", "Etc/GMT+7"]),
    max_affected=st.none() | st.integers(0, 10**9),
    tx=st.sampled_from([None, "commit", "rollback"]),
)
medias = st.lists(
    st.sampled_from(
        [
            ast.JSON_MEDIA,
            ast.OBJECT_MEDIA,
            ast.CSV_MEDIA,
            ast.Media("application/vnd.pgrst.array+json", ast.NULLS_STRIPPED),
            ast.Media("application/vnd.pgrst.plan+json", (("for", "text/csv"), ("options", "analyze|verbose"))),
        ]
    ),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)


@st.composite
def requests(draw: st.DrawFn) -> ast.Request:
    shape: dict[str, Any] = {
        "profile": draw(st.sampled_from([None, "api", "v1 old"])),
        "accept": draw(medias),
        "prefer": draw(prefers),
        "select": draw(st.just(ast.ALL_COLUMNS) | selects()),
        "where": draw(wheres),
        "order": draw(orders),
        "limit": draw(windows),
        "offset": draw(windows),
    }
    relation = draw(names.filter(lambda name: name not in {".", "..", "rpc"}))
    payload = draw(st.builds(ast.Payload, st.binary(max_size=20), st.sampled_from([ast.JSON_MEDIA, ast.CSV_MEDIA])))
    listed = draw(st.none() | st.lists(names, min_size=1, max_size=3).map(tuple))
    match draw(st.sampled_from(["read", "insert", "upsert", "put", "update", "delete", "call", "get"])):
        case "read":
            head = draw(st.booleans())
            span = None if head else draw(st.none() | st.builds(ast.Range, st.integers(0, 99), st.none() | st.integers(99, 999)))
            return ast.Read(relation=relation, head=head, range=span, **shape)
        case "insert":
            return ast.Insert(
                relation=relation, payload=payload, columns=listed, on_conflict=draw(st.none() | st.just(("id", "a.b"))), **shape
            )
        case "upsert":
            kind: Any = draw(st.sampled_from(["merge-duplicates", "ignore-duplicates"]))
            return ast.Upsert(relation=relation, payload=payload, columns=listed, on_conflict=listed, resolution=kind, **shape)
        case "put":
            return ast.Put(relation=relation, payload=payload, **(shape | {"limit": None, "offset": None}))
        case "update":
            return ast.Update(relation=relation, payload=payload, columns=listed, **shape)
        case "delete":
            return ast.Delete(relation=relation, **shape)
        case "call":
            return ast.Call(function=relation, payload=payload, columns=listed, **shape)
        case _:
            pairs = draw(st.lists(st.tuples(words, texts), max_size=3).map(tuple))
            return ast.Call(function=relation, method="GET", arguments=pairs, **shape)


def parse_back(request: ast.Request, dialect: str = "postgrest16") -> ast.Request:
    rendered = render(request, DIALECTS[dialect])
    path, _, query = rendered.url.partition("?")
    incoming = Incoming(rendered.method, path, query, read_head(rendered.headers), rendered.payload.content)
    return parse_request(incoming, split_query(query), limits=WIDE)


@settings(max_examples=2 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(requests())
def test_q1_a_request_survives_its_own_url(request: ast.Request) -> None:
    """Rendering and parsing any tree gives the same tree, whatever its names and values hold."""
    try:
        render(request)
    except InputError as refused:
        assume(refused.code != "storage.request.ambiguous_argument")
        raise
    assert parse_back(request) == request


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(texts, st.sampled_from(["eq", "neq", "like", "gt", "match", "isdistinct", "cs"]), st.booleans(), st.booleans())
@example("in.(1,2)", "eq", False, True)
@example("not.is.null", "eq", True, True)
@example('a,b)"\\', "eq", False, True)
@example("or=(a.eq.1)", "like", False, False)
@example("*%", "eq", False, True)
def test_q1_a_value_is_always_a_value(value: str, operator: Any, negated: bool, nested: bool) -> None:
    """Text that looks like an operator, or holds any reserved character, stays the text that is compared with."""
    condition: ast.Condition = build_filter(ast.Field("name"), operator, value, negated=negated)
    if nested:
        condition = ast.Logic(operator="or", items=(condition, build_filter(ast.Field("b"), "in", [value, value + "x"])))
    request = ast.Read(relation="t", where=(condition,))
    assert parse_back(request) == request


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(selects(), orders)
def test_short_notation_reads_what_is_rendered(select: tuple[ast.SelectItem, ...], order: tuple[ast.Order, ...]) -> None:
    """The builder's short texts are PostgREST's own grammar: rendered selects and orders read back the same."""
    assert parse_select(render_select(select)) == tuple(_without_conditions(item) for item in select)
    assert tuple(parse_order(render_order((term,))) for term in order) == order


def _without_conditions(item: ast.SelectItem) -> ast.SelectItem:
    if isinstance(item, ast.Column):
        return item
    return attrs.evolve(
        item, where=(), order=(), limit=None, offset=None, select=tuple(_without_conditions(inner) for inner in item.select)
    )
