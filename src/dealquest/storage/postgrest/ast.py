"""The PostgREST request as a value: the one tree that the client renders and the engine parses.

No I/O, no SQL, no quoting: a `str` in a value position is the value itself. A value that came out of a
URL equals the value that went in: `parse(render(request)) == request`.
Source: https://docs.postgrest.org/en/latest/references/api.html (PostgREST 16), read 2026-11-22.
"""

from typing import Literal, TypeAlias

import attrs

QuantOperator: TypeAlias = Literal["eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch"]
"""Operators that take `(any)` and `(all)`."""

PlainOperator: TypeAlias = Literal["neq", "isdistinct", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"]
"""Operators that take one value and nothing else."""

SearchOperator: TypeAlias = Literal["fts", "plfts", "phfts", "wfts"]
"""Full-text operators; they take a language."""

Operator: TypeAlias = QuantOperator | PlainOperator | SearchOperator | Literal["in", "is"]

QUANT_OPERATORS: frozenset[str] = frozenset(("eq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch"))
PLAIN_OPERATORS: frozenset[str] = frozenset(("neq", "isdistinct", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"))
SEARCH_OPERATORS: frozenset[str] = frozenset(("fts", "plfts", "phfts", "wfts"))
OPERATORS: frozenset[str] = QUANT_OPERATORS | PLAIN_OPERATORS | SEARCH_OPERATORS | {"in", "is"}
IS_VALUES: frozenset[str] = frozenset(("null", "not_null", "true", "false", "unknown"))

Modifier: TypeAlias = Literal["any", "all"]
Aggregate: TypeAlias = Literal["sum", "avg", "count", "max", "min"]
Join: TypeAlias = Literal["inner", "left"]

AGGREGATES: frozenset[str] = frozenset(("sum", "avg", "count", "max", "min"))


@attrs.frozen
class Arrow:
    """One step into a json value.

    Attributes:
        key: A member's name, or an array index, which may be negative.
        as_text: Whether the step is `->>` (text) and not `->` (json).
    """

    key: str | int
    as_text: bool = False


@attrs.frozen
class Field:
    """A column, or a path into a json column. In a filter it may also name an embed (`is.null`)."""

    name: str
    path: tuple[Arrow, ...] = ()


@attrs.frozen(kw_only=True)
class Filter:
    """`field=not.operator(modifier).value`.

    Attributes:
        field: What is compared.
        operator: PostgREST's own name of the operator.
        value: The text compared with; a tuple for `in` only, where `()` and `("",)` both mean the empty
            list, as in PostgREST; a PostgreSQL array literal such as `{1,2}` when `modifier` is set;
            one of `IS_VALUES`, in lower case, for `is`.
        modifier: `any` or `all`, with a `QuantOperator` only.
        language: Text-search configuration, with a `SearchOperator` only.
        negated: Whether `not.` stands before the operator.
    """

    field: Field
    operator: Operator
    value: str | tuple[str, ...]
    modifier: Modifier | None = None
    language: str | None = None
    negated: bool = False


@attrs.frozen(kw_only=True)
class Logic:
    """`and(...)`, `or(...)`, or their negation; never empty."""

    operator: Literal["and", "or"]
    items: "tuple[Condition, ...]"
    negated: bool = False


Condition: TypeAlias = Filter | Logic


@attrs.frozen(kw_only=True)
class Column:
    """`alias:field::cast.aggregate()::aggregate_cast` in a select; `*` is the field named `*`.

    `count()` alone is the field `*` with the aggregate `count`.
    """

    field: Field
    alias: str | None = None
    cast: str | None = None
    aggregate: Aggregate | None = None
    aggregate_cast: str | None = None


@attrs.frozen(kw_only=True)
class Order:
    """`field.desc.nullslast`, or `relation(field).desc` for a to-one embed.

    Attributes:
        field: A column, a json path, or an alias of the select.
        relation: The embed whose column orders, or None.
        direction: None where the request is silent, which means ascending.
        nulls: None where the request is silent, which means PostgreSQL's default.
    """

    field: Field
    relation: str | None = None
    direction: Literal["asc", "desc"] | None = None
    nulls: Literal["first", "last"] | None = None


@attrs.frozen(kw_only=True)
class Embed:
    """`alias:relation!hint!inner(select)`, or `...relation(select)` when spread, with its own conditions.

    Attributes:
        relation: Table, view, foreign-key column or computed relationship.
        alias: Its name in the answer; None means the relation's.
        hint: Foreign key, column or junction that picks one of several relationships.
        join: `inner` drops parents without a row; None and `left` keep them.
        spread: Whether its columns are lifted into the parent.
        select: Columns and further embeds; `()` returns nothing of it.
        where: Conditions on it, joined by and, in the order of the request.
        order: Order of its rows.
        limit: Most rows for each parent.
        offset: Rows skipped for each parent.
    """

    relation: str
    alias: str | None = None
    hint: str | None = None
    join: Join | None = None
    spread: bool = False
    select: "tuple[SelectItem, ...]" = ()
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None

    @property
    def name(self) -> str:
        """The name that paths such as `name.column=eq.1` use."""
        return self.relation if self.alias is None else self.alias


SelectItem: TypeAlias = Column | Embed

ALL_COLUMNS: tuple[SelectItem, ...] = (Column(field=Field("*")),)
"""What a request without `select` asks for."""


@attrs.frozen
class Media:
    """A media type with its parameters, such as `application/vnd.pgrst.plan+json; options=analyze`.

    Attributes:
        name: `type/subtype` in lower case.
        params: Parameters in order, names in lower case, without `q`.
    """

    name: str
    params: tuple[tuple[str, str], ...] = ()


JSON_MEDIA = Media("application/json")
OBJECT_MEDIA = Media("application/vnd.pgrst.object+json")
ARRAY_MEDIA = Media("application/vnd.pgrst.array+json")
CSV_MEDIA = Media("text/csv")
GEOJSON_MEDIA = Media("application/geo+json")
PLAN_MEDIA = "application/vnd.pgrst.plan"
"""Without suffix; the explain output is asked as `+json` or `+text`."""
NULLS_STRIPPED: tuple[tuple[str, str], ...] = (("nulls", "stripped"),)


@attrs.frozen
class Range:
    """The `Range` header: rows `first` to `last`, both counted from 0 and included; `last` None is open."""

    first: int
    last: int | None = None


@attrs.frozen(kw_only=True)
class Prefer:
    """The `Prefer` header (RFC 7240), but for `resolution`, which makes an insert an `Upsert`.

    Attributes:
        returning: What a write answers with.
        count: How the total is found.
        missing: What an absent column gets.
        handling: Whether an unknown preference is refused.
        timezone: Name of the session's time zone.
        max_affected: Most rows that a write may touch; counts with `handling="strict"` only.
        tx: Whether the transaction is committed.
        params: The old single-object call (PostgREST 12 only).
        unknown: Preferences that the grammar does not know, as sent.
    """

    returning: Literal["minimal", "headers-only", "representation"] | None = None
    count: Literal["exact", "planned", "estimated"] | None = None
    missing: Literal["default", "null"] | None = None
    handling: Literal["strict", "lenient"] | None = None
    timezone: str | None = None
    max_affected: int | None = None
    tx: Literal["commit", "rollback"] | None = None
    params: Literal["single-object"] | None = None
    unknown: tuple[str, ...] = ()


NO_PREFERENCE = Prefer()


@attrs.frozen
class Payload:
    """A request body, as it travels.

    Attributes:
        content: The bytes; empty when there is no body.
        media: Its `Content-Type`.
    """

    content: bytes = attrs.field(default=b"", repr=False)
    media: Media = JSON_MEDIA


NO_PAYLOAD = Payload()


@attrs.frozen(kw_only=True)
class Shape:
    """What every request may say about its answer.

    Attributes:
        profile: The schema (`Accept-Profile` or `Content-Profile`); None is the first one exposed.
        accept: Media types in order of preference.
        prefer: Preferences.
        select: Columns and embeds.
        where: Conditions on the root, joined by and, in the order of the request.
        order: Order of the rows.
        limit: Most rows.
        offset: Rows skipped.
        range: The `Range` header, which narrows limit and offset of a read.
    """

    profile: str | None = None
    accept: tuple[Media, ...] = (JSON_MEDIA,)
    prefer: Prefer = NO_PREFERENCE
    select: tuple[SelectItem, ...] = ALL_COLUMNS
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    range: Range | None = None


@attrs.frozen(kw_only=True)
class Read(Shape):
    """GET or HEAD of a table or view."""

    relation: str
    head: bool = False


@attrs.frozen(kw_only=True)
class Insert(Shape):
    """POST to a table.

    Attributes:
        relation: The table or view.
        payload: One row or many.
        columns: The columns taken from the payload; None is those of its first row.
        on_conflict: The parameter as sent; without a resolution it changes nothing.
    """

    relation: str
    payload: Payload = NO_PAYLOAD
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class Upsert(Insert):
    """POST with `Prefer: resolution`; `on_conflict` None means the primary key."""

    resolution: Literal["merge-duplicates", "ignore-duplicates"]


@attrs.frozen(kw_only=True)
class Put(Shape):
    """PUT of one whole row whose primary key the conditions name in full."""

    relation: str
    payload: Payload = NO_PAYLOAD


@attrs.frozen(kw_only=True)
class Update(Shape):
    """PATCH of the rows that meet the conditions."""

    relation: str
    payload: Payload = NO_PAYLOAD
    columns: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class Delete(Shape):
    """DELETE of the rows that meet the conditions."""

    relation: str


@attrs.frozen(kw_only=True)
class Call(Shape):
    """A function: POST with a payload, GET or HEAD with arguments in the query.

    Attributes:
        function: Its name.
        method: GET and HEAD run read-only.
        arguments: Name and text pairs of a GET or HEAD, in order; a variadic one repeats its name.
        payload: The arguments of a POST: a JSON object, an array for a call per row, or raw bytes.
        columns: The arguments taken from the payload; None is all.
    """

    function: str
    method: Literal["GET", "HEAD", "POST"] = "POST"
    arguments: tuple[tuple[str, str], ...] = ()
    payload: Payload = NO_PAYLOAD
    columns: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class Describe(Shape):
    """GET or HEAD of the root: the OpenAPI document."""

    head: bool = False


Request: TypeAlias = Read | Insert | Upsert | Put | Update | Delete | Call | Describe
