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
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote, unquote_plus

from .body import Body
from .incoming import Incoming

T = TypeVar("T")
Filled: TypeAlias = "str | int | bytes | tuple[str, ...] | None"

_SPLIT = re.compile(r"(?:not\.)?(?:eq|neq|gt|gte|lt|lte|like|ilike)\.")
_LIST = re.compile(r'((?:not\.)?in\.)\(([^"()%\\+]*)\)\Z')
_OPERATOR = re.compile(r"(?:not\.)?[a-z]+(?:\([^)]*\))?\.")
_WHOLE = frozenset({"select", "columns", "on_conflict", "order", "limit", "offset", "and", "or"})
_SHAPING = ("accept", "range", "content-type", "accept-profile", "content-profile")
_SAFE = "-_.~"
_SHORT = 512


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
        body: Its body's keys, if it has one.
    """

    key: Key
    items: Sequence[str | None]
    body: Body | None


def take_apart(incoming: Incoming, body: Body | None) -> Shaped:
    """Find a request's shape."""
    method, path, query, headers = incoming.method, incoming.path, incoming.query, incoming.headers
    parts, items = _remembering(_split, query)(query, path.startswith("/rpc/") and method != "POST")
    shaping = find_shaping(headers) if incoming.head is None else incoming.head.shaping
    keys = None if body is None else (body.keys, body.is_list, min(body.size, 1) if body.keys else body.size)
    return Shaped((method, path, parts, shaping, tuple(incoming.prefer), keys), items, body)


def find_shaping(headers: Mapping[str, str]) -> tuple[str | None, ...]:
    """The headers that a plan depends on, `Prefer` aside."""
    return tuple([headers.get(name) for name in _SHAPING]) if headers else ()


def _remembering(read: Any, query: str) -> Any:
    """What is read from short queries is remembered, as the same ones come again and again; long ones are not worth the room."""
    return read if len(query) <= _SHORT else read.__wrapped__


@lru_cache(maxsize=4096)
def _split(query: str, arguments: bool) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
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
    """The values of a plan with this request's own in their places."""
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
            out.append(() if raw == "()" else tuple([item.lstrip(" ") for item in raw[1:-1].split(",")]))
        elif isinstance(value, SlotBody):
            out.append(shaped.body.content if shaped.body is not None else b"")
        else:
            out.append(value)
    return out


def canonical_query(query: str) -> str:
    """The query as `Content-Location` shows it: sorted, encoded anew.

    >>> canonical_query("b=eq.1&a=in.(1,2)")
    '?a=in.%281%2C2%29&b=eq.1'
    """
    found: str = _remembering(_canonical, query)(query)
    return found


@lru_cache(maxsize=4096)
def _canonical(query: str) -> str:
    if not query:
        return ""
    pairs = sorted([pair.partition("=")[::2] for pair in query.split("&") if pair])
    return "?" + "&".join([f"{_encode(name)}={_encode(value)}" for name, value in pairs])


_PLAIN = re.compile(r"[A-Za-z0-9._~-]*\Z")


def _encode(raw: str) -> str:
    return raw if _PLAIN.match(raw) else quote(unquote_plus(raw), safe=_SAFE)


class Shapes(Generic[T]):
    """Plans by shape, the least used forgotten first.

    Args:
        size: Most plans kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._plans: OrderedDict[Key, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    def find(self, key: Key) -> T | None:
        """The plan of a shape."""
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
        return plan

    def keep(self, key: Key, plan: T) -> None:
        """Remember a plan."""
        self._plans[key] = plan
        if len(self._plans) > self._size:
            self._plans.popitem(last=False)

    def clear(self) -> None:
        """Forget all: the catalog is a new one."""
        self._plans.clear()
