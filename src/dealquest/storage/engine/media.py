"""What an answer may look like: the media type agreed on, and the SQL that renders rows as it.

Source: https://docs.postgrest.org/en/latest/references/api/resource_representation.html and media_type_handlers.html, read 2026-11-22.
"""

from collections.abc import Sequence

import attrs

from dealquest.storage.postgrest.ast import ARRAY_MEDIA, CSV_MEDIA, JSON_MEDIA, NULLS_STRIPPED, OBJECT_MEDIA, PLAN_MEDIA, Media

from .catalog import Catalog, Handler, Name, Routine
from .errors import refuse
from .fragments import quote_name

_GEOJSON = "application/geo+json"
_ANY_TYPE = "application/octet-stream"
_WITH_CHARSET = frozenset({"application/json", "application/geo+json", "application/openapi+json", "text/csv", "text/plain", "text/xml"})
_PLAN_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")


@attrs.frozen(kw_only=True)
class Format:
    """How the rows of an answer are rendered.

    Attributes:
        content_type: The header.
        singular: Whether exactly one row is wanted.
        stripped: Whether nulls are left out.
        csv: Whether it is CSV.
        handler: The database's own renderer.
        geojson: PostGIS's function that shows a row as GeoJSON.
        explain: The EXPLAIN options, None for the rows themselves.
    """

    content_type: str
    singular: bool = False
    stripped: bool = False
    csv: bool = False
    handler: Handler | None = None
    geojson: Name | None = None
    explain: str | None = None


JSON_FORMAT = Format(content_type="application/json; charset=utf-8")
_CSV_FORMAT = Format(content_type="text/csv; charset=utf-8", csv=True)


def pick_format(
    accept: Sequence[Media], catalog: Catalog, table: Name | None, *, whole: bool, plan_enabled: bool, routine: Routine | None = None
) -> Format:
    """The first acceptable format that can be made.

    Args:
        accept: Media types in order of preference.
        catalog: The snapshot, for the database's own handlers.
        table: The table whose rows are shown.
        whole: Whether all of its columns are, and nothing else.
        plan_enabled: Whether EXPLAIN may be asked.
        routine: The function called.

    Raises:
        InputError: PGRST107 when there is none.
    """
    for media in accept:
        found = _make(media, catalog, table, whole=whole, plan_enabled=plan_enabled, routine=routine)
        if found is not None:
            return found
    names = ", ".join(_show(media) for media in accept)
    raise refuse("PGRST107", f"None of these media types are available: {names}")


def _make(media: Media, catalog: Catalog, table: Name | None, *, whole: bool, plan_enabled: bool, routine: Routine | None) -> Format | None:
    name = media.name
    if routine is not None and not routine.returns_set and routine.media in {"*/*", name}:
        own = _ANY_TYPE if routine.media == "*/*" else name
        return Format(content_type=_with_charset(own), handler=Handler(media=own, function=routine.id, table=None, is_aggregate=False))
    if name.startswith(PLAN_MEDIA) and name in {PLAN_MEDIA, f"{PLAN_MEDIA}+json", f"{PLAN_MEDIA}+text"}:
        if not plan_enabled:
            return None
        name, *params = dict(media.params).get("for", JSON_MEDIA.name).split(";")
        inner = Media(name.strip(), tuple(_pair(param) for param in params))
        found = _make(inner, catalog, table, whole=whole, plan_enabled=False, routine=routine)
        return None if found is None else _explain(found, media)
    handler = _find_handler(catalog, table, name, whole=whole)
    if handler is not None:
        own = _ANY_TYPE if handler.media == "*/*" else handler.media
        return Format(content_type=_with_charset(own), handler=handler)
    if name in {JSON_MEDIA.name, "*/*", "application/*"}:
        return JSON_FORMAT
    if name == _GEOJSON and catalog.geojson is not None and (routine is None or routine.returns_composite):
        return Format(content_type=_with_charset(name), geojson=catalog.geojson)
    stripped = media.params == NULLS_STRIPPED
    if name in {OBJECT_MEDIA.name, "application/vnd.pgrst.object"}:
        return Format(content_type=_pgrst("object", stripped=stripped), singular=True, stripped=stripped)
    if name in {ARRAY_MEDIA.name, "application/vnd.pgrst.array"}:
        return Format(content_type=_pgrst("array", stripped=True), stripped=True) if stripped else JSON_FORMAT
    if name in {CSV_MEDIA.name, "text/*"}:
        return _CSV_FORMAT
    return None


def _find_handler(catalog: Catalog, table: Name | None, name: str, *, whole: bool) -> Handler | None:
    """A table's own handler wants its whole rows; one for any element takes what is selected."""
    handlers = catalog.handlers
    if not handlers or name.startswith("application/vnd.pgrst."):
        return None
    keys = [(table, "*/*"), (table, name)] if whole and table is not None else []
    return next((handlers[key] for key in (*keys, (None, name)) if key in handlers), None)


def _pair(param: str) -> tuple[str, str]:
    name, _, value = param.partition("=")
    return name.strip(), value.strip()


def _explain(found: Format, media: Media) -> Format:
    """A format's plan in place of its rows."""
    options = [option for option in _PLAN_OPTIONS if option in dict(media.params).get("options", "").split("|")]
    kind = "json" if media.name.endswith("+json") else "text"
    inner = found.content_type.removesuffix("; charset=utf-8")
    shown = f'{PLAN_MEDIA}+{kind}; for="{inner}"' + (f"; options={'|'.join(options)}" if options else "") + "; charset=utf-8"
    flags = ", ".join([f"FORMAT {kind.upper()}", *(option.upper() for option in options)])
    return attrs.evolve(found, content_type=shown, explain=f"EXPLAIN ({flags}) ")


def _pgrst(kind: str, *, stripped: bool) -> str:
    return f"application/vnd.pgrst.{kind}+json{';nulls=stripped' if stripped else ''}; charset=utf-8"


def _with_charset(name: str) -> str:
    """The types that PostgREST knows carry their charset, the database's own are left as they are."""
    return f"{name}; charset=utf-8" if name in _WITH_CHARSET else name


def _show(media: Media) -> str:
    return media.name + "".join(f";{key}={value}" for key, value in media.params)


def write_body(found: Format, *, scalar: Routine | None, columns: str = "_postgrest_t") -> str:
    """The expression that renders all rows as one value.

    Args:
        found: The format.
        scalar: The function whose result is one column, or one row; None for a table's rows.
        columns: The alias of the rows.
    """
    rows = columns
    one = scalar is not None and not scalar.returns_set
    if found.handler is not None:
        if not found.handler.is_aggregate:
            return f"{rows}.pgrst_scalar"
        subject = f"{rows}.pgrst_scalar" if scalar is not None and not scalar.returns_composite else rows
        return f"{quote_name(found.handler.function)}({_typed(subject, found.handler)})"
    if found.csv:
        return _write_csv(rows)
    if found.geojson is not None:
        features = f"COALESCE(json_agg({quote_name(found.geojson)}({rows})::json), '[]')"
        return f"json_build_object('type', 'FeatureCollection', 'features', {features})"
    if scalar is not None and not scalar.returns_composite:
        rows = f"{rows}.pgrst_scalar"
    value = f"json_strip_nulls(json_agg({rows}))" if found.stripped else f"json_agg({rows})"
    if one or found.singular:
        return f"COALESCE({value} -> 0, 'null')"
    return f"COALESCE({value}, '[]')"


def _typed(subject: str, handler: Handler) -> str:
    """Rows of a subquery have no type of their own; an aggregate for a table wants that table's."""
    return subject if handler.table is None else f"ROW({subject}.*)::{quote_name(handler.table)}"


def _write_csv(rows: str) -> str:
    header = (
        "(SELECT string_agg(h.key, ',') FROM (SELECT json_object_keys(r.line) AS key"
        " FROM (SELECT row_to_json(one) AS line FROM pgrst_rows AS one LIMIT 1) AS r) AS h)"
    )
    lines = f"string_agg(substring({rows}::text, 2, length({rows}::text) - 2), E'\\n')"
    return f"COALESCE({header} || E'\\n' || {lines}, '')"
