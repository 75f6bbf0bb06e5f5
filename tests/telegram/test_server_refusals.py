"""Everything that the offline Bot API server refuses, as the public one does, and the rarer things that it takes."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from dealquest_telegram.testing import BotApiServer

pytestmark = pytest.mark.anyio

BOLD = {"type": "bold", "offset": 0, "length": 2}
KEYS = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}]]}


class Client:
    """One method, one answer; files go as a form."""

    def __init__(self, api: BotApiServer, session: aiohttp.ClientSession, chat: int) -> None:
        self.api = api
        self.session = session
        self.chat = chat

    async def __call__(self, method: str, *, token: str | None = None, **values: Any) -> tuple[int, Any]:
        url = f"{self.api.base_url}/bot{token or self.api.token}/{method}"
        async with self.session.post(url, json={"chat_id": self.chat, **values}) as answer:
            body = await answer.json()
        return answer.status, body["result"] if body["ok"] else body["description"]

    async def form(self, method: str, field: str, content: bytes, name: str, **values: str) -> tuple[int, Any]:
        form = aiohttp.FormData({"chat_id": str(self.chat), **values})
        form.add_field(field, content, filename=name)
        async with self.session.post(f"{self.api.base_url}/bot{self.api.token}/{method}", data=form) as answer:
            body = await answer.json()
        return answer.status, body["result"] if body["ok"] else body["description"]


@pytest.fixture
async def call(bot_api: BotApiServer) -> AsyncIterator[Client]:
    ann = bot_api.user("Ann")
    await ann.says("/start")
    async with aiohttp.ClientSession() as session:
        yield Client(bot_api, session, ann.id)


def message(**values: Any) -> tuple[str, dict[str, Any]]:
    return "sendMessage", {"text": "Hello", **values}


def keyboard(*buttons: Any) -> tuple[str, dict[str, Any]]:
    return message(reply_markup={"inline_keyboard": [list(buttons)]})


REFUSED = [
    message(text=""),
    message(text="   "),
    message(text="x" * 4097),
    message(parse_mode="Markdown"),
    message(text="<b>x", parse_mode="HTML"),
    message(text="x</b>", parse_mode="HTML"),
    message(text="<h1>x</h1>", parse_mode="HTML"),
    message(entities=3),
    message(entities=[3]),
    message(entities=[{**BOLD, "length": 0}]),
    message(entities=[{**BOLD, "length": 99}]),
    message(entities=[{**BOLD, "type": "text_link"}]),
    message(text="\N{SLIGHTLY SMILING FACE}!", entities=[{**BOLD, "offset": 1}]),
    message(reply_markup=3),
    message(reply_markup={"inline_keyboard": [3]}),
    message(reply_markup={"inline_keyboard": [[{"text": "x", "callback_data": "y"}] * 101]}),
    message(reply_parameters={"message_id": 999}),
    keyboard({"text": " "}),
    keyboard({"text": "x"}),
    keyboard({"text": "x", "callback_data": "y" * 65}),
    keyboard({"text": "x", "url": "javascript:x"}),
    keyboard({"text": "x", "web_app": {"url": "http://plain.example"}}),
    ("editMessageText", {"message_id": 999, "text": "x"}),
    ("editMessageText", {"message_id": 1, "text": "x"}),
    ("deleteMessage", {"message_id": 999}),
    ("answerCallbackQuery", {"callback_query_id": "999"}),
    ("sendChatAction", {"action": "dancing"}),
    ("sendMessageDraft", {"draft_id": 0, "text": "x"}),
    ("sendRichMessage", {"rich_message": 3}),
    ("sendRichMessage", {"rich_message": {"html": "x", "markdown": "y"}}),
    ("sendRichMessage", {"rich_message": {"markdown": "x" * 40_000}}),
    ("sendRichMessage", {"rich_message": {"blocks": [{"type": "paragraph", "text": "x"}] * 600}}),
    ("sendRichMessage", {"rich_message": {"blocks": [3]}}),
    ("sendDocument", {"document": "https://elsewhere.example/a.pdf"}),
    ("getFile", {"file_id": "999"}),
    ("setMyCommands", {"commands": 3}),
    ("setMyCommands", {"commands": [{"command": "No Blanks", "description": "x"}]}),
    ("setMyCommands", {"commands": [{"command": "ok", "description": ""}]}),
    ("setWebhook", {"url": "http://127.0.0.1:1/x", "secret_token": "no blanks"}),
    ("setWebhook", {"url": "https://elsewhere.example/x"}),
]


async def test_what_the_public_server_refuses_is_refused(call: Client) -> None:
    """Each of these is a 400 with words; an unknown method and a wrong token are 404 and 401."""
    for method, values in REFUSED:
        status, words = await call(method, **values)
        assert (status, bool(words)) == (400, True), (method, values)
    assert (await call("danceForMe"))[0] == 404
    assert (await call("getMe", token="1:other"))[0] == 401
    for body in (b"{", b"[1]"):
        headers = {"content-type": "application/json"}
        async with call.session.post(f"{call.api.base_url}/bot{call.api.token}/getMe", data=body, headers=headers) as answer:
            assert answer.status == 400


async def test_messages_are_written_edited_and_answered(call: Client) -> None:
    """HTML of every kind, buttons, replies, drafts, rich messages and their edits are taken as the public server takes them."""
    html = '<a href="https://x.example">a</a><span class="tg-spoiler">b</span><pre><code class="language-py">c</code></pre>'
    html += "<blockquote expandable>d</blockquote>"
    status, sent = await call("sendMessage", text=html, parse_mode="html", reply_markup=KEYS)
    assert status == 200
    kinds = {entity["type"]: entity for entity in sent["entities"]}
    assert kinds.keys() == {"text_link", "spoiler", "pre", "expandable_blockquote"}
    assert kinds["pre"]["language"] == "py"
    number = sent["message_id"]
    assert (await call("editMessageReplyMarkup", message_id=number, reply_markup=KEYS))[0] == 400
    assert (await call("editMessageReplyMarkup", message_id=number, reply_markup={"inline_keyboard": []}))[0] == 200
    for text in ("", " "):
        assert (await call("editMessageText", message_id=number, text=text))[0] == 400
    assert (await call("editMessageText", message_id=number, rich_message={"markdown": "one\n\ntwo"}))[0] == 200
    assert (await call("sendMessage", text="x", reply_parameters={"message_id": number}))[1]["reply_to_message"]["message_id"] == number
    alone = await call("sendMessage", text="x", reply_parameters={"message_id": 999, "allow_sending_without_reply": True})
    assert "reply_to_message" not in alone[1]
    assert (await call("sendMessage", text="x", reply_markup={"force_reply": True}))[0] == 200
    assert (await call("sendMessageDraft", draft_id=1, text="so far"))[1] is True
    nested = {"blocks": [{"type": "quote", "blocks": [{"type": "paragraph", "text": ["a", {"text": "b"}]}]}]}
    assert (await call("sendRichMessage", rich_message=nested))[0] == 200
    assert (await call("sendRichMessage", rich_message={"html": "<p>a</p>"}))[0] == 200
    assert (await call("deleteMessage", message_id=number))[1] is True


async def test_files_of_every_kind_come_back(call: Client) -> None:
    """A picture, a document and a voice note are stored once, sent again by id, and downloaded byte by byte; empty ones are refused."""
    _, picture = await call.form("sendPhoto", "photo", b"\xff\xd8pic", "a.jpg", caption="seen")
    assert picture["caption"] == "seen"
    _, document = await call.form("sendDocument", "document", b"%PDF", "no-extension")
    _, voice = await call.form("sendVoice", "voice", b"OggS", "a.very-long-extension", duration="3")
    assert voice["voice"]["duration"] == 3
    assert (await call.form("sendVoice", "voice", b"", "a.ogg"))[0] == 400
    again = (await call("sendDocument", document=document["document"]["file_id"]))[1]["document"]
    place = (await call("getFile", file_id=again["file_id"]))[1]["file_path"]
    async with call.session.get(f"{call.api.base_url}/file/bot{call.api.token}/{place}") as answer:
        assert await answer.read() == b"%PDF"
    async with call.session.get(f"{call.api.base_url}/file/bot{call.api.token}/nowhere") as answer:
        assert answer.status == 404


async def test_menus_and_the_way_of_updates_are_set_and_read(call: Client) -> None:
    """Commands by scope, the menu button, a webhook and its end: each is kept, read back and taken away."""
    commands = [{"command": "start", "description": "Begin"}]
    assert (await call("setMyCommands", commands=commands, scope={"type": "all_private_chats"}))[1] is True
    assert (await call("getMyCommands", scope={"type": "all_private_chats"}))[1] == commands
    assert (await call("getMyCommands"))[1] == []
    assert (await call("deleteMyCommands", scope={"type": "all_private_chats"}))[1] is True
    assert (await call("setChatMenuButton"))[1] is True
    hook = {"url": "http://127.0.0.1:9/hook", "secret_token": "a-secret", "allowed_updates": ["message"], "drop_pending_updates": True}
    assert (await call("setWebhook", **hook))[1] is True
    assert (await call("getWebhookInfo"))[1]["url"] == hook["url"]
    assert (await call("getUpdates"))[0] == 409
    assert (await call("setWebhook", url="", drop_pending_updates=True))[1] is True
    assert (await call("getWebhookInfo"))[1] == {"url": "", "has_custom_certificate": False, "pending_update_count": 0}
    assert (await call("getUpdates", limit=0, allowed_updates=["message"]))[1] == []
