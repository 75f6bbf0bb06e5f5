"""Parts of the adapter on their own: guards and other protocols, uploads, event streams, and what a chat request may hold."""

import base64
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from starlette.requests import ClientDisconnect, Request

from dealquest.errors import InputError, LimitError, NotFoundError
from dealquest.llm import Audio, File, Image
from dealquest.testing import FrozenClock
from dealquest_http.ai.requests import ChatRequest, read_messages, read_tools
from dealquest_http.bodies import parse_json
from dealquest_http.coach.uploads import KEEP_S, Uploads
from dealquest_http.event_stream import EventStream, unless_gone
from dealquest_http.guards.access_log import AccessLog
from dealquest_http.guards.body_limit import BodyLimit
from dealquest_http.guards.cors import Cors
from dealquest_http.guards.head_check import HeadCheck
from dealquest_http.guards.rate_limit import MAX_ADDRESSES, RateLimit


@pytest.fixture
def anyio_backend() -> str:
    """Servers of this kind run on asyncio."""
    return "asyncio"


async def test_guards_let_other_protocols_through() -> None:
    """A server's lifespan reaches the application through every guard, unchanged."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    clock, lifespan = FrozenClock(), {"type": "lifespan"}
    guards = (
        AccessLog(app, clock=clock, trusted_hops=0),
        BodyLimit(app, max_bytes=10),
        Cors(app, origins=("https://a.example",)),
        HeadCheck(app),
        RateLimit(app, clock=clock, limit=1),
    )
    for guard in guards:
        await guard(lifespan, None, None)  # type: ignore[arg-type]  # nobody receives or sends
    assert seen == [lifespan] * len(guards)


async def test_a_crowd_of_addresses_is_forgotten_oldest_first() -> None:
    """The windows of addresses are bounded; the one forgotten may ask anew, the others still wait."""
    clock, let_in = FrozenClock(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        let_in.append(scope["state"]["client_address"])

    async def send(message: Any) -> None:
        pass

    guard = RateLimit(app, clock=clock, limit=1)
    for number in (*range(MAX_ADDRESSES + 1), MAX_ADDRESSES, 0):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        await guard({"type": "http", "state": {"client_address": address}, "headers": []}, None, send)  # type: ignore[arg-type]  # as above
    assert len(let_in) == MAX_ADDRESSES + 2
    assert let_in[-1] == "10.0.0.0"


async def test_uploads_are_kept_read_capped_and_swept(tmp_path: Path) -> None:
    """An upload comes back whole or in chunks, is refused when too large, and is gone when dropped or old."""
    uploads = Uploads(tmp_path / "uploads")
    await uploads.sweep(now_s=0.0)
    media = await uploads.keep("chat", "../../name", b"sound", "audio/wav")
    assert (await uploads.fetch(media, max_bytes=5)).data == b"sound"
    assert b"".join([chunk async for chunk in uploads.stream(media)]) == b"sound"
    with pytest.raises(LimitError):
        await uploads.fetch(media, max_bytes=4)
    (kept,) = (tmp_path / "uploads").iterdir()
    await uploads.sweep(now_s=kept.stat().st_mtime + KEEP_S - 1)
    assert kept.exists()
    await uploads.sweep(now_s=kept.stat().st_mtime + KEEP_S + 1)
    with pytest.raises(NotFoundError):
        await uploads.fetch(media, max_bytes=5)
    with pytest.raises(NotFoundError):
        await anext(uploads.stream(media))
    await uploads.drop(media)
    await uploads.drop(None)


async def listen(stream: EventStream, *, leaves_after_s: float | None = None) -> list[bytes]:
    """The pieces of an event stream that reach a caller who may leave."""
    pieces: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            return {"type": "http.request"}
        await anyio.sleep(10 if leaves_after_s is None else leaves_after_s)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pieces.append(message.get("body", b""))

    await stream({"type": "http"}, receive, send)
    return pieces[1:]


async def test_silence_is_filled_and_a_caller_who_leaves_is_not_written_to() -> None:
    """Comments keep a silent stream open; after the caller left the work ends with it, or goes on unheard."""
    ended: list[str] = []

    async def produce(push: Any) -> None:
        await push({"n": 1})
        try:
            await anyio.sleep(0.1)
            await push({"n": 2})
            ended.append("whole")
        except anyio.get_cancelled_exc_class():
            ended.append("cancelled")
            raise

    heard = await listen(EventStream(produce, ping_s=0.02))
    assert heard[0] == b'data: {"n":1}\n\n'
    assert any(piece.startswith(b":") for piece in heard)
    assert b'data: {"n":2}\n\n' in heard
    assert heard[-1] == b""
    assert b'data: {"n":2}\n\n' not in await listen(EventStream(produce), leaves_after_s=0.01)
    assert b'data: {"n":2}\n\n' not in await listen(EventStream(produce, ends_with_caller=False), leaves_after_s=0.01)
    assert ended == ["whole", "cancelled", "whole"]


async def test_a_call_is_dropped_when_its_caller_leaves() -> None:
    """The result, or the call's own error, comes back while the caller stays; else the work is cancelled."""
    leaves_after_s = 10.0

    async def receive() -> dict[str, Any]:
        await anyio.sleep(leaves_after_s)
        return {"type": "http.disconnect"}

    request = Request({"type": "http"}, receive)

    async def answer() -> str:
        return "answer"

    async def fails() -> str:
        raise InputError("wrong", code="test.wrong")

    assert await unless_gone(request, answer) == "answer"
    with pytest.raises(InputError):
        await unless_gone(request, fails)
    leaves_after_s = 0.01
    with pytest.raises(ClientDisconnect):
        await unless_gone(request, lambda: anyio.sleep(10))


def data_url(media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(b'bytes').decode()}"


def test_every_kind_of_part_is_read() -> None:
    """Pictures, documents and recordings of a chat request become the router's parts; `none` offers no tool."""
    parts = [
        {"type": "image_url", "image_url": {"url": data_url("image/png")}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf")}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"bytes").decode(), "format": "mp3"}},
    ]
    tool = {"type": "function", "function": {"name": "note"}}
    body = {"model": "a/b", "messages": [{"role": "user", "content": parts}], "tools": [tool], "toolChoice": "none"}
    asked = parse_json(msgspec.json.encode(body), ChatRequest)
    (message,) = read_messages(asked)
    assert message.parts == (
        Image(data=b"bytes", media_type="image/png"),
        File(data=b"bytes", name="a.pdf", media_type="application/pdf"),
        Audio(data=b"bytes", format="mp3"),
    )
    assert read_tools(asked) == ()
