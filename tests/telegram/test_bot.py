"""The bot end to end, in process, on the offline server and the echoing conversation."""

import itertools
import json
import logging
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.abc
import attrs
import pytest

from dealquest.coach.dialogue import Event, Person, Span, Style, Text
from dealquest.coach.turns import Done
from dealquest.errors import InputError, PeerUnavailableError, SettingsError
from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_telegram import serve_telegram
from dealquest_telegram.pace import Pace
from dealquest_telegram.testing import BotApiServer, EchoConversation
from dealquest_telegram.testing.people import SimulatedUser

pytestmark = pytest.mark.anyio
Running = Callable[..., AbstractAsyncContextManager[None]]


async def test_a_message_is_answered(bot_api: BotApiServer, running: Running) -> None:
    """What is said is answered in the same chat."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("hello <b> & 😀")
        assert (await ann.waits_for_reply()).text == "echo: hello <b> & 😀 [text]"


async def test_a_button_is_answered_at_once_and_edits_its_message(bot_api: BotApiServer, running: Running) -> None:
    """A press stops its spinner and changes the message it belongs to."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("/buttons")
        offered = await ann.waits_for_reply("choose")
        query = await ann.presses("Go on")
        changed = await ann.waits_for_reply("pressed: go")
        assert changed.edited
        assert changed.message_id == offered.message_id
        assert await ann.waits_for_toast(query) == ""
        assert len(ann.messages()) == 1


async def test_a_button_under_a_deleted_message_is_answered_anew(bot_api: BotApiServer, running: Running) -> None:
    """When the message to edit is gone, the answer comes as a new one."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("/buttons")
        offered = await ann.waits_for_reply("choose")
        message = ann.chat.messages.pop(offered.message_id)
        await ann.sends_callback("go", message=message)
        assert not (await ann.waits_for_reply("pressed: go")).edited


async def test_order_per_chat_is_kept(bot_api: BotApiServer, running: Running) -> None:
    """Many quick messages are answered in the order they were written, in every chat."""
    people = [bot_api.user(f"P{number}") for number in range(4)]
    async with running():
        for number in range(5):
            for person in people:
                await person.says(f"n{number}")
        for person in people:
            await person.waits_until(lambda who=person: len(who.messages()) == 5)
            assert [seen.text for seen in person.messages()] == [f"echo: n{number} [text]" for number in range(5)]


async def test_a_long_answer_is_one_rich_message(bot_api: BotApiServer, running: Running) -> None:
    """An answer beyond 4096 units is one rich message with its paragraphs, and its buttons below."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("long")
        seen = await ann.waits_for_reply("paragraph 29")
    assert seen.labels == ("Go on",)
    assert [block["type"] for block in seen.raw["rich_message"]["blocks"]] == ["paragraph"] * 30


@pytest.mark.parametrize(
    "fault", [{"status": 404, "description": "Not Found: method not found"}, {"status": 400}], ids=["unknown", "refused"]
)
async def test_a_long_answer_arrives_whole_with_buttons_below(fault: dict[str, Any], bot_api: BotApiServer, running: Running) -> None:
    """Where rich messages are not known or refused, a long answer is split, and its buttons are under the last part."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendRichMessage", **fault)
    async with running():
        await ann.says("long")
        await ann.waits_until(lambda: len(ann.messages()) == 5, timeout_s=8)
        seen = ann.messages()
        assert [bool(message.labels) for message in seen] == [False, False, False, False, True]
        assert sum(message.text.count("paragraph") for message in seen) == 30


async def test_a_slow_answer_shows_signs_and_edits_its_placeholder(bot_api: BotApiServer, running: Running, tmp_path: object) -> None:
    """While a turn takes long the bot types, then places a message, which becomes the answer."""
    ann = bot_api.user("Ann")
    turns = EchoConversation(f"{tmp_path}/slow.db", slow_s=2.6)
    async with running(turns=turns):
        await ann.says("slow question")
        placeholder = await ann.waits_for_reply()
        answer = await ann.waits_for_reply("echo: slow question")
        assert answer.message_id == placeholder.message_id
        assert answer.edited
        assert "typing" in ann.chat.actions
    turns.close()


async def test_no_placeholder_stands_above_an_older_answer(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """While something older of the chat waits, which a dead process had in hand, a slow answer gets no message of its own."""
    ann = bot_api.user("Ann")
    source = f"telegram:{bot_api.token.partition(':')[0]}"
    older = Event(source=source, chat=str(ann.id), update_id=1, user=Person(telegram_id=ann.id), kind="text", text="first")
    await echo.receive([older])
    echo.rows(f"update inbox set worker = 'dead', lease_until = {time.time() + 4}")
    async with running():
        await ann.says("second")
        await ann.waits_for_reply("echo: second", timeout_s=10)
    assert [seen.text for seen in ann.messages()] == ["echo: first [text]", "echo: second [text]"]


async def test_media_become_events(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """Voice, photos and image documents arrive with the largest file, its size and type."""
    ann = bot_api.user("Ann")
    async with running():
        for sending in (
            ann.sends_voice(b"sound" * 100, duration_s=7),
            ann.sends_photo(b"image" * 1000, caption="look"),
            ann.sends_document(b"image", name="scan.png", mime_type="image/png"),
            ann.sends_document(b"text", name="a.pdf", mime_type="application/pdf"),
            ann.sends_other("location", {"latitude": 1.0, "longitude": 2.0}),
        ):
            await sending
            await ann.waits_for_reply("echo")
        kinds = [seen.text for seen in ann.messages()]
    assert kinds == ["echo:  [voice]", "echo: look [photo]", "echo:  [photo]", "echo:  [other]", "echo:  [other]"]
    media = [json.loads(row[0])["media"] for row in echo.rows("select payload from inbox order by update_id")]
    assert media[0] == {"file_id": media[0]["file_id"], "size_bytes": 500, "mime_type": "audio/ogg", "duration_s": 7}
    assert media[1]["size_bytes"] == 5000
    assert media[2]["name"] == "scan.png"


async def test_once_answers_what_waits_and_returns(bot_api: BotApiServer, settings: Settings, echo: EchoConversation) -> None:
    """`--once` takes what is queued, delivers the answers, confirms, and ends."""
    ann = bot_api.user("Ann")
    for number in range(3):
        await ann.says(f"n{number}")
    with anyio.fail_after(10):
        await serve_telegram(settings, lambda _: echo, once=True)
    assert [seen.text for seen in ann.messages()] == [f"echo: n{number} [text]" for number in range(3)]
    assert not bot_api.account.queue


async def test_without_a_token_it_says_what_to_do(settings: Settings, echo: EchoConversation) -> None:
    """No token is one clear error."""
    with pytest.raises(SettingsError, match="BotFather") as caught:
        await serve_telegram(attrs.evolve(settings, telegram_bot_token=None), lambda _: echo)
    assert caught.value.code == "telegram.no_token"


async def test_t1_a_refused_token_ends_the_bot_with_one_message(
    settings: Settings, echo: EchoConversation, caplog: pytest.LogCaptureFixture
) -> None:
    """401 is not repeated: the bot stops and says once which variable to mend, and never the token."""
    wrong = attrs.evolve(settings, telegram_bot_token=Secret("987654321:wrong-wrong-wrong"))
    with anyio.fail_after(10), pytest.raises(SettingsError, match="TELEGRAM_BOT_TOKEN") as caught:
        await serve_telegram(wrong, lambda _: echo)
    assert caught.value.code == "telegram.token_refused"
    assert "wrong-wrong" not in str(caught.value)
    assert not any("TELEGRAM_BOT_TOKEN" in line for line in caplog.messages)


async def test_t1_polling_survives_every_fault(bot_api: BotApiServer, running: Running) -> None:
    """502, a broken connection, 409, 429 and nonsense cost a pause and no message."""
    ann = bot_api.user("Ann")
    bot_api.fault("getUpdates", status=502)
    bot_api.fault("getUpdates", drop="before")
    bot_api.fault("getUpdates", drop="after")
    bot_api.fault("getUpdates", status=429, retry_after_s=1)
    await ann.says("still there?")
    async with running():
        await ann.waits_for_reply("still there?", timeout_s=20)
    assert len(ann.messages()) == 1


async def test_t1_a_busy_fault_is_not_a_busy_loop(bot_api: BotApiServer, running: Running) -> None:
    """While the server fails, the pauses between polls grow."""
    bot_api.fault("getUpdates", status=502, times=None)
    async with running():
        await anyio.sleep(4)
        assert 2 <= len(bot_api.calls_of("getUpdates")) <= 5


async def test_t1_a_chat_that_must_wait_gets_its_answers_later_in_order(bot_api: BotApiServer, running: Running) -> None:
    """`retry_after` is obeyed for the chat that it names; others go on."""
    ann, bob = bot_api.user("Ann"), bot_api.user("Bob")
    bot_api.fault("sendMessage", status=429, retry_after_s=2)
    async with running():
        await ann.says("first")
        await ann.waits_until(lambda: any(call.status == 429 for call in bot_api.calls))
        refused_at = next(call.at for call in bot_api.calls if call.status == 429)
        await ann.says("second")
        await bob.says("hello")
        await bob.waits_for_reply("hello", timeout_s=1.5)
        await ann.waits_until(lambda: len(ann.messages()) == 2)
        assert [seen.text for seen in ann.messages()] == ["echo: first [text]", "echo: second [text]"]
        sent = [call for call in bot_api.calls_of("sendMessage") if call.status == 200 and call.values["chat_id"] == ann.id]
        assert sent[0].at - refused_at >= 1.9


async def test_t2_repeats_in_any_order_count_once(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """Updates that are delivered again, backwards and with gaps, are worked once."""
    ann = bot_api.user("Ann")
    async with running():
        for number in range(4):
            await ann.says(f"n{number}")
            bot_api.account.next_update_id += 7
        await ann.waits_until(lambda: len(ann.messages()) == 4)
        bot_api.redeliver(4, backwards=True)
        bot_api.redeliver(4)
        await ann.waits_until(lambda: not bot_api.account.queue)
        await ann.says("last")
        await ann.waits_for_reply("last")
    assert len(ann.messages()) == 5
    assert echo.rows("select count(*), count(distinct update_id) from effects") == [(5, 5)]


async def test_t2_a_lost_reply_is_at_most_one_more_message(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """A send whose answer is lost is repeated once; the effect is not."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessage", drop="after")
    async with running():
        await ann.says("hello")
        await ann.waits_until(lambda: len(ann.messages()) == 2)
        await ann.says("next")
        await ann.waits_for_reply("next")
    assert [seen.text for seen in ann.messages()].count("echo: hello [text]") == 2
    assert echo.rows("select count(*) from effects") == [(2,)]


async def test_careful_delivery_never_shows_an_answer_twice(bot_api: BotApiServer, running: Running) -> None:
    """With placeholders a lost reply is repeated as an edit, which nobody sees."""
    ann = bot_api.user("Ann")
    bot_api.fault("editMessageText", drop="after")
    async with running(with_settings={"telegram_careful": True}):
        await ann.says("hello")
        await ann.waits_for_reply("echo: hello")
        await ann.says("next")
        await ann.waits_for_reply("next")
    assert [seen.text for seen in ann.messages()] == ["echo: hello [text]", "echo: next [text]"]


class SlowNotes(EchoConversation):
    """Notes a placeholder when it is told so."""

    go_on: anyio.Event

    async def note_placeholder(self, event: Event, reference: Any) -> None:
        await self.go_on.wait()
        await super().note_placeholder(event, reference)


async def test_few_placeholders_are_under_way_unnoted(bot_api: BotApiServer, running: Running, tmp_path: Path) -> None:
    """A process that is killed leaves no more of them behind than that, however many chats are answered at once."""
    turns = SlowNotes(tmp_path / "slow.db")
    turns.go_on = anyio.Event()
    people = [bot_api.user(f"Person {number}") for number in range(12)]
    async with running(turns=turns, with_settings={"telegram_careful": True}):
        for person in people:
            await person.says("hello")
        await people[0].waits_until(lambda: len(turns.rows("select 1 from inbox where status = 'done'")) == 12)
        await anyio.sleep(0.3)
        assert len(bot_api.calls_of("sendMessage")) == 5
        turns.go_on.set()
        for person in people:
            await person.waits_until(lambda person=person: [seen.text for seen in person.messages()] == ["echo: hello [text]"])
    turns.close()


HUGE_SENDER = b'{"id": 99999999999999999999999, "is_bot": false, "first_name": "x"}'
POISON = [
    b'{"update_id": {id}, "message": {"message_id": "x"}}',
    b'{"update_id": {id}, "message": 7}',
    b'{"update_id": {id}, "message": {"message_id": 1, "date": 1, "chat": {"id": 1e400, "type": "private"}}}',
    b'{"update_id": {id}, "message": {"message_id": 1, "date": 1, "from": '
    + HUGE_SENDER
    + b', "chat": {"id": 7, "type": "private"}, "text": "hi"}}',
    b'{"update_id": {id}, "callback_query": {"id": "1"}}',
    b'{"update_id": {id}, "brand_new_kind": {"a": 1}}',
    b'{"update_id": {id}, "message": ' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}",
    b'{"update_id": {id}, "message": {"broken',
]


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
async def test_p4_a_poisonous_update_spoils_only_itself(poison: bytes, bot_api: BotApiServer, running: Running, settings: Settings) -> None:
    """The updates around it are answered within five seconds, and its raw text is kept."""
    ann = bot_api.user("Ann")
    await ann.says("before")
    bot_api.queue_raw(poison)
    await ann.says("after")
    async with running():
        await ann.waits_until(lambda: len(ann.messages()) == 2, timeout_s=5)
    assert [seen.text for seen in ann.messages()] == ["echo: before [text]", "echo: after [text]"]
    kept = settings.home / "telegram-set-aside.jsonl"
    assert kept.exists() == (b"brand_new_kind" not in poison)


async def test_p4_text_that_no_database_takes_is_answered_all_the_same(bot_api: BotApiServer, running: Running) -> None:
    """NUL and lone surrogates in names and texts are replaced, not fatal."""
    ann = bot_api.user("Ann")
    person = b'{"id": ID, "is_bot": false, "first_name": "\\ud83d\\u0000"}'.replace(b"ID", str(ann.id).encode())
    chat = b'{"id": ID, "type": "private"}'.replace(b"ID", str(ann.id).encode())
    message = b'{"message_id": 5, "date": 1, "from": ' + person + b', "chat": ' + chat + b', "text": "a\\u0000b\\udc00"}'
    bot_api.queue_raw(b'{"update_id": {id}, "message": ' + message + b"}", chat_id=ann.id)
    async with running():
        assert (await ann.waits_for_reply()).text == "echo: a\ufffdb\ufffd [text]"


async def test_a_turn_that_fails_ends_nothing(bot_api: BotApiServer, running: Running) -> None:
    """An error of ours in one turn leaves the bot working."""
    ann, bob = bot_api.user("Ann"), bot_api.user("Bob")
    async with running():
        await ann.says("boom")
        await bob.says("hello")
        await bob.waits_for_reply("hello")


async def test_nothing_is_confirmed_before_it_is_stored(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """While the store is away updates stay with Telegram; what the store refuses is set aside alone."""
    ann = bot_api.user("Ann")
    echo.failures_to_come = [PeerUnavailableError("down", code="storage.connect"), InputError("no", code="x"), InputError("no", code="x")]
    await ann.says("first")
    await ann.says("second")
    async with running():
        await ann.waits_for_reply("second", timeout_s=8)
    assert [seen.text for seen in ann.messages()] == ["echo: second [text]"]


async def test_a_blocked_bot_is_a_dead_letter(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """What cannot be delivered to one is not repeated, and delays no other."""
    ann, bob = bot_api.user("Ann"), bot_api.user("Bob")
    async with running():
        await ann.says("hello")
        ann.blocks_bot()
        await bob.says("hello")
        await bob.waits_for_reply("hello")
        await bob.waits_until(lambda: echo.rows(f"select status from outbox where chat = '{ann.id}'") == [("dead",)])
    assert sum(call.status == 403 for call in bot_api.calls) == 1


async def test_b5_refused_formatting_is_sent_plain(bot_api: BotApiServer, running: Running) -> None:
    """When the server does not take entities the words arrive without them."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessage", status=400, description="Bad Request: can't parse entities: scripted")
    async with running():
        await ann.says("hello")
        assert (await ann.waits_for_reply("hello")).text == "echo: hello [text]"


async def test_b1_only_listed_ids_may_enter(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """Strangers are told their id and are not stored; a name belongs to the first id that showed it."""
    ann, thief, eve = bot_api.user("Ann", username="ann"), bot_api.user("Thief", username="Ann"), bot_api.user("Eve")
    async with running(with_settings={"allowed_usernames": ("ann",)}):
        await ann.says("hello")
        await ann.waits_for_reply("hello")
        await thief.says("hello")
        assert str(thief.id) in (await thief.waits_for_reply()).text
        query = await eve.sends_callback("go", message=(await eve.says("hi")))
        assert str(eve.id) in await eve.waits_for_toast(query)
    assert echo.rows("select count(*) from inbox") == [(1,)]


async def test_b2_forged_button_data_raise_nothing(bot_api: BotApiServer, running: Running) -> None:
    """Data that no button ever carried go through like any other."""
    ann = bot_api.user("Ann")
    message = await ann.says("/buttons")
    async with running():
        await ann.waits_for_reply("choose")
        for data in ("lead:delete:1", "\0" * 64, "🙂" * 16, "go\n" * 20, ""):
            await ann.sends_callback(data, message=message)
            await ann.waits_for_reply("pressed")


async def test_b3_groups_are_not_answered(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """Only private chats are served: keys and deals are talked about here."""
    ann = bot_api.user("Ann")
    group = bot_api.account.add_chat({"id": -100200, "type": "supergroup", "title": "Team"})
    bot_api.account.user_message(group, ann.info, {"text": "my key is sk-123"})
    async with running():
        await ann.says("hello")
        await ann.waits_for_reply("hello")
    assert not group.log
    assert echo.rows("select count(*) from inbox") == [(1,)]


async def test_b7_a_flood_is_limited_and_others_are_served(bot_api: BotApiServer, running: Running, echo: EchoConversation) -> None:
    """One who sends ten thousand messages is slowed down; another is answered at once."""
    ann, bob = bot_api.user("Ann"), bot_api.user("Bob")
    for number in range(10_000):
        if number == 400:
            await bob.says("hello")
        await ann.says(f"silent {number}")
    async with running():
        await bob.waits_for_reply("hello", timeout_s=5)
        await ann.waits_for_reply("a lot at once")
        await ann.waits_until(lambda: not bot_api.account.queue, timeout_s=30)
    stored = echo.rows("select count(*) from inbox")[0][0]
    assert 120 <= stored <= 150
    assert len([seen for seen in ann.messages() if "a lot at once" in seen.text]) == 1


async def test_b7_a_button_pressed_fifty_times_shows_one_message(bot_api: BotApiServer, running: Running) -> None:
    """Every press is answered, all of them edit the same message, and others need not wait."""
    ann, bob = bot_api.user("Ann"), bot_api.user("Bob")
    async with running(pace=Pace(per_second=1000, per_chat_second=1000, chat_burst=100)):
        await ann.says("/buttons")
        await ann.waits_for_reply("choose")
        for _ in range(50):
            await ann.presses("Go on")
        await bob.says("hello")
        await bob.waits_for_reply("hello", timeout_s=5)
        await ann.waits_until(lambda: len(bot_api.calls_of("answerCallbackQuery")) == len(bot_api.calls_of("editMessageText")) == 50)
    assert [seen.text for seen in ann.messages()] == ["pressed: go"]


async def test_the_token_is_in_no_log_line(bot_api: BotApiServer, running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong, the token is not written down."""
    caplog.set_level(logging.DEBUG)
    ann = bot_api.user("Ann")
    for fault in ("before", "after"):
        bot_api.fault("sendMessage", drop=fault)
        bot_api.fault("getUpdates", drop=fault)
    bot_api.fault("getUpdates", body=b"<html>502</html>", times=2)
    async with running():
        await ann.says("hello")
        await ann.waits_for_reply("hello", timeout_s=15)
    assert bot_api.token not in caplog.text
    assert bot_api.token.partition(":")[2] not in caplog.text


async def test_a_second_process_waits_for_the_first(
    bot_api: BotApiServer, running: Running, settings: Settings, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes on one bot share the work without a 409, and the second takes over when the first ends."""
    ann = bot_api.user("Ann")
    other = EchoConversation(f"{tmp_path}/echo.db", worker="other")
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        async with running():
            await ann.says("one")
            await ann.waits_for_reply("one")

            async def second() -> None:
                await serve_telegram(settings, lambda _: other, stop=stop)

            group.start_soon(second)
            await ann.says("two")
            await ann.waits_for_reply("two")
        await ann.says("three")
        await ann.waits_for_reply("three")
        stop.set()
    other.close()
    assert "reads this bot's updates" not in caplog.text
    assert len(ann.messages()) == 3


async def test_the_menu_is_set(bot_api: BotApiServer, running: Running) -> None:
    """The commands are offered in the menu."""
    ann: SimulatedUser = bot_api.user("Ann")
    async with running():
        await ann.waits_until(lambda: bot_api.account.commands)
    assert "learn" in str(bot_api.account.commands)


async def test_a_key_vanishes_from_the_chat(bot_api: BotApiServer, running: Running) -> None:
    """A message that holds a secret is deleted before its answer is sent (B3)."""
    ann = bot_api.user("Ann")
    async with running():
        said = await ann.says("my key")
        assert (await ann.waits_for_reply("stored")).text == "stored"
    assert said["message_id"] not in ann.chat.messages
    assert [stamp.kind for stamp in ann.chat.log] == ["deleted", "sent"]


async def test_b3_the_user_is_told_when_telegram_keeps_the_key(bot_api: BotApiServer, running: Running) -> None:
    """When the deletion is refused, the answer begins with what to do; when the message is gone already, all is well."""
    ann = bot_api.user("Ann")
    bot_api.fault("deleteMessage", status=400, description="Bad Request: message can't be deleted for everyone")
    async with running():
        await ann.says("my key")
        assert (await ann.waits_for_reply("stored")).text == "delete it yourself\n\nstored"
        bot_api.fault("deleteMessage", status=400, description="Bad Request: message to delete not found")
        await ann.says("my key")
        assert (await ann.waits_for_reply("stored")).text == "stored"


async def test_a_file_follows_its_words(bot_api: BotApiServer, running: Running) -> None:
    """A reply with a document is its text and then the file, byte for byte."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("export")
        await ann.waits_for_reply("your data")
        sent = (await ann.waits_for_reply()).raw["document"]
    assert (sent["file_name"], bot_api.account.files[sent["file_id"]].content) == ("data.json", b"{}")


async def test_a_streamed_answer_is_shown_as_drafts(bot_api: BotApiServer, running: Running, tmp_path: Path) -> None:
    """An answer is seen as a draft while it is written, at most every 0.7 s; then the whole is sent, and no draft after it."""
    ann = bot_api.user("Ann")
    turns = EchoConversation(tmp_path / "slow.db", slow_s=0.25)
    async with running(turns=turns):
        await ann.says("stream")
        await ann.waits_until(lambda: (ann.chat.draft or "").count("word") > 3)
        assert (await ann.waits_for_reply()).text.endswith("end")
        await anyio.sleep(1)
    turns.close()
    drafts = bot_api.calls_of("sendMessageDraft")
    assert 2 <= len(drafts) <= 5
    assert all(later.at - earlier.at > 0.6 for earlier, later in itertools.pairwise(drafts))
    assert [call.method for call in bot_api.calls if call.method in {"sendMessageDraft", "sendMessage"}][-1] == "sendMessage"
    assert ann.chat.draft is None
    assert len(ann.messages()) == 1


async def test_without_drafts_a_streamed_answer_grows_in_its_placeholder(bot_api: BotApiServer, running: Running, tmp_path: Path) -> None:
    """A server that knows no drafts gets edits of one message, which ends as the answer."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessageDraft", status=404, description="Not Found: method not found", times=None)
    turns = EchoConversation(tmp_path / "slow.db", slow_s=0.5)
    async with running(turns=turns):
        await ann.says("stream")
        await ann.waits_for_reply("word word")
        answer = await ann.waits_for_reply("end", timeout_s=8)
    turns.close()
    assert answer.edited
    assert len(ann.messages()) == 1
    assert len(bot_api.calls_of("sendMessageDraft")) == 1


async def test_a_draft_that_fails_costs_no_answer(bot_api: BotApiServer, running: Running, tmp_path: Path) -> None:
    """Whatever happens to drafts, the answer arrives."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessageDraft", status=429, retry_after_s=1)
    bot_api.fault("sendMessageDraft", drop="after")
    bot_api.fault("sendMessageDraft", status=500, times=None)
    turns = EchoConversation(tmp_path / "slow.db", slow_s=0.3)
    async with running(turns=turns):
        await ann.says("stream")
        await ann.waits_for_reply("end", timeout_s=8)
    turns.close()
    assert len(ann.messages()) == 1


async def test_the_menus_are_by_language_and_admins_have_their_own(bot_api: BotApiServer, running: Running) -> None:
    """Everybody's menu is set, and one for the chat of each admin that is named by number."""
    async with running(with_settings={"admin_usernames": ("4711", "by_name")}):
        await bot_api.user("Ann").waits_until(lambda: len(bot_api.account.commands) >= 2)
    scopes = [json.loads(key)[0] for key in bot_api.account.commands]
    assert {"type": "default"} in scopes
    assert {"type": "chat", "chat_id": 4711} in scopes


async def test_the_mini_app_has_a_button_when_its_address_is_set(bot_api: BotApiServer, running: Running) -> None:
    """`MINI_APP_URL` puts a button beside the message field; without it there is none."""
    async with running(with_settings={"mini_app_url": "https://app.example.com"}):
        await bot_api.user("Ann").waits_until(lambda: bot_api.account.menu_buttons)
    assert bot_api.account.menu_buttons[0]["web_app"] == {"url": "https://app.example.com"}


async def test_the_health_port_tells_whether_updates_come_in(bot_api: BotApiServer, running: Running, unused_port: int) -> None:
    """`GET /health` is 200 while the bot polls."""
    ann = bot_api.user("Ann")
    async with running(with_settings={"telegram_health_port": unused_port}), aiohttp.ClientSession() as session:
        await ann.says("hello")
        await ann.waits_for_reply("hello")
        async with session.get(f"http://127.0.0.1:{unused_port}/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"receiving": True})


async def test_webhooks_store_first_and_then_answer_200(
    bot_api: BotApiServer, running: Running, echo: EchoConversation, unused_port: int
) -> None:
    """A push is taken when it is stored; without the secret it is refused, and while the store is away it comes again."""
    ann = bot_api.user("Ann")
    url = f"http://127.0.0.1:{unused_port}/telegram"
    echo.failures_to_come = [PeerUnavailableError("down", code="storage.connect")]
    hook = {"telegram_webhook_url": url, "telegram_webhook_secret": Secret("s3cret"), "telegram_webhook_port": unused_port}
    async with running(with_settings=hook):
        await ann.waits_until(lambda: bot_api.account.webhook)
        for number in range(3):
            await ann.says(f"n{number}")
        await ann.waits_until(lambda: len(ann.messages()) == 3)
        async with aiohttp.ClientSession() as session:
            for header in ("", "wrong", "s3cr\u00e9t"):
                async with session.post(url, data=b"{}", headers={"X-Telegram-Bot-Api-Secret-Token": header}) as answer:
                    assert answer.status == 401
            async with session.post(url, data=b"{", headers={"X-Telegram-Bot-Api-Secret-Token": "s3cret"}) as answer:
                assert answer.status == 400
    assert [seen.text for seen in ann.messages()] == [f"echo: n{number} [text]" for number in range(3)]
    assert "503" in (bot_api.account.webhook.last_error if bot_api.account.webhook else "")


async def test_a_second_simulation_is_no_repeat_of_the_first(settings: Settings, echo: EchoConversation, unused_port: int) -> None:
    """On a store that outlives the simulation, the next one's messages are new ones."""
    base, own = f"http://127.0.0.1:{unused_port}", {"X-Dealquest-Page": "1"}
    for number in (1, 2):
        stop = anyio.Event()
        async with anyio.create_task_group() as group, aiohttp.ClientSession() as session:
            await _start_simulation(group, settings, echo, stop, unused_port)
            async with session.post(f"{base}/chat/say", data=f'{{"text": "n{number}"}}', headers=own) as answer:
                assert answer.status == 200
            with anyio.fail_after(10):
                while True:
                    async with session.get(f"{base}/chat") as answer:
                        texts = [message["text"] for message in (await answer.json())["messages"]]
                    if f"echo: n{number} [text]" in texts:
                        break
                    await anyio.sleep(0.1)
            stop.set()


async def _start_simulation(group: anyio.abc.TaskGroup, settings: Settings, echo: EchoConversation, stop: anyio.Event, port: int) -> None:
    async def serve() -> None:
        await serve_telegram(settings, lambda _: echo, simulate=True, stop=stop, port=port)

    group.start_soon(serve)
    with anyio.fail_after(10):
        while True:
            try:
                stream = await anyio.connect_tcp("127.0.0.1", port)
            except OSError:
                await anyio.sleep(0.05)
            else:
                await stream.aclose()
                return


def nested_text(size: int) -> Text:
    """Paragraphs of words, emoji and code under bold, italic and quotes that begin and end anywhere."""
    rng = random.Random(7)
    words = ("deal", "Käufer", "😀", "👩‍👩‍👧", "next step", "price", "x" * 90)
    plain = ""
    while len(plain) < size:
        plain += " ".join(rng.choices(words, k=rng.randint(3, 80))) + rng.choice(("\n\n", "\n"))
    styles: tuple[Style, ...] = ("bold", "italic", "code", "pre", "quote", "link")
    spans = []
    for _ in range(1500):
        start = rng.randrange(len(plain) - 1)
        length = min(rng.randint(1, 3000), len(plain) - start)
        spans.append(Span(style=rng.choice(styles), offset=start, length=length, url="https://example.com/"))
    return Text(plain, tuple(spans))


class Monologue(EchoConversation):
    """Answers everything with one very long text."""

    async def work(self, source: str, **options: Any) -> Done | None:
        done = await super().work(source, **options)
        if done is None:
            return None
        reply = attrs.evolve(done.deliveries[0].reply, text=nested_text(100_000))
        return attrs.evolve(done, deliveries=(attrs.evolve(done.deliveries[0], reply=reply),))


@pytest.mark.parametrize("way", ["rich", "split"])
async def test_p_100_kb_of_nested_text_arrives_whole(way: str, bot_api: BotApiServer, running: Running, tmp_path: Path) -> None:
    """No word of a very long answer is lost and no call refused, in rich messages as in parts."""
    ann = bot_api.user("Ann")
    if way == "split":
        bot_api.fault("sendRichMessage", status=404, description="Not Found: method not found", times=None)
    turns = Monologue(tmp_path / "long.db")
    async with running(turns=turns, pace=Pace(per_chat_second=100)):
        await ann.says("hello")
        await ann.waits_until(lambda: turns.rows("select status from outbox") == [("sent",)], timeout_s=20)
    turns.close()
    shown = ann.messages()
    assert all(("rich_message" in seen.raw) == (way == "rich") for seen in shown)
    assert "".join("".join(seen.text for seen in shown).split()) == "".join(nested_text(100_000).plain.split())
    assert {call.status for call in bot_api.calls if call.method in {"sendMessage", "sendRichMessage"}} <= {200, 404}
    assert len(shown) <= (4 if way == "rich" else 40)
