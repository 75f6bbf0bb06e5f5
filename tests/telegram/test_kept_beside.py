"""The small files and bounds beside the bot: names, updates set aside, the sign of health, the pace, the webhook's secret."""

from pathlib import Path

import anyio
import attrs
import pytest

from dealquest.errors import InputError, PeerGarbledError, PeerRefusedError, SettingsError
from dealquest.settings import Settings
from dealquest.values import Secret, SystemClock
from dealquest_telegram.calls import BotCalls
from dealquest_telegram.health import touch_while_healthy
from dealquest_telegram.media import picture_type
from dealquest_telegram.menus import set_menus
from dealquest_telegram.names import NameFile
from dealquest_telegram.pace import MOST_CHATS, Pace
from dealquest_telegram.setaside import MAX_FILE_BYTES, SetAsideFile
from dealquest_telegram.testing import BotApiServer
from dealquest_telegram.webhook import webhook_address

pytestmark = pytest.mark.anyio


async def test_a_claimed_name_stays_its_owners(tmp_path: Path) -> None:
    """Whoever comes later under the same name is told whose it is, on this start and the next."""
    path = tmp_path / "home" / "names.json"
    names = NameFile(path)
    assert await names.claim("ann", 1) == 1
    assert await names.claim("ann", 2) == 1
    assert await NameFile(path).claim("ann", 2) == 1
    assert await NameFile(path).owners() == {"ann": 1}


async def test_a_file_of_names_that_is_broken_or_in_the_way_is_said(tmp_path: Path) -> None:
    """Nobody is let in on a guess: the operator is told which file to mend."""
    path = tmp_path / "names.json"
    path.write_text("{")
    with pytest.raises(SettingsError, match=r"names\.json in the data folder cannot be read"):
        await NameFile(path).owners()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="cannot be"):
        await NameFile(tmp_path / "file" / "names.json").claim("ann", 1)


async def test_what_is_set_aside_takes_bounded_room(tmp_path: Path) -> None:
    """A full file becomes the old one and its former content goes, so a flood of nonsense fills no disk."""
    path = tmp_path / "aside.jsonl"
    with path.open("wb") as full:
        full.truncate(MAX_FILE_BYTES + 1)
    keep = SetAsideFile(path, SystemClock())
    await keep("telegram:1", 7, "x" * 10, "odd")
    await keep("telegram:1", 8, "y" * 10, "odd")
    assert path.with_suffix(".old").stat().st_size == MAX_FILE_BYTES + 1
    assert [line.count('"update_id"') for line in path.read_text().splitlines()] == [1, 1]


async def test_the_sign_of_health_is_touched_while_there_is_health(tmp_path: Path) -> None:
    """A bot that hears nothing leaves the file alone, so that whoever watches its age sees it."""
    for healthy in (False, True):
        with anyio.move_on_after(0.2):
            await touch_while_healthy(tmp_path / str(healthy), lambda healthy=healthy: healthy)
    assert [path.name async for path in anyio.Path(tmp_path).iterdir()] == ["True"]


def test_the_pace_remembers_a_bounded_number_of_chats() -> None:
    """A crowd of chats takes no memory for ever: the one that was silent longest is forgotten, and may write at once."""
    pace = Pace(per_second=1e9, per_chat_second=0.001, chat_burst=1)
    assert pace.wait_s("first", now=0.0) == 0.0
    assert pace.wait_s("first", now=0.0) > 900
    for number in range(MOST_CHATS):
        pace.wait_s(str(number), now=0.0)
    assert pace.wait_s("first", now=0.0) < 1


def test_a_webhook_without_a_secret_gets_one_from_the_token(tmp_path: Path) -> None:
    """It is the same on each start, differs from bot to bot, and shows nothing of the token; a secret of one's own is used as it is."""
    polled = Settings(home=tmp_path, telegram_bot_token=Secret("1:one"))
    pushed = attrs.evolve(polled, telegram_webhook_url="https://bot.example/hook")
    assert webhook_address(polled) is None
    assert webhook_address(attrs.evolve(pushed, telegram_bot_token=None)) is None
    first, again = webhook_address(pushed), webhook_address(pushed)
    other = webhook_address(attrs.evolve(pushed, telegram_bot_token=Secret("2:two")))
    own = webhook_address(attrs.evolve(pushed, telegram_webhook_secret=Secret("mine")))
    assert first is not None
    assert again is not None
    assert other is not None
    assert own is not None
    assert first.secret.reveal() == again.secret.reveal() != other.secret.reveal()
    assert "one" not in first.secret.reveal()
    assert own.secret.reveal() == "mine"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
    ],
)
def test_each_picture_has_the_type_of_its_bytes(data: bytes, kind: str) -> None:
    """The four kinds that models read are told apart by how they begin; other RIFF files are none."""
    assert picture_type(data) == kind
    with pytest.raises(InputError):
        picture_type(b"RIFF\x00\x00\x00\x00WAVE")


async def test_answers_that_make_no_sense_are_errors(bot_api: BotApiServer) -> None:
    """No JSON, a refusal with status 200, a file without a place, a message without an id: each is an error of ours."""
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    ann = bot_api.user("Ann")
    bot_api.fault("sendChatAction", body=b"<html>")
    with pytest.raises(PeerGarbledError):
        await calls.show_busy(str(ann.id))
    bot_api.fault("sendChatAction", body=b'{"ok": false, "error_code": 400, "description": "Bad Request: no"}')
    with pytest.raises(PeerRefusedError, match="no"):
        await calls.show_busy(str(ann.id))
    bot_api.fault("getFile", body=b'{"ok": true, "result": {"file_id": "x", "file_unique_id": "y"}}')
    with pytest.raises(Exception, match="no longer has this file") as gone:
        _ = [chunk async for chunk in calls.download("x")]
    assert getattr(gone.value, "code", "") == "telegram.file_gone"
    bot_api.fault("getMe", body=b'{"ok": true, "result": {"id": 7}}')
    with pytest.raises(PeerGarbledError):
        await calls.who_am_i()
    await calls.aclose()


async def test_admins_by_number_have_menus_of_their_own(bot_api: BotApiServer, caplog: pytest.LogCaptureFixture) -> None:
    """Only a number names a chat; a menu that Telegram does not take is a line of the log and stops no other."""
    calls = BotCalls(Secret(bot_api.token), bot_api.base_url)
    ann = bot_api.user("Ann")
    await set_menus(calls, frozenset({str(ann.id), "boss"}))
    scopes = {call.values.get("scope", "") for call in bot_api.calls_of("setMyCommands")}
    assert len(scopes) == 2
    assert any(str(ann.id) in str(scope) for scope in scopes)
    bot_api.fault("setMyCommands", status=400, description="Bad Request: chat not found")
    with caplog.at_level("WARNING"):
        await set_menus(calls, frozenset())
    assert "The command menu could not be set" in caplog.text
    await calls.aclose()
