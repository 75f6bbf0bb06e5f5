"""A small chat page on the offline server, so that anyone can try the bot in a browser without Telegram.

No outside assets; texts are set as text, never as markup. Requests must name this loopback address as their host
(a name that was rebound to loopback is refused) and writing needs a header that other sites cannot send.
"""

import asyncio  # noqa: TID251  # a server on aiohttp is bound to asyncio
import zlib
from importlib.resources import files
from typing import Any, Protocol

import msgspec
from aiohttp import web

from .account import Account, Message
from .people import SimulatedUser

WAIT_S = 25.0
SHOWN_MESSAGES = 200
OWN_HEADER = "X-Dealquest-Page"
_TYPES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_SHOWN = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"OggS": "audio/ogg",
    b"\x1a\x45\xdf\xa3": "audio/webm",
    b"ID3": "audio/mpeg",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; media-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Host(Protocol):
    """What the page asks of the server that it is part of."""

    account: Account

    @property
    def base_url(self) -> str:
        """Where it is reached."""
        ...

    def user(self, first_name: str, /, *, user_id: int) -> SimulatedUser:
        """Someone who has a private chat with the bot; the same id gives the same person."""
        ...


def add_page(app: web.Application, server: Host) -> None:
    """Serve the page and the calls it makes."""
    page = _Page(server)
    app.router.add_get("/", page.file)
    app.router.add_get("/{name:page\\.(?:css|js)}", page.file)
    app.router.add_get("/chat", page.show)
    app.router.add_post("/chat/say", page.say)
    app.router.add_post("/chat/press", page.press)
    app.router.add_post("/chat/file", page.send_file)
    app.router.add_get("/chat/file/{file_id}", page.load_file)


class _Page:
    def __init__(self, server: Host) -> None:
        self._server = server

    async def file(self, request: web.Request) -> web.Response:
        self._check(request)
        name = request.match_info.get("name", "page.html")
        body = files(__package__).joinpath("page_files", name).read_bytes()
        return web.Response(body=body, content_type=_TYPES[name], charset="utf-8", headers=_HEADERS)

    async def show(self, request: web.Request) -> web.Response:
        """The chat, as soon as it differs from what the page has."""
        self._check(request)
        user, known = self._user(request), request.query.get("known", "")
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    bell = self._server.account.bell
                    body, version = _snapshot(user, self._server.account.me["id"])
                    if version != known:
                        break
                    await bell.wait()
        except TimeoutError:
            body, version = _snapshot(user, self._server.account.me["id"])
        return web.Response(body=body, content_type="application/json", headers={**_HEADERS, "ETag": f'"{version}"'})

    async def say(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        text = str(body.get("text", ""))[:4096]
        if text.strip():
            await self._user(request).says(text)
        return web.json_response({})

    async def press(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        user = self._user(request)
        message = user.chat.messages.get(int(body.get("message_id", 0)))
        if message is None:
            raise web.HTTPNotFound
        query = await user.sends_callback(str(body.get("data", "")), message=message)
        try:
            return web.json_response({"toast": await user.waits_for_toast(query)})
        except TimeoutError:
            return web.json_response({"toast": ""})

    async def send_file(self, request: web.Request) -> web.Response:
        self._check(request, writes=True)
        content, user = await request.read(), self._user(request)
        name, kind = request.query.get("file", "file")[:200], request.content_type
        if not content:
            raise web.HTTPBadRequest
        caption = request.query.get("caption", "")[:1024]
        if kind in _PICTURES:
            await user.sends_photo(content, caption=caption)
        elif kind.startswith(("audio/", "video/webm")):
            seconds = request.query.get("seconds", "")
            await user.sends_voice(content, mime_type=kind, duration_s=int(seconds) if seconds.isdecimal() else 3)
        else:
            await user.sends_document(content, name=name, mime_type=kind, caption=caption)
        return web.json_response({})

    async def load_file(self, request: web.Request) -> web.Response:
        """A file of the chat: pictures and sounds to be shown, everything else only to be saved."""
        self._check(request)
        stored = self._server.account.files.get(request.match_info["file_id"])
        if stored is None:
            raise web.HTTPNotFound
        kind = _shown_as(stored.content)
        saved = {} if kind else {"Content-Disposition": "attachment"}
        return web.Response(body=stored.content, content_type=kind or "application/octet-stream", headers={**_HEADERS, **saved})

    async def _body(self, request: web.Request) -> dict[str, Any]:
        self._check(request, writes=True)
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except msgspec.DecodeError as exc:
            raise web.HTTPBadRequest from exc
        return body

    def _check(self, request: web.Request, *, writes: bool = False) -> None:
        port = self._server.base_url.rpartition(":")[2]
        if request.host not in {f"127.0.0.1:{port}", f"localhost:{port}"}:
            raise web.HTTPForbidden
        if writes and OWN_HEADER not in request.headers:
            raise web.HTTPForbidden

    def _user(self, request: web.Request) -> SimulatedUser:
        name = request.query.get("name", "").strip()[:64] or "You"
        # One name is one person on every start, so that progress is found again.
        return self._server.user(name, user_id=10_000 + zlib.crc32(name.encode("utf-8", "replace")))


def _snapshot(user: SimulatedUser, bot_id: int) -> tuple[bytes, str]:
    shown = sorted(user.chat.messages.values(), key=lambda message: int(message["message_id"]))[-SHOWN_MESSAGES:]
    messages = [
        {
            "id": message["message_id"],
            "mine": message["from"]["id"] != bot_id,
            "text": message.get("text") or message.get("caption") or "",
            "entities": message.get("entities") or message.get("caption_entities") or [],
            "rich": message.get("rich_message", {}).get("blocks", []),
            "file": _file_of(message),
            "buttons": message.get("reply_markup", {}).get("inline_keyboard", []),
        }
        for message in shown
    ]
    body = msgspec.json.encode({"messages": messages, "draft": user.chat.draft, "busy": len(user.chat.actions)})
    version = f"{zlib.crc32(body):08x}"
    return body, version


def _shown_as(content: bytes) -> str | None:
    if content[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(content[8:12])
    return next((kind for start, kind in _SHOWN.items() if content.startswith(start)), None)


def _file_of(message: Message) -> dict[str, Any] | None:
    for kind in ("photo", "voice", "audio", "document"):
        if kind in message:
            held = message[kind][-1] if kind == "photo" else message[kind]
            return {"kind": kind, "id": held["file_id"], "name": held.get("file_name", "")}
    return None
