r"""Python values → the text that PostgreSQL reads, in filters and in JSON bodies.

It knows nothing of URLs: quoting for a position is `render`'s work.
Source: https://www.postgresql.org/docs/current/datatype.html and arrays.html, read 2026-11-22.

A naive datetime is refused: the session's time zone would decide what it means. Bytes travel as `\x…`
hex, numbers exactly, NaN and infinity by name.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
import msgspec

from dealquest.errors import InputError

SAFE_INTEGER = 2**53
"""Beyond it a peer that reads JSON numbers as doubles, such as Node, rounds."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_PLAIN = frozenset((str, int, bool, type(None)))
_CHECKED = frozenset((float, Decimal, datetime))
_NATIVE = _PLAIN | _CHECKED | {UUID, date}
"""What msgspec writes as we do, the checked ones when they are finite and aware."""


def encode_text(value: object) -> str:
    r"""Write one value as PostgreSQL reads it; lists become array literals, mappings JSON.

    Raises:
        InputError: `storage.value.null` for None, `storage.value.naive_datetime`, `storage.value.nul`,
            `storage.value.unencodable` for a type that has no text of its own.

    >>> encode_text(True), encode_text(12), encode_text(b"\x00\xff"), encode_text([1, None, 'a"b', "NULL"])
    ('true', '12', '\\x00ff', '{1,NULL,"a\\"b","NULL"}')
    """
    if isinstance(value, str) and not isinstance(value, Enum):
        return check_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not isinstance(value, Enum):
        return str(value)
    return _encode_other(value)


def _encode_other(value: object) -> str:
    match value:
        case None:
            raise InputError('None is compared with "is": use eq(None), neq(None) or is_("null").', code="storage.value.null")
        case Enum():
            return encode_text(value.value)
        case float():
            return _number_name(value) or repr(value)
        case Decimal():
            return _number_name(value) or str(value)
        case datetime():
            return _aware(value).isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return _interval(value)
        case UUID():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case Mapping():
            return encode_json(value).decode()
        case list() | tuple() | set() | frozenset():
            return encode_array(value)
        case _:
            if attrs.has(type(value)) or (is_dataclass(value) and not isinstance(value, type)) or isinstance(value, msgspec.Struct):
                return encode_json(value).decode()
            raise InputError(
                f"A {type(value).__name__} has no text for PostgreSQL; pass its text or a plain value.", code="storage.value.unencodable"
            )


def encode_array(values: Iterable[object]) -> str:
    r"""Write a PostgreSQL array literal; nested lists are further dimensions.

    >>> encode_array(["a,b", "", [1.5]])
    '{"a,b","",{1.5}}'
    """
    return "{" + ",".join(map(_encode_element, values)) + "}"


def _encode_element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return encode_array(value)
    text = encode_text(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, Enum):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def check_text(text: str) -> str:
    """Refuse what PostgreSQL cannot hold: NUL and lone surrogates.

    Raises:
        InputError: `storage.value.nul`, `storage.value.unencodable`.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise InputError("The text holds half of a surrogate pair, no character.", code="storage.value.unencodable") from exc
    if "\0" in text:
        raise InputError("PostgreSQL's text cannot hold the character NUL; remove it or use bytes.", code="storage.value.nul")
    return text


def encode_json(value: object, *, doubles: bool = False) -> bytes:
    r"""Write a JSON body: exact numbers, hex bytes, aware datetimes; objects of any row class.

    Args:
        value: JSON values, attrs or dataclass or msgspec objects, and the types that `encode_text` knows.
        doubles: The peer re-encodes JSON with doubles: what they cannot hold goes as text, which
            PostgreSQL casts back in a column.

    Raises:
        InputError: `storage.value.naive_datetime`, `storage.value.nul`, `storage.value.unencodable`,
            and with `doubles` `storage.value.too_wide` for such a number inside a json value.

    >>> encode_json({"a": b"\x01", "b": Decimal("12.50"), "c": 2**60})
    b'{"a":"\\\\x01","b":12.50,"c":1152921504606846976}'
    """
    prepared = _narrow(_prepare(value), depth=0) if doubles else _prepare(value)
    try:
        return _encoder.encode(prepared)
    except (TypeError, ValueError, OverflowError) as exc:
        raise InputError(f"The value cannot be written as JSON: {exc}.", code="storage.value.unencodable") from exc


def encode_rows(rows: Sequence[dict[str, Any]], *, doubles: bool = False) -> bytes:
    """Write many flat rows: as `encode_json`, in one pass of C where no value needs our rules.

    Raises:
        InputError: As `encode_json`.

    >>> encode_rows([{"a": 1}, {"a": None}])
    b'[{"a":1},{"a":null}]'
    """
    kinds: set[type] = set()
    for row in rows:
        kinds.update(map(type, row.values()))
    if not doubles and kinds <= _NATIVE and not (kinds & _CHECKED and _any_special(rows)):
        try:
            content = _encoder.encode(rows)
        except (TypeError, ValueError, UnicodeEncodeError):
            content = b""
        # The escape of NUL; a text that merely spells it is written by the careful way below.
        if content and b"\\u0000" not in content:
            return content
    return encode_json(rows, doubles=doubles)


def _any_special(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether a number is not finite or a datetime has no zone."""
    for row in rows:
        for value in row.values():
            kind = type(value)
            if (
                (kind is float and not math.isfinite(value))
                or (kind is datetime and value.tzinfo is None)
                or (kind is Decimal and not value.is_finite())
            ):
                return True
    return False


def as_mapping(row: object) -> dict[str, Any]:
    """The columns of a row: a mapping, or an attrs, dataclass or msgspec object. `msgspec.UNSET` leaves one out.

    Raises:
        InputError: `storage.row.unreadable` for anything else.
    """
    if type(row) is dict and msgspec.UnsetType not in map(type, row.values()):
        return row
    if isinstance(row, Mapping):
        return {key: value for key, value in row.items() if value is not msgspec.UNSET}
    names: Iterable[str]
    if attrs.has(type(row)):
        names = [field.name for field in attrs.fields(type(row))]  # type: ignore[arg-type]  # attrs.has said so
    elif is_dataclass(row) and not isinstance(row, type):
        names = [field.name for field in dataclass_fields(row)]
    elif isinstance(row, msgspec.Struct):
        return {
            encoded: value
            for name, encoded in zip(row.__struct_fields__, row.__struct_encode_fields__, strict=True)
            if (value := getattr(row, name)) is not msgspec.UNSET
        }
    else:
        raise InputError(f"A row is a mapping, an attrs object or a dataclass, not a {type(row).__name__}.", code="storage.row.unreadable")
    return {name: value for name in names if (value := getattr(row, name)) is not msgspec.UNSET}


def _prepare(value: object) -> object:
    kind = type(value)
    if kind is str:
        return check_text(value)  # type: ignore[arg-type]  # its type was just read
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {encode_text(key): _prepare(item) for key, item in value.items() if item is not msgspec.UNSET}  # type: ignore[attr-defined]  # a dict
    match value:
        case list() | tuple() | set() | frozenset():
            return [_prepare(item) for item in value]
        case Enum():
            return _prepare(value.value)
        case float() | Decimal():
            return _number_name(value) or value
        case datetime():
            return _aware(value).isoformat()
        case timedelta():
            return _interval(value)
        case date() | time() | UUID():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case str():
            return check_text(str(value))
        case int() | msgspec.Raw():
            return value
        case _:
            return {encode_text(key): _prepare(item) for key, item in as_mapping(value).items()}


def _narrow(value: object, *, depth: int) -> object:
    """Numbers of columns (depth 2 of rows, 1 of one row) as text; deeper ones would change their json type."""
    if isinstance(value, dict):
        return {key: _narrow(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_narrow(item, depth=depth if depth == 0 else depth + 1) for item in value]
    wide = (isinstance(value, int) and abs(value) > SAFE_INTEGER) or (isinstance(value, Decimal) and Decimal(float(value)) != value)
    if not wide:
        return value
    if depth > 1:
        raise InputError(
            "A number inside a json value is wider than the server's proxy keeps; store it as text.", code="storage.value.too_wide"
        )
    return str(value)


def _number_name(value: float | Decimal) -> str | None:
    if math.isfinite(value) if isinstance(value, float) else value.is_finite():
        return None
    is_nan = math.isnan(value) if isinstance(value, float) else value.is_nan()
    return "NaN" if is_nan else ("Infinity" if value > 0 else "-Infinity")


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None or value.utcoffset() is None:
        raise InputError(
            "A datetime without a time zone is ambiguous: add one, or pass its text for a timestamp without time zone.",
            code="storage.value.naive_datetime",
        )
    return value


def _interval(value: timedelta) -> str:
    """ISO 8601 with one sign a part, as PostgreSQL reads it."""
    return f"P{value.days}DT{value.seconds}.{value.microseconds:06d}S"
