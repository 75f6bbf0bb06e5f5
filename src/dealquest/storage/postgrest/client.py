"""The face of the client: a server, its tables, its functions. `Postgrest(transport)` is all one needs to know.

db = Postgrest(HttpxTransport(url, headers=...))
rows = await db.table("attempts").select("score", "users(first_name)").where(score__gte=60).all(Attempt)
await db.table("users").upsert(user, on="telegram_id").one(User)
await db.rpc("commit_turn", turn=...)
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from dealquest.errors import DealQuestError, InputError
from dealquest.wire import Headers, RetryBudget, RetryPolicy, SystemTimer, Timer, Transport

from .ast import (
    ALL_COLUMNS,
    NO_PREFERENCE,
    Call,
    Condition,
    Delete,
    Insert,
    Media,
    Order,
    Payload,
    Prefer,
    Put,
    Read,
    SelectItem,
    Update,
    Upsert,
)
from .bulk import pack_rows
from .calls import Calling
from .conditions import parse_lookups
from .dialects import DIALECTS, DialectName
from .literals import as_mapping, encode_json, encode_rows, encode_text
from .query import read_items, read_terms
from .reads import Reading
from .session import STORAGE_RETRIES, Session
from .writes import Writing

_FILL_DEFAULTS = Prefer(missing="default")


class Postgrest:
    """A client of one server, for one caller: credentials belong to the transport.

    Args:
        transport: `HttpxTransport(url, headers=...)`, or the engine bound to a principal.
        dialect: What the server is.
        schema: The schema to look in; None is the server's first.
        headers: Sent with every request.
        timeout_s: Seconds for a call, retries included.
        max_bytes: Largest answer.
        row_limit: The server's own row limit (`db-max-rows`); an answer of exactly that many rows is checked
            for having been cut. None for a server without one.
        exact: Whether untyped numbers with a fraction become `Decimal`.
        retries: How often and how long.
        timer: Where time comes from.
        rng: Where jitter comes from.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        dialect: DialectName = "postgrest16",
        schema: str | None = None,
        headers: Headers = (),
        timeout_s: float = 30.0,
        max_bytes: int = 16 * 1024 * 1024,
        row_limit: int | None = 1000,
        exact: bool = False,
        retries: RetryPolicy = STORAGE_RETRIES,
        timer: Timer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if dialect not in DIALECTS:
            raise InputError(f"{dialect!r} is none of {', '.join(DIALECTS)}.", code="storage.dialect_unknown")
        self._session = Session(
            transport=transport,
            dialect=DIALECTS[dialect],
            schema=schema,
            headers=headers,
            timeout_s=timeout_s,
            max_bytes=max_bytes,
            row_limit=row_limit,
            exact=exact,
            policy=retries,
            budget=RetryBudget(),
            timer=timer or SystemTimer(),
            rng=rng or random.Random(),  # noqa: S311  # jitter is no secret
        )

    def table(self, name: str) -> "Table":
        """A table or view."""
        return Table(self._session, name)

    def rpc(self, name: str, /, **arguments: Any) -> Calling:
        """A function with its arguments as one JSON object: `await db.rpc("commit_turn", turn=...)`."""
        payload = Payload(encode_json(arguments, doubles=self._session.dialect.reads_doubles))
        return Calling(self._session, Call(function=name, payload=payload, profile=self._session.schema))

    def rpc_get(self, name: str, /, **arguments: Any) -> Calling:
        """A stable or immutable function by GET: read-only, may be cached, is tried again when it fails.

        An argument that is None is left out. Lists are array literals, mappings JSON.
        """
        pairs = tuple([(key, encode_text(value)) for key, value in arguments.items() if value is not None])
        return Calling(self._session, Call(function=name, method="GET", arguments=pairs, profile=self._session.schema))

    def rpc_raw(self, name: str, /, content: bytes, media: str = "application/octet-stream") -> Calling:
        """A function with one unnamed parameter, fed with a body as it is: bytes, text, XML or JSON."""
        return Calling(self._session, Call(function=name, payload=Payload(content, Media(media)), profile=self._session.schema))


@attrs.frozen
class Table:
    """A table or view of a server; reads begin with `select` or `where`."""

    session: Session
    name: str

    def select(self, *items: str | SelectItem) -> Reading:
        """Read these columns and embeds; none means all columns."""
        select = read_items(items) if items else ALL_COLUMNS
        return Reading(self.session, Read(relation=self.name, profile=self.session.schema, select=select))

    def where(self, *conditions: Condition, **lookups: Any) -> Reading:
        """Read the rows that meet the conditions."""
        return Reading(self.session, Read(relation=self.name, profile=self.session.schema, where=(*conditions, *parse_lookups(lookups))))

    def order(self, *terms: str | Order) -> Reading:
        """Read every row in this order."""
        return Reading(self.session, Read(relation=self.name, profile=self.session.schema, order=read_terms(terms)))

    def insert(
        self, rows: object, *, columns: Sequence[str] | None = None, missing: Literal["default", "null"] | None = None
    ) -> Writing[Insert]:
        """Insert one row or many, in one transaction.

        Args:
            rows: A mapping, an attrs, dataclass or msgspec object, or a sequence of them. Rows may have
                different columns: a missing one gets its default.
            columns: The only columns to take.
            missing: What an absent column of `columns` gets.
        """
        payload, found = self._encode(rows)
        return Writing(
            self.session,
            Insert(
                relation=self.name,
                profile=self.session.schema,
                payload=payload,
                columns=tuple(columns) if columns is not None else found,
                prefer=_prefer_missing(missing, found),
            ),
        )

    async def insert_many(
        self,
        rows: Iterable[object],
        *,
        on: str | Sequence[str] | None = None,
        ignore: bool = False,
        max_rows: int = 1000,
        max_bytes: int = 1_000_000,
    ) -> int:
        """Insert any number of rows in chunks, each in a transaction of its own.

        When a chunk fails, the error has a note that says how many rows were stored before it. With `on` the
        whole call can simply be made again; rows with other columns then go in chunks of their own.

        Args:
            rows: Mappings or row objects; read as needed.
            on: Unique columns: existing rows are updated, and a chunk whose fate is unknown is sent again.
            ignore: With `on`, leave existing rows as they are.
            max_rows: Most rows in a chunk.
            max_bytes: Most bytes in a chunk.

        Returns:
            How many rows were sent.
        """
        stored = 0
        updates = on is not None and not ignore
        doubles = self.session.dialect.reads_doubles
        for chunk in pack_rows(rows, max_rows=max_rows, max_bytes=max_bytes, even=updates, doubles=doubles):
            shape: dict[str, Any] = {
                "relation": self.name,
                "profile": self.session.schema,
                "payload": Payload(chunk.content),
                "columns": chunk.columns,
                "prefer": _prefer_missing(None, chunk.columns),
            }
            try:
                if on is None:
                    await Writing(self.session, Insert(**shape)).run()
                else:
                    names = (on,) if isinstance(on, str) else tuple(on)
                    kind: Literal["merge-duplicates", "ignore-duplicates"] = "ignore-duplicates" if ignore else "merge-duplicates"
                    await Writing(self.session, Upsert(on_conflict=names, resolution=kind, **shape), repeats=True).run()
            except DealQuestError as exc:
                exc.add_note(f"{stored} rows were stored before this chunk of {chunk.count}.")
                raise
            stored += chunk.count
        return stored

    def insert_csv(self, content: bytes | str, *, columns: Sequence[str] | None = None) -> Writing[Insert]:
        """Insert rows from CSV with a header line; `NULL` is null."""
        content = content.encode() if isinstance(content, str) else content
        return Writing(
            self.session,
            Insert(
                relation=self.name,
                profile=self.session.schema,
                payload=Payload(content, Media("text/csv")),
                columns=None if columns is None else tuple(columns),
            ),
        )

    def upsert(
        self,
        rows: object,
        *,
        on: str | Sequence[str] | None = None,
        ignore: bool = False,
        columns: Sequence[str] | None = None,
        missing: Literal["default", "null"] | None = None,
    ) -> Writing[Upsert]:
        """Insert rows, and update those whose key is there already.

        Args:
            rows: As in `insert`, but all with the same columns: an absent one would reset the stored value.
            on: The unique columns; None is the primary key.
            ignore: Leave existing rows as they are; such a row is not returned.
            columns: The only columns to take.
            missing: What an absent column of `columns` gets.

        Raises:
            InputError: `storage.row.uneven` when the rows differ in their columns and existing ones are updated.
        """
        payload, found = self._encode(rows)
        if found is not None and columns is None and not ignore:
            raise InputError(
                "Rows of an upsert have the same columns: one that lacks a column would reset what is stored there. "
                "Send them in groups, or name the columns.",
                code="storage.row.uneven",
            )
        conflict = None if on is None else (on,) if isinstance(on, str) else tuple(on)
        request = Upsert(
            relation=self.name,
            profile=self.session.schema,
            payload=payload,
            columns=tuple(columns) if columns is not None else found,
            on_conflict=conflict,
            resolution="ignore-duplicates" if ignore else "merge-duplicates",
            prefer=_prefer_missing(missing, found),
        )
        return Writing(self.session, request, repeats=True)

    def put(self, row: object, *, key: str | Sequence[str]) -> Writing[Put]:
        """Replace or create the one row with this primary key, which the row holds in full."""
        columns = as_mapping(row)
        names = (key,) if isinstance(key, str) else tuple(key)
        absent = [name for name in names if name not in columns]
        if absent:
            raise InputError(f"The row lacks its key {', '.join(absent)}.", code="storage.row.no_key")
        where = parse_lookups({name: columns[name] for name in names})
        payload = Payload(encode_json(columns, doubles=self.session.dialect.reads_doubles))
        return Writing(self.session, Put(relation=self.name, profile=self.session.schema, payload=payload, where=where), repeats=True)

    def update(self, values: object, *, everywhere: bool = False) -> Writing[Update]:
        """Change columns of the rows that meet the conditions; without `where(...)` only with `everywhere=True`."""
        columns = as_mapping(values)
        if not columns:
            raise InputError(f"The update of {self.name} names no column.", code="storage.write.empty")
        payload = Payload(encode_json(columns, doubles=self.session.dialect.reads_doubles))
        return Writing(self.session, Update(relation=self.name, profile=self.session.schema, payload=payload), everywhere=everywhere)

    def delete(self, *, everywhere: bool = False) -> Writing[Delete]:
        """Delete the rows that meet the conditions; without `where(...)` only with `everywhere=True`."""
        return Writing(self.session, Delete(relation=self.name, profile=self.session.schema), everywhere=everywhere)

    def _encode(self, rows: object) -> tuple[Payload, tuple[str, ...] | None]:
        """The body, and every column where the rows differ in theirs."""
        doubles = self.session.dialect.reads_doubles
        if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
            return Payload(encode_json(as_mapping(rows), doubles=doubles)), None
        found = [as_mapping(row) for row in rows]
        if not found:
            return Payload(b"[]"), None
        first = found[0].keys()
        columns = None if all(row.keys() == first for row in found) else tuple(dict.fromkeys(name for row in found for name in row))
        return Payload(encode_rows(found, doubles=doubles)), columns


def _prefer_missing(missing: Literal["default", "null"] | None, columns: tuple[str, ...] | None) -> Prefer:
    if missing is not None:
        return Prefer(missing=missing)
    return NO_PREFERENCE if columns is None else _FILL_DEFAULTS
