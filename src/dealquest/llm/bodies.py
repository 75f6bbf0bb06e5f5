"""What both dialects do first with the bytes of an answer, and with the pages that an answer names."""

import msgspec

from dealquest.values import JsonObject

from .failures import Failure, judge_garbled
from .messages import Citation
from .reading import as_object, as_text


def read_answer(body: bytes) -> JsonObject | Failure:
    """The object that a whole answer is."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return judge_garbled("The provider answered with something that is not JSON.")
    return answer if isinstance(answer, dict) else judge_garbled("The provider's answer is not a JSON object.")


def read_chunk(data: bytes) -> JsonObject | None:
    """The object in one event of a stream: None for no JSON, an empty one for JSON of another kind, which is passed over."""
    try:
        return as_object(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_page(page: JsonObject, *, words: str) -> tuple[Citation, ...]:
    """A page that the answer names as its source; none when its address is no address.

    Args:
        page: What stands about it.
        words: The member that holds what it says.
    """
    url = as_text(page.get("url"))
    if not url.startswith(("https://", "http://")):
        return ()
    return (Citation(url=url, title=as_text(page.get("title")), content=as_text(page.get(words))),)
