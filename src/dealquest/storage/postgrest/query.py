"""What every query is: a request of the tree that each step copies and changes, and a session that sends it.

Building is pure and knows no URL. The last steps differ: `reads`, `writes`, `calls`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Literal, Self, TypeVar

import attrs

from dealquest.errors import ConflictError, InputError, PeerRefusedError
from dealquest.wire import HttpResponse

from .ast import (
    ARRAY_MEDIA,
    CSV_MEDIA,
    GEOJSON_MEDIA,
    NULLS_STRIPPED,
    PLAN_MEDIA,
    Column,
    Condition,
    Embed,
    Field,
    Join,
    Media,
    Order,
    Request,
    SelectItem,
)
from .conditions import parse_lookups
from .notation import parse_order, parse_select
from .retry import Safety
from .rows import decode_value
from .session import Session

R = TypeVar("R", bound=Request)
T = TypeVar("T")
Row = dict[str, Any]


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
        """Have the server roll back. One that does not let clients ask for it is found out only afterwards.

        Raises on sending:
            PeerRefusedError: `storage.write.not_rolled_back`.
        """
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
        if self.session.dialect.reads_doubles and response.body[:1] == b'"':
            return decode_value(response.body, str)
        return response.body.decode()

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
        response = await self.session.send(request, safety=self._safety())
        if request.prefer.tx == "rollback" and "tx=rollback" not in (response.header("preference-applied") or ""):
            raise PeerRefusedError(
                "The server did not roll back: it does not let clients ask for that. What was sent is done.",
                code="storage.write.not_rolled_back",
            )
        return response


def take_one(rows: list[T], name: str) -> T | None:
    """The only row, or None.

    Raises:
        ConflictError: `storage.many_rows`.
    """
    if len(rows) > 1:
        raise ConflictError(f"More than one row of {name} meets the conditions, where one was asked for.", code="storage.many_rows")
    return rows[0] if rows else None
