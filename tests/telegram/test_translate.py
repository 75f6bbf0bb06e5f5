"""Updates as events: what is read of them, and that whatever else they hold does not matter."""

from typing import Any

import pytest

from dealquest_telegram.translate import Ignored, Incoming, Undecodable, decode_update

ANN = {"id": 7, "is_bot": False, "first_name": "Ann", "language_code": "de", "username": "ann"}
CHAT = {"id": 7, "type": "private", "first_name": "Ann"}
SMALL = {"file_id": "s", "file_unique_id": "s", "width": 90, "height": 60, "file_size": 900}
LARGE = {"file_id": "l", "file_unique_id": "l", "width": 900, "height": 600, "file_size": 90_000}


def message(**content: Any) -> dict[str, Any]:
    return {"update_id": 5, "message": {"message_id": 3, "date": 1, "from": ANN, "chat": CHAT, **content}}


def decoded(raw: Any) -> Incoming:
    found = decode_update(raw, source="telegram:1")
    assert isinstance(found, Incoming)
    return found


@pytest.mark.parametrize(
    ("content", "kind", "text", "media"),
    [
        ({"text": "hi"}, "text", "hi", None),
        ({"voice": {"file_id": "v", "duration": 3, "mime_type": "audio/ogg", "file_size": 9}}, "voice", "",
         {"file_id": "v", "size_bytes": 9, "mime_type": "audio/ogg", "duration_s": 3}),
        ({"audio": {"file_id": "a", "duration": 3}, "caption": "c"}, "voice", "c", {"file_id": "a", "duration_s": 3}),
        ({"photo": [LARGE, SMALL], "caption": "c"}, "photo", "c",
         {"file_id": "l", "size_bytes": 90_000, "mime_type": "image/jpeg", "width": 900, "height": 600}),
        ({"document": {"file_id": "d", "mime_type": "image/png", "file_name": "x.png"}}, "photo", "",
         {"file_id": "d", "mime_type": "image/png", "name": "x.png"}),
        ({"document": {"file_id": "d", "mime_type": "application/pdf"}}, "other", "", None),
        ({"sticker": {"file_id": "s"}}, "other", "", None),
    ],
    ids=["text", "voice", "audio", "photo", "picture", "document", "sticker"],
)  # fmt: skip
def test_each_content_has_its_kind(content: dict[str, Any], kind: str, text: str, media: object) -> None:
    """Words, sounds and pictures are told apart, and a file comes with what is known of it."""
    event = decoded(message(**content)).event
    assert (event.kind, event.text, event.media) == (kind, text, media)
    assert (event.chat, event.message_id, event.user.telegram_id, event.user.language) == ("7", 3, 7, "de")


def test_what_is_not_looked_at_may_be_anything() -> None:
    """Fields that Telegram adds or changes elsewhere cost no message."""
    odd = message(text="hi", sticker=7, reply_to_message={"message_id": "x"}, brand_new={"deep": [None]}, date="soon")
    assert decoded(odd).event.text == "hi"


def test_a_press_on_an_old_message_still_says_where() -> None:
    """An inaccessible message has a chat and a number, which is all that is needed."""
    press = {"id": "1", "from": ANN, "data": "go", "message": {"chat": CHAT, "message_id": 9, "date": 0}}
    found = decoded({"update_id": 5, "callback_query": press})
    assert (found.callback_id, found.event.kind, found.event.text, found.event.message_id) == ("1", "button", "go", 9)


def test_messages_of_bots_and_channels_are_none_of_ours() -> None:
    """They are fine and not answered."""
    by_bot = message(text="hi")
    by_bot["message"]["from"] = ANN | {"is_bot": True}
    of_channel = message(text="hi")
    del of_channel["message"]["from"]
    assert [type(decode_update(raw, source="s")) for raw in (by_bot, of_channel, {"update_id": 5})] == [Ignored] * 3


def test_why_an_update_is_set_aside_holds_nothing_of_it() -> None:
    """The reason names the place and the type, not the words."""
    found = decode_update(message(text=["a secret"]), source="s")
    assert isinstance(found, Undecodable)
    assert "text" in found.reason
    assert "secret" not in found.reason
