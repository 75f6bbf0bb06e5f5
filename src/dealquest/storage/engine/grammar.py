"""PostgREST's query-string grammar: texts of single parameters → parts of the AST.

Recursive descent over one text; a refusal says where. The rules, with `name` either quoted or made of
letters, digits, `_`, `$`, blanks and inner `-`:

    select   = item *("," item)            item  = ["..."] relation | column
    relation = [alias ":"] name *("!" hint) "(" select ")"
    column   = [alias ":"] field ["::" cast] ["." aggregate "()" ["::" cast]]
    field    = name *(("->" | "->>") key)
    filter   = ["not."] operator ["(" any | all | language ")"] "." value
    logic    = "(" condition *("," condition) ")"
    order    = term *("," term)            term  = (field | name "(" field ")") [".asc"|".desc"] [".nullsfirst"|".nullslast"]

Values in a filter run to the end; inside a logic tree they end at `,` or `)` and may be quoted.
Source: https://docs.postgrest.org/en/latest/references/api/url_grammar.html and tables_views.html, read 2026-11-22.
"""

import re
from typing import Any, Literal, cast

from dealquest.storage.postgrest.ast import (
    AGGREGATES,
    IS_VALUES,
    PLAIN_OPERATORS,
    QUANT_OPERATORS,
    SEARCH_OPERATORS,
    Aggregate,
    Arrow,
    Column,
    Condition,
    Embed,
    Field,
    Filter,
    Logic,
    Order,
    SelectItem,
)

from .scanner import Refusal, Scanner, parse_with

_NAME = re.compile(r"[\w$ ]+(?:-(?!>)[\w$ ]+)*")
_JSON_KEY = re.compile(r"(?:[^\(\-:\.,>\)\"]|-(?!>))+")
_JSON_INDEX = re.compile(r"-?\d+(?=->|::|\.|,|\)|$)")
_CAST = re.compile(r"[^\(\),.:]+(?:\([0-9 ,]*\))?(?:\[\])*")
_LANGUAGE = re.compile(r"\(([\w$ -]+)\)")
_OPERATOR = re.compile(r"[a-z]+")
_LIST_ITEM = re.compile(r"[^,)]*")
_LOGIC_VALUE = re.compile(r"[^,)]*")
_ARRAY = re.compile(r"\{[^{}]*\}(?=[,)])")

_NAME_WANTED = "field name (* or [a..z0..9_$])"


def read_name(scanner: Scanner, expecting: str = _NAME_WANTED) -> str:
    """A name, quoted or plain; blanks around it do not count."""
    scanner.skip_blanks()
    quoted = scanner.quoted()
    if quoted is not None:
        scanner.skip_blanks()
        return quoted
    found = scanner.match(_NAME)
    if found is None or not found[0].strip():
        raise Refusal(scanner.at if found is None else found.start(), expecting)
    return found[0].strip()


def read_field(scanner: Scanner) -> Field:
    """A column or a path into one."""
    return Field(read_name(scanner), read_path(scanner))


def read_path(scanner: Scanner) -> tuple[Arrow, ...]:
    """The arrows behind a name; they may be none."""
    steps: list[Arrow] = []
    while scanner.peek("->"):
        as_text = scanner.take("->>")
        if not as_text:
            scanner.expect("->")
        index = scanner.match(_JSON_INDEX)
        if index is not None and len(index[0]) < 11:
            steps.append(Arrow(int(index[0]), as_text))
            continue
        if index is not None:
            scanner.at = index.start()
        elif scanner.peek("-"):
            raise Refusal(scanner.at + 1, "digit")
        quoted = scanner.quoted()
        if quoted is None:
            found = scanner.match(_JSON_KEY)
            if found is None:
                raise Refusal(scanner.at, '"-", digit or any non reserved character different from: .,>()')
            quoted = found[0]
        steps.append(Arrow(quoted, as_text))
    return tuple(steps)


def read_select(scanner: Scanner) -> tuple[SelectItem, ...]:
    """A select list, which may be empty."""
    items: list[SelectItem] = []
    scanner.skip_blanks()
    if scanner.at >= len(scanner.text) or scanner.peek(")"):
        return ()
    while True:
        items.append(_read_item(scanner))
        scanner.skip_blanks()
        if not scanner.take(","):
            return tuple(items)


def read_whole_select(scanner: Scanner) -> tuple[SelectItem, ...]:
    """The select of a request; PostgREST ends it at the bracket of a last embed, whatever follows."""
    items = read_select(scanner)
    if items and isinstance(items[-1], Embed):
        scanner.at = len(scanner.text)
    return items


def _read_item(scanner: Scanner) -> SelectItem:
    scanner.skip_blanks()
    if scanner.take("..."):
        return _read_embed(scanner, None, read_name(scanner), spread=True)
    if scanner.take("*"):
        return Column(field=Field("*"))
    name = read_name(scanner)
    alias = None
    if scanner.peek(":") and not scanner.peek("::"):
        scanner.take(":")
        alias = name
        name = read_name(scanner)
    if scanner.peek("!") or (scanner.peek("(") and not (name in AGGREGATES and scanner.peek("()"))):
        return _read_embed(scanner, alias, name, spread=False)
    if name == "count" and scanner.take("()"):
        return Column(field=Field("*"), alias=alias, aggregate="count", aggregate_cast=_read_cast(scanner))
    path = read_path(scanner)
    if path and scanner.peek("("):
        raise Refusal(scanner.at, '"::", ".", "," or end of input')
    cast_to = _read_cast(scanner)
    aggregate = None
    if scanner.peek("."):
        place = scanner.at
        scanner.take(".")
        found = scanner.match(_OPERATOR)
        if found is None or found[0] not in AGGREGATES or not scanner.take("()"):
            raise Refusal(place, '"::", ".avg()", ".count()", ".max()", ".min()", ".sum()", "," or end of input')
        aggregate = cast("Aggregate", found[0])
    return Column(
        field=Field(name, path),
        alias=alias,
        cast=cast_to,
        aggregate=aggregate,
        aggregate_cast=_read_cast(scanner) if aggregate else None,
    )


def _read_cast(scanner: Scanner) -> str | None:
    if not scanner.take("::"):
        return None
    found = scanner.match(_CAST)
    if found is None:
        raise Refusal(scanner.at, "a type name")
    return found[0].strip()


def _read_embed(scanner: Scanner, alias: str | None, name: str, *, spread: bool) -> Embed:
    hint, join = None, None
    while scanner.take("!"):
        word = read_name(scanner)
        if word in {"inner", "left"}:
            join = word
        else:
            hint = word
    scanner.expect("(")
    scanner.max_depth -= 1
    if scanner.max_depth < 0:
        raise Refusal(scanner.at, "fewer levels")
    select = read_select(scanner)
    scanner.max_depth += 1
    scanner.skip_blanks()
    scanner.expect(")")
    scanner.skip_blanks()
    return Embed(relation=name, alias=alias, hint=hint, join=cast("Any", join), spread=spread, select=select)


def read_order(scanner: Scanner) -> tuple[Order, ...]:
    """The terms of `order`."""
    terms: list[Order] = []
    scanner.skip_blanks()
    if scanner.at >= len(scanner.text):
        raise Refusal(scanner.at, _NAME_WANTED)
    while True:
        field = read_field(scanner)
        relation = None
        if not field.path and scanner.take("("):
            relation, field = field.name, read_field(scanner)
            scanner.expect(")")
        direction, nulls = None, None
        if scanner.take(".asc"):
            direction = "asc"
        elif scanner.take(".desc"):
            direction = "desc"
        if scanner.take(".nullsfirst"):
            nulls = "first"
        elif scanner.take(".nullslast"):
            nulls = "last"
        scanner.skip_blanks()
        terms.append(Order(field=field, relation=relation, direction=cast("Any", direction), nulls=cast("Any", nulls)))
        if not scanner.take(","):
            scanner.end(_expect_after(direction, nulls))
            return tuple(terms)


def _expect_after(direction: str | None, nulls: str | None) -> str:
    """What may follow a term of an order."""
    if nulls:
        return '"," or end of input'
    return '"nullsfirst" or "nullslast"' if direction else '",", "asc", "desc", "nullsfirst" or "nullslast"'


def read_names(scanner: Scanner) -> tuple[str, ...]:
    """Names between commas."""
    names = [read_name(scanner)]
    while scanner.take(","):
        names.append(read_name(scanner))
    return tuple(names)


def read_condition_value(scanner: Scanner, field: Field, *, nested: bool) -> Filter:
    """What stands behind a field: `not.eq.1`; nested in a logic tree, values end at `,` and `)`."""
    negated = scanner.take("not.")
    place = scanner.at
    word = scanner.match(_OPERATOR)
    name = word[0] if word else ""
    modifier = language = None
    if name in QUANT_OPERATORS:
        if scanner.take("(any)"):
            modifier = "any"
        elif scanner.take("(all)"):
            modifier = "all"
    elif name in SEARCH_OPERATORS:
        found = scanner.match(_LANGUAGE)
        language = found[1] if found else None
    elif name not in PLAIN_OPERATORS and name not in {"in", "is"}:
        expecting = "operator (eq, gt, ...)" if negated else '"not" or operator (eq, gt, ...)'
        raise Refusal(place, expecting)
    if not scanner.take("."):
        raise Refusal(place if not scanner.peek("(") else scanner.at, "operator (eq, gt, ...)" if scanner.peek("(") else '"."')
    value: str | tuple[str, ...]
    if name == "in":
        value = _read_list(scanner)
    elif name == "is":
        value = _read_is(scanner)
    else:
        value = _read_nested_value(scanner) if nested else _take_rest(scanner)
    return Filter(field=field, operator=cast("Any", name), value=value, modifier=cast("Any", modifier), language=language, negated=negated)


def _take_rest(scanner: Scanner) -> str:
    value = scanner.text[scanner.at :]
    scanner.at = len(scanner.text)
    return value


def _read_is(scanner: Scanner) -> str:
    for value in sorted(IS_VALUES):
        if scanner.text[scanner.at : scanner.at + len(value)].lower() == value:
            following = scanner.text[scanner.at + len(value) : scanner.at + len(value) + 1]
            if following in {"", ",", ")", " "}:
                scanner.at += len(value)
                return value
    raise Refusal(scanner.at, "isVal: (null, not_null, true, false, unknown)")


def _read_list(scanner: Scanner) -> tuple[str, ...]:
    scanner.expect("(")
    items: list[str] = []
    while True:
        place = scanner.at
        scanner.skip_blanks()
        item = scanner.quoted()
        if item is not None:
            scanner.skip_blanks()
        if item is None or scanner.text[scanner.at : scanner.at + 1] not in {",", ")"}:
            scanner.at = place
            found = scanner.match(_LIST_ITEM)
            item = (found[0] if found else "").lstrip(" ")
        items.append(item)
        if scanner.take(","):
            continue
        if not scanner.take(")"):
            raise Refusal(scanner.at, '"," or ")"')
        return () if items == [""] else tuple(items)


def _read_nested_value(scanner: Scanner) -> str:
    place = scanner.at
    quoted = scanner.quoted()
    if quoted is not None and scanner.text[scanner.at : scanner.at + 1] in {",", ")"}:
        return quoted
    scanner.at = place
    array = scanner.match(_ARRAY)
    if array is not None:
        return array[0]
    found = scanner.match(_LOGIC_VALUE)
    return found[0] if found else ""


def read_logic(scanner: Scanner) -> Logic:
    """`and(...)` or `or(...)`, perhaps negated, after its name is known to stand here."""
    negated = scanner.take("not.")
    operator: Literal["and", "or"] = "and"
    if not scanner.take("and"):
        scanner.expect("or")
        operator = "or"
    scanner.skip_blanks()
    scanner.expect("(")
    scanner.max_depth -= 1
    if scanner.max_depth < 0:
        raise Refusal(scanner.at, "fewer levels")
    items: list[Condition] = []
    while True:
        scanner.skip_blanks()
        items.append(_read_condition(scanner))
        scanner.skip_blanks()
        if scanner.take(","):
            continue
        scanner.expect(")")
        scanner.max_depth += 1
        return Logic(operator=operator, items=tuple(items), negated=negated)


_LOGIC_AHEAD = re.compile(r"(?:not\.)?(?:and|or) *\(")


def _read_condition(scanner: Scanner) -> Condition:
    if _LOGIC_AHEAD.match(scanner.text, scanner.at):
        return read_logic(scanner)
    place = scanner.at
    try:
        field = read_field(scanner)
    except Refusal as exc:
        if exc.at == place:
            raise Refusal(place, f"{_NAME_WANTED}, negation operator (not) or logic operator (and, or)") from exc
        raise
    scanner.expect(".")
    return read_condition_value(scanner, field, nested=True)


def read_filter_key(text: str) -> tuple[tuple[str, ...], Field]:
    """`child.grandchild.column->path`: the embeds it goes through, and the field."""
    return parse_with(_read_tree_path, text, "tree path")


def _read_tree_path(scanner: Scanner) -> tuple[tuple[str, ...], Field]:
    path: list[str] = []
    while True:
        name = read_name(scanner)
        if scanner.take("."):
            path.append(name)
            continue
        return tuple(path), Field(name, read_path(scanner))
