"""The offline Bot API server keeps the public server's rules; aiogram, loaded the light way, is its client."""

import itertools
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from dealquest_telegram.testing import BotApiServer
from dealquest_telegram.testing.entities import parse_html, units
from dealquest_telegram.testing.refusal import Refusal

pytestmark = pytest.mark.anyio


class Client:
    """A bare client: one method, one answer."""

    def __init__(self, api: BotApiServer, session: aiohttp.ClientSession) -> None:
        self.api = api
        self.session = session

    async def __call__(self, method: str, **values: Any) -> Any:
        async with self.session.post(f"{self.api.base_url}/bot{self.api.token}/{method}", json=values) as answer:
            return await answer.json()

    async def refused(self, method: str, **values: Any) -> str:
        body = await self(method, **values)
        assert body["ok"] is False
        return f"{body['error_code']} {body['description']}"


@pytest.fixture
async def call(bot_api: BotApiServer) -> AsyncIterator[Client]:
    """Calls methods of the server."""
    async with aiohttp.ClientSession() as session:
        yield Client(bot_api, session)


async def test_the_offset_confirms(bot_api: BotApiServer, call: Client) -> None:
    """An update comes again until a later offset is asked for; a negative offset keeps the last ones only."""
    ann = bot_api.user("Ann")
    for number in range(5):
        await ann.says(f"n{number}")
    first = (await call("getUpdates", limit=2))["result"]
    assert (await call("getUpdates", limit=2))["result"] == first
    rest = (await call("getUpdates", offset=first[-1]["update_id"] + 1))["result"]
    assert [update["message"]["text"] for update in rest] == ["n2", "n3", "n4"]
    last = (await call("getUpdates", offset=-1))["result"]
    assert [update["message"]["text"] for update in last] == ["n4"]


async def test_long_polling_ends_with_the_first_update(bot_api: BotApiServer, call: Client) -> None:
    """A waiting call answers as soon as there is something, and with nothing when its time is over."""
    assert (await call("getUpdates", timeout=0))["result"] == []
    found: list[Any] = []

    async def poll() -> None:
        found.extend((await call("getUpdates", timeout=20))["result"])

    with anyio.fail_after(3):
        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            await anyio.sleep(0.1)
            await bot_api.user("Ann").says("hi")
    assert len(found) == 1


async def test_a_second_poller_ends_the_first(bot_api: BotApiServer, call: Client) -> None:
    """The older of two pollers gets a 409, the newer one gets the updates."""
    answers: list[Any] = []

    async def poll() -> None:
        answers.append(await call("getUpdates", timeout=5))

    async with anyio.create_task_group() as group:
        group.start_soon(poll)
        await anyio.sleep(0.1)
        group.start_soon(poll)
        await anyio.sleep(0.1)
        await bot_api.user("Ann").says("hi")
    assert [answer["ok"] for answer in answers] == [False, True]
    assert "terminated by other getUpdates" in answers[0]["description"]


async def test_limits_and_words_are_the_public_ones(bot_api: BotApiServer, call: Client) -> None:
    """What the public server refuses is refused here, in its words."""
    ann = bot_api.user("Ann")
    at = {"chat_id": ann.id}
    keyboard = {"inline_keyboard": [[{"text": "a", "callback_data": "x" * 65}]]}
    assert await call.refused("sendMessage", **at, text="") == "400 Bad Request: message text is empty"
    assert await call.refused("sendMessage", **at, text=" \n ") == "400 Bad Request: text must be non-empty"
    assert await call.refused("sendMessage", **at, text="😀" * 2049) == "400 Bad Request: message is too long"
    assert (await call("sendMessage", **at, text="😀" * 2048))["ok"]
    assert (await call("sendMessage", **at, text="<b>" + "x" * 4096 + "</b>", parse_mode="HTML"))["ok"]
    assert await call.refused("sendMessage", chat_id=5, text="x") == "400 Bad Request: chat not found"
    assert await call.refused("sendMessage", **at, text="x", reply_markup=keyboard) == "400 Bad Request: BUTTON_DATA_INVALID"
    assert "middle of a UTF-16 symbol" in await call.refused(
        "sendMessage", **at, text="😀x", entities=[{"type": "bold", "offset": 1, "length": 1}]
    )
    assert "ends after the end" in await call.refused("sendMessage", **at, text="x", entities=[{"type": "bold", "offset": 0, "length": 2}])
    assert "can't parse entities" in await call.refused("sendMessage", **at, text="<b>x", parse_mode="HTML")
    assert "can't parse entities" in await call.refused("sendMessage", **at, text="a <u>x</b>", parse_mode="HTML")
    assert await call.refused("noSuchMethod") == "404 Not Found: method not found"
    ann.blocks_bot()
    assert await call.refused("sendMessage", **at, text="x") == "403 Forbidden: bot was blocked by the user"


async def test_edits_and_deletions(bot_api: BotApiServer, call: Client) -> None:
    """An edit that changes nothing, or a message that is gone or not the bot's own, is refused."""
    ann = bot_api.user("Ann")
    theirs = await ann.says("mine")
    sent = (await call("sendMessage", chat_id=ann.id, text="one"))["result"]
    at = {"chat_id": ann.id, "message_id": sent["message_id"]}
    assert "message is not modified" in await call.refused("editMessageText", **at, text="one")
    assert (await call("editMessageText", **at, text="two"))["result"]["text"] == "two"
    markup = {"inline_keyboard": [[{"text": "a", "callback_data": "b"}]]}
    assert (await call("editMessageReplyMarkup", **at, reply_markup=markup))["result"]["reply_markup"] == markup
    assert "can't be edited" in await call.refused("editMessageText", chat_id=ann.id, message_id=theirs["message_id"], text="x")
    assert (await call("deleteMessage", **at))["result"] is True
    assert await call.refused("editMessageText", **at, text="x") == "400 Bad Request: message to edit not found"
    assert await call.refused("deleteMessage", **at) == "400 Bad Request: message to delete not found"


async def test_a_press_is_answered_once(bot_api: BotApiServer, call: Client) -> None:
    """The second answer to a button press is too late."""
    ann = bot_api.user("Ann")
    await call("sendMessage", chat_id=ann.id, text="x", reply_markup={"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]})
    query = await ann.presses("Go")
    assert (await call("answerCallbackQuery", callback_query_id=query, text="ok"))["ok"]
    assert "query is too old" in await call.refused("answerCallbackQuery", callback_query_id=query)
    assert await ann.waits_for_toast(query) == "ok"
    with pytest.raises(AssertionError, match="No button 'Stop'"):
        await ann.presses("Stop")


async def test_files_go_up_and_down(bot_api: BotApiServer, call: Client) -> None:
    """Uploads are kept, downloads give the same bytes, sizes are limited, and a size may lie."""
    ann = bot_api.user("Ann")
    form = aiohttp.FormData()
    form.add_field("chat_id", str(ann.id))
    form.add_field("document", b"bytes", filename="a.txt", content_type="text/plain")
    async with call.session.post(f"{bot_api.base_url}/bot{bot_api.token}/sendDocument", data=form) as answer:
        file_id = (await answer.json())["result"]["document"]["file_id"]
    path = (await call("getFile", file_id=file_id))["result"]["file_path"]
    async with call.session.get(f"{bot_api.base_url}/file/bot{bot_api.token}/{path}") as answer:
        assert await answer.read() == b"bytes"
    async with call.session.get(f"{bot_api.base_url}/file/bot0:wrong/{path}") as answer:
        assert answer.status == 404
    voice = (await ann.sends_voice(b"x" * 100, size=30_000_000))["voice"]
    assert await call.refused("getFile", file_id=voice["file_id"]) == "400 Bad Request: file is too big"
    assert "file_size" not in (await ann.sends_voice(b"x" * 100, size=None))["voice"]


async def test_drafts_rich_messages_actions_and_menus(bot_api: BotApiServer, call: Client) -> None:
    """The newer methods have their limits too."""
    ann = bot_api.user("Ann")
    at = {"chat_id": ann.id}
    assert (await call("sendMessageDraft", **at, draft_id=1, text="thinking"))["result"] is True
    assert ann.chat.draft == "thinking"
    assert "non-zero" in await call.refused("sendMessageDraft", **at, draft_id=0, text="x")
    rich = (await call("sendRichMessage", **at, rich_message={"markdown": "one\n\ntwo"}))["result"]
    assert len(rich["rich_message"]["blocks"]) == 2
    assert ann.chat.draft is None
    assert (await ann.waits_for_reply("two")).text == "one\n\ntwo"
    assert "too long" in await call.refused("sendRichMessage", **at, rich_message={"markdown": "x" * 32_769})
    assert "exactly one" in await call.refused("sendRichMessage", **at, rich_message={"markdown": "x", "html": "y"})
    assert "wrong parameter action" in await call.refused("sendChatAction", **at, action="dancing")
    assert "BOT_COMMAND_INVALID" in await call.refused("setMyCommands", commands=[{"command": "No Good", "description": "x"}])
    await call("setMyCommands", commands=[{"command": "start", "description": "x"}], language_code="de")
    assert (await call("getMyCommands"))["result"] == []
    assert len((await call("getMyCommands", language_code="de"))["result"]) == 1


async def test_faults_strike_as_planned(bot_api: BotApiServer, call: Client) -> None:
    """A fault passes, strikes and ends as it was planned; a dropped answer may have had its effect."""
    ann = bot_api.user("Ann")
    bot_api.fault("sendMessage", status=429, retry_after_s=3, skip=1, times=1)
    assert [(await call("sendMessage", chat_id=ann.id, text="x"))["ok"] for _ in range(3)] == [True, False, True]
    for moment, expected in (("before", 2), ("after", 3)):
        bot_api.fault("sendMessage", drop=moment)  # type: ignore[arg-type]  # one of the two words
        with pytest.raises(aiohttp.ClientError):
            await call("sendMessage", chat_id=ann.id, text="x")
        assert len(ann.messages()) == expected
    bot_api.fault(times=None, status=502)
    bot_api.clear_faults()
    assert (await call("getMe"))["ok"]


async def test_webhooks_are_repeated_until_they_are_taken(bot_api: BotApiServer, call: Client) -> None:
    """Pushes carry the secret, one chat's come in order, a failed one comes again, and polling is refused meanwhile."""
    ann = bot_api.user("Ann")
    taken: list[tuple[str, str | None]] = []
    failures = [500, 503]

    async def take(request: web.Request) -> web.Response:
        if failures:
            return web.Response(status=failures.pop())
        taken.append(((await request.json())["message"]["text"], request.headers.get("X-Telegram-Bot-Api-Secret-Token")))
        return web.json_response({"method": "sendMessage", "chat_id": ann.id, "text": "by the webhook"})

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert "loopback" in await call.refused("setWebhook", url="https://example.test/hook")
    await call("setWebhook", url=f"http://127.0.0.1:{runner.addresses[0][1]}/hook", secret_token="s3cret")
    assert "409" in await call.refused("getUpdates")
    for number in range(3):
        await ann.says(f"n{number}")
    await ann.waits_until(lambda: len(taken) == 3)
    assert taken == [(f"n{number}", "s3cret") for number in range(3)]
    assert (await ann.waits_for_reply()).text == "by the webhook"
    await ann.waits_until(lambda: not bot_api.account.queue)
    info = (await call("getWebhookInfo"))["result"]
    assert info["pending_update_count"] == 0
    assert "50" in info["last_error_message"]
    await call("deleteWebhook")
    assert (await call("getUpdates"))["ok"]
    await runner.cleanup()


async def test_the_chat_page_works_and_keeps_strangers_out(bot_api: BotApiServer, call: Client) -> None:
    """The page talks as a person; other sites can neither read nor write through it."""
    base, own = bot_api.base_url, {"X-Dealquest-Page": "1"}
    async with call.session.get(base + "/") as answer:
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for asset in ("/page.js", "/page.css"):
        async with call.session.get(base + asset) as answer:
            assert answer.status == 200
    async with call.session.get(base + "/", headers={"Host": "rebound.example.test"}) as answer:
        assert answer.status == 403
    async with call.session.post(f"{base}/chat/say?name=Ann", data=json.dumps({"text": "hi"})) as answer:
        assert answer.status == 403
    async with call.session.post(f"{base}/chat/say?name=Ann", data=json.dumps({"text": "hi"}), headers=own) as answer:
        assert answer.status == 200
    update = (await call("getUpdates"))["result"][0]["message"]
    await call(
        "sendMessage",
        chat_id=update["chat"]["id"],
        text="hello",
        reply_markup={"inline_keyboard": [[{"text": "Go", "callback_data": "g"}]]},
    )
    async with call.session.get(f"{base}/chat?name=Ann") as answer:
        state = await answer.json()
        known = answer.headers["ETag"].strip('"')
    assert [message["text"] for message in state["messages"]] == ["hi", "hello"]
    async with anyio.create_task_group() as group:

        async def follow() -> None:
            async with call.session.get(f"{base}/chat?name=Ann&known={known}") as answer:
                assert len((await answer.json())["messages"]) == 3

        group.start_soon(follow)
        await anyio.sleep(0.1)
        async with call.session.post(
            f"{base}/chat/file?name=Ann&file=a.png", data=b"img", headers=own | {"Content-Type": "image/png"}
        ) as answer:
            assert answer.status == 200
    async with call.session.post(f"{base}/chat/press?name=Ann", data=json.dumps({"message_id": 999}), headers=own) as answer:
        assert answer.status == 404


async def test_the_chat_page_shows_pictures_and_sounds_and_saves_the_rest(bot_api: BotApiServer, call: Client) -> None:
    """What is uploaded comes back: a picture and a sound to be shown, anything else only as a download, whatever it says it is."""
    base, own = bot_api.base_url, {"X-Dealquest-Page": "1"}
    sent = {"image/png": b"\x89PNG\r\n\x1a\n...", "audio/ogg": b"OggS...", "text/html": b"<script>alert(1)</script>"}
    for kind, content in sent.items():
        where = f"{base}/chat/file?name=Ann&file=a.bin&caption=look&seconds=4"
        async with call.session.post(where, data=content, headers=own | {"Content-Type": kind}) as answer:
            assert answer.status == 200
    async with call.session.get(f"{base}/chat?name=Ann") as answer:
        messages = (await answer.json())["messages"]
    assert [message["file"]["kind"] for message in messages] == ["photo", "voice", "document"]
    assert [message["text"] for message in messages] == ["look", "", "look"]
    for message, (kind, content) in zip(messages, sent.items(), strict=True):
        async with call.session.get(f"{base}/chat/file/{message['file']['id']}") as answer:
            assert await answer.read() == content
            assert answer.content_type == (kind if kind != "text/html" else "application/octet-stream")
            assert ("Content-Disposition" in answer.headers) == (kind == "text/html")
    async with call.session.get(f"{base}/chat/file/nothing") as answer:
        assert answer.status == 404


TAGS = [("<b>", "</b>"), ("<i>", "</i>"), ("<a href='https://e.test'>", "</a>"), ("<code>", "</code>")]
sound = st.recursive(
    st.sampled_from(["x", "😀", "&lt;"]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.builds(lambda tag, text: f"{tag[0]}{text}{tag[1]}", st.sampled_from(TAGS), inner)
    ),
    max_leaves=8,
)
pieces = st.lists(st.sampled_from([*itertools.chain(*TAGS), "&lt;", "&", "<", "x", "😀"])).map("".join)


@given(pieces | sound)
def test_html_is_read_or_refused(markup: str) -> None:
    """Any markup is either refused or gives entities within its text."""
    try:
        text, entities = parse_html(markup)
    except Refusal:
        return
    assert all(0 <= entity["offset"] < entity["offset"] + entity["length"] <= units(text) for entity in entities)


@given(sound)
def test_sound_html_becomes_an_entity_for_each_tag(markup: str) -> None:
    """Every tag around a text is an entity of it, in UTF-16 units, and the text is what is left without tags."""
    text, entities = parse_html(markup)
    assert text == re.sub(r"<[^>]*>", "", markup).replace("&lt;", "<")
    assert len(entities) == markup.count("</")
    assert all(0 <= entity["offset"] < entity["offset"] + entity["length"] <= units(text) for entity in entities)
