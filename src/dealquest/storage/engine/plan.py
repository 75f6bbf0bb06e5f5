"""A select tree against the catalog: which table each embed is, how it hangs on its parent, what may be asked of it.

Pure. `read_sql.py` writes the result.
Source: https://docs.postgrest.org/en/latest/references/api/resource_embedding.html and aggregate_functions.html, read 2026-11-22.
"""

from collections.abc import Iterator

import attrs

from dealquest.storage.postgrest.ast import ALL_COLUMNS, Column, Condition, Embed, Field, Order, SelectItem, Shape

from .catalog import Catalog, Name, Relationship, Table
from .errors import refuse
from .relate import find_relationship

_LONGEST_STEM = 56
_COUNT = Field("count")
ALL = Field("*")


@attrs.frozen(kw_only=True)
class Node:
    """One level of a read.

    Attributes:
        source: Table whose relationships count; a function's or mutation's result keeps its table's name.
        table: What the catalog knows of it; None for a row type that is no table.
        alias: Its alias in SQL.
        items: What is selected, embeds as planned children, in order.
        rows: The alias of its subquery; empty for the root.
        link: How it hangs on its parent; None for the root.
    """

    source: Name
    table: Table | None
    alias: str
    items: "tuple[Column | Node, ...]"
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    rows: str = ""
    link: Relationship | None = None
    embed: Embed | None = None
    depth: int = 0

    @property
    def children(self) -> "tuple[Node, ...]":
        """The embeds."""
        return tuple(item for item in self.items if isinstance(item, Node))

    @property
    def embeds(self) -> "dict[str, Node]":
        """The embeds by their names in the answer: an order may name them, and a filter may ask whether they are null."""
        return {child.name: child for child in self.children}

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is not an embed."""
        return tuple(item for item in self.items if isinstance(item, Column))

    @property
    def shows(self) -> bool:
        """Whether anything of it is in the answer; an embed of nothing only filters."""
        return any(isinstance(item, Column) or item.shows for item in self.items)

    @property
    def to_one(self) -> bool:
        """Whether it gives one row to each parent."""
        return self.link is not None and self.link.cardinality.to_one

    @property
    def aggregates(self) -> bool:
        """Whether its rows are grouped: by its own aggregates, or by those it lifts out of spread embeds."""
        return any(item.aggregate is not None if isinstance(item, Column) else item.is_hoisted for item in self.items)

    @property
    def is_hoisted(self) -> bool:
        """Whether it is spread and its parent computes its aggregates, over the embed's single rows."""
        return self.is_spread and self.aggregates

    @property
    def is_spread(self) -> bool:
        """Whether its columns are lifted into the parent."""
        return self.embed is not None and self.embed.spread

    @property
    def name(self) -> str:
        """Its key in the answer."""
        return "" if self.embed is None else self.embed.name


@attrs.frozen(kw_only=True)
class Rules:
    """What the operator allows of a read."""

    schema: str
    max_rows: int | None = None
    aggregates: bool = False
    spreads_lists: bool = True


def plan_read(shape: Shape, *, source: Name, catalog: Catalog, rules: Rules, alias: str | None = None) -> Node:
    """Resolve every embed of a request.

    Args:
        shape: The request.
        source: The table, or the table a function or mutation returns rows of.
        catalog: The snapshot.
        rules: What is allowed.
        alias: The root's name in SQL; its table's name by default.

    Raises:
        InputError: PGRST2xx for relationships, PGRST118 and PGRST123 for what an embed cannot do.
    """
    planner = _Planner(catalog, rules)
    root = Node(
        source=source,
        table=catalog.tables.get(source),
        alias=alias or source.name,
        items=planner.items(shape.select or ALL_COLUMNS, source, 0),
        where=shape.where,
        order=shape.order,
        limit=shape.limit,
        offset=shape.offset,
    )
    if not rules.aggregates and any(_is_forbidden(node, shape) for node in walk(root)):
        raise refuse("PGRST123", "Use of aggregate functions is not allowed")
    for node in walk(root):
        planner.check(node)
    return root


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


class _Planner:
    def __init__(self, catalog: Catalog, rules: Rules) -> None:
        self._catalog = catalog
        self._rules = rules
        self._embeds = 0

    def items(self, select: tuple[SelectItem, ...], source: Name, depth: int) -> tuple[Column | Node, ...]:
        table = self._catalog.tables.get(source)
        return tuple(_read_count(item, table) if isinstance(item, Column) else self._child(item, source, depth + 1) for item in select)

    def _child(self, embed: Embed, parent: Name, depth: int) -> Node:
        link = find_relationship(self._catalog, parent, embed, schema=self._rules.schema)
        self._embeds += 1
        rows = f"e{self._embeds}"
        name = embed.relation if link.function else link.target.name
        # PostgreSQL cuts names at 63 bytes, where two of these would become one.
        alias = f"{name}_{depth}" if len(name.encode()) <= _LONGEST_STEM else f"{rows}_{depth}"
        limit = embed.limit
        if self._rules.max_rows is not None and not link.cardinality.to_one:
            limit = self._rules.max_rows if limit is None else min(limit, self._rules.max_rows)
        return Node(
            source=link.target,
            table=self._catalog.tables.get(link.target),
            alias=alias,
            items=self.items(embed.select, link.target, depth),
            where=embed.where,
            order=embed.order,
            limit=limit,
            offset=embed.offset,
            rows=rows,
            link=link,
            embed=embed,
            depth=depth,
        )

    def check(self, node: Node) -> None:
        if node.is_spread and not node.to_one and node.aggregates:
            raise refuse(
                "PGRST127",
                "Feature not implemented",
                details="Aggregates are not implemented for one-to-many or many-to-many spreads.",
            )
        for spread in node.children:
            if spread.is_spread and not spread.to_one and not self._rules.spreads_lists:
                raise refuse(
                    "PGRST119",
                    f"A spread operation on '{spread.source.name}' is not possible",
                    details=f"'{node.source.name}' and '{spread.source.name}' do not form a many-to-one or one-to-one relationship",
                )
        children = node.embeds
        for term in node.order:
            if term.relation is None:
                continue
            child = children.get(term.relation)
            if child is None:
                raise refuse(
                    "PGRST108",
                    f"'{term.relation}' is not an embedded resource in this request",
                    hint=f"Verify that '{term.relation}' is included in the 'select' query parameter.",
                )
            if not child.to_one:
                raise refuse(
                    "PGRST118",
                    f"A related order on '{term.relation}' is not possible",
                    details=f"'{node.source.name}' and '{term.relation}' do not form a many-to-one or one-to-one relationship",
                )


def _is_forbidden(node: Node, shape: Shape) -> bool:
    """Whether a level groups its rows; a bare `count` that stands alone is older than aggregates, and always allowed."""
    if not any(column.aggregate for column in node.columns):
        return False
    asked = shape.select if node.embed is None else node.embed.select
    return len(asked) > 1 or not all(isinstance(item, Column) and item.field == _COUNT and item.aggregate is None for item in asked)


def _read_count(column: Column, table: Table | None) -> Column:
    """`count` without parentheses counts rows where no column has that name."""
    field = column.field
    if field != _COUNT or column.aggregate is not None or table is None or "count" in table.columns:
        return column
    return Column(field=ALL, alias=column.alias, aggregate="count", aggregate_cast=column.cast)


def link_columns(node: Node) -> set[str]:
    """Columns of a level that its embeds join on; a mutation has to return them."""
    needed: set[str] = set()
    for child in node.children:
        link = child.link
        if link is not None:
            pairs = link.columns if link.junction is None else link.junction.here
            needed.update(here for here, _ in pairs)
    return needed
