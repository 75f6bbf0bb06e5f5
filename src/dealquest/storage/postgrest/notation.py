"""Short texts that a programmer writes → the tree: `"users!inner(first_name)"`, `"-created_at"`, `"data->>a"`.

For names in code, never for values: a value goes into a `Filter`. Errors say where reading stopped.
Source: https://docs.postgrest.org/en/latest/references/api/tables_views.html, read 2026-11-22.

    items  = item ("," item)*
    item   = "..." embed | [name ":"] (embed | column)
    embed  = name ("!" ("inner" | "left" | name))* "(" [items] ")"
    column = "*" | ["count()" | field] ["::" cast] ["." aggregate "()"] ["::" cast]
    field  = name (("->" | "->>") (index | name))*
    name   = '"' quoted '"' | letters, digits, "_", "$", blanks and "-" inside
"""

import re
from functools import lru_cache
from typing import NoReturn

from dealquest.errors import InputError

from .ast import AGGREGATES, Arrow, Column, Embed, Field, Join, Order, SelectItem

_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"|[\w$](?:[\w$ ]|-(?!>))*', re.DOTALL)
_STEP = re.compile(r"(->>?)(-?\d+(?=->|::|[.,)]|\s*$))?")
_CAST = re.compile(r"::([\w$ ]+)")
_AGGREGATE = re.compile(r"\.([a-z]+)\(\)")


@lru_cache(maxsize=1024)
def parse_select(text: str) -> tuple[SelectItem, ...]:
    """Read select items.

    Raises:
        InputError: `storage.notation` where the text stops making sense.

    >>> [item.name for item in parse_select("boss:users!inner(first_name,data->>a::int)") if isinstance(item, Embed)]
    ['boss']
    """
    reader = _Reader(text)
    items = reader.read_items()
    reader.expect_end()
    return items


@lru_cache(maxsize=1024)
def parse_field(text: str) -> Field:
    """Read a column or a json path.

    Raises:
        InputError: `storage.notation`.

    >>> parse_field("data->items->0->>name").path[1]
    Arrow(key=0, as_text=False)
    """
    reader = _Reader(text)
    field = reader.read_field()
    reader.expect_end()
    return field


@lru_cache(maxsize=1024)
def parse_order(text: str) -> Order:
    """Read one order term: PostgREST's notation, or a leading `-` for descending.

    Raises:
        InputError: `storage.notation`.

    >>> parse_order("-score").direction, parse_order("users(name).asc.nullslast").relation
    ('desc', 'users')
    """
    return _Reader(text).read_order()


class _Reader:
    """A cursor over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            self.refuse(repr(token))

    def expect_end(self) -> None:
        self.skip_blanks()
        if self.at != len(self.text):
            self.refuse("the end")

    def refuse(self, wanted: str) -> NoReturn:
        raise InputError(f"Cannot read {self.text!r}: at character {self.at + 1} {wanted} is expected.", code="storage.notation")

    def skip_blanks(self) -> None:
        while self.text.startswith((" ", "\t"), self.at):
            self.at += 1

    def read_name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if found is None:
            self.refuse("a name")
        self.at = found.end()
        quoted: str | None = found.group(1)
        return found.group().rstrip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)

    def read_field(self) -> Field:
        self.skip_blanks()
        name = self.read_name()
        path: list[Arrow] = []
        while found := _STEP.match(self.text, self.at):
            self.at = found.end()
            index: str | None = found.group(2)
            path.append(Arrow(self.read_name() if index is None else int(index), as_text=found.group(1) == "->>"))
        self.skip_blanks()
        return Field(name, tuple(path))

    def read_order(self) -> Order:
        descending = self.take("-")
        field = self.read_field()
        relation = None
        if self.take("("):
            if field.path:
                self.refuse("a relation's name")
            relation, field = field.name, self.read_field()
            self.expect(")")
        direction = "desc" if descending else "asc" if self.take(".asc") else "desc" if self.take(".desc") else None
        nulls = "first" if self.take(".nullsfirst") else "last" if self.take(".nullslast") else None
        self.expect_end()
        return Order(field=field, relation=relation, direction=direction, nulls=nulls)  # type: ignore[arg-type]  # one of the literals above

    def read_items(self) -> tuple[SelectItem, ...]:
        items: list[SelectItem] = []
        self.skip_blanks()
        if self.at == len(self.text) or self.text[self.at] == ")":
            return ()
        while True:
            items.append(self.read_item())
            self.skip_blanks()
            if not self.take(","):
                return tuple(items)

    def read_item(self) -> SelectItem:
        self.skip_blanks()
        if self.take("*"):
            return Column(field=Field("*"))
        spread = self.take("...")
        start = self.at
        alias: str | None = self.read_name()
        if self.text.startswith(":", self.at) and not self.text.startswith("::", self.at) and not spread:
            self.at += 1
        else:
            alias, self.at = None, start
        if not spread and self.take("count()"):
            return Column(field=Field("*"), alias=alias, aggregate="count", aggregate_cast=self.read_cast())
        field = self.read_field()
        if self.text.startswith(("!", "("), self.at) and not field.path:
            return self.read_embed(field.name, alias, spread=spread)
        if spread:
            self.refuse("'('")
        before = self.read_cast()
        aggregate: str | None = None
        after: str | None = None
        if found := _AGGREGATE.match(self.text, self.at):
            aggregate = found.group(1)
            if aggregate not in AGGREGATES:
                self.refuse("one of " + ", ".join(sorted(AGGREGATES)))
            self.at = found.end()
            after = self.read_cast()
        return Column(field=field, alias=alias, cast=before, aggregate=aggregate, aggregate_cast=after)  # type: ignore[arg-type]  # as above

    def read_cast(self) -> str | None:
        found = _CAST.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found.group(1).strip()

    def read_embed(self, relation: str, alias: str | None, *, spread: bool) -> Embed:
        hint: str | None = None
        join: Join | None = None
        while self.take("!"):
            quoted = self.text.startswith('"', self.at)
            word = self.read_name()
            if not quoted and word == "inner":
                join = "inner"
            elif not quoted and word == "left":
                join = "left"
            else:
                hint = word
        self.expect("(")
        select = self.read_items()
        self.skip_blanks()
        self.expect(")")
        return Embed(relation=relation, alias=alias, hint=hint, join=join, spread=spread, select=select)
