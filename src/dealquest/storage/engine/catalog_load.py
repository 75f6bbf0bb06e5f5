"""Fills the catalog: all questions in one batch, then pure assembly.

The batch runs in one read-only transaction, so the snapshot shows one moment.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from dealquest.errors import PeerRefusedError

from . import catalog_sql
from .batch import Query
from .catalog import (
    Cardinality,
    Catalog,
    ColumnInfo,
    Handler,
    Name,
    Parameter,
    Relationship,
    Routine,
    Table,
    Volatility,
    find_junctions,
    invert,
)
from .driver import Connection
from .view_keys import extend_through_views, find_view_keys, trace_origins

_VOLATILITY: dict[str, Volatility] = {"v": "volatile", "s": "stable", "i": "immutable"}
_CAN_UPDATE, _CAN_INSERT, _CAN_DELETE = 4, 8, 16

Row = Sequence[str | None]
T = TypeVar("T")


async def load_catalog(
    connection: Connection, *, schemas: Sequence[str], search_path: Sequence[str], hoisted: Iterable[str] = ()
) -> Catalog:
    """Read the database's shape.

    Args:
        connection: A connection of the login role.
        schemas: Exposed schemas, the default one first.
        search_path: Further schemas whose functions may be used.
        hoisted: Settings of functions that the transaction takes over.

    Raises:
        PeerRefusedError: `engine.catalog` when PostgreSQL refuses a question.
        PeerUnavailableError: `engine.broken` when the connection is lost.
    """
    tables, links, keys, functions, computed, casts, handlers, roles, described, views, attributes, geojson = await _ask(
        connection, schemas=schemas, search_path=search_path
    )
    relations = {int(_some(oid)): (Name(_some(schema), _some(name)), _numbers(columns)) for oid, schema, name, _, columns in attributes}
    rules = {int(_some(oid)): (Name(_some(schema), _some(name)), _some(rule)) for oid, schema, name, rule, _ in views}
    traced = trace_origins(rules, relations)
    base_keys = {Name(_some(schema), _some(name)): tuple(_json(columns)) for schema, name, columns in keys}
    all_keys = {**base_keys, **find_view_keys(traced, base_keys)}
    forward = _read_links(links)
    forward += extend_through_views(forward, traced)
    relationships = _expose(forward, all_keys, schemas, [_read_computed(row) for row in computed])
    hoist = frozenset(hoisted)
    return Catalog(
        server_version=connection.server_version,
        tables={table.id: table for table in (_read_table(row, all_keys) for row in tables)},
        relationships=relationships,
        functions=_group([_read_routine(row, hoist) for row in functions], lambda routine: routine.id),
        representations={(_some(source), _some(target)): _some(function) for source, target, function in casts},
        handlers={(handler.table, handler.media): handler for handler in map(_read_handler, handlers)},
        role_settings={_some(role): tuple((name, value) for name, value in _json(settings)) for role, settings in roles if settings},
        roles=frozenset(_some(role) for role, _ in roles),
        schema_descriptions={_some(schema): text for schema, text in described},
        geojson=Name(_some(geojson[0][0]), _some(geojson[0][1])) if geojson else None,
    )


async def _ask(connection: Connection, *, schemas: Sequence[str], search_path: Sequence[str]) -> list[list[list[str | None]]]:
    """Every question of the catalog in one transaction; the rows of each answer."""
    exposed: list[bytes | None] = [_array(schemas)]
    wider: list[bytes | None] = [_array([*schemas, *search_path])]
    questions: list[tuple[str, list[bytes | None]]] = [
        (catalog_sql.TABLES, exposed),
        (catalog_sql.FOREIGN_KEYS, []),
        (catalog_sql.KEYS, []),
        (catalog_sql.FUNCTIONS, exposed),
        (catalog_sql.COMPUTED_RELATIONSHIPS, wider),
        (catalog_sql.REPRESENTATIONS, []),
        (catalog_sql.HANDLERS, wider),
        (catalog_sql.ROLES, []),
        (catalog_sql.SCHEMAS, exposed),
        (catalog_sql.VIEWS, wider),
        (catalog_sql.ATTRIBUTES, []),
        (catalog_sql.GEOJSON, []),
    ]
    # A function of a user's may have left its session another role.
    batch = [Query(sql=b"BEGIN READ ONLY"), Query(sql=b"SET LOCAL ROLE NONE"), Query(sql=b"SET LOCAL search_path = ''")]
    batch += [Query(sql=sql.encode(), values=values) for sql, values in questions]
    outcome = await connection.run([*batch, Query(sql=b"COMMIT")])
    if outcome.error is not None:
        await connection.run([Query(sql=b"ROLLBACK")])
        raise PeerRefusedError(f"PostgreSQL did not show its catalog: {outcome.error.message}", code="engine.catalog")
    return [read_rows(result) for result in outcome.results[3:-1]]


def _group(items: Iterable[T], name_of: Callable[[T], Name]) -> dict[Name, tuple[T, ...]]:
    """Items by name, in order."""
    groups: dict[Name, list[T]] = {}
    for item in items:
        groups.setdefault(name_of(item), []).append(item)
    return {name: tuple(held) for name, held in groups.items()}


def read_rows(result: Any) -> list[list[str | None]]:
    """A result as text."""
    columns = range(result.nfields)
    get: Callable[[int, int], bytes | None] = result.get_value
    return [[None if (raw := get(row, column)) is None else raw.decode() for column in columns] for row in range(result.ntuples)]


def _read_table(row: Row, keys: dict[Name, tuple[str, ...]]) -> Table:
    schema, name, kind, description, writable, key, columns = row
    bits = int(_some(writable))
    table = Name(_some(schema), _some(name))
    return Table(
        id=table,
        is_view=kind in {"v", "m"},
        insertable=bool(bits & _CAN_INSERT),
        updatable=bool(bits & _CAN_UPDATE),
        deletable=bool(bits & _CAN_DELETE),
        description=description,
        key=tuple(_json(key)) if key else keys.get(table, ()),
        columns={column.name: column for column in map(_read_column, _json(columns or "[]"))},
    )


def _read_column(fields: Sequence[Any]) -> ColumnInfo:
    """One entry of the list that `catalog_sql.TABLES` builds."""
    name, type_, base_type, nullable, default, generated, description, max_length, enum = fields
    return ColumnInfo(
        name=name,
        type=type_,
        base_type=base_type,
        nullable=nullable,
        default=default,
        generated=generated,
        description=description,
        max_length=max_length,
        enum=tuple(enum or ()),
    )


def _read_links(rows: Iterable[Row]) -> list[Relationship]:
    found = []
    for schema, name, other_schema, other_name, constraint, columns, unique in rows:
        origin, target = Name(_some(schema), _some(name)), Name(_some(other_schema), _some(other_name))
        found.append(
            Relationship(
                origin=origin,
                target=target,
                cardinality=Cardinality.ONE_TO_ONE if unique == "true" else Cardinality.MANY_TO_ONE,
                constraint=_some(constraint),
                columns=tuple((here, there) for here, there in _json(columns)),
                is_self=origin == target,
            )
        )
    return found


def _expose(
    forward: list[Relationship], keys: dict[Name, tuple[str, ...]], schemas: Sequence[str], computed: list[Relationship]
) -> dict[Name, tuple[Relationship, ...]]:
    """Both ways and through junctions, but only what lies in exposed schemas from end to end."""
    every = [*forward, *invert(forward), *find_junctions(forward, keys)]
    between = [link for link in every if link.origin.schema in schemas and link.target.schema in schemas]
    shown = [link for link in between if link.junction is None or link.junction.table.schema in schemas]
    by_origin = _group([*shown, *computed], lambda link: link.origin)
    return {link.origin: () for link in between} | by_origin


def _read_computed(row: Row) -> Relationship:
    schema, name, origin_schema, origin_name, target_schema, target_name, single = map(_some, row)
    origin, target = Name(origin_schema, origin_name), Name(target_schema, target_name)
    return Relationship(
        origin=origin,
        target=target,
        cardinality=Cardinality.MANY_TO_ONE if single == "true" else Cardinality.ONE_TO_MANY,
        constraint=name,
        function=Name(schema, name),
        is_self=origin == target,
    )


def _read_routine(row: Row, hoisted: frozenset[str]) -> Routine:
    schema, name, description, parameters, return_schema, returns, is_set, composite, void, volatility, domain, settings = row
    pairs = [entry.partition("=") for entry in _json(settings or "[]")]
    return Routine(
        id=Name(_some(schema), _some(name)),
        parameters=tuple(
            Parameter(name=label, type=type_, required=required, variadic=variadic)
            for label, type_, required, variadic in _json(parameters)
        ),
        returns=Name(_some(return_schema), _some(returns)),
        returns_set=is_set == "true",
        returns_composite=composite == "true",
        returns_void=void == "true",
        volatility=_VOLATILITY[_some(volatility)],
        description=description,
        media=domain if domain is not None and "/" in domain else None,
        settings=tuple((key, value) for key, _, value in pairs if key.lower() in hoisted),
    )


def _read_handler(row: Row) -> Handler:
    media, schema, name, table_schema, table = row
    return Handler(
        media=_some(media),
        function=Name(_some(schema), _some(name)),
        table=Name(table_schema or "", table) if table else None,
    )


def _some(text: str | None) -> str:
    return text or ""


def _json(text: str | None) -> Any:
    return msgspec.json.decode(text or "null")


def _numbers(text: str | None) -> dict[int, str]:
    return {int(number): name for number, name in cast("dict[str, str]", _json(text) or {}).items()}


def _array(items: Iterable[str]) -> bytes:
    """An array literal of PostgreSQL."""
    quoted = ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items)
    return f"{{{quoted}}}".encode()
