"""INSERT, upsert, PUT, UPDATE and DELETE as SQL that returns the changed rows.

A body is one JSON parameter which PostgreSQL itself turns into typed rows.
Source: https://docs.postgrest.org/en/latest/references/api/tables_views.html, read 2026-11-22.
"""

from collections.abc import Sequence

from dealquest.storage.postgrest.ast import Condition, Filter, Put, Shape

from .body import Body
from .catalog import Catalog, ColumnInfo, Table
from .errors import refuse
from .fragments import Params, Scope, quote, quote_name, quote_text, write_condition, write_order
from .plan import Node, link_columns

# Counts rows up when they are tried and down when they turn out to exist; what is left was inserted.
_COUNTED = "COALESCE(NULLIF(current_setting('pgrst.inserted', true), '')::bigint, 0)"
_COUNT_UP = f"set_config('pgrst.inserted', ({_COUNTED} + 1)::text, true) <> ''"
_COUNT_DOWN = f"set_config('pgrst.inserted', ({_COUNTED} - 1)::text, true) <> ''"
INSERTED = "NULLIF(current_setting('pgrst.inserted', true), '')"


class ChangeWriter:
    """Writes the change of one table.

    Args:
        table: The table.
        catalog: The snapshot.
        params: Takes the values.
    """

    def __init__(self, table: Table, catalog: Catalog, params: Params) -> None:
        self._table = table
        self._catalog = catalog
        self._params = params
        self._scope = Scope(table.id.name, table, catalog)
        self._target = quote_name(table.id)

    def insert(
        self,
        body: Body,
        columns: Sequence[str],
        *,
        returning: str,
        defaults: bool,
        resolution: str | None = None,
        conflict: Sequence[str] = (),
        only: Sequence[Condition] = (),
    ) -> str:
        """INSERT, perhaps with ON CONFLICT.

        Args:
            body: The rows.
            columns: Columns to fill.
            returning: The RETURNING list.
            defaults: Whether an absent key takes the column's default.
            resolution: `merge-duplicates` or `ignore-duplicates`.
            conflict: Columns that decide what a duplicate is.
            only: Conditions that a row of the body must meet (PUT).
        """
        infos = self._infos(columns)
        if not infos and only:
            # Only rows that cannot hold the key that PUT names.
            return f"SELECT {returning} FROM {self._target} WHERE false"
        conditions = [write_condition(item, Scope("pgrst_body", self._table, self._catalog), self._params) for item in only]
        if resolution is not None and conflict:
            conditions.append(_COUNT_UP)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        if infos:
            names = ", ".join(quote(info.name) for info in infos)
            source = self._body(body, infos, defaults=defaults)
            sql = f"INSERT INTO {self._target}({names}) SELECT {self._body_columns(infos)} FROM {source}{where}"
        else:
            # Rows without a key: every column takes its default, once for each row.
            sql = f"INSERT INTO {self._target} SELECT FROM generate_series(1, {body.size}){where}"
        if resolution is not None and conflict:
            keys = ", ".join(quote(name) for name in conflict)
            if resolution == "ignore-duplicates" or not infos:
                sql += f" ON CONFLICT({keys}) DO NOTHING"
            else:
                sets = ", ".join(f"{quote(info.name)} = EXCLUDED.{quote(info.name)}" for info in infos)
                sql += f" ON CONFLICT({keys}) DO UPDATE SET {sets} WHERE {_COUNT_DOWN}"
        return f"{sql} RETURNING {returning}"

    def update(
        self, body: Body, columns: Sequence[str], where: Sequence[Condition], *, returning: str, defaults: bool, page: Shape | None = None
    ) -> str:
        """UPDATE of the rows that meet the conditions, or of a page of them."""
        infos = self._infos(columns)
        if not infos:
            return f"SELECT {returning} FROM {self._target} WHERE false"
        sets = ", ".join(f"{quote(info.name)} = {self._body_column(info)}" for info in infos)
        source = self._body(body, infos, defaults=defaults)
        return f"UPDATE {self._target} SET {sets} FROM {source}{self._where(where, page)} RETURNING {returning}"

    def delete(self, where: Sequence[Condition], *, returning: str, page: Shape | None = None) -> str:
        """DELETE of the rows that meet the conditions, or of a page of them."""
        return f"DELETE FROM {self._target}{self._where(where, page)} RETURNING {returning}"

    def _where(self, where: Sequence[Condition], page: Shape | None = None) -> str:
        if page is not None:
            # Without a key the ordered columns must tell rows apart, as PostgREST 12 asks of them.
            named = self._table.key or [term.field.name for term in page.order if term.relation is None]
            keys = ", ".join(f"{quote(self._table.id.name)}.{quote(name)}" for name in named)
            window = "" if page.limit is None else f" LIMIT {self._params.bind(page.limit)}"
            window += f" OFFSET {self._params.bind(page.offset)}" if page.offset else ""
            rows = f"SELECT {keys} FROM {self._target}{self._where(where)}{write_order(page.order, self._scope, {})}{window}"
            return f" WHERE ({keys}) IN ({rows})"
        return f" WHERE {' AND '.join(write_condition(item, self._scope, self._params) for item in where)}" if where else ""

    def _infos(self, columns: Sequence[str]) -> list[ColumnInfo]:
        infos = []
        for name in columns:
            info = self._table.columns.get(name)
            if info is None:
                raise refuse("PGRST204", f"Could not find the '{name}' column of '{self._table.id.name}' in the schema cache")
            infos.append(info)
        return infos

    def _body_columns(self, infos: Sequence[ColumnInfo]) -> str:
        return ", ".join(self._body_column(info) for info in infos)

    def _body_column(self, info: ColumnInfo) -> str:
        parser = self._scope.parser(info.name, "json")
        plain = f"pgrst_body.{quote(info.name)}"
        return f"{parser}({plain})" if parser else plain

    def _body(self, body: Body, infos: Sequence[ColumnInfo], *, defaults: bool) -> str:
        place = self._params.bind(body.content)
        types = ", ".join(f"{quote(info.name)} {'json' if self._scope.parser(info.name, 'json') else info.type}" for info in infos)
        filled = [info for info in infos if info.default is not None and not info.generated]
        if defaults:
            pairs = ", ".join(f"{quote_text(info.name)}, {info.default}" for info in filled)
            elements = f"jsonb_array_elements({place}::jsonb)" if body.is_list else f"(SELECT {place}::jsonb AS value)"
            rows = f"SELECT jsonb_agg(jsonb_build_object({pairs}) || elem.value) AS val FROM {elements} AS elem"
            return f"({rows}) AS pgrst_filled, LATERAL (SELECT * FROM jsonb_to_recordset(pgrst_filled.val) AS _({types})) AS pgrst_body"
        function = "json_to_recordset" if body.is_list else "json_to_record"
        return f"(SELECT * FROM {function}({place}::json) AS _({types})) AS pgrst_body"


def write_returning(node: Node | None, table: Table, *, keys: bool) -> str:
    """The columns that a change returns: no more than the answer needs, so that no more rights are needed.

    Args:
        node: The planned answer; None when there is none.
        table: The table.
        keys: Whether the primary key is needed for a `Location`.
    """
    names: list[str] = []
    if node is not None:
        if any(column.field.name == "*" and column.aggregate is None for column in node.columns) or any(
            child.link is not None and child.link.function is not None for child in node.children
        ):
            return f"{quote(table.id.name)}.*"
        names = [column.field.name for column in node.columns if column.field.name != "*"]
        names += [term.field.name for term in node.order if term.relation is None]
        names += sorted(link_columns(node))
    if keys:
        names += table.key
    unique = list(dict.fromkeys(names))
    return ", ".join(f"{quote(table.id.name)}.{quote(name)}" for name in unique) or "1"


def check_put(request: Put, table: Table) -> None:
    """PUT names its row by the whole primary key.

    Raises:
        InputError: PGRST105.
    """
    named = [item.field.name for item in request.where if isinstance(item, Filter) and _is_equality(item)]
    if not table.key or len(named) != len(request.where) or sorted(named) != sorted(table.key):
        raise refuse("PGRST105", "Filters must include all and only primary key columns with 'eq' operators")


def _is_equality(condition: Filter) -> bool:
    return condition.operator == "eq" and not condition.negated and condition.modifier is None and not condition.field.path
