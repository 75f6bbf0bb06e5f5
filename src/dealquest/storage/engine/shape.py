"""The shape of a request: everything but its values, so that a plan made once serves all requests alike.

Values that the parser took whole from the query are `Slot`s, which know their query pair. A request of
a known shape skips parsing, planning and writing SQL: its values are put where the slots were.

Rules:

1. A pair is split only where its operator is plain: what the parser would read as the value, and nothing else.
2. Whatever else is said (select, order, logic trees, `is`, headers) is part of the shape, letter by letter.
3. Of a body only its keys are shape, and the body itself is one value.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, unquote_plus

from .body import Keys
from .incoming import Incoming

T = TypeVar("T")
Filled: TypeAlias = "str | int | bytes | tuple[str, ...] | None"

_SPLIT = re.compile(r"(?:not\.)?(?:eq|neq|gt|gte|lt|lte|like|ilike)\.")
_LIST = re.compile(r'((?:not\.)?in\.)\(([^"()%\\+]*)\)\Z')
_OPERATOR = re.compile(r"(?:not\.)?[a-z]+(?:\([^)]*\))?\.")
_WHOLE = frozenset({"select", "columns", "on_conflict", "order", "limit", "offset", "and", "or"})
_SAFE = "-_.~"


class Slot(str):
    """A value that is the rest of query pair `place`; wild where `*` stands for `%`."""

    __slots__ = ("place", "wild")
    place: int
    wild: bool

    def __new__(cls, text: str, place: int, *, wild: bool = False) -> "Slot":  # noqa: PYI034  # no subclass of it exists
        self = super().__new__(cls, text)
        self.place = place
        self.wild = wild
        return self


class SlotList(tuple[str, ...]):  # noqa: SLOT001  # a tuple of variable length cannot have slots
    """The items of an `in` list that is the rest of query pair `place`."""

    place: int

    def __new__(cls, items: tuple[str, ...], place: int) -> "SlotList":  # noqa: PYI034  # no subclass of it exists
        self = super().__new__(cls, items)
        self.place = place
        return self


class SlotBody(bytes):
    """A request body that goes to PostgreSQL as it came."""

    __slots__ = ()


Key: TypeAlias = tuple[Any, ...]


class Shaped(NamedTuple):
    """A request taken apart.

    Attributes:
        key: Its shape; requests with equal keys have equal plans.
        items: The raw value of each query pair that was split, None for the others.
    """

    key: Key
    items: Sequence[str | None]


def take_apart(incoming: Incoming, keys: Keys | None) -> Shaped:
    """Find a request's shape.

    Args:
        incoming: It.
        keys: What its body adds.
    """
    method, path, query, head = incoming[:4]
    parts, items = _split(query, arguments=path.startswith("/rpc/") and method != "POST")
    return Shaped((method, path, parts, head.shaping, head.prefer, keys), items)


def _split(query: str, *, arguments: bool) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """The parts of a query that are shape, and the raw value of each pair that was split."""
    parts: list[str] = []
    items: list[str | None] = []
    for pair in query.split("&"):
        if not pair:
            continue
        name, equals, value = pair.partition("=")
        if not equals:  # no pair at all, for the parser
            parts.append(pair)
            continue
        value_at = None
        if name.rpartition(".")[2] not in _WHOLE and "%" not in name and "+" not in name:
            found = _SPLIT.match(value)
            if found is not None:
                value_at = found.end()
            elif (listed := _LIST.match(value)) is not None:
                value_at = listed.end(1)
            elif arguments and not _OPERATOR.match(value) and "%" not in value:
                value_at = 0
        if value_at is None:
            parts.append(pair)
            items.append(None)
        else:
            parts.append(f"{name}={value[:value_at]}")
            items.append(value[value_at:])
    return tuple(parts), tuple(items)


def fill(values: Sequence[Filled], shaped: Shaped) -> list[Filled]:
    """The values of a plan with this request's own in their places; a body's place stays one."""
    out: list[Filled] = []
    for value in values:
        if isinstance(value, Slot):
            raw = shaped.items[value.place]
            if raw is None:  # the whole pair was shape, so the value is the plan's own
                out.append(str(value))
                continue
            text = unquote_plus(raw) if "%" in raw or "+" in raw else raw
            out.append(text.replace("*", "%") if value.wild else text)
        elif isinstance(value, SlotList):
            raw = shaped.items[value.place]
            if raw is None:
                out.append(value)
                continue
            items = tuple([item.lstrip(" ") for item in raw[1:-1].split(",")])
            out.append(() if items == ("",) else items)
        else:
            out.append(value)
    return out


def canonical_query(query: str) -> str:
    """The query as `Content-Location` shows it: sorted, encoded anew.

    >>> canonical_query("b=eq.1&a=in.(1,2)")
    '?a=in.%281%2C2%29&b=eq.1'
    """
    if not query:
        return ""
    pairs = sorted([pair.partition("=")[::2] for pair in query.split("&") if pair])
    return "?" + "&".join([f"{_encode(name)}={_encode(value)}" for name, value in pairs])


_PLAIN = re.compile(r"[A-Za-z0-9._~-]*\Z")


def _encode(raw: str) -> str:
    return raw if _PLAIN.match(raw) else quote(unquote_plus(raw), safe=_SAFE)


class Recent(Generic[T]):
    """What was found for a key, the least used forgotten first.

    Args:
        size: Most that is kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Key, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key) -> T | None:
        """What is known for a key."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: Key, found: T) -> None:
        """Remember it."""
        self._kept[key] = found
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all: the catalog is a new one."""
        self._kept.clear()
