"""The offline Bot API server where it is seldom used: limits, kinds that nobody asked for, methods that it shall not know."""

import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import pytest

from dealquest_telegram.testing import BotApiServer
from dealquest_telegram.testing.account import MAX_QUEUED, Queued
from dealquest_telegram.testing.methods import MAX_PHOTO_BYTES
from dealquest_telegram.testing.page import OWN_HEADER
from dealquest_telegram.testing.refusal import Refusal

pytestmark = pytest.mark.anyio


class Client:
    """One method, one answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def __call__(self, api: BotApiServer, method: str, **values: Any) -> tuple[int, Any]:
        async with self.session.post(f"{api.base_url}/bot{api.token}/{method}", json=values) as answer:
            body = await answer.json()
        return answer.status, body["result"] if body["ok"] else body["description"]


@pytest.fixture
async def call() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session)


async def test_only_kinds_that_are_wanted_are_queued(bot_api: BotApiServer, call: Client) -> None:
    """A bot that asks for messages gets no presses, one without a message of its own neither; the wish stays until the next one."""
    ann = bot_api.user("Ann")
    assert await call(bot_api, "getUpdates", allowed_updates=["message"]) == (200, [])
    await ann.sends_callback("go")
    assert await call(bot_api, "getUpdates") == (200, [])
    assert (await call(bot_api, "getUpdates", allowed_updates=["callback_query"]))[1] == []
    await ann.sends_callback("go")
    _, (update,) = await call(bot_api, "getUpdates")
    assert update["callback_query"]["data"] == "go"
    assert "message" not in update["callback_query"]


async def test_the_queue_has_an_end(bot_api: BotApiServer) -> None:
    """A test that floods it is told, instead of filling the memory."""
    bot_api.account.queue.extend([Queued(update_id=1, chat_id=1, raw=b"{}")] * MAX_QUEUED)
    with pytest.raises(Refusal, match="too many updates"):
        bot_api.queue_raw(b"{}")


async def test_limits_that_bots_seldom_meet(bot_api: BotApiServer, call: Client) -> None:
    """A long toast, a draft in a group and a large picture are refused; formatting of trimmed blanks goes with them."""
    ann = bot_api.user("Ann")
    query = await ann.sends_callback("go")
    assert (await call(bot_api, "answerCallbackQuery", callback_query_id=query, text="x" * 201))[0] == 400
    assert (await call(bot_api, "answerCallbackQuery", callback_query_id=query, text="x" * 200))[0] == 200
    bot_api.account.add_chat({"id": -5, "type": "group", "title": "Sales"})
    status, words = await call(bot_api, "sendMessageDraft", chat_id=-5, draft_id=1, text="x")
    assert (status, "private chats only" in words) == (400, True)
    entities = [{"type": "bold", "offset": 0, "length": 2}, {"type": "italic", "offset": 3, "length": 2}]
    _, sent = await call(bot_api, "sendMessage", chat_id=ann.id, text="ab   ", entities=entities)
    assert (sent["text"], [entity["type"] for entity in sent["entities"]]) == ("ab", ["bold"])
    form = aiohttp.FormData({"chat_id": str(ann.id)})
    form.add_field("photo", io.BytesIO(b"x" * (MAX_PHOTO_BYTES + 1)), filename="large.jpg")
    async with call.session.post(f"{bot_api.base_url}/bot{bot_api.token}/sendPhoto", data=form) as answer:
        assert answer.status == 413


async def test_a_method_can_be_unknown(call: Client) -> None:
    """`without` makes a server of an earlier time, whatever the spelling."""
    async with BotApiServer(without=("sendRichMessage",)) as old:
        assert await call(old, "SENDrichMESSAGE") == (404, "Not Found: method not found")
        assert (await call(old, "getMe"))[0] == 200


async def test_a_server_that_never_began_ends_in_peace() -> None:
    """A port that is taken leaves nothing to close."""
    async with BotApiServer() as first:
        port = int(first.base_url.rpartition(":")[2])
        second = BotApiServer(port=port)
        with pytest.raises(OSError, match="in use"):
            await second.__aenter__()
        await second.__aexit__(None, None, None)
    await BotApiServer().__aexit__(None, None, None)


async def test_a_webhook_goes_with_what_waits_where_that_is_asked(bot_api: BotApiServer, call: Client) -> None:
    """`drop_pending_updates` forgets the queue; a sender whose webhook is gone stops pushing and keeps the rest."""
    ann = bot_api.user("Ann")
    await call(bot_api, "setWebhook", url="http://127.0.0.1:9/nobody")
    await ann.says("one")
    await ann.waits_until(lambda: bot_api.account.webhook is not None and bot_api.account.webhook.last_error)
    _, info = await call(bot_api, "getWebhookInfo")
    assert info["pending_update_count"] == 1
    bot_api.account.webhook = None
    bot_api.account.ring()
    await anyio.sleep(0.4)  # more than a pause between two tries
    assert len(bot_api.account.queue) == 1
    assert await call(bot_api, "deleteWebhook", drop_pending_updates=True) == (200, True)
    assert await call(bot_api, "getUpdates") == (200, [])


async def test_a_slow_download_is_whole(bot_api: BotApiServer, call: Client) -> None:
    """A fault that only waits changes nothing of the file."""
    voice = (await bot_api.user("Ann").sends_voice(b"sound" * 100))["voice"]["file_id"]
    _, file = await call(bot_api, "getFile", file_id=voice)
    bot_api.fault("download", hang_s=0.05)
    async with call.session.get(f"{bot_api.base_url}/file/bot{bot_api.token}/{file['file_path']}") as answer:
        assert await answer.read() == b"sound" * 100


async def test_a_body_of_an_unknown_kind_is_no_argument(bot_api: BotApiServer, call: Client) -> None:
    """What is neither JSON nor a form is left alone; the address' own arguments count."""
    ann = bot_api.user("Ann")
    url = f"{bot_api.base_url}/bot{bot_api.token}/sendMessage?chat_id={ann.id}&text=hello"
    async with call.session.post(url, data=b"text=other", headers={"content-type": "text/plain"}) as answer:
        assert (await answer.json())["result"]["text"] == "hello"


async def test_the_page_says_nothing_of_what_is_not_there(bot_api: BotApiServer, call: Client) -> None:
    """A press on a message that is gone is 404, a blank line is no message, an empty file is 400, an unknown one 404."""
    headers = {OWN_HEADER: "1"}
    async with call.session.post(f"{bot_api.base_url}/chat/press", json={"message_id": 999, "data": "go"}, headers=headers) as answer:
        assert answer.status == 404
    async with call.session.post(f"{bot_api.base_url}/chat/say", json={"text": "  \n"}, headers=headers) as answer:
        assert answer.status == 200
    async with call.session.post(f"{bot_api.base_url}/chat/file?file=x.txt", data=b"", headers=headers) as answer:
        assert answer.status == 400
    async with call.session.get(f"{bot_api.base_url}/chat/file/none") as answer:
        assert answer.status == 404
    async with call.session.post(f"{bot_api.base_url}/chat/say", data=b"{", headers=headers) as answer:
        assert answer.status == 400
    assert not bot_api.account.queue
