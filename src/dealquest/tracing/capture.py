"""What a span keeps of a step's input and output: nothing, shapes, or content within a budget.

The walk touches builtin containers, data classes and plain values only and stops at its budget, so a
5 MB argument costs microseconds. No foreign `repr` or `str` is called: an unknown object is its type's name.
Texts are kept a margin longer than the limit; the worker redacts first and cuts afterwards.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Self, TypeAlias
from uuid import UUID

from dealquest.values import Secret

Capture: TypeAlias = Literal["off", "shapes", "content"]

MAX_SPAN_BYTES = 32 * 1024
CONTENT_BYTES = 12 * 1024
MAX_TEXT = 8 * 1024
MAX_DEPTH = 6
MAX_ITEMS = 200
CUT_MARGIN = 4 * 1024
CUT = "…"

_PLAIN: frozenset[type] = frozenset({bool, int, float, type(None)})
_BY_STR: frozenset[type] = frozenset({datetime, date, time, timedelta, Decimal, UUID})


def describe_shape(value: object) -> Any:
    """What kind of thing a value is, and how large; nothing of its content.

    >>> describe_shape({"question": "why?", "history": [1, 2]})
    {'question': 'str[4]', 'history': 'list[2]'}
    """
    if type(value) is dict and len(value) <= MAX_ITEMS:
        return {_name_key(key): _shape_name(item) for key, item in value.items()}
    return _shape_name(value)


def _shape_name(value: object) -> str:
    cls = type(value)
    if cls in {str, bytes, bytearray, list, tuple, set, frozenset, dict}:
        return f"{cls.__name__}[{len(value)}]"  # type: ignore[arg-type]  # each of these has a length
    return "None" if value is None else cls.__name__


def _name_key(key: object) -> str:
    return key[:200] if type(key) is str else _shape_name(key)


def copy_content(value: object, *, budget: int = CONTENT_BYTES) -> Any:
    """A JSON-ready copy of a value, cut to about `budget` bytes of text, depth and number of items.

    >>> copy_content({"a": [1, "two"], "b": object()})
    {'a': [1, 'two'], 'b': '<object>'}
    """
    return _Walk(budget).copy(value, MAX_DEPTH)


def weigh(kept: Any) -> int:
    """About how many bytes a copy or a shape takes."""
    if isinstance(kept, str):
        return len(kept)
    if isinstance(kept, Mapping):
        return sum(len(key) + weigh(item) for key, item in kept.items())
    if isinstance(kept, list):
        return sum(map(weigh, kept))
    return 16


class _Walk:
    __slots__ = ("left",)

    def __init__(self, budget: int) -> None:
        self.left = budget

    def copy(self, value: object, depth: int) -> Any:
        cls = type(value)
        self.left -= 8
        if cls is str:
            return self.cut_text(value)  # type: ignore[arg-type]  # its exact type was tested
        if cls in _PLAIN:
            # JSON and PostgreSQL hold 64 bits of an integer everywhere; larger ones keep their digits as text.
            return str(value) if cls is int and not -(2**63) <= value < 2**63 else value  # type: ignore[operator]  # an int here
        if cls in _BY_STR:
            return str(value)
        if cls in {bytes, bytearray, memoryview}:
            return f"<{_shape_name(value)}>"
        if cls is Secret:
            return "***"
        if depth == 0 or self.left <= 0:
            return CUT
        if cls is dict:
            return self.copy_pairs(value.items(), depth)  # type: ignore[attr-defined]  # a dict here
        if cls in {list, tuple, set, frozenset}:
            return self.copy_items(value, depth)  # type: ignore[arg-type]  # iterable builtins
        return self.copy_object(value, cls, depth)

    def cut_text(self, text: str) -> str:
        limit = max(0, min(MAX_TEXT, self.left))
        self.left -= min(len(text), limit)
        return text if len(text) <= limit else Overlong(text[: limit + CUT_MARGIN], limit)

    def copy_items(self, items: Iterable[object], depth: int) -> list[Any]:
        copied: list[Any] = []
        for item in items:
            if len(copied) >= MAX_ITEMS or self.left <= 0:
                copied.append(CUT)
                break
            copied.append(self.copy(item, depth - 1))
        return copied

    def copy_pairs(self, pairs: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, item in pairs:
            if len(copied) >= MAX_ITEMS or self.left <= 0:
                copied[CUT] = CUT
                break
            name = _name_key(key)
            self.left -= len(name)
            copied[name] = self.copy(item, depth - 1)
        return copied

    def copy_object(self, value: object, cls: type, depth: int) -> Any:
        if isinstance(value, Enum):
            return self.copy(value.value, depth - 1)
        shown: list[str] | None = None
        if hasattr(cls, "__attrs_attrs__"):
            shown = [field.name for field in cls.__attrs_attrs__ if field.repr]
        elif dataclasses.is_dataclass(cls):
            shown = [field.name for field in dataclasses.fields(cls) if field.repr]
        elif hasattr(cls, "__struct_fields__"):
            shown = list(cls.__struct_fields__)
        if shown is not None:
            return self.copy_pairs(((name, getattr(value, name, None)) for name in shown), depth)
        if isinstance(value, (str, dict, list, tuple)):
            base: type[Any] = next(base for base in (str, dict, list, tuple) if isinstance(value, base))
            return self.copy(base.__new__(base, value) if base in {str, tuple} else base(value), depth)
        if isinstance(value, Mapping) and len(value) <= MAX_ITEMS:
            return self.copy_pairs(value.items(), depth)
        return f"<{cls.__qualname__}>"


class Overlong(str):
    """A text kept longer than it may stay: redacted at full length, then cut to `limit` characters."""

    __slots__ = ("limit",)
    limit: int

    def __new__(cls, text: str, limit: int) -> Self:
        self = super().__new__(cls, text)
        self.limit = limit
        return self
