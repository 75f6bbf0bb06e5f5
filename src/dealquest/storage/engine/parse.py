"""One HTTP request → the AST: path, query, headers and body, without knowledge of the database.

Values taken whole from the query become `Slot`s, texts that remember where they came from, so that a
plan can be used again for the same request with other values (`shape.py`).
Source: https://docs.postgrest.org/en/latest/references/api.html (PostgREST 16), read 2026-11-22.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, unquote_plus

import attrs

from dealquest.errors import InputError
from dealquest.storage.postgrest.ast import (
    ALL_COLUMNS,
    Call,
    Condition,
    Delete,
    Describe,
    Embed,
    Field,
    Filter,
    Insert,
    Order,
    Payload,
    Put,
    Read,
    Request,
    SelectItem,
    Update,
    Upsert,
)

from .errors import refuse
from .grammar import read_condition_value, read_filter_key, read_logic, read_names, read_order, read_whole_select
from .incoming import Incoming
from .negotiate import parse_accept, parse_media, parse_prefer, parse_range
from .scanner import parse_with
from .shape import Slot, SlotList
from .trees import count_items, filters_of, measure_depth

Pairs = Sequence[tuple[str, str]]

_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_LOGIC_KEY = re.compile(r"(?:(?P<path>.+?)\.)??(?P<operator>(?:not\.)?(?:and|or))\Z", re.DOTALL)
_RESERVED = frozenset({"select", "columns", "on_conflict"})
_TAILS = ("order", "limit", "offset")
_RPC_METHODS = frozenset({"GET", "HEAD", "POST"})
_TABLE_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"})


@attrs.frozen(kw_only=True)
class Limits:
    """How large a request may be; beyond it nothing is planned.

    Attributes:
        not_null: Whether `is.not_null` is known.
        legacy_target_names: Whether conditions may call an embed by its relation although it has an alias.
    """

    max_url_bytes: int = 16 * 1024
    max_body_bytes: int = 8 * 1024 * 1024
    max_embed_depth: int = 8
    max_filters: int = 200
    max_select_items: int = 500
    legacy_target_names: bool = True
    not_null: bool = True


class Parsed(NamedTuple):
    """A request, and the relations in its conditions whose embeds have an alias: pairs of both."""

    request: Request
    renamed: tuple[tuple[str, str], ...] = ()


@attrs.define
class _Conditions:
    """What the query says about one level of the select."""

    where: list[Condition] = attrs.Factory(list)
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None


def split_query(query: str) -> list[tuple[str, str]]:
    """Pairs in order; `+` is a blank, a bare `%` stays, and a name without a value says nothing.

    >>> split_query("a=eq.1&b=like.x%25+y&c")
    [('a', 'eq.1'), ('b', 'like.x% y')]
    """
    pairs = []
    for item in query.split("&"):
        name, equals, value = item.partition("=")
        if equals:
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def split_path(path: str) -> tuple[str, ...]:
    """The decoded segments of a path; one closing slash does not count.

    >>> split_path("/rpc/add%20it"), split_path("/")
    (('rpc', 'add it'), ())
    """
    return tuple(unquote(part) for part in path.strip("/").split("/")) if path.strip("/") else ()


def parse_request(incoming: Incoming, pairs: Pairs, *, limits: Limits) -> Request:
    """Read a request; `read_request` says more."""
    return read_request(incoming, pairs, limits=limits).request


def read_request(incoming: Incoming, pairs: Pairs, *, limits: Limits) -> Parsed:
    """Read a request and what is to be said about it.

    Args:
        incoming: It.
        pairs: Its query, decoded.
        limits: What is refused as too large.

    Raises:
        InputError: PGRST1xx codes: the request does not follow the grammar.
    """
    method, headers, body = incoming.method, incoming.head.headers, incoming.body
    segments = split_path(incoming.path)
    is_call = len(segments) == 2 and segments[0] == "rpc"
    if len(segments) > 1 and not is_call:
        raise refuse("PGRST125", "Invalid path specified in request URL")
    _check_method(method, segments, is_call=is_call)
    preferences = parse_prefer(incoming.head.prefer)
    query = _Query(pairs, limits=limits, arguments_allowed=is_call and method in {"GET", "HEAD"})
    media = parse_media(headers["content-type"]) if "content-type" in headers else None
    payload = Payload(body) if media is None else Payload(body, media)
    shape: dict[str, Any] = {
        "profile": headers.get("accept-profile" if method in {"GET", "HEAD"} else "content-profile"),
        "accept": parse_accept(headers.get("accept")),
        "prefer": preferences.prefer,
        **query.shape(),
        "range": parse_range(headers.get("range")) if method == "GET" else None,
    }
    if not segments:
        return Parsed(Describe(head=method == "HEAD", **shape))
    name = segments[-1]
    if is_call:
        shape.update(arguments=tuple(query.arguments), payload=payload, columns=query.columns)
        return Parsed(Call(function=name, method=cast("Any", method), **shape), query.renamed)
    if method in {"POST", "PATCH", "PUT"}:
        shape["payload"] = payload
    if method in {"POST", "PATCH"}:
        shape["columns"] = query.columns
    if method == "POST":
        shape["on_conflict"] = query.on_conflict
    return Parsed(_make_request(method, name, pairs, preferences.resolution, shape), query.renamed)


def _make_request(method: str, name: str, pairs: Pairs, resolution: str | None, shape: dict[str, Any]) -> Request:
    """A request about a table."""
    if method in {"GET", "HEAD"}:
        return Read(relation=name, head=method == "HEAD", **shape)
    if method == "DELETE":
        return Delete(relation=name, **shape)
    if method == "PATCH":
        return Update(relation=name, **shape)
    if method == "PUT":
        if any(key in {"limit", "offset"} for key, _ in pairs):
            raise refuse("PGRST114", "limit/offset querystring parameters are not allowed for PUT")
        return Put(relation=name, **shape)
    if resolution is not None:
        return Upsert(relation=name, resolution=cast("Any", resolution), **shape)
    return Insert(relation=name, **shape)


def _check_method(method: str, segments: tuple[str, ...], *, is_call: bool) -> None:
    if is_call:
        if method not in _RPC_METHODS:
            raise refuse("PGRST101", f"Cannot use the {method} method on RPC")
    elif method not in _TABLE_METHODS or (not segments and method not in {"GET", "HEAD"}):
        raise refuse("PGRST117", f"Unsupported HTTP method: {method}")


class _Query:
    """The query string, sorted by what each pair is about."""

    def __init__(self, pairs: Pairs, *, limits: Limits, arguments_allowed: bool) -> None:
        self._limits = limits
        self._levels: dict[tuple[str, ...], _Conditions] = {}
        self._filters = 0
        self.arguments: list[tuple[str, str]] = []
        self.columns: tuple[str, ...] | None = None
        self.on_conflict: tuple[str, ...] | None = None
        self._renamed: dict[str, str] = {}
        select: tuple[SelectItem, ...] | None = None
        for place, (key, value) in enumerate(pairs):
            if key == "select":
                select = parse_with(read_whole_select, value, "select parameter") if select is None else select
            elif key == "columns":
                self.columns = parse_with(read_names, value, "columns parameter") if self.columns is None else self.columns
            elif key == "on_conflict":
                self.on_conflict = parse_with(read_names, value, "on_conflict parameter") if value else self.on_conflict
            elif key.rpartition(".")[2] in _TAILS:
                self._take_tail(key, value)
            elif (found := _LOGIC_KEY.match(key)) is not None:
                self._take_logic(found, value)
            else:
                self._take_filter(key, value, place, arguments_allowed=arguments_allowed)
        self._select = ALL_COLUMNS if select is None else select
        if count_items(self._select) > limits.max_select_items:
            raise refuse("PGRST100", f"A select may hold {limits.max_select_items} items at most.")
        if measure_depth(self._select) > limits.max_embed_depth:
            raise refuse("PGRST100", f"Embeds may be {limits.max_embed_depth} levels deep at most.")

    def shape(self) -> dict[str, Any]:
        """The root's select and conditions, those of embeds inside them.

        Raises:
            InputError: PGRST108 when a condition is about an embed that is not selected.
        """
        root = self._levels.pop((), None) or _Conditions()
        select = self._attach(self._select, ())
        for path in self._levels:
            raise refuse(
                "PGRST108",
                f"'{path[-1]}' is not an embedded resource in this request",
                hint=f"Verify that '{path[-1]}' is included in the 'select' query parameter.",
            )
        return {"select": select, "where": tuple(root.where), "order": root.order, "limit": root.limit, "offset": root.offset}

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """Relations that conditions name although the embed has an alias, each with that alias."""
        return tuple(self._renamed.items())

    def _attach(self, items: tuple[SelectItem, ...], path: tuple[str, ...]) -> tuple[SelectItem, ...]:
        if not self._levels:
            return items
        names = {item.name for item in items if isinstance(item, Embed)}
        out: list[SelectItem] = []
        for item in items:
            if not isinstance(item, Embed):
                out.append(item)
                continue
            # An embed answers to its alias, and to its relation unless another bears that name.
            known = [item.name] + ([item.relation] if item.relation not in names else [])
            for name in known:
                item = self._fill(item, (*path, name))  # noqa: PLW2901  # the same embed, filled in
            out.append(item)
        return tuple(out)

    def _fill(self, item: Embed, path: tuple[str, ...]) -> Embed:
        before = len(self._levels)
        here = self._levels.pop(path, None)
        if here is not None:
            item = attrs.evolve(item, where=tuple(here.where), order=here.order, limit=here.limit, offset=here.offset)
        item = attrs.evolve(item, select=self._attach(item.select, path))
        if path[-1] != item.name and len(self._levels) < before:
            self._rename(path[-1], item.name)
        return item

    def _rename(self, relation: str, alias: str) -> None:
        if not self._limits.legacy_target_names:
            raise refuse(
                "PGRST108",
                f"'{relation}' is not an embedded resource in this request",
                details="Target names are not allowed in filters if they have an alias",
                hint=f"Change '{relation}' to '{alias}' in filters, orders or limits.",
            )
        self._renamed[relation] = alias

    def _level(self, path: tuple[str, ...]) -> _Conditions:
        return self._levels.setdefault(path, _Conditions())

    def _check(self, condition: Condition) -> None:
        filters = list(filters_of((condition,)))
        self._filters += len(filters)
        if not self._limits.not_null and any(item.operator == "is" and item.value == "not_null" for item in filters):
            raise refuse(
                "PGRST100",
                '"failed to parse filter (is.not_null)" (line 1, column 4)',
                details='unexpected "n" expecting null or trilean value (unknown, true, false)',
            )
        if self._filters > self._limits.max_filters:
            raise refuse("PGRST100", f"A request may hold {self._limits.max_filters} filters at most.")

    def _take_tail(self, key: str, value: str) -> None:
        path, field = read_filter_key(key)
        level = self._level(path)
        if field.name == "order":
            if value and not level.order:
                level.order = parse_with(read_order, value, "order")
            return
        if _INTEGER.match(value) is None:
            return
        number = int(value)
        if field.name == "limit":
            if number < 0:
                raise refuse("PGRST103", "Requested range not satisfiable", details="Limit should be greater than or equal to zero.")
            level.limit = number
        elif number >= 0:
            level.offset = number

    def _take_logic(self, found: re.Match[str], value: str) -> None:
        path = () if found["path"] is None else _as_path(read_filter_key(found["path"]))
        operator = found["operator"]
        tree = parse_with(read_logic, f"{operator}{_trim_logic(value)}", "logic tree", shown=value)
        self._check(tree)
        self._level(path).where.append(tree)

    def _take_filter(self, key: str, value: str, place: int, *, arguments_allowed: bool) -> None:
        if arguments_allowed:
            try:
                path, field = read_filter_key(key)
                condition = _read_filter(field, value, place)
            except InputError:
                self.arguments.append((key, Slot(value, place)))
                return
        else:
            path, field = read_filter_key(key)
            condition = _read_filter(field, value, place)
        self._check(condition)
        self._level(path).where.append(condition)


def _as_path(key: tuple[tuple[str, ...], Field]) -> tuple[str, ...]:
    return (*key[0], key[1].name)


def _trim_logic(value: str) -> str:
    """PostgREST stops reading at the tree's own end; what follows it does not count."""
    depth, quoted, escaped = 0, False, False
    for place, character in enumerate(value):
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")")
            if depth == 0 and character == ")":
                return value[: place + 1]
    return value


def _read_filter(field: Field, value: str, place: int) -> Filter:
    condition = parse_with(lambda scanner: read_condition_value(scanner, field, nested=False), value, "filter")
    found = condition.value
    if isinstance(found, tuple):
        return attrs.evolve(condition, value=SlotList(found, place))
    return condition if condition.operator == "is" else attrs.evolve(condition, value=Slot(found, place))
