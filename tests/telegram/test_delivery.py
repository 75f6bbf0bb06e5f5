"""The outlet by itself, on the offline server: who delivers what, in which order, and what waits or ends as a dead letter."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import attrs
import pytest

from dealquest.coach import Done
from dealquest.coach.dialogue import Event, EventKind, Person
from dealquest.errors import PeerUnavailableError
from dealquest.values import Secret, SystemClock
from dealquest_telegram.calls import BotCalls
from dealquest_telegram.outlet import BATCH, Outlet
from dealquest_telegram.pace import Pace
from dealquest_telegram.testing import BotApiServer, EchoConversation
from dealquest_telegram.testing.people import SimulatedUser

pytestmark = pytest.mark.anyio
SOURCE = "telegram:123456789"
Open = Callable[[], AbstractAsyncContextManager[Outlet]]


@pytest.fixture
async def outlet(bot_api: BotApiServer, echo: EchoConversation) -> AsyncIterator[Outlet]:
    """An outlet that nobody runs: it delivers when it is told to."""
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    yield Outlet(echo, calls, source=SOURCE, pace=Pace(per_chat_second=1000, chat_burst=1000), clock=SystemClock())
    await calls.aclose()


@pytest.fixture
def served(outlet: Outlet) -> Open:
    """`async with served():` has the outlet running inside."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Outlet]:
        async with anyio.create_task_group() as group:
            group.start_soon(outlet.run)
            await anyio.sleep(0.05)  # its first look at an empty outbox
            yield outlet
            group.cancel_scope.cancel()

    return run


async def answer(
    echo: EchoConversation, person: SimulatedUser, *texts: str, kind: EventKind = "text", message_id: int | None = None
) -> list[Done]:
    """Turns of these texts, committed and not delivered yet."""
    done: list[Done] = []
    for text in texts:
        number = 1 + len(echo.rows("select 1 from inbox"))
        user = Person(telegram_id=person.id)
        event = Event(source=SOURCE, chat=str(person.id), update_id=number, user=user, kind=kind, text=text, message_id=message_id)
        await echo.receive([event])
        turn = await echo.work(SOURCE)
        assert turn is not None
        done.append(turn)
    return done


def free_all(echo: EchoConversation) -> None:
    """As when the process that committed them died, and its hold ended."""
    echo.rows("update outbox set worker = 'dead', not_before = 0")


def states(echo: EchoConversation) -> list[str]:
    return [row[0] for row in echo.rows("select status from outbox order by id")]


def texts(person: SimulatedUser) -> list[str]:
    return [seen.text for seen in person.messages()]


async def test_a_turn_without_replies_sends_nothing(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """Not every turn has something to say."""
    (done,) = await answer(echo, bot_api.user("Ann"), "silent")
    outlet.take(done)
    await outlet.deliver(done)
    await outlet.put_back()
    await outlet.drain()
    assert bot_api.calls == []


async def test_what_a_dead_process_left_is_delivered_in_order(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """Everything that is due goes out, per chat in the order it was said, and is counted."""
    ann, bob = bot_api.user("Ann"), bot_api.user("Bob")
    for number in range(3):
        await answer(echo, ann, f"a{number}")
        await answer(echo, bob, f"b{number}")
    free_all(echo)
    assert await outlet.deliver_all() == 6
    assert texts(ann) == [f"echo: a{number} [text]" for number in range(3)]
    assert texts(bob) == [f"echo: b{number} [text]" for number in range(3)]
    assert await outlet.deliver_all() == 0


async def test_replies_that_are_not_ours_are_left_alone(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """A turn behind one that waits is delivered by way of the outbox, in its order, and not out of hand."""
    ann = bot_api.user("Ann")
    (first,) = await answer(echo, ann, "one")
    await echo.mark_unsent(first.deliveries[0], "flood")
    (second,) = await answer(echo, ann, "two")
    assert second.held_s == 0
    await outlet.deliver(second)
    assert texts(ann) == []
    free_all(echo)
    assert await outlet.deliver_all() == 2
    assert texts(ann) == ["echo: one [text]", "echo: two [text]"]


async def test_more_than_a_batch_of_one_chat_arrives_at_once(bot_api: BotApiServer, served: Open, echo: EchoConversation) -> None:
    """A chat whose outbox holds more than is taken at a time gets all of it, without a pause between."""
    ann = bot_api.user("Ann")
    await answer(echo, ann, *(f"n{number}" for number in range(BATCH + 5)))
    async with served() as outlet:
        free_all(echo)
        outlet.wake(str(ann.id))
        await ann.waits_until(lambda: len(ann.messages()) == BATCH + 5)
    assert texts(ann) == [f"echo: n{number} [text]" for number in range(BATCH + 5)]


async def test_a_sweep_finds_what_nobody_was_told_of(bot_api: BotApiServer, served: Open, echo: EchoConversation) -> None:
    """Replies that a dead process left are delivered without anybody naming their chat."""
    ann = bot_api.user("Ann")
    async with served():
        await answer(echo, ann, "left")
        free_all(echo)
        await ann.waits_for_reply("echo: left", timeout_s=8)


async def test_a_sweep_takes_nothing_from_a_task_that_is_slow(bot_api: BotApiServer, served: Open, echo: EchoConversation) -> None:
    """While a chat is served, what a sweep finds for it goes back, and that task comes to it: order is kept, nothing comes twice."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessage", hang_s=2.5)
    (first,) = await answer(echo, ann, "first")
    async with served() as outlet:
        outlet.take(first)
        await anyio.sleep(0.1)
        await answer(echo, ann, "second")
        echo.rows("update outbox set worker = 'dead', not_before = 0 where update_id = 2")
        echo.rows("update outbox set not_before = 0 where update_id = 1")
        await ann.waits_until(lambda: "echo: second [text]" in texts(ann), timeout_s=10)
        await outlet.drain()
    assert texts(ann)[-1] == "echo: second [text]"
    assert texts(ann).count("echo: second [text]") == 1


async def test_a_failure_in_the_middle_keeps_the_order(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """What comes after a reply that has to wait goes back behind it, and all of it arrives later, in order."""
    ann = bot_api.user("Ann")
    await answer(echo, ann, "one", "two", "three")
    free_all(echo)
    bot_api.fault("sendMessage", status=502, skip=1)
    await outlet.deliver_all()
    assert texts(ann) == ["echo: one [text]"]
    assert states(echo) == ["sent", "pending", "pending"]
    free_all(echo)
    await outlet.deliver_all()
    assert texts(ann) == [f"echo: {word} [text]" for word in ("one", "two", "three")]


async def test_what_is_held_goes_back_when_its_chat_must_wait(bot_api: BotApiServer, served: Open, echo: EchoConversation) -> None:
    """Telegram asks to wait: what this process holds for the chat, and what is committed meanwhile, comes later in order."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessage", status=429, retry_after_s=1)
    turns = await answer(echo, ann, "one", "two", "three")
    async with served() as outlet:
        for done in turns[:2]:
            outlet.take(done)
        await ann.waits_until(lambda: any(call.status == 429 for call in bot_api.calls))
        await anyio.sleep(0.1)
        outlet.take(turns[2])
        free_all(echo)
        await ann.waits_until(lambda: len(ann.messages()) == 3, timeout_s=10)
    assert texts(ann) == [f"echo: {word} [text]" for word in ("one", "two", "three")]


async def test_a_hold_that_ended_is_not_used(bot_api: BotApiServer, served: Open, echo: EchoConversation) -> None:
    """Replies that are anybody's by now are taken from the outbox again, and so come once."""
    ann = bot_api.user("Ann")
    (done,) = await answer(echo, ann, "late")
    async with served() as outlet:
        outlet.take(attrs.evolve(done, held_s=0.1))
        free_all(echo)
        await ann.waits_for_reply("echo: late", timeout_s=8)
        await outlet.drain()
    assert texts(ann) == ["echo: late [text]"]


async def test_a_bot_that_ends_hands_its_replies_back(bot_api: BotApiServer, served: Open, echo: EchoConversation) -> None:
    """What is held and not delivered when the bot ends is free at once for the next process."""
    ann = bot_api.user("Ann")
    turns = await answer(echo, ann, "one", "two")
    bot_api.fault("sendMessage", hang_s=30.0)
    async with served() as outlet:
        for done in turns:
            outlet.take(done)
        await anyio.sleep(0.2)
        with anyio.move_on_after(0.2) as patience:
            await outlet.drain()
        assert patience.cancelled_caught
        await outlet.put_back()
    rows = echo.rows("select error, worker from outbox where update_id = 2")
    assert rows == [("it comes by way of the outbox", None)]


async def test_a_store_out_of_reach_ends_no_delivery(bot_api: BotApiServer, caplog: pytest.LogCaptureFixture) -> None:
    """The outbox is asked again a moment later, and a line of the log says what is wrong."""
    ann = bot_api.user("Ann")

    class Away(EchoConversation):
        async def deliveries(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]  # only its failure
            raise PeerUnavailableError("The database is away.", code="engine.connect")

    away = Away(":memory:")
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    lost = Outlet(away, calls, source=SOURCE, pace=Pace(), clock=SystemClock())
    with caplog.at_level(logging.WARNING):
        async with anyio.create_task_group() as group:
            group.start_soon(lost.run)
            await anyio.sleep(0.05)
            lost.wake(str(ann.id))
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
    await calls.aclose()
    away.close()
    assert "The outbox cannot be read: The database is away." in caplog.text
    assert "The outbox cannot be reached, replies wait" in caplog.text


async def test_an_edit_whose_formatting_is_refused_is_made_plain(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """The answer takes the message's place all the same, without its entities."""
    ann = bot_api.user("Ann")
    shown = bot_api.account.bot_message(ann.chat, {"text": "choose"})
    (done,) = await answer(echo, ann, "go", kind="button", message_id=shown["message_id"])
    bot_api.fault("editMessageText", status=400, description="Bad Request: can't parse entities")
    await outlet.deliver(done)
    assert texts(ann) == ["pressed: go"]
    assert states(echo) == ["sent"]


@pytest.mark.parametrize(
    "fault",
    [{"status": 400, "description": "Bad Request: BUTTON_DATA_INVALID"}, {"status": 404, "description": "Not Found: method not found"}],
    ids=["refused", "unknown"],
)
async def test_an_edit_that_nobody_takes_is_a_dead_letter(
    fault: dict[str, object], bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation
) -> None:
    """What would be refused again is not tried for ever, and the chat's next reply goes out."""
    ann = bot_api.user("Ann")
    shown = bot_api.account.bot_message(ann.chat, {"text": "choose"})
    (pressed,) = await answer(echo, ann, "go", kind="button", message_id=shown["message_id"])
    (after,) = await answer(echo, ann, "next")
    bot_api.fault("editMessageText", **fault)  # type: ignore[arg-type]  # as given
    await outlet.deliver(pressed)
    await outlet.deliver(after)
    assert texts(ann) == ["choose", "echo: next [text]"]
    assert states(echo) == ["dead", "sent"]


async def test_an_answer_that_cannot_be_read_is_tried_again(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """A sent message that comes back without its id is most likely there; it is repeated once and then settled."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessage", body=b'{"ok": true, "result": {}}')
    (done,) = await answer(echo, ann, "hello")
    await outlet.deliver(done)
    assert states(echo) == ["pending"]
    free_all(echo)
    await outlet.deliver_all()
    assert states(echo) == ["sent"]


async def test_a_key_that_is_gone_already_needs_no_word(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """The user took the message away first: nothing is said of it."""
    ann = bot_api.user("Ann")
    (done,) = await answer(echo, ann, "my key", message_id=77)
    await outlet.deliver(done)
    assert texts(ann) == ["stored"]


async def test_a_long_answer_takes_the_place_of_its_placeholder(bot_api: BotApiServer, outlet: Outlet, echo: EchoConversation) -> None:
    """The message that stood for it becomes the rich message; where somebody deleted it, the answer comes anew."""
    ann = bot_api.user("Ann")
    for number, gone in ((1, False), (2, True)):
        placeholder = bot_api.account.bot_message(ann.chat, {"text": "one moment"})["message_id"]
        event = Event(source=SOURCE, chat=str(ann.id), update_id=number, user=Person(telegram_id=ann.id), kind="text", text="long")
        await echo.receive([event])
        await echo.note_placeholder(event, placeholder)
        done = await echo.work(SOURCE)
        assert done is not None
        if gone:
            del ann.chat.messages[placeholder]
        await outlet.deliver(done)
        last = ann.messages()[-1]
        assert "paragraph 29" in last.text
        assert (last.message_id == placeholder) is not gone
