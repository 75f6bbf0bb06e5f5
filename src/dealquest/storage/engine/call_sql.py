"""Which function a call means, and the call as SQL.

Source: https://docs.postgrest.org/en/latest/references/api/functions.html, read 2026-11-22.
"""

from collections.abc import Sequence

from dealquest.storage.postgrest.ast import Call

from .body import Body
from .catalog import Catalog, Name, Parameter, Routine
from .errors import refuse
from .fragments import Params, array_literal, quote, quote_name
from .fuzzy import LIKELY, find_nearest

_UNNAMED = {
    "application/json": ("json/jsonb", frozenset({"json", "jsonb"})),
    "text/plain": ("text", frozenset({"text"})),
    "text/xml": ("xml", frozenset({"xml"})),
    "application/octet-stream": ("bytea", frozenset({"bytea"})),
}


_NAMED = frozenset({None, "application/json", "text/csv", "application/x-www-form-urlencoded"})


def find_routine(catalog: Catalog, name: Name, keys: Sequence[str], *, media: str | None) -> Routine:
    """Pick the overload that these argument names fit.

    Args:
        catalog: The snapshot.
        name: Schema and name.
        keys: Names of the arguments given.
        media: Media type of a POST's body, None for GET and HEAD.

    Raises:
        NotFoundError: PGRST202 when none fits.
        InputError: PGRST203 when several do.
    """
    overloads = catalog.functions.get(name, ())
    given = frozenset(keys)
    fitting: list[Routine] = []
    unnamed: list[Routine] = []
    label, types = _UNNAMED.get(media or "", ("", frozenset()))
    for routine in overloads:
        if len(routine.parameters) == 1 and not routine.parameters[0].name:
            if routine.parameters[0].type in types:
                unnamed.append(routine)
        elif media in _NAMED and _fits(routine, given):
            fitting.append(routine)
    found = fitting or unnamed
    if len(found) == 1:
        return found[0]
    if found:
        raise refuse(
            "PGRST203",
            f"Could not choose the best candidate function between: {', '.join(_signature(routine) for routine in found)}",
            hint="Try renaming the parameters or the function itself in the database so function overloading can be resolved",
        )
    raise _unknown(catalog, name, sorted(given), media=media, label=label)


def _fits(routine: Routine, given: frozenset[str]) -> bool:
    required = {parameter.name for parameter in routine.parameters if parameter.required}
    return required <= given <= {parameter.name for parameter in routine.parameters}


def _signature(routine: Routine) -> str:
    return f"{routine.id.schema}.{routine.id.name}({', '.join(f'{item.name} => {item.type}' for item in routine.parameters)})"


def _unknown(catalog: Catalog, name: Name, keys: Sequence[str], *, media: str | None, label: str) -> Exception:
    shown = f"{name.schema}.{name.name}"
    raw = media not in _NAMED
    listed = ", ".join(keys)
    if raw:
        called, searched = shown, f"a single unnamed {label} parameter"
    else:
        called = f"{shown}({listed})" if keys else f"{shown} without parameters"
        searched = f"parameter{'s' if len(keys) > 1 else ''} {listed}" if keys else "without parameters"
        if label:
            searched += " or with a single unnamed json/jsonb parameter"
    with_ = "" if searched.startswith("without") else "with "
    hint = None
    overloads = catalog.functions.get(name)
    if overloads is None:
        near = (
            None
            if raw
            else find_nearest(name.name, (other.name for other in catalog.functions if other.schema == name.schema), least=LIKELY)
        )
        hint = f"Perhaps you meant to call the function {name.schema}.{near}" if near else None
    elif not raw:
        signatures = [f"({', '.join(sorted(item.name for item in routine.parameters))})" for routine in overloads]
        near = find_nearest(f"({listed})", signatures)
        hint = f"Perhaps you meant to call the function {shown}{near}" if near else None
    return refuse(
        "PGRST202",
        f"Could not find the function {called} in the schema cache",
        details=f"Searched for the function {shown} {with_}{searched}, but no matches were found in the schema cache.",
        hint=hint,
    )


def write_call(routine: Routine, request: Call, body: Body, params: Params, *, computed: Sequence[str] = ()) -> str:
    """The call as a SELECT: a row type's columns, or one column `pgrst_scalar`.

    Args:
        routine: The function.
        request: The call.
        body: Its body.
        params: Takes the values.
        computed: Computed columns of the row type that are asked for; only a row of that very type has them.
    """
    function = quote_name(routine.id)
    source = ""
    if len(routine.parameters) == 1 and not routine.parameters[0].name:
        kind = routine.parameters[0].type
        value: str | bytes = "\\x" + body.content.hex() if kind == "bytea" else body.content
        arguments = f"{params.bind(value)}::{kind}"
    elif request.method in {"GET", "HEAD"} or body.pairs is not None:
        arguments = _write_given(routine, request.arguments if body.pairs is None else body.pairs, params)
    else:
        keys = frozenset(request.columns if request.columns is not None else body.keys)
        used = [item for item in routine.parameters if item.name in keys]
        arguments = ", ".join(f"{_mode(item)}{quote(item.name)} := pgrst_args.{quote(item.name)}" for item in used)
        if used:
            types = ", ".join(f"{quote(item.name)} {item.cast}" for item in used)
            reader = "json_to_recordset" if body.is_list else "json_to_record"
            tail = " LIMIT 1" if body.is_list else ""
            source = f"(SELECT * FROM {reader}({params.bind(body.content)}::json) AS _({types}){tail}) AS pgrst_args"
    called = f"{function}({arguments})"
    if routine.returns_composite:
        lateral = f"{source}, LATERAL " if source else ""
        columns = "".join(f", pgrst_call.{quote(name)}" for name in computed)
        return f"SELECT pgrst_call.*{columns} FROM {lateral}{called} AS pgrst_call"
    origin = f" FROM {source}" if source else ""
    return f"SELECT {called} AS pgrst_scalar{origin}"


def _write_given(routine: Routine, given: Sequence[tuple[str, str]], params: Params) -> str:
    values: dict[str, list[str]] = {}
    for key, value in given:
        values.setdefault(key, []).append(value)
    parts = []
    for item in routine.parameters:
        if item.name not in values:
            continue
        texts = values[item.name]
        value = array_literal(tuple(texts)) if item.variadic else texts[-1]
        parts.append(f"{_mode(item)}{quote(item.name)} := {params.bind(value)}::{item.cast}")
    return ", ".join(parts)


def _mode(parameter: Parameter) -> str:
    return "VARIADIC " if parameter.variadic else ""
