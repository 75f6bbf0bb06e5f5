"""A request body as rows or arguments: only its keys are looked at, the bytes go to PostgreSQL as they came.

Source: https://docs.postgrest.org/en/latest/references/api/tables_views.html (insert), functions.html, read 2026-11-22.
"""

import csv
import io
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import attrs
import msgspec

from dealquest.errors import InputError
from dealquest.storage.postgrest.ast import JSON_MEDIA, Payload

from .errors import refuse

Keys: TypeAlias = tuple[tuple[str, ...], bool, int]
"""Keys of the rows, whether the body is a list, and its rows."""

_ROW = dict[str, msgspec.Raw]
_ROWS = list[dict[str, msgspec.Raw]]
OTHER_MEDIA = frozenset({"text/csv", "application/x-www-form-urlencoded"})
"""Media types of rows that are no JSON, so that they are never one JSON argument."""

_RAW_MEDIA = frozenset({"application/octet-stream", "text/plain", "text/xml"})


@attrs.frozen(kw_only=True)
class Body:
    """What a body holds.

    Attributes:
        content: JSON text for PostgreSQL; the bytes themselves for raw media.
        keys: Keys of its rows; empty for raw media.
        is_list: Whether it holds rows and not one row.
        size: Rows.
        media: The media type that the rows came as.
        raw: The media type of bytes that are one argument, else None.
        pairs: A form's fields in order, names repeated as sent; None for any other body.
    """

    content: bytes = attrs.field(repr=False)
    keys: tuple[str, ...] = ()
    is_list: bool = False
    size: int = 1
    media: str = JSON_MEDIA.name
    raw: str | None = None
    pairs: tuple[tuple[str, str], ...] | None = None


NO_BODY = Body(content=b"{}")
_NO_ROWS = Body(content=b"[]", is_list=True, size=0)


def read_rows(payload: Payload, *, uniform: bool) -> Body:
    """The rows of an insert, update or upsert.

    Args:
        payload: The body.
        uniform: Whether every row must have the same keys, because they name the columns.

    Raises:
        InputError: PGRST102 when it is no row or rows.
    """
    name = payload.media.name
    if name in {"application/json", ""} or name.endswith("+json"):
        return _read_json(payload.content, uniform=uniform)
    if name == "text/csv":
        return _read_csv(payload.content)
    if name == "application/x-www-form-urlencoded":
        return _read_form(payload.content)
    raise refuse("PGRST102", f"Content-Type not acceptable: {name}")


def find_keys(content: bytes, *, call: bool, uniform: bool) -> Keys | None:
    """What a JSON body adds to a request's shape; None when it cannot be read, which the plan will say better.

    Args:
        content: The body, not empty.
        call: Whether it holds arguments.
        uniform: Whether every row must have the same keys.
    """
    try:
        keys, is_list, size = _find_arguments(content) if call else _find_rows(content, uniform=uniform)
    except InputError:
        return None
    # How many rows there are changes nothing, but rows without a key are counted.
    return keys, is_list, min(size, 1) if keys else size


def read_arguments(payload: Payload) -> Body:
    """The arguments of a call.

    Raises:
        InputError: PGRST102 when they are unreadable.
    """
    if payload.media.name in _RAW_MEDIA:
        return Body(content=payload.content, raw=payload.media.name)
    name = payload.media.name
    if name == "application/x-www-form-urlencoded":
        return _read_form(payload.content)
    if not payload.content:
        return NO_BODY
    if name == "text/csv":
        return _read_csv(payload.content)
    if not (name == "application/json" or name.endswith("+json")):
        raise refuse("PGRST102", f"Content-Type not acceptable: {name}")
    keys, is_list, _ = _find_arguments(payload.content)
    return Body(content=payload.content, keys=keys, is_list=is_list)


def _find_arguments(content: bytes) -> Keys:
    if _begins(content) == b"{":
        return _find_rows(content, uniform=False)
    # A list gives its first row; it or a scalar may also be the one unnamed argument.
    value = _decode(content, Any)
    head = value[0] if isinstance(value, list) and value else None
    return tuple(head) if isinstance(head, dict) else (), isinstance(value, list), 1


def _decode(content: bytes, type_: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise refuse("PGRST102", "Empty or invalid json") from exc


def _read_json(content: bytes, *, uniform: bool) -> Body:
    if _begins(content) not in {b"[", b"{"}:
        # A value that is neither row nor list holds no rows.
        _decode(content, Any)
        return _NO_ROWS
    keys, is_list, size = _find_rows(content, uniform=uniform)
    return Body(content=content, keys=keys, is_list=is_list, size=size)


def _find_rows(content: bytes, *, uniform: bool) -> Keys:
    """The keys of one row or several, whether it is a list, and how many rows there are."""
    if _begins(content) != b"[":
        return tuple(_decode(content, _ROW)), False, 1
    try:
        rows: list[dict[str, msgspec.Raw]] = msgspec.json.decode(content, type=_ROWS)
    except msgspec.ValidationError as exc:
        _decode(content, Any)
        raise refuse("PGRST102", "All object keys must match") from exc
    except (msgspec.DecodeError, RecursionError) as exc:
        raise refuse("PGRST102", "Empty or invalid json") from exc
    keys = rows[0].keys() if rows else {}.keys()
    if uniform and any(row.keys() != keys for row in rows):
        raise refuse("PGRST102", "All object keys must match")
    return tuple(keys), True, len(rows)


def _begins(content: bytes) -> bytes:
    """The first byte that is no space; a large body is not copied for it."""
    first = content[:1]
    return content.lstrip()[:1] if first.isspace() else first


def _read_csv(content: bytes) -> Body:
    try:
        lines = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as exc:
        raise refuse("PGRST102", f"not enough input: {exc}") from exc
    lines = [line for line in lines if line]
    if not lines or any(len(line) != len(lines[0]) for line in lines[1:]):
        raise refuse("PGRST102", "All lines must have same number of fields")
    header = lines[0]
    rows = [{key: None if cell == "NULL" else cell for key, cell in zip(header, line, strict=True)} for line in lines[1:]]
    return Body(content=msgspec.json.encode(rows), keys=tuple(header), is_list=True, size=len(rows), media="text/csv")


def _read_form(content: bytes) -> Body:
    pairs = tuple(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
    row = dict(pairs)
    return Body(content=msgspec.json.encode(row), keys=tuple(row), pairs=pairs, media="application/x-www-form-urlencoded")
