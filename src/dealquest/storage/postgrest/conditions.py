"""Conditions in Python: `score__gte=60`, `col("data->>city").eq("Bonn")`, `any_of(...)`, `negate(...)`.

A value is always a value: text that looks like an operator stays text. Pure.
Source: https://docs.postgrest.org/en/latest/references/api/tables_views.html#operators, read 2026-11-22.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal, cast

import attrs

from dealquest.errors import InputError

from .ast import IS_VALUES, OPERATORS, QUANT_OPERATORS, Condition, Field, Filter, Logic, Modifier, Operator
from .literals import encode_array, encode_text
from .notation import parse_field


@attrs.frozen
class Col:
    """A column or json path to be compared; make it with `col`."""

    field: Field

    def eq(self, value: object) -> Filter:
        """Equal; None means `is null`."""
        return self._compare("eq", value)

    def neq(self, value: object) -> Filter:
        """Not equal; None means `is not null`."""
        return self._compare("neq", value)

    def gt(self, value: object) -> Filter:
        """Greater."""
        return self._compare("gt", value)

    def gte(self, value: object) -> Filter:
        """Greater or equal."""
        return self._compare("gte", value)

    def lt(self, value: object) -> Filter:
        """Less."""
        return self._compare("lt", value)

    def lte(self, value: object) -> Filter:
        """Less or equal."""
        return self._compare("lte", value)

    def like(self, pattern: str) -> Filter:
        """SQL LIKE; `%` and, in PostgREST, `*` stand for any text. For text as it is: `contains`."""
        return self._compare("like", pattern)

    def ilike(self, pattern: str) -> Filter:
        """LIKE in any case."""
        return self._compare("ilike", pattern)

    def match(self, pattern: str) -> Filter:
        """POSIX regular expression."""
        return self._compare("match", pattern)

    def imatch(self, pattern: str) -> Filter:
        """Regular expression in any case."""
        return self._compare("imatch", pattern)

    def contains(self, text: str, *, ignore_case: bool = False) -> Filter:
        """The text itself is inside, whatever characters it holds."""
        return self._compare("imatch" if ignore_case else "match", escape_pattern(text))

    def startswith(self, text: str, *, ignore_case: bool = False) -> Filter:
        """Begins with the text itself."""
        return self._compare("imatch" if ignore_case else "match", "^" + escape_pattern(text))

    def endswith(self, text: str, *, ignore_case: bool = False) -> Filter:
        """Ends with the text itself."""
        return self._compare("imatch" if ignore_case else "match", escape_pattern(text) + "$")

    def isdistinct(self, value: object) -> Filter:
        """Different, where null is a value like any other."""
        return self._compare("isdistinct", value)

    def is_(self, value: bool | Literal["null", "not_null", "true", "false", "unknown"] | None) -> Filter:  # the method is the operator
        """`is null`, `is true` and their like."""
        return _build_is(self.field, value, negated=False)

    def in_(self, values: Iterable[object]) -> Filter:
        """Equal to one of the values; an empty list meets no row."""
        return _build_in(self.field, values, negated=False)

    def any(self, operator: Operator, values: Iterable[object]) -> Filter:
        """The operator holds for at least one value: `col("name").any("like", ["a%", "b%"])`."""
        return self._quantify(operator, values, "any")

    def all(self, operator: Operator, values: Iterable[object]) -> Filter:
        """The operator holds for every value."""
        return self._quantify(operator, values, "all")

    def search(self, words: str, *, kind: Literal["fts", "plfts", "phfts", "wfts"] = "wfts", language: str | None = None) -> Filter:
        """Full-text search; `wfts` reads words as a web search does and never fails on syntax."""
        return Filter(field=self.field, operator=kind, value=encode_text(words), language=language)

    def cs(self, value: object) -> Filter:
        """Contains (`@>`): a list for an array column, a mapping or JSON text for jsonb, text for a range."""
        return self._compare("cs", value)

    def cd(self, value: object) -> Filter:
        """Is contained in (`<@`)."""
        return self._compare("cd", value)

    def ov(self, value: object) -> Filter:
        """Overlaps (`&&`)."""
        return self._compare("ov", value)

    def sl(self, span: str) -> Filter:
        """Range strictly left of (`<<`)."""
        return self._compare("sl", span)

    def sr(self, span: str) -> Filter:
        """Range strictly right of (`>>`)."""
        return self._compare("sr", span)

    def nxr(self, span: str) -> Filter:
        """Range does not extend to the right of (`&<`)."""
        return self._compare("nxr", span)

    def nxl(self, span: str) -> Filter:
        """Range does not extend to the left of (`&>`)."""
        return self._compare("nxl", span)

    def adj(self, span: str) -> Filter:
        """Range adjacent to (`-|-`)."""
        return self._compare("adj", span)

    def _compare(self, operator: Operator, value: object) -> Filter:
        return build_filter(self.field, operator, value)

    def _quantify(self, operator: Operator, values: Iterable[object], modifier: Modifier) -> Filter:
        if operator not in QUANT_OPERATORS:
            raise InputError(f"{operator} takes no {modifier}; these do: {', '.join(sorted(QUANT_OPERATORS))}.", code="storage.condition")
        return Filter(field=self.field, operator=operator, value=encode_array(values), modifier=modifier)


def col(name: str) -> Col:
    """Name a column or a json path, such as `data->>city`.

    Raises:
        InputError: `storage.notation`.

    >>> col("data->>city").eq("eq.Bonn").value
    'eq.Bonn'
    """
    return Col(parse_field(name))


def any_of(*conditions: Condition) -> Logic:
    """At least one holds.

    >>> any_of(col("a").eq(1), col("b").is_(None)).operator
    'or'
    """
    return _join("or", conditions)


def all_of(*conditions: Condition) -> Logic:
    """Every one holds."""
    return _join("and", conditions)


def negate(condition: Condition) -> Condition:
    """The opposite.

    >>> negate(col("a").eq(1)).negated
    True
    """
    return attrs.evolve(condition, negated=not condition.negated)


def build_filter(field: Field, operator: Operator, value: object, *, negated: bool = False) -> Filter:
    """Compare a field with a Python value.

    Raises:
        InputError: `storage.condition` for a value that the operator cannot take; `storage.value.…`.
    """
    if operator == "in":
        return _build_in(field, value, negated=negated)
    if operator == "is":
        return _build_is(field, value, negated=negated)
    if value is None and operator in {"eq", "neq"}:
        return _build_is(field, None, negated=negated != (operator == "neq"))
    if value is None and operator == "isdistinct":
        # `IS DISTINCT FROM NULL` has no text in the grammar; `is not null` says the same.
        return _build_is(field, None, negated=not negated)
    return Filter(field=field, operator=operator, value=encode_text(value), negated=negated)


def parse_lookups(lookups: dict[str, Any]) -> tuple[Condition, ...]:
    """Keyword conditions: `name=1`, `score__gte=60`, `status__not_in=[...]`, `name__startswith="A"`.

    A column whose own name ends like an operator is named with `col`.

    Raises:
        InputError: `storage.condition` for an unknown operator.

    >>> parse_lookups({"score__gte": 60})[0].operator
    'gte'
    """
    return tuple([_parse_lookup(key, value) for key, value in lookups.items()])


def _parse_lookup(key: str, value: object) -> Condition:
    name, mark, word = key.rpartition("__")
    if not mark:
        return build_filter(Field(key), "eq", value)
    negated = word.startswith("not_")
    operator = word[4:] if negated else word
    if operator in OPERATORS:
        return build_filter(Field(name), cast("Operator", operator), value, negated=negated)
    texts = {"contains": Col.contains, "startswith": Col.startswith, "endswith": Col.endswith}
    if operator in texts and isinstance(value, str):
        condition = texts[operator](Col(Field(name)), value)
        return negate(condition) if negated else condition
    raise InputError(f"{key}: {word!r} is no operator; use one of PostgREST's names, or col() for that column.", code="storage.condition")


def is_always_true(conditions: Iterable[Condition]) -> bool:
    """Whether conditions joined by `and` plainly exclude no row, such as `not in ()`."""
    return all(_is_certain(condition, wanted=True) for condition in conditions)


def _is_certain(condition: Condition, *, wanted: bool) -> bool:
    """Whether a condition is certainly true (or, if not wanted, certainly false) for every row."""
    wanted = wanted != condition.negated
    if isinstance(condition, Logic):
        combine = all if (condition.operator == "and") == wanted else any
        return combine(_is_certain(item, wanted=wanted) for item in condition.items)
    return condition.operator == "in" and condition.value in {(), ("",)} and not wanted


def escape_pattern(text: str) -> str:
    r"""Escape a text for a PostgreSQL regular expression.

    >>> escape_pattern("50% (a.b)*")
    '50% \\(a\\.b\\)\\*'
    """
    return re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", text)


def _join(operator: Literal["and", "or"], conditions: tuple[Condition, ...]) -> Logic:
    if not conditions:
        raise InputError(f"{operator} needs at least one condition.", code="storage.condition")
    return Logic(operator=operator, items=conditions)


def _build_in(field: Field, values: object, *, negated: bool) -> Filter:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"in takes a list of values for {field.name}.", code="storage.condition")
    # Kept in order, once each: a repeated value only makes the URL longer.
    texts = tuple(dict.fromkeys([encode_text(value) for value in values]))
    # PostgREST reads a list of one empty text as the empty list; two of them are what was meant.
    return Filter(field=field, operator="in", value=("", "") if texts == ("",) else texts, negated=negated)


def _build_is(field: Field, value: object, *, negated: bool) -> Filter:
    text = "null" if value is None else {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    if not isinstance(text, str) or text not in IS_VALUES:
        raise InputError(f"is takes None, True, False or one of {', '.join(sorted(IS_VALUES))}.", code="storage.condition")
    return Filter(field=field, operator="is", value=text, negated=negated)
