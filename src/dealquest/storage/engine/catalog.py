"""What the database offers, as one immutable snapshot: tables, keys, relationships, functions, representations.

Knows names only; `catalog_load.py` fills it, `plan.py` reads it. No SQL and no I/O here.
Source: https://docs.postgrest.org/en/latest/references/schema_cache.html, read 2026-11-22.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Literal, TypeAlias

import attrs


@attrs.frozen(order=True)
class Name:
    """A name within a schema."""

    schema: str
    name: str


@attrs.frozen(kw_only=True)
class ColumnInfo:
    """A column as the catalog knows it.

    Attributes:
        type: Its type as declared, fit for a column definition list.
        base_type: The type under all domains.
        default: SQL text of its default, None without one.
        required: Not nullable and without default.
        generated: Never written (`GENERATED ALWAYS`, computed or identity).
    """

    name: str
    type: str
    base_type: str
    nullable: bool = True
    default: str | None = None
    generated: bool = False
    description: str | None = None
    max_length: int | None = None
    enum: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Table:
    """A table, view, materialised view or foreign table of an exposed schema."""

    id: Name
    is_view: bool
    insertable: bool
    updatable: bool
    deletable: bool
    description: str | None
    key: tuple[str, ...]
    columns: Mapping[str, ColumnInfo] = attrs.field(hash=False)


class Cardinality(Enum):
    """How many rows stand on each side; the value is PostgREST's own name in its errors."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    ONE_TO_ONE = "one-to-one"
    MANY_TO_MANY = "many-to-many"

    @property
    def to_one(self) -> bool:
        """Whether an embed is an object and not a list."""
        return self in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE}


Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Column here, column there."""


@attrs.frozen(kw_only=True)
class Junction:
    """The table between two others in a many-to-many relationship.

    Attributes:
        table: It.
        here: Constraint towards the origin, and its columns: origin's, junction's.
        there: Constraint towards the target, and its columns: target's, junction's.
    """

    table: Name
    here_constraint: str
    there_constraint: str
    here: Pairs
    there: Pairs


@attrs.frozen(kw_only=True)
class Relationship:
    """A way from one table to another.

    Attributes:
        constraint: The foreign key's name; of a computed relationship its function's.
        columns: Pairs of origin and target columns; empty for a junction or a function.
        function: The computed relationship's function.
        is_inverse: Whether the foreign key is the target's.
    """

    origin: Name
    target: Name
    cardinality: Cardinality
    constraint: str
    columns: Pairs = ()
    junction: Junction | None = None
    function: Name | None = None
    is_self: bool = False
    is_inverse: bool = False
    origin_is_view: bool = False
    target_is_view: bool = False


# A parameter has no length, and these types without one have the length 1.
_LONGEST = {"bit": "bit varying", "bit[]": "bit varying[]", "character": "character varying", "character[]": "character varying[]"}


@attrs.frozen(kw_only=True)
class Parameter:
    """One argument of a function."""

    name: str
    type: str
    required: bool
    variadic: bool = False

    @property
    def cast(self) -> str:
        """The type that a value is read as, with all of its length."""
        return _LONGEST.get(self.type, self.type)


Volatility: TypeAlias = Literal["volatile", "stable", "immutable"]


@attrs.frozen(kw_only=True)
class Routine:
    """A function that may be called.

    Attributes:
        returns_set: Whether it returns rows and not one value.
        returns_composite: Whether a row has named columns.
        returns: The composite's name (table or type), or the scalar type's.
        media: Media type named by a domain it returns, such as `image/png`.
        settings: Settings of the function that are hoisted to the transaction.
    """

    id: Name
    parameters: tuple[Parameter, ...]
    returns: Name
    returns_set: bool
    returns_composite: bool
    returns_void: bool
    volatility: Volatility
    description: str | None = None
    media: str | None = None
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def read_only(self) -> bool:
        """Whether even a POST runs in a read-only transaction."""
        return self.volatility != "volatile"


@attrs.frozen(kw_only=True)
class Handler:
    """A function or aggregate that renders rows as a media type.

    Attributes:
        media: The media type, `*/*` for any.
        function: What is called.
        table: The table it is for; None means any.
    """

    media: str
    function: Name
    table: Name | None
    is_aggregate: bool = True


@attrs.frozen(kw_only=True)
class Catalog:
    """One moment's view of the database; replaced whole, never changed.

    Attributes:
        server_version: Such as 150018.
        relationships: By origin; none where all that there are go through a hidden junction.
        functions: By name, overloads together.
        representations: (source type, target type) to the cast's function, with one side a domain.
        role_settings: Settings of each role that a transaction under it applies.
        geojson: PostGIS's function from a row to GeoJSON, where PostGIS is installed.
    """

    server_version: int
    tables: Mapping[Name, Table]
    relationships: Mapping[Name, tuple[Relationship, ...]]
    functions: Mapping[Name, tuple[Routine, ...]]
    representations: Mapping[tuple[str, str], str] = attrs.field(factory=dict)
    handlers: Mapping[tuple[Name | None, str], Handler] = attrs.field(factory=dict)
    role_settings: Mapping[str, tuple[tuple[str, str], ...]] = attrs.field(factory=dict)
    roles: frozenset[str] = frozenset()
    schema_descriptions: Mapping[str, str | None] = attrs.field(factory=dict)
    geojson: Name | None = None


def invert(links: Iterable[Relationship]) -> list[Relationship]:
    """The way back of each many-to-one and one-to-one relationship."""
    return [
        Relationship(
            origin=link.target,
            target=link.origin,
            cardinality=Cardinality.ONE_TO_MANY if link.cardinality is Cardinality.MANY_TO_ONE else Cardinality.ONE_TO_ONE,
            constraint=link.constraint,
            columns=tuple((there, here) for here, there in link.columns),
            is_self=link.is_self,
            is_inverse=True,
            origin_is_view=link.target_is_view,
            target_is_view=link.origin_is_view,
        )
        for link in links
    ]


def find_junctions(links: Iterable[Relationship], keys: Mapping[Name, tuple[str, ...]]) -> list[Relationship]:
    """Many-to-many relationships: two foreign keys of a table whose columns are all part of its primary key.

    Args:
        links: Every many-to-one and one-to-one relationship.
        keys: Primary key columns by table; views have those of their tables.
    """
    by_origin: dict[Name, list[Relationship]] = {}
    for link in links:
        by_origin.setdefault(link.origin, []).append(link)
    found = []
    for table, links_held in by_origin.items():
        held = [link for link in links_held if link.cardinality is Cardinality.MANY_TO_ONE]
        key = frozenset(keys.get(table, ()))
        for first in held:
            for second in held:
                if first.constraint == second.constraint:
                    continue
                if not ({here for here, _ in first.columns} | {here for here, _ in second.columns}) <= key:
                    continue
                found.append(
                    Relationship(
                        origin=first.target,
                        target=second.target,
                        cardinality=Cardinality.MANY_TO_MANY,
                        constraint="",
                        junction=Junction(
                            table=table,
                            here_constraint=first.constraint,
                            there_constraint=second.constraint,
                            here=tuple((there, here) for here, there in first.columns),
                            there=tuple((there, here) for here, there in second.columns),
                        ),
                        is_self=first.target == second.target,
                        origin_is_view=first.target_is_view,
                        target_is_view=second.target_is_view,
                    )
                )
    return found
