"""The bot end to end, in process, on the offline server."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from dealquest_telegram.testing import BotApiServer

pytestmark = pytest.mark.anyio


async def test_a_message_is_answered(bot_api: BotApiServer, running: Callable[..., AbstractAsyncContextManager[None]]) -> None:
    """What is said is answered in the same chat."""
    ann = bot_api.user("Ann")
    async with running():
        await ann.says("hello <b> & 😀")
        assert (await ann.waits_for_reply()).text == "echo: hello <b> & 😀 [text]"


async def test_a_button_is_answered_at_once_and_edits_its_message(
    bot_api: BotApiServer, running: Callable[..., AbstractAsyncContextManager[None]]
) -> None:
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
