"""A request of the AST → one statement and what its answer needs: the engine's only way from words to SQL.

Pure: catalog and options in, SQL and values out. The statement's single row is `total, page, body, headers, status`
for a read or call, `total, page, location, body, headers, status, inserted` for a change.
"""

import re
from collections.abc import Sequence
from typing import Literal

import attrs

from dealquest.storage.postgrest.ast import ALL_COLUMNS, Call, Column, Delete, Embed, Insert, Put, Read, Shape, Update, Upsert

from .body import NO_BODY, OTHER_MEDIA, Body, read_arguments, read_rows
from .call_sql import find_routine, write_call
from .catalog import Catalog, Name, Routine, Table
from .config import EngineConfig
from .errors import refuse
from .fragments import Params, Value, quote
from .fuzzy import LIKELY, find_nearest
from .media import Format, pick_format, write_body
from .negotiate import pick_schema
from .plan import Node, Rules, plan_read
from .read_sql import ReadWriter
from .trees import filters_of
from .versions import VERSIONS
from .write_sql import INSERTED, ChangeWriter, check_put, write_returning

Kind = Literal["read", "insert", "update", "delete", "put", "call"]
DataRequest = Read | Insert | Upsert | Put | Update | Delete | Call

# Longer than any offset that is meant, such as <+0330>-3:30.
_LONGEST_OFFSET = 24
_ZONE_NAME = re.compile(r"[A-Za-z_]+(?:/[A-Za-z_]+)+")
_COUNTED = "count(_postgrest_t)"
_GUCS = "NULLIF(current_setting('response.headers', true), ''), NULLIF(current_setting('response.status', true), '')"


@attrs.frozen(kw_only=True)
class Compiled:
    """A statement, ready to run under any role.

    Attributes:
        sql: The statement.
        values: Its values in order; slots among them remember their place in the query.
        kind: What it does.
        schema: The schema it is about.
        read_only: Whether its transaction is.
        format: How the answer is rendered.
        planned: A SELECT whose estimate is the total; empty without `count=planned` or `estimated`.
        planned_values: Its values.
        limit: Most rows of the page, None for all.
        offset: Rows before it.
        table: The table's own name, for `Location`.
        routine: The function called.
        conflict_known: Whether the request's resolution could be applied.
        empty: Whether the answer has no body by its nature.
    """

    sql: bytes
    values: tuple[Value, ...]
    kind: Kind
    schema: str
    read_only: bool
    format: Format
    planned: bytes = b""
    planned_values: tuple[Value, ...] = ()
    limit: int | None = None
    offset: int = 0
    table: str = ""
    routine: Routine | None = None
    conflict_known: bool = False
    empty: bool = False


def compile_request(request: DataRequest, catalog: Catalog, config: EngineConfig) -> Compiled:
    """Make the statement of a request.

    Raises:
        DealQuestError: A PGRST code for anything that the catalog or the options refuse.
    """
    schema = pick_schema(config.db_schemas, request.profile)
    rules = Rules(
        schema=schema,
        max_rows=config.db_max_rows,
        aggregates=config.db_aggregates_enabled,
        spreads_lists=VERSIONS[config.dialect].spreads_lists,
    )
    return _Compiler(catalog, config, schema, rules).compile(request)


def find_table(catalog: Catalog, name: Name) -> Table:
    """A table of an exposed schema.

    Raises:
        NotFoundError: PGRST205, with the nearest name as a hint.
    """
    table = catalog.tables.get(name)
    if table is None:
        near = find_nearest(name.name, (other.name for other in catalog.tables if other.schema == name.schema), least=LIKELY)
        raise refuse(
            "PGRST205",
            f"Could not find the table '{name.schema}.{name.name}' in the schema cache",
            hint=f"Perhaps you meant the table '{name.schema}.{near}'" if near else None,
        )
    return table


class _Compiler:
    def __init__(self, catalog: Catalog, config: EngineConfig, schema: str, rules: Rules) -> None:
        self._catalog = catalog
        self._config = config
        self._schema = schema
        self._rules = rules
        self._params = Params()

    def compile(self, request: DataRequest) -> Compiled:
        """Write the statement; of several things wrong with a request the one that PostgREST meets first is told."""
        if isinstance(request, Read):
            return self._read(request)
        if isinstance(request, Call):
            return self._call(request)
        name = Name(self._schema, request.relation)
        if isinstance(request, Delete):
            return self._delete(request, find_table(self._catalog, name))
        body = read_rows(request.payload, uniform=isinstance(request, Put) or request.columns is None)
        table = find_table(self._catalog, name)
        if isinstance(request, Update):
            return self._update(request, table, body)
        if isinstance(request, Put):
            return self._put(request, table, body)
        return self._insert(request, table, body)

    def _format(self, request: Shape, table: Name | None, routine: Routine | None = None) -> Format:
        return pick_format(
            request.accept,
            self._catalog,
            table,
            whole=request.select in {(), ALL_COLUMNS},
            plan_enabled=self._config.db_plan_enabled,
            routine=routine,
        )

    def _read(self, request: Read) -> Compiled:
        table = find_table(self._catalog, Name(self._schema, request.relation))
        limit, offset = _window(request, self._rules.max_rows)
        node = plan_read(request, source=table.id, catalog=self._catalog, rules=self._rules)
        found = self._format(request, table.id)
        _check_preferences(request)
        node = attrs.evolve(node, limit=limit, offset=offset or None)
        source = ReadWriter(self._catalog, self._params).read(node)
        total, ctes, planned, planned_values = self._count(request, node, None)
        body = "''" if request.head else write_body(found, scalar=None)
        sql = (
            f"WITH pgrst_rows AS ({source}){ctes} SELECT {total} AS total, {_COUNTED} AS page, {body} AS body,"
            f" {_GUCS} FROM (SELECT * FROM pgrst_rows) AS _postgrest_t"
        )
        return Compiled(
            sql=self._finish(sql, found),
            values=tuple(self._params.values),
            kind="read",
            schema=self._schema,
            read_only=True,
            format=found,
            planned=planned,
            planned_values=planned_values,
            limit=limit,
            offset=offset,
            table=request.relation,
            empty=request.head,
        )

    def _count(self, request: Shape, node: Node, rows_of: str | None) -> tuple[str, str, bytes, tuple[Value, ...]]:
        """The total as SQL, the extra table expression it needs, and the statement to estimate."""
        wanted = request.prefer.count
        if wanted is None or (wanted == "planned" and rows_of is not None):
            # PostgreSQL cannot plan how many rows a function gives.
            return "NULL", "", b"", ()
        if (wanted == "exact" or rows_of is not None) and node.limit is None and not node.offset:
            return _COUNTED, "", b"", ()
        if wanted == "exact" or rows_of is not None:
            counted = ReadWriter(self._catalog, self._params, rows_of=rows_of).count(node)
            return "(SELECT count(*) FROM pgrst_count)", f", pgrst_count AS ({counted})", b"", ()
        params = Params()
        planned = ReadWriter(self._catalog, params).count(node).encode()
        if wanted == "planned":
            return "NULL", "", planned, tuple(params.values)
        # An estimate is worth its error only beyond the rows that an answer may hold.
        most = None if self._rules.max_rows is None else self._rules.max_rows + 1
        counted = ReadWriter(self._catalog, self._params).count(node, limit=most)
        return "(SELECT count(*) FROM pgrst_count)", f", pgrst_count AS ({counted})", planned, tuple(params.values)

    def _call(self, request: Call) -> Compiled:
        posted = request.method == "POST"
        body = read_arguments(request.payload) if posted else NO_BODY
        if posted:
            keys: Sequence[str] = request.columns if request.columns is not None else body.keys
            media = body.raw or (body.media if body.media in OTHER_MEDIA else "application/json")
        else:
            keys, media = [name for name, _ in request.arguments], ""
        routine = find_routine(self._catalog, Name(self._schema, request.function), keys, media=media or None)
        called = write_call(routine, request, body, self._params, computed=self._computed(request, routine))
        limit, offset = _window(request, self._rules.max_rows)
        total, ctes = "NULL", ""
        if routine.returns_composite or request.where or request.order or request.select not in {(), ALL_COLUMNS}:
            node = plan_read(request, source=routine.returns, catalog=self._catalog, rules=self._rules, alias=request.function)
            node = attrs.evolve(node, limit=limit, offset=offset or None)
            rows = ReadWriter(self._catalog, self._params, rows_of="pgrst_source").read(node)
            total, ctes, _, _ = self._count(request, node, "pgrst_source")
        else:
            rows = f"SELECT * FROM pgrst_source AS {quote(request.function)}"
            if limit is not None:
                rows += f" LIMIT {self._params.bind(limit)}"
            if offset:
                rows += f" OFFSET {self._params.bind(offset)}"
            if request.prefer.count in {"exact", "estimated"}:
                total = "(SELECT count(*) FROM pgrst_source)"
        found = self._format(request, routine.returns if routine.returns in self._catalog.tables else None, routine)
        _check_preferences(request)
        if request.prefer.max_affected is not None and request.prefer.handling == "strict" and not routine.returns_set:
            raise refuse("PGRST128", "Function must return SETOF or TABLE when max-affected preference is used with handling=strict")
        empty = request.method == "HEAD" or (routine.returns_void and found.explain is None)
        rendered = "''" if empty else write_body(found, scalar=routine)
        # A function of one value or row has one, even where conditions leave nothing to show of it.
        page = _COUNTED if routine.returns_set else "1"
        total = page if total == _COUNTED else total
        sql = (
            f"WITH pgrst_source AS ({called}){ctes}, pgrst_rows AS ({rows}) SELECT {total} AS total, {page} AS page,"
            f" {rendered} AS body, {_GUCS} FROM (SELECT * FROM pgrst_rows) AS _postgrest_t"
        )
        return Compiled(
            sql=self._finish(sql, found),
            values=tuple(self._params.values),
            kind="call",
            schema=self._schema,
            read_only=not posted or routine.read_only,
            format=found,
            limit=limit,
            offset=offset,
            routine=routine,
            empty=empty,
        )

    def _computed(self, request: Call, routine: Routine) -> list[str]:
        """Columns asked of a function's rows that their table does not have itself."""
        table = self._catalog.tables.get(routine.returns)
        columns = [item for item in request.select if isinstance(item, Column)]
        if table is None or not request.select or any(item.field.name == "*" for item in columns):
            return []
        fields = [item.field for item in columns]
        fields += [term.field for term in request.order if term.relation is None] + [item.field for item in filters_of(request.where)]
        embeds = {item.name for item in request.select if isinstance(item, Embed)}
        return [name for name in dict.fromkeys(field.name for field in fields) if name not in table.columns and name not in embeds]

    def _insert(self, request: Insert, table: Table, body: Body) -> Compiled:
        resolution = request.resolution if isinstance(request, Upsert) else None
        conflict = (request.on_conflict or table.key) if resolution is not None else ()
        node = self._answer(request, table)
        change = ChangeWriter(table, self._catalog, self._params).insert(
            body,
            request.columns if request.columns is not None else body.keys,
            returning=write_returning(node, table, keys=request.prefer.returning == "headers-only"),
            defaults=request.prefer.missing == "default",
            resolution=resolution,
            conflict=conflict,
        )
        return self._change(request, "insert", table=table, change=change, node=node, conflict_known=bool(conflict), counted=bool(conflict))

    def _put(self, request: Put, table: Table, body: Body) -> Compiled:
        check_put(request, table)
        node = self._answer(request, table)
        change = ChangeWriter(table, self._catalog, self._params).insert(
            body,
            body.keys,
            returning=write_returning(node, table, keys=False),
            defaults=False,
            resolution="merge-duplicates",
            conflict=table.key,
            only=request.where,
        )
        return self._change(request, "put", table=table, change=change, node=node, counted=True)

    def _update(self, request: Update, table: Table, body: Body) -> Compiled:
        node = self._answer(request, table)
        change = ChangeWriter(table, self._catalog, self._params).update(
            body,
            request.columns if request.columns is not None else body.keys,
            request.where,
            page=self._page_of_change(request),
            returning=write_returning(node, table, keys=False),
            defaults=request.prefer.missing == "default",
        )
        return self._change(request, "update", table=table, change=change, node=node)

    def _delete(self, request: Delete, table: Table) -> Compiled:
        node = self._answer(request, table)
        change = ChangeWriter(table, self._catalog, self._params).delete(
            request.where, page=self._page_of_change(request), returning=write_returning(node, table, keys=False)
        )
        return self._change(request, "delete", table=table, change=change, node=node)

    def _page_of_change(self, request: Update | Delete) -> Shape | None:
        """The request again, when only a page of the rows is to be changed; newer versions pay no heed to it."""
        paged = request.limit is not None or bool(request.offset)
        if not paged or not VERSIONS[self._config.dialect].limits_changes:
            return None
        if not request.order:
            raise refuse("PGRST109", "A 'limit' was applied without an explicit 'order'", hint="Apply an 'order' using unique column(s)")
        return request

    def _answer(self, request: Shape, table: Table) -> Node | None:
        """The read over the changed rows, where the answer shows them."""
        if request.prefer.returning != "representation":
            return None
        node = plan_read(request, source=table.id, catalog=self._catalog, rules=attrs.evolve(self._rules, max_rows=None))
        return attrs.evolve(node, limit=None, offset=None, where=())

    def _change(
        self,
        request: Insert | Put | Update | Delete,
        kind: Kind,
        *,
        table: Table,
        change: str,
        node: Node | None,
        conflict_known: bool = False,
        counted: bool = False,
    ) -> Compiled:
        _check_preferences(request)
        found = self._format(request, table.id)
        location = "NULL"
        if node is None:
            rows, body = "SELECT * FROM pgrst_source", "''"
            if kind == "insert" and request.prefer.returning == "headers-only" and table.key:
                keys = ", ".join(quote(name) for name in table.key)
                location = f"(SELECT row_to_json(pgrst_key) FROM (SELECT {keys} FROM pgrst_source LIMIT 1) AS pgrst_key)"
        else:
            rows = ReadWriter(self._catalog, self._params, rows_of="pgrst_source").read(node, conditions=False)
            body = write_body(found, scalar=None)
        inserted = INSERTED if counted else "NULL"
        sql = (
            f"WITH pgrst_source AS ({change}), pgrst_rows AS ({rows})"
            f" SELECT NULL AS total, {_COUNTED} AS page, {location} AS location, {body} AS body, {_GUCS}, {inserted}"
            " FROM (SELECT * FROM pgrst_rows) AS _postgrest_t"
        )
        return Compiled(
            sql=self._finish(sql, found),
            values=tuple(self._params.values),
            kind=kind,
            schema=self._schema,
            read_only=False,
            format=found,
            table=request.relation,
            conflict_known=conflict_known,
            empty=node is None and found.explain is None,
        )

    def _finish(self, sql: str, found: Format) -> bytes:
        return ((found.explain or "") + sql).encode()


def _window(request: Shape, max_rows: int | None) -> tuple[int | None, int]:
    """Limit and offset: those of the query, narrowed by the Range header and the operator's limit."""
    limit, offset = request.limit, request.offset or 0
    if request.range is not None:
        first, last = request.range.first, request.range.last
        end = None if limit is None else offset + limit
        start = max(offset, first)
        if last is not None:
            end = last + 1 if end is None else min(end, last + 1)
        offset = start
        limit = None if end is None else end - start
        if limit is not None and limit < 0:
            raise refuse("PGRST103", "Requested range not satisfiable", details="Limit should be greater than or equal to zero.")
    if max_rows is not None and (limit is None or limit > max_rows):
        limit = max_rows
    return limit, offset


def _check_preferences(request: Shape) -> None:
    prefer = request.prefer
    if prefer.handling == "strict" and prefer.unknown:
        raise refuse(
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(prefer.unknown)}",
        )
    _check_zone(prefer.timezone)


def _check_zone(zone: str | None) -> None:
    """A long zone is a name of the time zone database; PostgREST 16.5 refuses the others with this code, too."""
    if zone is not None and len(zone) > _LONGEST_OFFSET and not _ZONE_NAME.fullmatch(zone):
        raise refuse(
            "PGRST129",
            f"A time zone of more than {_LONGEST_OFFSET} characters must be a name",
            hint="Prefer a name such as America/Argentina/Buenos_Aires.",
        )
