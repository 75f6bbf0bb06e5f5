"""The bot on the coach and its own storage: what `dealquest bot` does once, and how it takes a signal and another process."""

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import anyio
import attrs
import msgspec
import pytest
from anyio import to_thread

from dealquest.coach.dialogue import Event, Person
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.errors import InputError
from dealquest.settings import Settings
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import SERVICE, Secret
from dealquest_telegram import run_bot, serve_telegram
from dealquest_telegram.pace import Pace
from dealquest_telegram.testing import BotApiServer, EchoConversation

pytestmark = pytest.mark.anyio
Running = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def own_log_level() -> Iterator[None]:
    """The command sets the level of our lines; it is put back."""
    ours = logging.getLogger("dealquest")
    before = ours.level
    yield
    ours.setLevel(before)


@pytest.fixture
async def records(database: Any) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=6)) as engine:
        yield Postgrest(engine.bind(SERVICE))


def turns_of(records: Postgrest, worker: str) -> Turns:
    return Turns(records, effects=Effects(packs=lambda _: load_pack("en")), worker=worker, hold_s=30.0, lease_s=5.0)


@pytest.mark.usefixtures("own_log_level")
async def test_the_command_answers_what_waits_and_returns(
    bot_api: BotApiServer, settings: Settings, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`--once` greets everybody who wrote, one or many, and says that everybody may."""
    people = [bot_api.user(f"P{number}") for number in range(5)]
    for person in people:
        await person.says("/start")
    open_to_all = attrs.evolve(settings, database_url=Secret(database.owner_dsn))
    with caplog.at_level(logging.WARNING):
        await to_thread.run_sync(partial(run_bot, open_to_all, once=True))
    assert "everyone may use the bot" in caplog.text
    for person in people:
        assert "Welcome to dealquest" in (await person.waits_for_reply()).text
    assert bot_api.calls_of("getUpdates")[-1].values["offset"] == bot_api.account.next_update_id


async def test_once_takes_everything_that_waits(bot_api: BotApiServer, settings: Settings, echo: EchoConversation) -> None:
    """More than one batch of updates is fetched, answered and confirmed before it returns."""
    people = [bot_api.user(f"P{number}") for number in range(10)]
    for number in range(11):
        for person in people:
            await person.says(f"n{number}")
    await serve_telegram(settings, lambda _: echo, once=True, pace=Pace(per_second=1e6, per_chat_second=1e6, chat_burst=100))
    for person in people:
        assert [seen.text for seen in person.messages()] == [f"echo: n{number} [text]" for number in range(11)]
    assert not bot_api.account.queue


async def test_a_whole_lesson_on_the_store(bot_api: BotApiServer, running: Running, records: Postgrest) -> None:
    """Lines and presses are answered in order, claimed as they are stored, and none is left open or unsent."""
    ann = bot_api.user("Ann")
    async with running(turns=turns_of(records, "one")):
        await ann.says("/start")
        await ann.waits_for_reply("Welcome to dealquest")
        await ann.says("/train easy")
        await ann.waits_for_reply("Answer as you would")
        await ann.says("What does it cost you each month? Let us talk on Friday at 9.")
        await ann.waits_for_reply("of 100")
        for _ in range(4):
            await ann.says("/stats")
        await ann.waits_until(lambda: sum("XP to level" in seen.text for seen in ann.messages()) == 4)
    assert await records.table("inbox").select("update_id").where(status="open", is_job=False).all() == []
    assert await records.table("outbox").select("id").where(status__not_eq="sent").all() == []


async def test_what_a_dead_process_had_in_hand_is_finished_by_the_next(bot_api: BotApiServer, running: Running, records: Postgrest) -> None:
    """Lines that another process had stored are answered without anybody writing again, all of a chat's in order."""
    ann = bot_api.user("Ann")
    dead = turns_of(records, "dead")
    source, user = f"telegram:{bot_api.token.partition(':')[0]}", Person(telegram_id=ann.id, first_name="Ann")
    await dead.receive([
        Event(source=source, chat=str(ann.id), update_id=number, user=user, kind="text", text="/help") for number in (1, 2, 3)
    ])  # fmt: skip
    async with running(turns=turns_of(records, "next")):
        await ann.waits_until(lambda: sum("What you can do" in seen.text for seen in ann.messages()) == 3, timeout_s=10)


async def test_sigterm_ends_it_after_what_runs(bot_api: BotApiServer, settings: Settings, echo: EchoConversation) -> None:
    """The first signal lets the answer that is being written be finished and delivered."""
    ann = bot_api.user("Ann")
    async with anyio.create_task_group() as group:
        group.start_soon(partial(serve_telegram, settings, lambda _: echo))
        await ann.says("slow one")
        await ann.waits_until(lambda: echo.rows("select 1 from inbox where lease_until > 0"))
        os.kill(os.getpid(), signal.SIGTERM)
    assert [seen.text for seen in ann.messages()][-1] == "echo: slow one [text]"
    assert echo.rows("select 1 from leases") == []


async def test_another_process_that_polls_is_given_way(
    bot_api: BotApiServer, running: Running, echo: EchoConversation, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever lost the lease stops asking Telegram, says so, and is back when the lease is free."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("before")
        await ann.waits_for_reply("echo: before")
        echo.rows("update leases set holder = 'another', held_until = held_until + 2")
        await ann.waits_until(lambda: "Another process polls for this bot now." in caplog.text)
        await ann.says("after")
        await ann.waits_for_reply("echo: after", timeout_s=12)


async def test_updates_without_ids_are_asked_for_again(bot_api: BotApiServer, running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """A server that sends nonsense confirms nothing, and what was written meanwhile is answered."""
    ann = bot_api.user("Ann")
    bot_api.fault("getUpdates", body=b'{"ok": true, "result": [{"message": {}}, 3]}')
    async with running():
        await ann.says("hello")
        await ann.waits_for_reply("echo: hello")
    assert "sends updates without ids" in caplog.text


async def test_one_line_that_the_store_refuses_is_set_aside(
    bot_api: BotApiServer, running: Running, echo: EchoConversation, settings: Settings
) -> None:
    """It is kept in a file with the reason, and the next line is answered."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("hello")
        await ann.waits_for_reply("echo: hello")
        echo.failures_to_come.append(InputError("The row is too long.", code="engine.too_long"))
        await ann.says("refused")
        await ann.waits_until((settings.home / "telegram-set-aside.jsonl").exists)
        await ann.says("again")
        await ann.waits_for_reply("echo: again")
    kept = msgspec.json.decode((settings.home / "telegram-set-aside.jsonl").read_bytes())
    assert kept["reason"] == "The row is too long."
    assert "refused" in kept["raw"]
