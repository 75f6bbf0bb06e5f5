"""Telegram's files as the coach asks for them: pictures whole and of a known kind, sounds in chunks, both within limits (B6)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dealquest.errors import DealQuestError, InputError, LimitError, NotFoundError, PeerUnavailableError
from dealquest.values import Secret
from dealquest_telegram.calls import BotCalls
from dealquest_telegram.media import TelegramMedia, picture_type
from dealquest_telegram.testing import BotApiServer

pytestmark = pytest.mark.anyio

JPEG = b"\xff\xd8\xff\xe0" + b"x" * 5000
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100


@pytest.fixture
async def media(bot_api: BotApiServer) -> AsyncIterator[TelegramMedia]:
    """The bot's files."""
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    yield TelegramMedia(calls)
    await calls.aclose()


def held(message: dict[str, Any], kind: str) -> dict[str, Any]:
    """The facts that an event carries."""
    found = message[kind][-1] if kind == "photo" else message[kind]
    return {"file_id": found["file_id"], "size_bytes": found.get("file_size"), "mime_type": found.get("mime_type")}


async def read(media: TelegramMedia, facts: dict[str, Any]) -> bytes:
    return b"".join([chunk async for chunk in media.stream(facts)])


async def test_a_photo_is_fetched_whole_with_the_type_of_its_bytes(media: TelegramMedia, bot_api: BotApiServer) -> None:
    """What a sender calls a picture does not count, its first bytes do."""
    ann = bot_api.user("Ann")
    photo = await media.fetch(held(await ann.sends_photo(JPEG), "photo"), max_bytes=8_000_000)
    assert (photo.data, photo.media_type) == (JPEG, "image/jpeg")
    scan = held(await ann.sends_document(PNG, name="a.gif", mime_type="image/gif"), "document")
    assert (await media.fetch(scan, max_bytes=8_000_000)).media_type == "image/png"


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", b"PK\x03\x04bomb", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE"])
def test_b6_what_is_no_picture_is_refused_by_its_bytes(data: bytes) -> None:
    """Markup, archives and the like never reach a model as a picture."""
    with pytest.raises(InputError) as caught:
        picture_type(data)
    assert caught.value.code == "telegram.no_picture"


async def test_b6_limits_hold_before_and_while_a_file_arrives(media: TelegramMedia, bot_api: BotApiServer) -> None:
    """Announced as too large: not even asked for. Larger than it says: ended at the limit."""
    ann = bot_api.user("Ann")
    large = held(await ann.sends_photo(JPEG, size=9_000_000), "photo")
    with pytest.raises(LimitError, match="8 MB"):
        await media.fetch(large, max_bytes=8_000_000)
    assert not bot_api.calls_of("getFile")
    for size in (None, 10):
        lying = held(await ann.sends_photo(JPEG, size=size), "photo")
        with pytest.raises(LimitError):
            await media.fetch(lying, max_bytes=4000)


async def test_b6_a_recording_has_a_longest_length(media: TelegramMedia, bot_api: BotApiServer) -> None:
    """Ten hours are refused before a byte is read, an empty one too; half an hour is fine."""
    facts = held(await bot_api.user("Ann").sends_voice(b"sound"), "voice")
    for seconds, size in ((36_000, 5), (0, 0)):
        with pytest.raises(DealQuestError, match=r"longer|empty"):
            await read(media, {**facts, "duration_s": seconds, "size_bytes": size})
    assert not bot_api.calls_of("getFile")
    assert await read(media, {**facts, "duration_s": 1800}) == b"sound"


async def test_a_file_that_is_gone_says_so(media: TelegramMedia, bot_api: BotApiServer) -> None:
    """Facts without an id, an id that Telegram forgot, and a broken download are errors without the file's address."""
    facts = held(await bot_api.user("Ann").sends_voice(b"sound"), "voice")
    bot_api.fault("download", drop="before", times=3)
    with pytest.raises(PeerUnavailableError) as broken:
        await read(media, facts)
    assert bot_api.token not in str(broken.value)
    for gone in ({}, {"file_id": "forgotten"}, {"file_id": 7}):
        with pytest.raises(NotFoundError):
            await read(media, gone)
