"""What callers write is what models read: laws of the chat request's codec."""

import base64
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import InputError
from dealquest.llm import Image, Message, Text
from dealquest_http.ai.requests import ChatRequest, read_messages, read_search, read_tools
from dealquest_http.bodies import parse_json

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)
turns = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": words})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("model", "messages", "temperature", "maxTokens", "topP", "stream", "webSearch", "fileParser", "tools", "toolChoice")


def read(body: Any) -> tuple[Message, ...]:
    """A body, as the route reads it."""
    asked = parse_json(msgspec.json.encode(body), ChatRequest)
    read_search(asked)
    read_tools(asked)
    return read_messages(asked)


@given(st.lists(turns, min_size=1, max_size=8))
def test_every_word_arrives_unchanged(conversation: list[dict[str, str]]) -> None:
    """Roles, order and texts are the caller's, whether a text stands alone or as a part."""
    plain = read({"messages": conversation})
    assert [(message.role, message.text) for message in plain] == [(turn["role"], turn["content"]) for turn in conversation]
    in_parts = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in conversation]
    assert read({"messages": in_parts}) == plain


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["image/png", "image/jpeg", "image/webp", "image/gif"]))
def test_every_picture_arrives_byte_by_byte(data: bytes, media_type: str) -> None:
    """A data address is opened once, into the bytes that were put in."""
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    (message,) = read({"messages": [{"role": "user", "content": "look", "images": [{"url": url}]}]})
    assert message.parts == (Text("look"), Image(data=data, media_type=media_type))


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_whatever_is_sent_is_read_or_refused(body: dict[str, Any]) -> None:
    """Any JSON under the known names gives messages or an InputError, never anything else."""
    code = ""
    try:
        assert read(body)
    except InputError as error:
        code = error.code
    assert not code or code.startswith(("http.", "llm.input."))
