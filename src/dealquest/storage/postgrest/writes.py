"""Writes: inserts, upserts, puts, updates, deletes, guarded against touching more than is meant.

db.table("users").upsert(user, on="telegram_id").one(User)
"""

from typing import Any, Self, TypeVar, overload

import attrs

from dealquest.errors import InputError, NotFoundError, PeerGarbledError
from dealquest.wire import HttpResponse

from .answers import read_span, read_total
from .ast import OBJECT_MEDIA, Delete, Insert, Put, Update
from .conditions import is_always_true
from .query import Query, Row, take_one
from .retry import Safety

T = TypeVar("T")
W = TypeVar("W", bound=Insert | Put | Update | Delete)


@attrs.frozen
class Writing(Query[W]):
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
        return self.session.read_rows(await self._send(), row)

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
            return self.session.read_value(await self._send(accept=(OBJECT_MEDIA,)), row)
        found = await self.one_or_none(row)
        if found is None:
            raise NotFoundError(f"The write left no row of {self.request.relation} to return.", code="storage.row_not_found")
        return found

    @overload
    async def one_or_none(self) -> Row | None: ...
    @overload
    async def one_or_none(self, row: type[T]) -> T | None: ...
    async def one_or_none(self, row: Any = dict) -> Any:
        """Do it, and return the row or None, such as after a duplicate was ignored; an update or delete of many is rolled back.

        Raises:
            ConflictError: `storage.max_affected`, and `storage.many_rows` for an insert of many.
        """
        guarded = self.max_affected(1) if isinstance(self.request, Update | Delete) else self
        return take_one(await guarded.all(row), self.request.relation)

    async def _send(self, **changes: Any) -> HttpResponse:
        prefer = changes.get("prefer", self.request.prefer)
        if prefer.returning is None:
            changes["prefer"] = attrs.evolve(prefer, returning="representation")
        return await super()._send(**changes)

    def _safety(self) -> Safety:
        return "repeatable" if self.repeats else "once"

    def _check(self) -> None:
        if self.request.limit is not None or self.request.offset is not None:
            raise InputError("A limit does not limit a write; use max_affected, or name the rows by their key.", code="storage.write.limit")
        if isinstance(self.request, Insert) and self.request.where:
            raise InputError("An insert has no conditions; update and upsert have.", code="storage.write.condition")
        if isinstance(self.request, Update | Delete) and not self.everywhere and is_always_true(self.request.where):
            raise InputError(
                f"This would change every row of {self.request.relation}: add where(...), or say everywhere=True.",
                code="storage.write.everywhere",
            )
