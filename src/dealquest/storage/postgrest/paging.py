"""Page after page until there is nothing more: by key, or by offset. Never stops silently at a server's row limit.

A page shorter than asked proves nothing: the server may cap below it. Only an empty page is the end, or one
shorter than a page that the same server has given before. Pure but for the requests that `session` sends.
Source: https://docs.postgrest.org/en/latest/references/api/pagination_count.html, read 2026-11-22.
"""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import attrs
import msgspec

from dealquest.errors import InputError

from .ast import Column, Condition, Field, Filter, Logic, Order, Read
from .literals import SAFE_INTEGER, encode_text
from .session import Session

T = TypeVar("T")

_raw_rows = msgspec.json.Decoder(list[msgspec.Raw])
_exact_row = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


async def pages_by_key(session: Session, read: Read, row: type[T], key: Sequence[str], size: int) -> AsyncIterator[list[T]]:
    """Pages in the order of a unique key, each starting after the last row seen; rows added meanwhile do no harm.

    Args:
        session: Where to ask.
        read: Conditions and select; its limit is the most rows in all.
        row: Class of a row.
        key: Columns that are unique together and never null; `-` before a name is descending.
        size: Rows asked for at once.

    Raises:
        InputError: `storage.paging` when the read has its own order or offset, or the key is not selected.
    """
    terms = _read_key(read, key, size)
    order = tuple([Order(field=Field(name), direction="desc" if down else None) for name, down in terms])
    left = read.limit
    best = 0
    after: tuple[Condition, ...] = ()
    while left is None or left > 0:
        asked = size if left is None else min(size, left)
        response = await session.send(attrs.evolve(read, where=read.where + after, order=order, limit=asked), safety="read")
        rows = session.read_rows(response, row)
        if not rows:
            return
        yield rows
        left = None if left is None else left - len(rows)
        if _is_last(len(rows), asked, best):
            return
        best = max(best, len(rows))
        last = _exact_row.decode(_raw_rows.decode(response.body)[-1])
        after = (_after(terms, last, doubles=session.dialect.reads_doubles),)


async def pages_by_offset(session: Session, read: Read, row: type[T], size: int) -> AsyncIterator[list[T]]:
    """Pages in the read's own order, counted from its offset; rows added meanwhile may shift.

    Raises:
        InputError: `storage.paging` when the read has no order, so that pages would overlap.
    """
    _check_size(size)
    if not read.order:
        raise InputError("Pages by offset need an order; add order(...) with a unique last column.", code="storage.paging")
    left = read.limit
    offset = read.offset or 0
    best = 0
    while left is None or left > 0:
        asked = size if left is None else min(size, left)
        response = await session.send(attrs.evolve(read, limit=asked, offset=offset), safety="read")
        rows = session.read_rows(response, row)
        if not rows:
            return
        yield rows
        left = None if left is None else left - len(rows)
        if _is_last(len(rows), asked, best):
            return
        best = max(best, len(rows))
        offset += len(rows)


def _is_last(found: int, asked: int, best: int) -> bool:
    return found < asked and found < best


def _check_size(size: int) -> None:
    if size < 1:
        raise InputError("A page holds at least one row.", code="storage.paging")


def _read_key(read: Read, key: Sequence[str], size: int) -> tuple[tuple[str, bool], ...]:
    _check_size(size)
    if read.order or read.offset is not None:
        raise InputError("Pages by key have the key's order and no offset; use by_offset=True for another order.", code="storage.paging")
    terms = tuple([(name.removeprefix("-"), name.startswith("-")) for name in key])
    columns = {item.alias or item.field.name for item in read.select if isinstance(item, Column) and not item.field.path}
    absent = [] if "*" in columns else [name for name, _ in terms if name not in columns]
    if absent or not terms:
        raise InputError(f"Select the key {', '.join(absent) or 'columns'} too: the next page starts after it.", code="storage.paging")
    return terms


def _after(terms: Sequence[tuple[str, bool]], last: dict[str, Any], *, doubles: bool) -> Condition:
    """The rows after this one: `a > 1`, or `a > 1 or (a = 1 and b > 2)`."""
    choices: list[Condition] = []
    equal: list[Condition] = []
    for name, down in terms:
        value = last.get(name)
        if value is None:
            raise InputError(f"The key {name} is null in a row, so no page can start after it.", code="storage.paging")
        if doubles and isinstance(value, int) and abs(value) > SAFE_INTEGER:
            raise InputError(
                f"The key {name} is wider than the server's proxy keeps, so rows would be lost; select it as text: {name}::text.",
                code="storage.paging",
            )
        text = encode_text(value)
        further = Filter(field=Field(name), operator="lt" if down else "gt", value=text)
        choices.append(Logic(operator="and", items=(*equal, further)) if equal else further)
        equal.append(Filter(field=Field(name), operator="eq", value=text))
    return choices[0] if len(choices) == 1 else Logic(operator="or", items=tuple(choices))
