"""Signs that an answer takes long: at most one placeholder, bounded memory, and nothing of them after the answer."""

from collections.abc import AsyncIterator

import anyio
import anyio.abc
import pytest

from dealquest.coach.dialogue import Event, Person
from dealquest.values import Secret
from dealquest_telegram.calls import BotCalls
from dealquest_telegram.progress import MOST_CHATS, MOST_EVENTS, Progress
from dealquest_telegram.testing import BotApiServer, EchoConversation

pytestmark = pytest.mark.anyio


def said(number: int, chat: str = "1001") -> Event:
    return Event(source="telegram:123456789", chat=chat, update_id=number, user=Person(telegram_id=int(chat)), kind="text", text="slow")


@pytest.fixture
async def calls(bot_api: BotApiServer) -> AsyncIterator[BotCalls]:
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    yield calls
    await calls.aclose()


@pytest.fixture
async def group() -> AsyncIterator[anyio.abc.TaskGroup]:
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()


async def test_watching_is_bounded(bot_api: BotApiServer, calls: BotCalls, group: anyio.abc.TaskGroup, echo: EchoConversation) -> None:
    """What comes above so many chats, or events of one chat, is answered without signs, and a streamed text for it shows nothing."""
    progress = Progress(echo, calls, group)
    for number in range(MOST_CHATS + 1):
        progress.begin(said(number + 1, chat=str(5000 + number)))
    beyond = said(MOST_CHATS + 1, chat=str(5000 + MOST_CHATS))
    await progress.show(beyond, "half an answer")
    assert await progress.end(beyond) is None
    for number in range(MOST_EVENTS + 5):
        progress.begin(said(2000 + number, chat="5000"))
    await progress.show(said(2000 + MOST_EVENTS + 4, chat="5000"), "half an answer")
    await anyio.sleep(0.05)
    assert bot_api.calls == []
    for event in (said(1, chat="5000"), said(2000 + MOST_EVENTS + 4, chat="5000"), said(1, chat="5000")):
        assert await progress.end(event) is None


async def test_an_event_that_is_answered_out_of_turn_gets_no_sign(
    bot_api: BotApiServer, calls: BotCalls, group: anyio.abc.TaskGroup, echo: EchoConversation
) -> None:
    """Another process answered the first: the one behind it is forgotten when it ends, and the chat's signs stay those of the first."""
    ann = bot_api.user("Ann", user_id=1001)
    progress = Progress(echo, calls, group)
    for number in (1, 2, 3):
        progress.begin(said(number))
    assert await progress.end(said(2)) is None
    await progress.show(said(3), "of the third")
    assert await progress.end(said(1)) is None
    await progress.show(said(3), "of the third, as the next one")
    await ann.waits_until(lambda: bot_api.calls_of("sendMessageDraft"))
    assert await progress.end(said(3)) is None
    drafts = [call.values["text"] for call in bot_api.calls_of("sendMessageDraft")]
    assert drafts == ["of the third, as the next one"]


async def test_without_drafts_and_without_a_place_nothing_is_shown(
    bot_api: BotApiServer, calls: BotCalls, group: anyio.abc.TaskGroup, echo: EchoConversation
) -> None:
    """Where an older line of the chat waits, a server without drafts is sent no frame, and the answer comes as a new message."""
    bot_api.user("Ann", user_id=1001)
    bot_api.fault("sendMessageDraft", status=404, description="Not Found: method not found", times=None)
    await echo.receive([said(1), said(2)])
    progress = Progress(echo, calls, group)
    progress.begin(said(2))
    for text in ("a", "a few", "a few words"):
        await progress.show(said(2), text)
        await anyio.sleep(0.9)
    assert await progress.end(said(2)) is None
    assert len(bot_api.calls_of("sendMessageDraft")) == 1
    assert not bot_api.calls_of("sendMessage")
    assert not bot_api.calls_of("editMessageText")
