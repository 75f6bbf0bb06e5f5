"""Function calls: `await db.rpc("commit_turn", turn=...)`, scalars, sets that are filtered like a table."""

from collections.abc import Generator
from typing import Any, Self, TypeVar, overload

import attrs

from dealquest.errors import LimitError

from .answers import read_total
from .ast import OBJECT_MEDIA, Call
from .query import Query, Row
from .retry import Safety

T = TypeVar("T")


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
        return self.session.read_value(await self._send(), kind)

    @overload
    async def all(self) -> list[Row]: ...
    @overload
    async def all(self, row: type[T]) -> list[T]: ...
    async def all(self, row: Any = dict) -> list[Any]:
        """The rows of a set-returning function.

        Raises:
            LimitError: `storage.rows_cut` when the server's row limit cut the answer; the function was called all the same.
        """
        prefer = self.request.prefer
        if self.session.row_limit is not None and self.request.limit is None and prefer.count is None:
            # Calling again to look for more would call it twice, so the one call counts.
            prefer = attrs.evolve(prefer, count="exact")
        response = await self._send(prefer=prefer)
        rows = self.session.read_rows(response, row)
        total = read_total(response)
        if self.request.limit is None and total is not None and total > len(rows) + (self.request.offset or 0):
            raise LimitError(
                f"{self.request.function} returned {total} rows and the server gives {len(rows)} at once; use limit().",
                code="storage.rows_cut",
            )
        return rows

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
        return self.session.read_value(await self._send(accept=(OBJECT_MEDIA,)), row)

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
