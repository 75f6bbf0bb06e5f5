"""The edge to Telegram: files are counted while they arrive, and aiogram is loaded late and light (B6)."""

import subprocess
import sys

import pytest

from dealquest.errors import DealQuestError, LimitError, NotFoundError, PeerUnavailableError
from dealquest.values import Secret
from dealquest_telegram.calls import BotCalls
from dealquest_telegram.testing import BotApiServer

pytestmark = pytest.mark.anyio


async def read(calls: BotCalls, file_id: str, max_bytes: int = 1000) -> bytes:
    return b"".join([chunk async for chunk in calls.download(file_id, max_bytes=max_bytes)])


async def test_b6_a_file_is_as_large_as_it_is_and_not_as_it_says(bot_api: BotApiServer) -> None:
    """A size that is too large, a lie or absent ends at the limit; an honest one is read whole."""
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    ann = bot_api.user("Ann")
    honest = (await ann.sends_voice(b"x" * 900))["voice"]["file_id"]
    assert await read(calls, honest) == b"x" * 900
    for size in (None, 10, 2000):
        lying = (await ann.sends_voice(b"x" * 200_000, size=size))["voice"]["file_id"]
        with pytest.raises(LimitError) as caught:
            await read(calls, lying)
        assert caught.value.code == "telegram.file_too_large"
    huge = (await ann.sends_voice(b"x", size=30_000_000))["voice"]["file_id"]
    with pytest.raises(LimitError):
        await read(calls, huge)
    await calls.aclose()


async def test_a_file_that_is_gone_or_breaks_off_is_an_error_without_its_address(bot_api: BotApiServer) -> None:
    """The token is part of every file's address, so no error quotes one."""
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    voice = (await bot_api.user("Ann").sends_voice(b"x" * 900))["voice"]["file_id"]
    found: list[DealQuestError] = []
    with pytest.raises(NotFoundError) as gone:
        await read(calls, "no-such-file")
    found.append(gone.value)
    bot_api.fault("download", status=404)
    with pytest.raises(NotFoundError) as gone:
        await read(calls, voice)
    found.append(gone.value)
    for status in (500, None):
        bot_api.fault("download", status=status, drop=None if status else "before", times=3)
        with pytest.raises(PeerUnavailableError) as broken:
            await read(calls, voice)
        bot_api.clear_faults()
        found.append(broken.value)
    assert not any(bot_api.token in str(error) or error.__cause__ is not None for error in found)
    await calls.aclose()


def run_python(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_the_package_loads_no_aiogram() -> None:
    """Importing the adapter, or its test server, loads neither aiogram nor pydantic."""
    script = "import sys, dealquest_telegram, dealquest_telegram.testing; print({'aiogram', 'pydantic', 'psycopg'} & set(sys.modules))"
    assert run_python(script) == "set()"


def test_only_used_types_of_aiogram_are_built() -> None:
    """After the light import no type is built, and one builds itself when it is used, in an answer too."""
    script = (
        "from dealquest_telegram.loading import load_aiogram; load_aiogram()\n"
        "from aiogram.methods.base import Response\n"
        "from aiogram.types import ChatFullInfo, Message, Update\n"
        "print(Message.__pydantic_complete__, ChatFullInfo.__pydantic_complete__)\n"
        "ChatFullInfo.model_validate({'id': 1, 'type': 'private', 'accent_color_id': 1, 'max_reaction_count': 1,"
        " 'accepted_gift_types': {'unlimited_gifts': 1, 'limited_gifts': 1, 'unique_gifts': 1, 'premium_subscription': 1,"
        " 'gifts_from_channels': 1}})\n"
        "print(ChatFullInfo.__pydantic_complete__)\n"
        "message = {'message_id': 1, 'date': 1, 'chat': {'id': 1, 'type': 'private'}, 'text': 'hi'}\n"
        "print(Response[Message].model_validate({'ok': True, 'result': message}).result.text)\n"
        "updates = {'ok': True, 'result': [{'update_id': 1, 'message': message}]}\n"
        "print(Response[list[Update]].model_validate(updates).result[0].message.text)"
    )
    assert run_python(script).split() == ["False", "False", "True", "hi", "hi"]
