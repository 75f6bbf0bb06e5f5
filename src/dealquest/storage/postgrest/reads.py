"""Reads of a table or view: every row, one row, a page, all pages, a count.

db.table("attempts").select("score", "users(first_name)").where(score__gte=60).order("-created_at").all(Attempt)
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, Literal, Self, TypeVar, overload

import attrs

from dealquest.errors import LimitError, NotFoundError, PeerGarbledError

from .answers import read_total
from .ast import Read
from .bulk import split_read
from .paging import pages_by_key, pages_by_offset
from .query import Query, Row, take_one

T = TypeVar("T")
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
        rows = self.session.read_rows(await self._send(), row)
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
        return take_one(self.session.read_rows(await self._send(limit=limit), row), self.request.relation)

    @overload
    async def page(self, *, count: CountKind | None = "exact") -> Page[Row]: ...
    @overload
    async def page(self, row: type[T], *, count: CountKind | None = "exact") -> Page[T]: ...
    async def page(self, row: Any = dict, *, count: CountKind | None = "exact") -> Page[Any]:
        """The rows of this window, with the total."""
        response = await self._send(prefer=attrs.evolve(self.request.prefer, count=count))
        return Page(rows=self.session.read_rows(response, row), total=read_total(response))

    async def count(self, kind: CountKind = "exact") -> int:
        """How many rows meet the conditions, without fetching them."""
        parts = split_read(self.request, self.session.dialect)
        if len(parts) > 1:
            return sum([await attrs.evolve(self, request=part).count(kind) for part in parts])
        response = await self._send(head=True, prefer=attrs.evolve(self.request.prefer, count=kind))
        total = read_total(response)
        if total is None:
            raise PeerGarbledError("The server did not count the rows.", code="storage.answer.no_total")
        return total

    def _change(self, **changes: Any) -> Self:
        # A read is its session and its request, so its own fields need not be gone through.
        return type(self)(self.session, attrs.evolve(self.request, **changes))

    async def _refuse_cut(self, found: int) -> None:
        limit = self.session.row_limit
        if limit is None or found < limit or (self.request.limit is not None and self.request.limit <= found):
            return
        offset = (self.request.offset or 0) + found
        if self.session.read_rows(await self._send(limit=1, offset=offset), dict):
            raise LimitError(
                f"{self.request.relation} has more than the {found} rows that the server gives at once; use each() or limit().",
                code="storage.rows_cut",
            )
