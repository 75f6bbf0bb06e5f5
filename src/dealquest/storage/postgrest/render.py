r"""The tree → method, path, query pairs and headers. Pure; quoting is decided by position, never by the value's meaning.

    name       `"a.b"`              quoted unless it is letters, digits and underscores
    filter     `a=eq.VALUE`         raw to the end: whatever stands there is the value
    list       `in.("x,y","")`      quoted, with \" and \\
    logic      `and=(a.eq."x,y")`   quoted unless harmless
    array      `cs.{...}`           an array literal, made before, then as filter or logic

Source: https://docs.postgrest.org/en/latest/references/api/url_grammar.html (PostgREST 16), read 2026-11-22.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import attrs

from dealquest.errors import InputError
from dealquest.wire import Headers

from .ast import (
    ALL_COLUMNS,
    NO_PAYLOAD,
    NO_PREFERENCE,
    OPERATORS,
    Call,
    Column,
    Condition,
    Delete,
    Describe,
    Embed,
    Field,
    Filter,
    Insert,
    Logic,
    Media,
    Order,
    Payload,
    Prefer,
    Put,
    Read,
    Request,
    SelectItem,
    Update,
    Upsert,
)
from .dialects import DIALECTS, Dialect

POSTGREST16 = DIALECTS["postgrest16"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED_NAMES = frozenset(("select", "columns", "on_conflict", "order", "limit", "offset", "and", "or", "not", "count"))
_LIKE_OPERATOR = re.compile(rf"(?:not\.)?(?:not|{'|'.join(sorted(OPERATORS))})(?:\([^)]*\))?\.")
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$ ]*", re.ASCII)
_PLAIN_LOGIC = re.compile(r"[A-Za-z0-9_.:+-]+", re.ASCII)
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*", re.ASCII)
_TIMEZONE = re.compile(r"[A-Za-z0-9_+/:-]+", re.ASCII)
_URL_SAFE = "*(),.:!'~-_@/"
_PLAIN_URL = re.compile(r"[A-Za-z0-9*(),.:!'~_@/-]*", re.ASCII)


@attrs.frozen(kw_only=True)
class Rendered:
    """A request as HTTP wants it.

    Attributes:
        method: Upper case.
        path: From the server's root, percent-encoded.
        query: Decoded pairs in order.
        headers: Lower-case names; no credentials.
        payload: The body.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Headers = ()
    payload: Payload = attrs.field(factory=Payload)

    @property
    def url(self) -> str:
        """Path and encoded query."""
        return f"{self.path}?{encode_query(self.query)}" if self.query else self.path


def render(request: Request, dialect: Dialect = POSTGREST16) -> Rendered:
    """Render a request for a server.

    Raises:
        InputError: `storage.request.name` for a name that no URL can carry, `storage.request.unrenderable`
            for a tree that the grammar cannot say, `storage.request.unsupported` for what the dialect lacks.

    >>> render(Read(relation="t", where=(Filter(field=Field("a.b"), operator="eq", value="in.(1)"),))).url
    '/t?%22a.b%22=eq.in.(1)'
    """
    method, path = _render_target(request, dialect)
    payload = NO_PAYLOAD if isinstance(request, (Read, Delete, Describe)) else request.payload
    return Rendered(
        method=method,
        path=path,
        query=_render_query(request, dialect),
        headers=_render_headers(request, method, payload),
        payload=payload,
    )


def _render_target(request: Request, dialect: Dialect) -> tuple[str, str]:
    match request:
        case Call():
            return request.method, dialect.functions + _render_segment(request.function)
        case Describe():
            return "HEAD" if request.head else "GET", dialect.tables
        case Read():
            return "HEAD" if request.head else "GET", dialect.tables + _render_segment(request.relation)
        case Insert():
            return "POST", dialect.tables + _render_segment(request.relation)
        case Update():
            return "PATCH", dialect.tables + _render_segment(request.relation)
        case Delete():
            return "DELETE", dialect.tables + _render_segment(request.relation)
        case Put():
            if not dialect.has_put:
                raise InputError(f"{dialect.name} forwards no PUT; use upsert.", code="storage.request.unsupported")
            return "PUT", dialect.tables + _render_segment(request.relation)


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Percent-encode query pairs; a blank is `%20` and a plus `%2B`, which every server reads alike.

    >>> encode_query([("a", "eq.1+1 =#"), ("b", "is.null")])
    'a=eq.1%2B1%20%3D%23&b=is.null'
    """
    return "&".join([f"{_encode(key)}={_encode(value)}" for key, value in pairs])


def _encode(text: str) -> str:
    return text if _PLAIN_URL.fullmatch(text) else quote(text, safe=_URL_SAFE)


def _render_segment(name: str) -> str:
    """One path segment: a slash inside is encoded, and dots alone would leave the folder."""
    if name in {"", ".", ".."} or "\0" in name:
        raise InputError(f"{name!r} is not a name of a table or function.", code="storage.request.name")
    return name if _PLAIN_NAME.fullmatch(name) else quote(name, safe="")


def quote_text(text: str) -> str:
    r"""Quote for a name, a list or a logic tree.

    >>> quote_text('say "hi"')
    '"say \\"hi\\""'
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def render_name(name: str) -> str:
    """A column's, relation's or alias's name; `*` is itself.

    Raises:
        InputError: `storage.request.name` for the empty name.
    """
    if _PLAIN_NAME.fullmatch(name) and name not in _RESERVED_NAMES:
        return name
    if name == "*":
        return name
    if not name or "\0" in name:
        raise InputError(f"{name!r} is not a name.", code="storage.request.name")
    return quote_text(name)


def _render_key(key: str | int) -> str:
    return str(key) if isinstance(key, int) or _PLAIN_NAME.fullmatch(key) else quote_text(key)


def render_field(field: Field) -> str:
    """A column with its json path."""
    if not field.path:
        return render_name(field.name)
    steps = [f"{'->>' if step.as_text else '->'}{_render_key(step.key)}" for step in field.path]
    return render_name(field.name) + "".join(steps)


def render_filter(condition: Filter, dialect: Dialect = POSTGREST16) -> str:
    """`not.eq(any).` and the raw value, as it stands after `field=`."""
    prefix = _render_operator(condition)
    if condition.operator == "in":
        return prefix + _render_list(condition.value)
    if condition.operator == "is":
        return _render_is(condition, dialect)
    return prefix + _single(condition)


def render_condition(condition: Condition, dialect: Dialect = POSTGREST16) -> str:
    """A condition inside a logic tree, where values are quoted."""
    if isinstance(condition, Logic):
        return _render_logic_name(condition) + _render_logic_items(condition.items, dialect)
    name = render_field(condition.field)
    prefix = _render_operator(condition)
    if condition.operator == "in":
        return f"{name}.{prefix}{_render_list(condition.value)}"
    if condition.operator == "is":
        return f"{name}.{_render_is(condition, dialect)}"
    value = _single(condition)
    return f"{name}.{prefix}{value if _PLAIN_LOGIC.fullmatch(value) else quote_text(value)}"


def _single(condition: Filter) -> str:
    if not isinstance(condition.value, str):
        raise InputError(f"{condition.operator} takes one value, not a list.", code="storage.request.unrenderable")
    return condition.value


def _render_operator(condition: Filter) -> str:
    negation = "not." if condition.negated else ""
    inside = condition.modifier or condition.language
    if inside is None:
        return f"{negation}{condition.operator}."
    if not _WORD.fullmatch(inside):
        raise InputError(f"{inside!r} is not the name of a text-search configuration.", code="storage.request.name")
    return f"{negation}{condition.operator}({inside})."


def _render_list(values: str | tuple[str, ...]) -> str:
    if isinstance(values, str):
        raise InputError("in takes a list of values.", code="storage.request.unrenderable")
    return "(" + ",".join(map(quote_text, values)) + ")"


def _render_is(condition: Filter, dialect: Dialect) -> str:
    value = _single(condition)
    if value == "not_null" and dialect.version < 13:
        return "is.null" if condition.negated else "not.is.null"
    return f"not.is.{value}" if condition.negated else f"is.{value}"


def _render_logic_name(condition: Logic) -> str:
    return f"not.{condition.operator}" if condition.negated else condition.operator


def _render_logic_items(items: Sequence[Condition], dialect: Dialect) -> str:
    if not items:
        raise InputError("A logic tree needs at least one condition.", code="storage.request.unrenderable")
    return "(" + ",".join([render_condition(item, dialect) for item in items]) + ")"


def _render_where(where: Sequence[Condition], path: str, dialect: Dialect) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for condition in _fold(where) if dialect.folds_repeated_keys else where:
        if isinstance(condition, Filter):
            pairs.append((path + render_field(condition.field), render_filter(condition, dialect)))
        else:
            pairs.append((path + _render_logic_name(condition), _render_logic_items(condition.items, dialect)))
    return pairs


def _fold(where: Sequence[Condition]) -> Sequence[Condition]:
    """Put conditions that would repeat a query key into one `and`."""
    keys = [condition.field if isinstance(condition, Filter) else (condition.operator, condition.negated) for condition in where]
    count = Counter(keys)
    counted = [(count[key], condition) for key, condition in zip(keys, where, strict=True)]
    repeated = [condition for times, condition in counted if times > 1]
    if not repeated:
        return where
    single = [condition for times, condition in counted if times == 1]
    plain_and = [
        condition for condition in single if isinstance(condition, Logic) and condition.operator == "and" and not condition.negated
    ]
    others = [condition for condition in single if condition not in plain_and]
    return [*others, Logic(operator="and", items=(*plain_and, *repeated))]


def render_select(items: Sequence[SelectItem]) -> str:
    """Columns and embeds, as they stand after `select=`."""
    return ",".join([_render_column(item) if isinstance(item, Column) else _render_embed(item) for item in items])


def _render_column(column: Column) -> str:
    if column.alias is None and column.cast is None and column.aggregate is None and column.aggregate_cast is None:
        return render_field(column.field)
    alias = "" if column.alias is None else render_name(column.alias) + ":"
    after = _render_cast(column.aggregate_cast)
    if column.aggregate == "count" and column.field == Field("*") and column.cast is None:
        return f"{alias}count(){after}"
    aggregate = f".{column.aggregate}()" if column.aggregate else ""
    return f"{alias}{render_field(column.field)}{_render_cast(column.cast)}{aggregate}{after}"


def _render_cast(cast: str | None) -> str:
    if cast is None:
        return ""
    if not _WORD.fullmatch(cast):
        raise InputError(f"{cast!r} is not the name of a type to cast to.", code="storage.request.name")
    return f"::{cast}"


def _render_embed(embed: Embed) -> str:
    if embed.spread and embed.alias is not None:
        raise InputError(f"A spread embed has no alias; {embed.relation} has {embed.alias!r}.", code="storage.request.unrenderable")
    before = "..." if embed.spread else "" if embed.alias is None else render_name(embed.alias) + ":"
    # PostgREST takes the words inner and left at the start of a hint for a join.
    hint = (
        ""
        if embed.hint is None
        else "!" + (quote_text(embed.hint) if embed.hint.startswith(("inner", "left")) else render_name(embed.hint))
    )
    join = "" if embed.join is None else f"!{embed.join}"
    return f"{before}{render_name(embed.relation)}{hint}{join}({render_select(embed.select)})"


def render_order(terms: Sequence[Order]) -> str:
    """Order terms, as they stand after `order=`."""
    return ",".join([_render_order_term(term) for term in terms])


def _render_order_term(term: Order) -> str:
    name = render_field(term.field)
    if term.relation is not None:
        name = f"{render_name(term.relation)}({name})"
    direction = f".{term.direction}" if term.direction else ""
    nulls = f".nulls{term.nulls}" if term.nulls else ""
    return name + direction + nulls


def _render_embed_conditions(select: Sequence[SelectItem], path: str, dialect: Dialect) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    embeds = [item for item in select if isinstance(item, Embed)]
    for embed in embeds:
        inner = f"{path}{render_name(embed.name)}."
        own = _render_where(embed.where, inner, dialect)
        own += _render_window(embed, inner)
        own += _render_embed_conditions(embed.select, inner, dialect)
        if own and sum(other.name == embed.name for other in embeds) > 1:
            raise InputError(
                f"Two embeds are named {embed.name}, so a condition on it is ambiguous; give one an alias.",
                code="storage.request.unrenderable",
            )
        pairs += own
    return pairs


def _render_window(shape: Embed | Request, path: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if shape.order:
        pairs.append((f"{path}order", render_order(shape.order)))
    if shape.limit is not None:
        pairs.append((f"{path}limit", str(shape.limit)))
    if shape.offset is not None:
        pairs.append((f"{path}offset", str(shape.offset)))
    return pairs


def _render_arguments(arguments: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    for name, value in arguments:
        if _LIKE_OPERATOR.match(value):
            raise InputError(
                f"The argument {name} reads like a filter in a URL; call the function by POST.", code="storage.request.ambiguous_argument"
            )
    return [(render_name(name), value) for name, value in arguments]


def _render_query(request: Request, dialect: Dialect) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    chosen = request.select != ALL_COLUMNS
    if chosen:
        pairs.append(("select", render_select(request.select)))
    if isinstance(request, Call):
        pairs += _render_arguments(request.arguments)
    if isinstance(request, (Insert, Update, Call)) and request.columns is not None:
        pairs.append(("columns", ",".join(map(render_name, request.columns))))
    if isinstance(request, Insert) and request.on_conflict is not None:
        pairs.append(("on_conflict", ",".join(map(render_name, request.on_conflict))))
    if request.where:
        pairs += _render_where(request.where, "", dialect)
    pairs += _render_window(request)
    if chosen:
        pairs += _render_embed_conditions(request.select, "", dialect)
    return tuple(pairs)


def render_media(media: Media) -> str:
    """A media type with its parameters, quoted where they need it."""
    if not media.params:
        return media.name
    return media.name + "".join(
        f";{name}={value if re.fullmatch('[A-Za-z0-9_.|+-]+', value) else quote_text(value)}" for name, value in media.params
    )


def render_prefer(prefer: Prefer, resolution: str | None = None) -> str:
    """The `Prefer` header; empty when nothing is preferred.

    >>> render_prefer(Prefer(returning="minimal", count="exact"), "ignore-duplicates")
    'resolution=ignore-duplicates, return=minimal, count=exact'
    """
    if prefer is NO_PREFERENCE and resolution is None:
        return ""
    if prefer.timezone is not None and not _TIMEZONE.fullmatch(prefer.timezone):
        raise InputError(f"{prefer.timezone!r} is not the name of a time zone.", code="storage.request.name")
    pairs = (
        ("resolution", resolution),
        ("missing", prefer.missing),
        ("return", prefer.returning),
        ("params", prefer.params),
        ("count", prefer.count),
        ("tx", prefer.tx),
        ("handling", prefer.handling),
        ("timezone", prefer.timezone),
        ("max-affected", prefer.max_affected),
    )
    return ", ".join([f"{name}={value}" for name, value in pairs if value is not None] + list(prefer.unknown))


def _render_headers(request: Request, method: str, payload: Payload) -> Headers:
    # Weights keep the order: among equal ones a server may prefer the type that says most.
    accept = [render_media(media) + (f";q={1 - place / 1000:.3f}" if place else "") for place, media in enumerate(request.accept)]
    headers = [("accept", ",".join(accept))]
    if payload.content or method in {"POST", "PATCH", "PUT"}:
        headers.append(("content-type", render_media(payload.media)))
    preferences = render_prefer(request.prefer, request.resolution if isinstance(request, Upsert) else None)
    if preferences:
        headers.append(("prefer", preferences))
    if request.profile is not None:
        if not _HEADER_TEXT.fullmatch(request.profile):
            raise InputError(f"{request.profile!r} is not a schema's name that a header can carry.", code="storage.request.name")
        headers.append(("accept-profile" if method in {"GET", "HEAD"} else "content-profile", request.profile))
    if request.range is not None:
        last = "" if request.range.last is None else request.range.last
        headers += [("range-unit", "items"), ("range", f"{request.range.first}-{last}")]
    return tuple(headers)
