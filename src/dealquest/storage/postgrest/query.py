"""The builder: immutable queries over the tree; each step is a new query, each last step sends one request.

    db.table("attempts").select("score", "users(first_name)").where(score__gte=60).order("-created_at").all(Attempt)

Building is pure and knows no URL; sending is `session`'s.
"""

from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from typing import Any, Generic, Literal, Self, TypeVar, overload

import attrs

from dealquest.errors import ConflictError, InputError, LimitError, NotFoundError, PeerGarbledError
from dealquest.wire import HttpResponse

from .answers import read_span, read_total
from .ast import (
    ARRAY_MEDIA,
    CSV_MEDIA,
    GEOJSON_MEDIA,
    NULLS_STRIPPED,
    OBJECT_MEDIA,
    PLAN_MEDIA,
    Call,
    Column,
    Condition,
    Delete,
    Embed,
    Field,
    Insert,
    Join,
    Media,
    Order,
    Put,
    Read,
    Request,
    SelectItem,
    Update,
)
from .bulk import split_read
from .conditions import is_always_true, parse_lookups
from .notation import parse_order, parse_select
from .paging import pages_by_key, pages_by_offset
from .retry import Safety
from .rows import decode_rows, decode_value
from .session import Session

R = TypeVar("R", bound=Request)
T = TypeVar("T")
Row = dict[str, Any]
CountKind = Literal["exact", "planned", "estimated"]


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """Some rows of an answer.

    Attributes:
        rows: The rows.
        total: How many there are in all, when that was asked for.
    """

    rows: list[T]
    total: int | None


def embed(
    relation: str,
    *items: str | SelectItem,
    alias: str | None = None,
    hint: str | None = None,
    join: Join | None = None,
    spread: bool = False,
    where: Sequence[Condition] = (),
    order: Sequence[str | Order] = (),
    limit: int | None = None,
    offset: int | None = None,
) -> Embed:
    """Related rows inside each row, with their own conditions, order and window.

    Args:
        relation: Table, foreign-key column or computed relationship.
        items: Columns and further embeds; none means all columns.
        alias: Name in the answer.
        hint: Foreign key or junction, where several relationships exist.
        join: `inner` keeps only rows that have a related one.
        spread: Lift its columns into the row.
        where: Conditions on the related rows.
        order: Their order.
        limit: Most related rows for each row.
        offset: Related rows skipped for each row.

    >>> embed("users", "first_name", join="inner").name
    'users'
    """
    return Embed(
        relation=relation,
        alias=alias,
        hint=hint,
        join=join,
        spread=spread,
        select=read_items(items) or (Column(field=Field("*")),),
        where=tuple(where),
        order=read_terms(order),
        limit=limit,
        offset=offset,
    )


def read_items(items: Iterable[str | SelectItem]) -> tuple[SelectItem, ...]:
    """Select items from texts and trees."""
    found: list[SelectItem] = []
    for item in items:
        if isinstance(item, str):
            found += parse_select(item)
        else:
            found.append(item)
    return tuple(found)


def read_terms(terms: Iterable[str | Order]) -> tuple[Order, ...]:
    """Order terms from texts and trees."""
    return tuple([parse_order(term) if isinstance(term, str) else term for term in terms])


@attrs.frozen
class Query(Generic[R]):
    """What reads, writes and calls share. Each method returns a new query."""

    session: Session
    request: R

    def select(self, *items: str | SelectItem) -> Self:
        """Columns and embeds to return, such as `"id"`, `"users!inner(first_name)"`, `"score.avg()"`, `embed(...)`."""
        return self._change(select=read_items(items))

    def where(self, *conditions: Condition, **lookups: Any) -> Self:
        """Add conditions, joined by and: `score__gte=60`, `col("data->>a").eq(1)`, `any_of(...)`."""
        return self._change(where=(*self.request.where, *conditions, *parse_lookups(lookups)))

    def order(self, *terms: str | Order) -> Self:
        """Order by columns; `-` before a name is descending."""
        return self._change(order=read_terms(terms))

    def limit(self, limit: int, *, offset: int | None = None) -> Self:
        """At most this many rows."""
        if limit < 0 or (offset or 0) < 0:
            raise InputError("limit and offset count rows, so they are not negative.", code="storage.condition")
        return self._change(limit=limit, offset=self.request.offset if offset is None else offset)

    def schema(self, name: str) -> Self:
        """Look in this schema."""
        return self._change(profile=name)

    def timezone(self, name: str) -> Self:
        """Answer in this time zone."""
        return self._prefer(timezone=name)

    def strict(self) -> Self:
        """Have the server refuse a preference that it does not know."""
        return self._prefer(handling="strict")

    def dry_run(self) -> Self:
        """Have the server roll back, where it allows that to be asked."""
        return self._prefer(tx="rollback")

    def strip_nulls(self) -> Self:
        """Leave members that are null out of the answer; for rows as dicts."""
        return self._change(accept=(attrs.evolve(ARRAY_MEDIA, params=NULLS_STRIPPED),))

    async def raw(self, *media: Media) -> HttpResponse:
        """The answer as it came, in a media type of your choice."""
        return await self._send(accept=media or self.request.accept)

    async def csv(self) -> str:
        """The rows as CSV with a header line."""
        response = await self._send(accept=(CSV_MEDIA,))
        # A proxy that re-encodes answers makes a JSON string of it.
        return (
            decode_value(response.body, str) if response.body[:1] == b'"' and self.session.dialect.reads_doubles else response.body.decode()
        )

    async def geojson(self) -> Any:
        """The rows as a GeoJSON FeatureCollection; needs PostGIS."""
        return decode_value((await self._send(accept=(GEOJSON_MEDIA,))).body, object)

    async def explain(self, *options: Literal["analyze", "verbose", "settings", "buffers", "wal"]) -> str:
        """PostgreSQL's plan as text, where the server shows plans."""
        params = (("for", "application/json"), *((("options", "|".join(options)),) if options else ()))
        return (await self._send(accept=(Media(PLAN_MEDIA + "+text", params),))).body.decode()

    def _change(self, **changes: Any) -> Self:
        return attrs.evolve(self, request=attrs.evolve(self.request, **changes))

    def _prefer(self, **changes: Any) -> Self:
        return self._change(prefer=attrs.evolve(self.request.prefer, **changes))

    def _safety(self) -> Safety:
        return "read"

    def _check(self) -> None:
        """Refuse what must not be sent."""

    async def _send(self, **changes: Any) -> HttpResponse:
        self._check()
        request = attrs.evolve(self.request, **changes) if changes else self.request
        return await self.session.send(request, safety=self._safety())

    def _rows(self, response: HttpResponse, row: type[T]) -> list[T]:
        return decode_rows(response.body, row, lax=self.session.dialect.reads_doubles, exact=self.session.exact)


@attrs.frozen
class Reading(Query[Read]):
    """A read of a table or view."""

    @overload
    async def all(self) -> list[Row]: ...
    @overload
    async def all(self, row: type[T]) -> list[T]: ...
    async def all(self, row: Any = dict) -> list[Any]:
        """Every row, in one request.

        Raises:
            LimitError: `storage.rows_cut` when the server's row limit cut the answer; use `each` or `limit`.
        """
        parts = split_read(self.request, self.session.dialect)
        if len(parts) > 1:
            return [found for part in parts for found in await attrs.evolve(self, request=part).all(row)]
        rows = self._rows(await self._send(), row)
        await self._refuse_cut(len(rows))
        return rows

    @overload
    def each(self, *, key: str | Sequence[str] = "id", size: int = 500, by_offset: bool = False) -> AsyncIterator[Row]: ...
    @overload
    def each(self, row: type[T], *, key: str | Sequence[str] = "id", size: int = 500, by_offset: bool = False) -> AsyncIterator[T]: ...
    async def each(
        self, row: Any = dict, *, key: str | Sequence[str] = "id", size: int = 500, by_offset: bool = False
    ) -> AsyncIterator[Any]:
        """Row after row, page by page, to the true end.

        Args:
            row: Class of a row.
            key: Unique columns that are never null; the rows come in their order.
            size: Rows of a page.
            by_offset: Page by offset in the query's own order, where no key serves.
        """
        async for page in self.pages(row, key=key, size=size, by_offset=by_offset):
            for found in page:
                yield found

    @overload
    def pages(self, *, key: str | Sequence[str] = "id", size: int = 500, by_offset: bool = False) -> AsyncIterator[list[Row]]: ...
    @overload
    def pages(
        self, row: type[T], *, key: str | Sequence[str] = "id", size: int = 500, by_offset: bool = False
    ) -> AsyncIterator[list[T]]: ...
    def pages(
        self, row: Any = dict, *, key: str | Sequence[str] = "id", size: int = 500, by_offset: bool = False
    ) -> AsyncIterator[list[Any]]:
        """As `each`, a page at a time."""
        if by_offset:
            return pages_by_offset(self.session, self.request, row, size)
        return pages_by_key(self.session, self.request, row, (key,) if isinstance(key, str) else key, size)

    @overload
    async def one(self) -> Row: ...
    @overload
    async def one(self, row: type[T]) -> T: ...
    async def one(self, row: Any = dict) -> Any:
        """The one row.

        Raises:
            NotFoundError: `storage.row_not_found`.
            ConflictError: `storage.many_rows`.
        """
        found = await self.one_or_none(row)
        if found is None:
            raise NotFoundError(f"No row of {self.request.relation} meets the conditions.", code="storage.row_not_found")
        return found

    @overload
    async def one_or_none(self) -> Row | None: ...
    @overload
    async def one_or_none(self, row: type[T]) -> T | None: ...
    async def one_or_none(self, row: Any = dict) -> Any:
        """The one row, or None; more than one is an error, never a None.

        Raises:
            ConflictError: `storage.many_rows`.
        """
        limit = 2 if self.request.limit is None else min(2, self.request.limit)
        return _take_one(self._rows(await self._send(limit=limit), row), self.request.relation)

    @overload
    async def page(self, *, count: CountKind | None = "exact") -> Page[Row]: ...
    @overload
    async def page(self, row: type[T], *, count: CountKind | None = "exact") -> Page[T]: ...
    async def page(self, row: Any = dict, *, count: CountKind | None = "exact") -> Page[Any]:
        """The rows of this window, with the total."""
        response = await self._send(prefer=attrs.evolve(self.request.prefer, count=count))
        return Page(rows=self._rows(response, row), total=read_total(response))

    async def count(self, kind: CountKind = "exact") -> int:
        """How many rows meet the conditions, without fetching them."""
        response = await self._send(head=True, prefer=attrs.evolve(self.request.prefer, count=kind))
        total = read_total(response)
        if total is None:
            raise PeerGarbledError("The server did not count the rows.", code="storage.answer.no_total")
        return total

    async def _refuse_cut(self, found: int) -> None:
        limit = self.session.row_limit
        if limit is None or found < limit or (self.request.limit is not None and self.request.limit <= found):
            return
        offset = (self.request.offset or 0) + found
        if self._rows(await self._send(limit=1, offset=offset), dict):
            raise LimitError(
                f"{self.request.relation} has more than the {found} rows that the server gives at once; use each() or limit().",
                code="storage.rows_cut",
            )


@attrs.frozen
class Writing(Query[R]):
    """An insert, update or delete."""

    repeats: bool = False
    everywhere: bool = False

    def repeatable(self) -> Self:
        """Promise that sending it twice does what sending it once does: a unique key guards it."""
        return attrs.evolve(self, repeats=True)

    def max_affected(self, rows: int) -> Self:
        """Have the server roll back when more rows are touched."""
        return self._prefer(max_affected=rows, handling="strict")

    async def run(self) -> None:
        """Do it, and return nothing."""
        await self._send(prefer=attrs.evolve(self.request.prefer, returning="minimal"))

    async def count(self) -> int:
        """Do it, and say how many rows were touched."""
        response = await self._send(prefer=attrs.evolve(self.request.prefer, returning="minimal", count="exact"))
        total = read_total(response)
        touched = read_span(response) if total is None else total
        if touched is None:
            raise PeerGarbledError("The write was done, but the server did not count the rows.", code="storage.answer.no_total")
        return touched

    @overload
    async def all(self) -> list[Row]: ...
    @overload
    async def all(self, row: type[T]) -> list[T]: ...
    async def all(self, row: Any = dict) -> list[Any]:
        """Do it, and return the rows it touched."""
        return self._rows(await self._send(prefer=self._returning()), row)

    @overload
    async def one(self) -> Row: ...
    @overload
    async def one(self, row: type[T]) -> T: ...
    async def one(self, row: Any = dict) -> Any:
        """Do it, and return the one row; an update or delete of none or many is rolled back.

        Raises:
            NotFoundError: `storage.row_not_found`.
            ConflictError: `storage.many_rows`.
        """
        if isinstance(self.request, Update | Delete):
            response = await self._send(prefer=self._returning(), accept=(OBJECT_MEDIA,))
            kind = dict if row is dict else row
            return decode_value(response.body, kind, lax=self.session.dialect.reads_doubles, exact=self.session.exact)
        found = await self.one_or_none(row)
        if found is None:
            raise NotFoundError(f"The write left no row of {_relation(self.request)} to return.", code="storage.row_not_found")
        return found

    @overload
    async def one_or_none(self) -> Row | None: ...
    @overload
    async def one_or_none(self, row: type[T]) -> T | None: ...
    async def one_or_none(self, row: Any = dict) -> Any:
        """Do it, and return the row or None, such as after a duplicate was ignored."""
        return _take_one(await self.all(row), _relation(self.request))

    def _returning(self) -> Any:
        return attrs.evolve(self.request.prefer, returning="representation")

    def _safety(self) -> Safety:
        return "repeatable" if self.repeats else "once"

    def _check(self) -> None:
        if isinstance(self.request, Update | Delete) and not self.everywhere and is_always_true(self.request.where):
            raise InputError(
                f"This would change every row of {self.request.relation}: add where(...), or say everywhere=True.",
                code="storage.write.everywhere",
            )


@attrs.frozen
class Calling(Query[Call]):
    """A function call. Awaiting it gives its JSON value."""

    repeats: bool = False

    def repeatable(self) -> Self:
        """Promise that calling it twice does what calling it once does: a key among its arguments guards it."""
        return attrs.evolve(self, repeats=True)

    def __await__(self) -> Generator[Any, Any, Any]:
        """The function's JSON value; None for void."""
        return self.value(object).__await__()

    async def value(self, kind: type[T]) -> T:
        """The function's value as a type; rows of a set as `list[Row]`."""
        response = await self._send()
        return decode_value(response.body, kind, lax=self.session.dialect.reads_doubles, exact=self.session.exact)

    @overload
    async def all(self) -> list[Row]: ...
    @overload
    async def all(self, row: type[T]) -> list[T]: ...
    async def all(self, row: Any = dict) -> list[Any]:
        """The rows of a set-returning function."""
        return self._rows(await self._send(), row)

    @overload
    async def one(self) -> Row: ...
    @overload
    async def one(self, row: type[T]) -> T: ...
    async def one(self, row: Any = dict) -> Any:
        """The one row or object; otherwise the call is rolled back.

        Raises:
            NotFoundError: `storage.row_not_found`.
            ConflictError: `storage.many_rows`.
        """
        response = await self._send(accept=(OBJECT_MEDIA,))
        return decode_value(response.body, row, lax=self.session.dialect.reads_doubles, exact=self.session.exact)

    async def run(self) -> None:
        """Call it for its effect."""
        await self._send()

    def max_affected(self, rows: int) -> Self:
        """Have the server roll back when the function returns more rows."""
        return self._prefer(max_affected=rows, handling="strict")

    def _safety(self) -> Safety:
        if self.request.method != "POST":
            return "read"
        return "repeatable" if self.repeats else "once"


def _take_one(rows: list[Any], name: str) -> Any:
    if len(rows) > 1:
        raise ConflictError(f"More than one row of {name} meets the conditions, where one was asked for.", code="storage.many_rows")
    return rows[0] if rows else None


def _relation(request: Request) -> str:
    return request.relation if isinstance(request, Read | Insert | Put | Update | Delete) else ""
