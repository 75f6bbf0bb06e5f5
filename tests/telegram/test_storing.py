"""What delivery asks of the real storage: replies that are held, targets of edits, updates that are set aside."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from dealquest.coach.dialogue import Event, EventKind, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Done, Turns
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import SERVICE
from dealquest_telegram.setaside import SetAsideRows

pytestmark = pytest.mark.anyio
ANN = Person(telegram_id=7, first_name="Ann")


@pytest.fixture
async def records(database: Any) -> AsyncIterator[Postgrest]:
    """Storage with the rights of the service role."""
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


def turns_of(records: Postgrest, worker: str, hold_s: float = 60.0) -> Turns:
    return Turns(records, effects=Effects(packs=lambda _: load_pack("en")), worker=worker, hold_s=hold_s)


async def finish(turns: Turns, number: int, text: str = "/help", kind: EventKind = "text") -> Done:
    event = Event(source="telegram:1", chat="7", update_id=number, user=ANN, text=text, kind=kind, message_id=100 + number)
    await turns.receive([event])
    done = await turns.work("telegram:1")
    assert done is not None
    return done


async def test_committed_replies_are_this_workers_while_nothing_waits_before_them(records: Postgrest) -> None:
    """They are held, also behind others that the same worker holds; nobody else is given them."""
    turns, other = turns_of(records, "a"), turns_of(records, "b")
    first, second = await finish(turns, 1), await finish(turns, 2)
    assert (first.held_s, second.held_s) == (60.0, 60.0)
    assert await other.deliveries("telegram:1") == []
    assert await turns.mark_sent(first.deliveries[0])
    assert await other.deliveries("telegram:1") == []
    assert not await other.mark_sent(second.deliveries[0])
    assert await turns.mark_sent(second.deliveries[0])


async def test_replies_behind_one_that_waits_come_by_way_of_the_outbox(records: Postgrest) -> None:
    """After a reply that could not be delivered, or that another process holds, nothing goes out by itself, and order is kept."""
    turns = turns_of(records, "a")
    first = await finish(turns, 1)
    await turns.mark_unsent(first.deliveries[0], "flood", retry_in_s=0.0)
    second = await finish(turns, 2)
    assert second.held_s == 0.0
    assert [row.update_id for row in await turns.deliveries("telegram:1", chat="7")] == [1, 2]
    assert (await finish(turns_of(records, "b"), 3)).held_s == 0.0


async def test_without_a_hold_replies_are_taken_from_the_outbox(records: Postgrest) -> None:
    """A worker that asks for no hold is given none."""
    turns = turns_of(records, "a", hold_s=0.0)
    assert (await finish(turns, 1)).held_s == 0.0
    assert len(await turns.deliveries("telegram:1")) == 1


async def test_the_message_of_a_pressed_button_is_known_to_whoever_delivers(records: Postgrest) -> None:
    """It is stored with the turn, so that the edit is an edit again after a crash; an earlier placeholder stays the target."""
    turns = turns_of(records, "a")
    pressed = await finish(turns, 1, "go:train", "button")
    assert pressed.deliveries[0].placeholder == 101
    await turns.mark_unsent(pressed.deliveries[0], "the bot stopped")
    assert [row.placeholder for row in await turns_of(records, "b").deliveries("telegram:1")] == [101]
    event = Event(source="telegram:1", chat="8", update_id=2, user=attrs.evolve(ANN, telegram_id=8), text="/help")
    await turns.receive([event])
    await turns.note_placeholder(event, 55)
    done = await turns.work("telegram:1")
    assert done is not None
    assert done.deliveries[0].placeholder == 55


async def test_p4_what_cannot_be_understood_is_kept_in_the_database(records: Postgrest) -> None:
    """Once, whatever is in it, without a disk of the bot's own."""
    keep = SetAsideRows(records)
    for _ in range(2):
        await keep("telegram:1", 5, '{"text": "\x00\ud800"}' + "x" * 200_000, "it has no shape")
    await keep("telegram:1", None, "junk", "it has no update_id")
    rows = await records.table("updates_set_aside").select("*").all()
    assert sorted((row["update_id"] or 0, row["reason"]) for row in rows) == [(0, "it has no update_id"), (5, "it has no shape")]
    assert max(len(row["raw"]) for row in rows) == 100_000


async def test_an_event_is_next_when_its_chat_waits_for_nothing_older(records: Postgrest) -> None:
    """An open event before it, or a reply that is not delivered, comes first; other chats do not matter."""
    turns = turns_of(records, "a")
    first, second = (
        Event(source="telegram:1", chat="7", update_id=number, user=ANN, text="/help", kind="text", message_id=number) for number in (1, 2)
    )
    await turns.receive([first, second])
    assert await turns.is_next(first)
    assert not await turns.is_next(second)
    assert await turns.is_next(attrs.evolve(second, chat="8"))
    done = await turns.work("telegram:1")
    assert done is not None
    assert not await turns.is_next(second)
    assert await turns.mark_sent(done.deliveries[0])
    assert await turns.is_next(second)
