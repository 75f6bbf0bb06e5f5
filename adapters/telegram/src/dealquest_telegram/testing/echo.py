"""A durable conversation that echoes, on SQLite: the adapter is tested on its promises, without coach and PostgreSQL.

It keeps the same rules as the coach's own (received once, one turn per update, replies in order per chat, leases) and
writes every effect into a ledger without a uniqueness rule, so that a doubled effect would be seen.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from dealquest.coach import Begun, Delivery, Done
from dealquest.coach.dialogue import Button, Document, Erase, Event, Reply, Text
from dealquest.values import Clock, SystemClock

TABLES = """
create table if not exists inbox (source text, update_id integer, chat text, payload blob, status text default 'open',
    worker text, lease_until real default 0, placeholder text, primary key (source, update_id));
create table if not exists effects (source text, update_id integer);
create table if not exists outbox (id integer primary key autoincrement, source text, update_id integer, seq integer,
    chat text, payload blob, status text default 'pending', attempts integer default 0, not_before real default 0, error text,
    reference text, worker text);
create table if not exists leases (name text primary key, holder text, held_until real);
"""


STREAMED_WORDS = 8
HELD_S = 3.0


class EchoConversation:
    """Answers `echo: …`; words in the text choose what kind of answer it is.

    `/buttons` offers a button, a pressed one edits its message, `slow` takes `slow_s`, `long` needs several messages,
    `stream` writes its answer word by word, `my key` erases the message, `export` sends a file, `boom` fails with an
    error of our own, `silent` has no reply.
    """

    def __init__(self, path: Path | str, *, worker: str = "echo", slow_s: float = 0.5, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._database = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        self._database.executescript(TABLES)
        self._worker = worker
        self._slow_s = slow_s
        self.failures_to_come: list[Exception] = []

    async def receive(self, events: Sequence[Event]) -> int:
        """Store events; `failures_to_come` lets it fail first."""
        if self.failures_to_come:
            raise self.failures_to_come.pop(0)
        with self._transaction():
            before = self._database.total_changes
            self._database.executemany(
                "insert or ignore into inbox (source, update_id, chat, payload) values (?, ?, ?, ?)",
                [(event.source, event.update_id, event.chat, msgspec.json.encode(event)) for event in events],
            )
            return self._database.total_changes - before

    async def receive_and_begin(self, events: Sequence[Event]) -> tuple[int, Begun | None]:
        """Store events; here claims are made by `work` alone."""
        return await self.receive(events), None

    async def finish(self, begun: Begun, *, on_partial: Callable[[Event, str], Awaitable[None]] | None = None) -> Done | None:
        """Never called, since nothing is begun."""
        raise AssertionError(f"nothing was begun, so {begun.event.update_id} cannot be finished ({on_partial})")

    async def hand_back(self, begun: Begun) -> None:
        """Never called, see `finish`."""
        raise AssertionError(f"nothing was begun, so {begun.event.update_id} cannot be handed back")

    async def work(
        self,
        source: str,
        *,
        chat: str | None = None,  # noqa: ARG002  # the bot takes any chat's
        update_id: int | None = None,  # noqa: ARG002  # see above
        only_jobs: bool = False,  # noqa: ARG002  # there are none
        on_partial: Callable[[Event, str], Awaitable[None]] | None = None,
    ) -> Done | None:
        """Finish one turn."""
        event = self._claim(source)
        if event is None:
            return None
        return self._commit(event, await self._decide(event, on_partial))

    def _claim(self, source: str) -> Event | None:
        now = self._now()
        with self._transaction():
            row = self._database.execute(
                "select update_id, payload from inbox i where source = ? and status = 'open' and lease_until < ? and not exists (select 1 "
                "from inbox o where o.source = i.source and o.chat = i.chat and o.status = 'open' and o.update_id < i.update_id) "
                "order by rowid limit 1",
                (source, now),
            ).fetchone()
            if row is None:
                return None
            self._database.execute(
                "update inbox set worker = ?, lease_until = ? where source = ? and update_id = ?", (self._worker, now + 3, source, row[0])
            )
        return msgspec.json.decode(row[1], type=Event)

    def _commit(self, event: Event, replies: Sequence[Reply]) -> Done | None:
        source = event.source
        with self._transaction():
            done = self._database.execute(
                "update inbox set status = 'done' where source = ? and update_id = ? and status = 'open' and worker = ?",
                (source, event.update_id, self._worker),
            ).rowcount
            if done != 1:
                return None
            self._database.execute("insert into effects values (?, ?)", (source, event.update_id))
            is_next = not self._database.execute(
                "select 1 from outbox where source = ? and chat = ? and status = 'pending' and not (worker is ? and not_before > ?)",
                (source, event.chat, self._worker, self._now()),
            ).fetchall()
            if event.kind == "button" and replies and replies[0].edit:
                self._note(event, event.message_id)
            target = self._database.execute(
                "select placeholder from inbox where source = ? and update_id = ?", (source, event.update_id)
            ).fetchone()[0]
            ids = [
                self._database.execute(
                    "insert into outbox (source, update_id, seq, chat, payload, worker, not_before) "
                    "values (?, ?, ?, ?, ?, ?, ?) returning id",
                    (source, event.update_id, seq, event.chat, msgspec.json.encode(reply), self._worker, self._now() + HELD_S),
                ).fetchone()[0]
                for seq, reply in enumerate(replies)
            ]
        placeholder = None if target is None else msgspec.json.decode(target)
        deliveries = tuple(
            Delivery(id=row_id, update_id=event.update_id, seq=seq, chat=event.chat, reply=reply, placeholder=placeholder)
            for seq, (row_id, reply) in enumerate(zip(ids, replies, strict=True))
        )
        return Done(event=event, deliveries=deliveries, held_s=HELD_S if is_next else 0.0)

    async def _decide(self, event: Event, on_partial: Callable[[Event, str], Awaitable[None]] | None) -> list[Reply]:
        if event.text.startswith("stream"):
            for words in range(1, 1 + STREAMED_WORDS):
                if on_partial is not None:
                    await on_partial(event, "word " * words)
                await anyio.sleep(self._slow_s)
            return [Reply(text=Text("word " * STREAMED_WORDS + "end"))]
        if event.text == "my key" and event.message_id is not None:
            return [Reply(text=Text("stored"), erase=Erase(message_id=event.message_id, otherwise=Text("delete it yourself")))]
        if event.text == "export":
            return [Reply(text=Text("your data"), document=Document(name="data.json", content="{}"))]
        if "slow" in event.text:
            await anyio.sleep(self._slow_s)
        if "boom" in event.text:
            self._database.execute("update inbox set status = 'dead' where update_id = ?", (event.update_id,))
            raise ValueError("boom")
        if "silent" in event.text:
            return []
        if event.kind == "button":
            return [Reply(text=Text(f"pressed: {event.text}"), edit=True)]
        if event.text == "/buttons":
            return [Reply(text=Text("choose"), buttons=((Button("Go on", "go"),),))]
        if "long" in event.text:
            return [
                Reply(
                    text=Text("\n\n".join(f"paragraph {number} " + "word " * 100 for number in range(30))),
                    buttons=((Button("Go on", "go"),),),
                )
            ]
        return [Reply(text=Text(f"echo: {event.text} [{event.kind}]"))]

    async def deliveries(self, source: str, *, chat: str | None = None, most: int = 20, lease_s: float = 15.0) -> list[Delivery]:
        """Take replies."""
        now = self._now()
        with self._transaction():
            rows = self._database.execute(
                "select o.id, o.update_id, o.seq, o.chat, o.payload, o.attempts, i.placeholder from outbox o join inbox i "
                "on i.source = o.source and i.update_id = o.update_id where o.source = ? and o.status = 'pending' "
                "and (? is null or o.chat = ?) "
                "and (select h.not_before from outbox h where h.source = o.source and h.chat = o.chat and h.status = 'pending' "
                "order by h.id limit 1) <= ? "
                "order by o.id limit ?",
                (source, chat, chat, now, most),
            ).fetchall()
            self._database.executemany(
                "update outbox set attempts = attempts + 1, not_before = ?, worker = ? where id = ?",
                [(now + min(lease_s, HELD_S), self._worker, row[0]) for row in rows],
            )
        return [
            Delivery(
                id=row[0],
                update_id=row[1],
                seq=row[2],
                chat=row[3],
                reply=msgspec.json.decode(row[4], type=Reply),
                attempts=row[5] + 1,
                placeholder=None if row[6] is None else msgspec.json.decode(row[6]),
            )
            for row in rows
        ]

    async def mark_sent(self, delivery: Delivery, reference: Any = None) -> bool:
        """It arrived."""
        return self._mark("sent", None, 0.0, delivery.id, reference)

    async def mark_unsent(self, delivery: Delivery, reason: str, *, retry_in_s: float = 0.0, give_up: bool = False) -> bool:
        """It did not."""
        return self._mark("dead" if give_up else "pending", reason, self._now() + retry_in_s, delivery.id, None)

    def _mark(self, status: str, error: str | None, not_before: float, row_id: int, reference: Any) -> bool:
        with self._transaction():
            found = self._database.execute(
                "update outbox set status = ?, error = ?, not_before = ?, reference = ?, worker = null where id = ? and status = 'pending'",
                (status, error, not_before, msgspec.json.encode(reference).decode(), row_id),
            )
        return found.rowcount == 1

    async def is_next(self, event: Event) -> bool:
        """Whether its chat waits for nothing else before it."""
        older = "select 1 from inbox where source = ? and chat = ? and status = 'open' and update_id < ?"
        waiting = "select 1 from outbox where source = ? and chat = ? and status = 'pending'"
        names = (event.source, event.chat)
        return not (
            self._database.execute(older, (*names, event.update_id)).fetchall() or self._database.execute(waiting, names).fetchall()
        )

    async def note_placeholder(self, event: Event, reference: Any) -> None:
        """Keep the target of the answer."""
        with self._transaction():
            self._note(event, reference)

    def _note(self, event: Event, reference: Any) -> None:
        self._database.execute(
            "update inbox set placeholder = ? where source = ? and update_id = ? and placeholder is null",
            (msgspec.json.encode(reference).decode(), event.source, event.update_id),
        )

    async def take_lease(self, name: str, *, lease_s: float) -> bool:
        """Take or keep a lease."""
        now = self._now()
        with self._transaction():
            return (
                self._database.execute(
                    "insert into leases values (?, ?, ?) on conflict (name) do update "
                    "set holder = excluded.holder, held_until = excluded.held_until "
                    "where holder = excluded.holder or held_until < ?",
                    (name, self._worker, now + lease_s, now),
                ).rowcount
                == 1
            )

    async def drop_lease(self, name: str) -> None:
        """Hand it back."""
        with self._transaction():
            self._database.execute("delete from leases where name = ? and holder = ?", (name, self._worker))

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def rows(self, statement: str) -> list[Any]:
        """For assertions."""
        return self._database.execute(statement).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._database)


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("begin immediate")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._database.execute("rollback" if kind else "commit")
