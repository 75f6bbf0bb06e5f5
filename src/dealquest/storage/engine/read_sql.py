"""A planned read as SQL: one SELECT, an embed a lateral join, counts without the embeds' rows.

To-one embeds come as `row_to_json`, to-many ones as `json_agg`; a spread embed lifts its columns into the parent.
"""

from typing import NamedTuple

import attrs

from dealquest.storage.postgrest.ast import Column, Field

from .catalog import Catalog, Name, Relationship
from .fragments import NullTest, Params, Scope, quote, quote_name, quote_type, write_condition, write_order
from .plan import Node


class ReadWriter:
    """Writes the tree of one read.

    Args:
        catalog: The snapshot.
        params: Takes the values.
        rows_of: A common table expression to read the root from, instead of its table.
    """

    def __init__(self, catalog: Catalog, params: Params, *, rows_of: str | None = None) -> None:
        self._catalog = catalog
        self._params = params
        self._rows_of = rows_of

    def read(self, node: Node, *, conditions: bool = True) -> str:
        """The SELECT of the root.

        Args:
            node: The root.
            conditions: Whether its filters apply; a mutation has applied them itself.
        """
        origin = quote(self._rows_of) if self._rows_of else quote_name(node.source)
        return self._select(node, f"{origin} AS {quote(node.alias)}", [], conditions=conditions)

    def count(self, node: Node, *, limit: int | None = None) -> str:
        """A SELECT with one row for each row of the whole, embeds only where they decide."""
        tail = "" if limit is None else f" LIMIT {limit}"
        if node.aggregates:
            return f"SELECT 1 FROM ({self.read(_without_range(node))}) AS counted{tail}"
        origin = quote(self._rows_of) if self._rows_of else quote_name(node.source)
        conditions = self._decisions(node)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT 1 FROM {origin} AS {quote(node.alias)}{where}{tail}"

    def _decisions(self, node: Node) -> list[str]:
        """The filters of a level, with inner embeds as EXISTS."""
        scope = Scope(node.alias, node.table, self._catalog)
        special = {name: self._existence(node, child) for name, child in node.embeds.items()}
        conditions = [write_condition(item, scope, self._params, special) for item in node.where]
        inner = [child for child in node.children if child.embed is not None and child.embed.join == "inner"]
        return conditions + [f"EXISTS ({self._exists(node, child)})" for child in inner]

    def _existence(self, parent: Node, child: Node) -> NullTest:
        return lambda absent: f"{'NOT ' if absent else ''}EXISTS ({self._exists(parent, child)})"

    def _exists(self, parent: Node, child: Node) -> str:
        origin, joins = self._origin(parent, child)
        conditions = [*joins, *self._decisions(child)]
        return f"SELECT 1 FROM {origin}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")

    def _select(self, node: Node, origin: str, joins: list[str], *, conditions: bool = True) -> str:
        """A level's SELECT."""
        scope = Scope(node.alias, node.table, self._catalog)
        grouped = node.aggregates
        selected: list[str] = []
        groups: list[str] = []
        for item in node.items:
            if isinstance(item, Column):
                self._write_column(item, scope, selected, groups, grouped=grouped)
            elif item.is_spread:
                _write_spread(item, selected, groups, grouped=grouped)
            else:
                _write_embed(item, selected, groups, grouped=grouped)
        laterals = "".join(self._lateral(node, child) for child in node.children)
        wheres = list(joins)
        if conditions:
            special = {name: _null_test(child) for name, child in node.embeds.items()}
            wheres += [write_condition(item, scope, self._params, special) for item in node.where]
        relations = {name: Scope(child.rows, None, self._catalog) for name, child in node.embeds.items()}
        sql = f"SELECT {', '.join(selected)} FROM {origin}{laterals}"
        if wheres:
            sql += f" WHERE {' AND '.join(wheres)}"
        if grouped and groups:
            sql += f" GROUP BY {', '.join(groups)}"
        sql += write_order(node.order, scope, relations)
        if node.limit is not None:
            sql += f" LIMIT {self._params.bind(node.limit)}"
        if node.offset:
            sql += f" OFFSET {self._params.bind(node.offset)}"
        return sql

    def _write_column(self, column: Column, scope: Scope, selected: list[str], groups: list[str], *, grouped: bool) -> None:
        field = column.field
        if field.name == "*" and column.aggregate is None and column.alias is not None:
            selected.append(f"1 AS {quote(column.alias)}")
            return
        if field.name == "*" and column.aggregate is None:
            for text in self._expand(scope, grouped=grouped):
                selected.append(text)
                groups.append(text.rpartition(" AS ")[0] or text)
            return
        if column.aggregate == "count" and field.name == "*":
            text, name = "COUNT(*)", "count"
        else:
            text, name = self._value(column, scope)
            if column.aggregate is not None:
                text, name = f"{column.aggregate.upper()}({text})", column.aggregate
            else:
                groups.append(text)
        if column.aggregate is not None and column.aggregate_cast is not None:
            text = f"CAST({text} AS {quote_type(column.aggregate_cast)})"
        selected.append(f"{text} AS {quote(column.alias or name)}")

    def _value(self, column: Column, scope: Scope) -> tuple[str, str]:
        """A column's value and its name in the answer."""
        field = column.field
        text = scope.field(field)
        shown = scope.representation(field.name, "json") if not field.path else None
        if shown is not None:
            text = f"{shown}({text})"
        if column.cast is not None:
            text = f"CAST({text} AS {quote_type(column.cast)})"
        return text, _name_of(field)

    def _expand(self, scope: Scope, *, grouped: bool) -> list[str]:
        """`*`, column by column where a column is shown by a function of its own."""
        if scope.table is None:
            return [f"{quote(scope.alias)}.*"]
        names = list(scope.table.columns)
        if not grouped and not any(scope.representation(name, "json") for name in names):
            return [f"{quote(scope.alias)}.*"]
        return [f"{self._value(Column(field=Field(name)), scope)[0]} AS {quote(name)}" for name in names]

    def _lateral(self, parent: Node, child: Node) -> str:
        """The join of one embed."""
        rows = quote(child.rows)
        origin, joins = self._origin(parent, child)
        inner = child.embed is not None and child.embed.join == "inner"
        if not child.shows:
            sql = self._select_nothing(child, origin, joins)
        else:
            sql = self._select(_without_aggregates(child) if child.is_hoisted else child, origin, joins)
        condition = "TRUE"
        if not child.to_one:
            lists = [f"json_agg({rows}){'::jsonb' if parent.aggregates else ''} AS {rows}"]
            if child.is_spread:
                lists += [f"json_agg({rows}.{quote(item.name)}) AS {quote(item.name)}" for item in _lifted(child)]
            sql = f"SELECT {', '.join(lists)} FROM ({sql}) AS {rows}"
            condition = f"{rows}.{rows} IS NOT NULL" if inner else condition
        return f" {'INNER' if inner else 'LEFT'} JOIN LATERAL ({sql}) AS {rows} ON {condition}"

    def _select_nothing(self, child: Node, origin: str, joins: list[str]) -> str:
        scope = Scope(child.alias, child.table, self._catalog)
        laterals = "".join(self._lateral(child, grandchild) for grandchild in child.children)
        special = {name: _null_test(grandchild) for name, grandchild in child.embeds.items()}
        wheres = [*joins, *(write_condition(item, scope, self._params, special) for item in child.where)]
        return f"SELECT 1 AS one FROM {origin}{laterals}" + (f" WHERE {' AND '.join(wheres)}" if wheres else "")

    def _origin(self, parent: Node, child: Node) -> tuple[str, list[str]]:
        """Where an embed's rows come from, and what ties them to the parent's row."""
        link = child.link
        assert link is not None
        if link.function is not None:
            parent_row = quote(parent.alias)
            if self._rows_of is not None and parent.link is None:
                parent_row = f"ROW({parent_row}.*)::{quote_name(parent.source)}"
            return f"{quote_name(link.function)}({parent_row}) AS {quote(child.alias)}", []
        return _join(parent.alias, child.alias, link, child.source)


def _join(parent: str, child: str, link: Relationship, target: Name) -> tuple[str, list[str]]:
    here, there = quote(parent), quote(child)
    origin = f"{quote_name(target)} AS {there}"
    if link.junction is None:
        return origin, [f"{there}.{quote(right)} = {here}.{quote(left)}" for left, right in link.columns]
    middle = quote(f"{child}_j")
    conditions = [f"{middle}.{quote(right)} = {here}.{quote(left)}" for left, right in link.junction.here]
    conditions += [f"{middle}.{quote(right)} = {there}.{quote(left)}" for left, right in link.junction.there]
    return f"{origin}, {quote_name(link.junction.table)} AS {middle}", conditions


def _null_test(child: Node) -> NullTest:
    rows = quote(child.rows)
    subject = rows if child.to_one else f"{rows}.{rows}"
    return lambda absent: f"{subject} IS {'NOT ' if absent else ''}DISTINCT FROM NULL"


def _name_of(field: Field) -> str:
    """The key that a field has in the answer: the last name of its path."""
    for step in reversed(field.path):
        if isinstance(step.key, str):
            return step.key
    return field.name


def _write_embed(child: Node, selected: list[str], groups: list[str], *, grouped: bool) -> None:
    """An embed's own key."""
    if not child.shows:
        return
    rows = quote(child.rows)
    # Groups compare their keys: json has no equality, jsonb has.
    cast = "::jsonb" if grouped else ""
    text = f"row_to_json({rows}.*){cast}" if child.to_one else f"COALESCE({rows}.{rows}, '[]'::json{'b' if grouped else ''})"
    selected.append(f"{text} AS {quote(child.name)}")
    groups.append(text)


def _write_spread(child: Node, selected: list[str], groups: list[str], *, grouped: bool) -> None:
    """The columns that a spread embed gives to its parent."""
    rows = quote(child.rows)
    for item in _lifted(child):
        if item.name == "*":
            selected.append(text := f"{rows}.*")
            groups.append(text)
            continue
        text = f"{rows}.{quote(item.name)}"
        if item.aggregate is not None:
            selected.append(f"{item.aggregate.format(text)} AS {quote(item.name)}")
            continue
        if grouped and (item.is_json or not child.to_one):
            text += "::jsonb"
        if not child.to_one:
            text = f"COALESCE({text}, '[]'{'::jsonb' if grouped else ''})"
        selected.append(f"{text} AS {quote(item.name)}")
        groups.append(text)


class _Lifted(NamedTuple):
    """A column that a spread embed gives to its parent.

    Attributes:
        name: Its name.
        aggregate: The aggregate that the parent computes, as SQL around the value.
        is_json: Whether it holds an embed or a list.
    """

    name: str
    aggregate: str | None = None
    is_json: bool = False


def _lifted(child: Node) -> list[_Lifted]:
    found: list[_Lifted] = []
    for item in child.items:
        if isinstance(item, Node):
            if item.is_spread:
                found += [lifted._replace(is_json=lifted.is_json or not item.to_one) for lifted in _lifted(item)]
            elif item.shows:
                found.append(_Lifted(item.name, is_json=True))
            continue
        if item.field.name == "*" and item.aggregate is None and item.alias is None:
            found += [_Lifted(column) for column in (child.table.columns if child.table is not None else ("*",))]
            continue
        aggregate = None
        if item.aggregate is not None:
            aggregate = f"{item.aggregate.upper()}({{}})"
            if item.aggregate_cast is not None:
                aggregate = f"CAST({aggregate} AS {quote_type(item.aggregate_cast)})"
        found.append(_Lifted(item.alias or (item.aggregate or _name_of(item.field)), aggregate))
    return found


def _without_aggregates(child: Node) -> Node:
    """A spread embed whose aggregates an ancestor computes: it gives the plain values, `1` where rows are counted."""
    items: list[Column | Node] = []
    for item in child.items:
        if isinstance(item, Node):
            items.append(_without_aggregates(item) if item.is_hoisted else item)
        elif item.aggregate is not None:
            items.append(attrs.evolve(item, aggregate=None, aggregate_cast=None, alias=item.alias or item.aggregate))
        else:
            items.append(item)
    return attrs.evolve(child, items=tuple(items))


def _without_range(node: Node) -> Node:
    return attrs.evolve(node, limit=None, offset=None, order=())
