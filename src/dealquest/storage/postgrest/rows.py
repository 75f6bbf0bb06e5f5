r"""JSON answers → rows: attrs classes, dataclasses, msgspec structs, TypedDicts, dicts, or any value type.

Typed rows get `Decimal` from the number's own digits, aware datetimes, UUIDs, whole integers of any
width, bytes from `\x…` hex and timedelta from intervals of days and time. Untyped answers are plain JSON.
Source: https://jcristharif.com/msgspec/supported-types.html (0.22), read 2026-11-22.
"""

import base64
import re
from collections.abc import Callable, Hashable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from msgspec import inspect

from dealquest.errors import InputError, PeerGarbledError

T = TypeVar("T")

_SPECIAL_FLOAT = re.compile(rb'"(?:NaN|-?Infinity)"')

_INTERVAL = re.compile(
    r"(?:(?P<years>[+-]?\d+) years? ?)?(?:(?P<months>[+-]?\d+) mons? ?)?(?:(?P<days>[+-]?\d+) days? ?)?"
    r"(?:(?P<sign>[+-]?)(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d+)?))?\Z"
)

_Places: TypeAlias = "Mapping[str, _Places] | list[_Places] | Callable[[str], str] | None"
"""Where texts of PostgreSQL's own are in a type: in members, in every element, or here, with what rewrites them."""


def decode_rows(body: bytes, row: type[T], *, lax: bool = False, exact: bool = False) -> list[T]:
    r"""Decode an array of rows; an empty body and `null` are no rows.

    Args:
        body: The answer's body.
        row: Class of a row; `dict` leaves the JSON as it is.
        lax: Take numbers that travel as text.
        exact: Untyped numbers with a fraction become `Decimal`.

    Raises:
        PeerGarbledError: `storage.answer.not_json`, or `storage.answer.mismatch` when a row does not fit.

    >>> decode_rows(b'[{"id":1}]', dict)
    [{'id': 1}]
    """
    if not body or body == b"null":
        return []
    return cast("list[T]", decode_value(body, list if row is dict else list[row], lax=lax, exact=exact))  # type: ignore[valid-type]  # a type argument at run time


def decode_value(body: bytes, kind: type[T], *, lax: bool = False, exact: bool = False) -> T:
    """Decode one value of any type; an empty body is `null`.

    Raises:
        PeerGarbledError: `storage.answer.not_json`, `storage.answer.mismatch`.
        InputError: `storage.row.class` for a class that rows cannot be read into.

    >>> decode_value(b'12.50', Decimal)
    Decimal('12.50')
    """
    decoder, places = _decoder(cast("Hashable", kind), lax, exact)
    body = body or b"null"
    try:
        return cast("T", decoder.decode(body if places is None else _rewrite_all(body, places)))
    except msgspec.ValidationError as exc:
        if not lax and _SPECIAL_FLOAT.search(body):
            # PostgreSQL's JSON names these numbers in text.
            return decode_value(body, kind, lax=True, exact=exact)
        name = getattr(kind, "__name__", str(kind))
        raise PeerGarbledError(f"The answer does not fit {name}: {exc}.", code="storage.answer.mismatch") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise PeerGarbledError("The answer is not JSON.", code="storage.answer.not_json") from exc


@lru_cache(maxsize=512)
def _decoder(kind: Any, lax: bool, exact: bool) -> tuple[msgspec.json.Decoder[Any], _Places]:
    hook = Decimal if exact else None
    if kind in {dict, list, object, Any}:
        return msgspec.json.Decoder(Any if kind in {object, Any} else kind, float_hook=hook), None
    try:
        info = inspect.type_info(kind)
        decoder = msgspec.json.Decoder(kind, strict=not lax, float_hook=hook)
    except TypeError as exc:
        raise InputError(f"Rows cannot be read into this class: {exc}.", code="storage.row.class") from exc
    if isinstance(info.item_type if isinstance(info, inspect.ListType) else info, inspect.CustomType):
        raise InputError(f"Rows are attrs classes, dataclasses, TypedDicts or dicts, not {kind}.", code="storage.row.class")
    return decoder, _find_texts(info, ())


def _find_texts(kind: inspect.Type, above: tuple[object, ...]) -> _Places:
    """Where a type holds bytes or intervals. A class inside itself is followed once: rows do not nest without end."""
    match kind:
        case inspect.BytesType() | inspect.ByteArrayType() | inspect.MemoryViewType():
            return _read_hex
        case inspect.TimeDeltaType():
            return _read_interval
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            inner = _find_texts(item, above)
            return [inner] if inner is not None else None
        case inspect.UnionType(types=types):
            return next((found for choice in types if (found := _find_texts(choice, above)) is not None), None)
        case inspect.DataclassType() | inspect.StructType() | inspect.TypedDictType():
            if kind.cls in above:
                return None
            members = {
                field.encode_name: found for field in kind.fields if (found := _find_texts(field.type, (*above, kind.cls))) is not None
            }
            return members or None
        case _:
            return None


def _rewrite_all(body: bytes, places: _Places) -> bytes:
    """Rewrite PostgreSQL's texts as those that msgspec reads; everything else keeps its bytes."""
    return msgspec.json.encode(_rewrite(msgspec.Raw(body), places))


def _rewrite(raw: msgspec.Raw, places: _Places) -> object:
    if bytes(raw).strip() == b"null":
        return None
    if isinstance(places, Mapping):
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        return {key: _rewrite(item, places[key]) if key in places else item for key, item in members.items()}
    if isinstance(places, list):
        return [_rewrite(item, places[0]) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    if places is None or bytes(raw).lstrip()[:1] != b'"':
        return raw
    return places(msgspec.json.decode(raw, type=str))


def _read_hex(text: str) -> str:
    if not text.startswith("\\x"):
        return text
    try:
        return base64.b64encode(bytes.fromhex(text[2:])).decode()
    except ValueError as exc:
        raise msgspec.ValidationError(r"a bytea that is not \x hex") from exc


def _read_interval(text: str) -> str:
    """PostgreSQL's `1 day 02:03:04` as ISO 8601; a text in that form already stays.

    >>> _read_interval("-1 days +02:03:04.5")
    '-PT79015.5S'
    """
    found = _INTERVAL.match(text)
    if found is None or not text:
        return text
    if int(found["years"] or 0) or int(found["months"] or 0):
        raise msgspec.ValidationError("an interval of months, which are no fixed number of days: read it as text")
    clock = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0), seconds=float(found["seconds"] or 0))
    whole = timedelta(days=int(found["days"] or 0)) + (-clock if found["sign"] == "-" else clock)
    return str(msgspec.to_builtins(whole))
