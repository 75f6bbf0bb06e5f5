"""The smallest pieces of SQL: identifiers, values as parameters, fields, conditions, order.

Nothing from a request is ever written into SQL as text: names are quoted, values are bound, operators
and types come from closed tables.
Source: https://docs.postgrest.org/en/latest/references/api/tables_views.html (operators), read 2026-11-22.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from dealquest.storage.postgrest.ast import Arrow, Condition, Field, Filter, Logic, Order

from .catalog import Catalog, ColumnInfo, Name, Table
from .shape import Slot

Value: TypeAlias = "str | int | bytes | tuple[str, ...] | None"

_OPERATORS: Mapping[str, str] = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "LIKE",
    "ilike": "ILIKE",
    "match": "~",
    "imatch": "~*",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
    "isdistinct": "IS DISTINCT FROM",
}
_SEARCH = {"fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery"}
_IS = {"null": "NULL", "not_null": "NOT NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
_JSON_TYPES = frozenset({"json", "jsonb"})
_TYPE = re.compile(r"([\w$ ]+?)\s*(\([0-9 ,]+\))?((?:\[\])*)\Z")
# Types that are written with more than one word, or that PostgreSQL parses as keywords.
_ONE_WORD_TYPES = (
    "bigint bit bool boolean bytea char character cidr date daterange dec decimal double float float4 float8 inet int int2 int4 "
    "int4range int8 int8range integer interval json jsonb macaddr money name national numeric numrange oid point real regclass "
    "smallint text time timestamp timestamptz timetz tsquery tsrange tstzrange tsvector uuid varchar xml"
)
_KEYWORD_TYPES = frozenset(_ONE_WORD_TYPES.split(" ")) | {
    "bit varying",
    "character varying",
    "double precision",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
}


def quote(name: str) -> str:
    """An identifier; NUL cannot be part of one.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace("\x00", "").replace('"', '""') + '"'


def quote_name(name: Name) -> str:
    """A qualified identifier."""
    return f"{quote(name.schema)}.{quote(name.name)}" if name.schema else quote(name.name)


def quote_text(text: str) -> str:
    """A text literal, for names that come from the catalog or from an alias."""
    plain = text.replace("\x00", "").replace("'", "''")
    return f"E'{plain}'".replace("\\", "\\\\") if "\\" in plain else f"'{plain}'"


def quote_type(cast: str) -> str:
    """A type from a request: a known one as it is, any other as a quoted identifier.

    >>> quote_type("varchar(10)[]"), quote_type('x); drop table y')
    ('varchar(10)[]', '"x); drop table y"')
    """
    found = _TYPE.match(cast.strip())
    if found is None:
        return quote(cast.strip())
    word, size, array = found[1].strip(), found[2] or "", found[3]
    if word.lower() in _KEYWORD_TYPES:
        return f"{word}{size}{array}"
    return f"{quote(word)}{array}"


def array_literal(items: tuple[str, ...]) -> str:
    r"""PostgreSQL's array text.

    >>> array_literal(("a", 'b"c'))
    '{"a","b\\"c"}'
    """
    return "{" + ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "}"


class Params:
    """Values in the order of their numbers in the SQL."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[Value] = []

    def bind(self, value: Value) -> str:
        """Note a value, and write its place."""
        self.values.append(value)
        return f"${len(self.values)}"


class Scope:
    """A table under an alias, and what is known of its columns.

    Args:
        alias: How SQL calls it here.
        table: What the catalog knows; None for a function's own row type.
        catalog: For data representations.
    """

    __slots__ = ("alias", "catalog", "table")

    def __init__(self, alias: str, table: Table | None, catalog: Catalog) -> None:
        self.alias = alias
        self.table = table
        self.catalog = catalog

    def column(self, name: str) -> ColumnInfo | None:
        return self.table.columns.get(name) if self.table is not None else None

    def field(self, field: Field) -> str:
        """A column or a path into it."""
        plain = f"{quote(self.alias)}.{quote(field.name)}"
        if not field.path:
            return plain
        info = self.column(field.name)
        known_json = info is not None and info.base_type in _JSON_TYPES
        return (plain if known_json else f"to_jsonb({plain})") + write_path(field.path)

    def representation(self, name: str, target: str) -> str | None:
        """The function from a column's domain to json."""
        info = self.column(name)
        return self.catalog.representations.get((info.type, target)) if info is not None and self.catalog.representations else None

    def parser(self, name: str, source: str) -> str | None:
        """The function from json or text to a column's domain."""
        info = self.column(name)
        return self.catalog.representations.get((source, info.type)) if info is not None and self.catalog.representations else None


def write_path(path: tuple[Arrow, ...]) -> str:
    """Arrows; keys are literals, as a parameter's type would be ambiguous."""
    parts = []
    for step in path:
        arrow = "->>" if step.as_text else "->"
        parts.append(arrow + (str(step.key) if isinstance(step.key, int) else quote_text(step.key)))
    return "".join(parts)


NullTest: TypeAlias = Callable[[bool], str]
"""SQL that asks whether an embed has rows; True wants none. It is written only where it is used, as it may bind values."""


def write_condition(condition: Condition, scope: Scope, params: Params, special: Mapping[str, NullTest] | None = None) -> str:
    """A condition as SQL.

    Args:
        condition: A comparison or a tree.
        scope: The table it is about.
        params: Takes the values.
        special: Tests for embeds that are asked for null; any other filter on their names is about a column.
    """
    if isinstance(condition, Logic):
        joined = f" {condition.operator.upper()} ".join(write_condition(item, scope, params, special) for item in condition.items)
        return f"NOT ({joined})" if condition.negated else f"({joined})"
    if special and condition.operator == "is" and condition.value == "null" and not condition.field.path:
        test = special.get(condition.field.name)
        if test is not None:
            return test(not condition.negated)
    text = _write_filter(condition, scope, params)
    return f"NOT {text}" if condition.negated else text


def _write_filter(condition: Filter, scope: Scope, params: Params) -> str:
    field = scope.field(condition.field)
    operator, value = condition.operator, condition.value
    if operator == "is":
        return f"{field} IS {_IS[str(value)]}"
    # A pattern is not a value of the column's type.
    parsed = not condition.field.path and operator not in {"like", "ilike"}
    parser = scope.parser(condition.field.name, "text") if parsed else None
    if operator == "in":
        items = tuple(value) if not isinstance(value, tuple) else value
        place = params.bind(items)
        if parser is not None:
            return f"{field} = ANY (SELECT {parser}(unnest({place}::text[])))"
        return f"{field} = ANY ({place})"
    text = value if isinstance(value, str) else array_literal(value)
    if operator in _SEARCH:
        return _write_search(condition, field, text, scope, params)
    if operator in {"like", "ilike"}:
        text = _wildcards(text)
    place = params.bind(text)
    if condition.modifier is not None:
        return f"{field} {_OPERATORS[operator]} {condition.modifier.upper()} ({place})"
    return f"{field} {_OPERATORS[operator]} {f'{parser}({place})' if parser else place}"


def _wildcards(text: str) -> str:
    """`*` stands for `%`."""
    replaced = text.replace("*", "%")
    return Slot(replaced, text.place, wild=True) if isinstance(text, Slot) else replaced


def _write_search(condition: Filter, field: str, text: str, scope: Scope, params: Params) -> str:
    info = scope.column(condition.field.name)
    language = "" if condition.language is None else f"{quote_text(condition.language)}, "
    if condition.field.path or (info is not None and info.base_type != "tsvector"):
        field = f"to_tsvector({language}{field})"
    return f"{field} @@ {_SEARCH[condition.operator]}({language}{params.bind(text)})"


def write_order(terms: tuple[Order, ...], scope: Scope, relations: Mapping[str, Scope]) -> str:
    """`ORDER BY`, or nothing."""
    if not terms:
        return ""
    parts = []
    for term in terms:
        text = (scope if term.relation is None else relations[term.relation]).field(term.field)
        text += {"asc": " ASC", "desc": " DESC", None: ""}[term.direction]
        parts.append(text + {"first": " NULLS FIRST", "last": " NULLS LAST", None: ""}[term.nulls])
    return " ORDER BY " + ", ".join(parts)
