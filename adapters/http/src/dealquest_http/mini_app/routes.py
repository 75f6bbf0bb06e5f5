"""The page's files from the package, and the development sign-in where the operator switched it on.

The page is written by hand and loads nothing from elsewhere but Telegram's own script, inside Telegram alone.
Source: https://core.telegram.org/bots/webapps, read 2026-11-22; W3C Content Security Policy Level 3.
"""

import hashlib
import ipaddress
import logging
import uuid
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated

import attrs
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import DeniedError, NotFoundError
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.described import describe
from dealquest_http.shared import Shared, shared_of

LOG = logging.getLogger("dealquest.http.mini_app")
PATH = "/app/"
TELEGRAM_SCRIPT = "https://telegram.org/js/telegram-web-app.js"
DEV_PERSON = "dev:"
SESSION_S = 3600

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
)
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' {TELEGRAM_SCRIPT}",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        # Telegram's web clients show Mini Apps in a frame.
        "frame-ancestors 'self' https://web.telegram.org https://*.telegram.org",
    )
)
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": _POLICY,
        "referrer-policy": "no-referrer",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
        "cache-control": "no-cache",
    }
)


@attrs.frozen(kw_only=True)
class _File:
    content: bytes = attrs.field(repr=False)
    media_type: str
    tag: str


class DevSignIn(Struct):
    """The body of `POST /app/dev-sign-in`."""

    name: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,40}$")] = "Dev"


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room."""
    page = Page()
    if shared.settings.dev_sign_in:
        LOG.warning("DEV_SIGN_IN is on: anybody on this machine may sign in to the Mini App under any name. Never use it in production.")
    found: list[BaseRoute] = [
        Route("/app", redirect, methods=["GET"], include_in_schema=False),
        Route(PATH, page.file, methods=["GET"]),
        Route(PATH + "config.json", config, methods=["GET"]),
        Route(PATH + "{name}", page.file, methods=["GET"]),
    ]
    if shared.settings.dev_sign_in:
        found.insert(0, Route(PATH + "dev-sign-in", dev_sign_in, methods=["POST"]))
    return found


class Page:
    """The page's files, read once."""

    def __init__(self) -> None:
        self._files = {item.name: _read(item.name, item.read_bytes()) for item in files(__package__).joinpath("page").iterdir()}

    @describe(media_type="*/*", also=(304,))
    async def file(self, request: Request) -> Response:
        """One file of the closed list; unchanged ones are not sent again."""
        name = request.path_params.get("name", "index.html")
        found = self._files.get(name)
        if found is None:
            raise NotFoundError(f"The Mini App has no {name[:100]}.", code="http.mini_app.file")
        headers = {**_HEADERS, "etag": found.tag}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)


async def redirect(_: Request) -> Response:
    """The page's relative addresses need the final slash."""
    return RedirectResponse(PATH, status_code=308)


async def config(request: Request) -> Response:
    """What the page must know of the server."""
    return answer_json({"devSignIn": shared_of(request).settings.dev_sign_in}, headers={"cache-control": "no-store"})


@describe(takes=DevSignIn)
async def dev_sign_in(request: Request) -> Response:
    """A session for a made-up person, for callers on this machine alone.

    Raises:
        DeniedError: `http.mini_app.not_local` for a caller from elsewhere.
    """
    shared = shared_of(request)
    # Behind a proxy on the same machine everybody looks near.
    is_forwarded = any(name in request.headers for name in ("x-forwarded-for", "forwarded"))
    if is_forwarded or not _is_here(request.state.client_address):
        raise DeniedError(
            "The development sign-in is for callers on the server's own machine.", code="http.mini_app.not_local", forbidden=True
        )
    asked = await read_json(request, DevSignIn)
    people = shared.kit.records.table("users")
    await people.upsert([{"local_name": DEV_PERSON + asked.name, "first_name": asked.name}], on="local_name").run()
    row = (await people.where(local_name=DEV_PERSON + asked.name).select("id", "first_name").all())[0]
    token = shared.tokens.mint_session(str(row["id"]), now=shared.clock.now(), token_id=uuid.uuid4().hex, ttl_s=SESSION_S)
    return answer_json({"jwt": token, "user": {"id": row["id"], "telegram_id": None, "username": None, "first_name": row["first_name"]}})


def _read(name: str, content: bytes) -> _File:
    return _File(content=content, media_type=_TYPES[name.rpartition(".")[2]], tag=f'"{hashlib.sha256(content).hexdigest()[:20]}"')


def _is_here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
