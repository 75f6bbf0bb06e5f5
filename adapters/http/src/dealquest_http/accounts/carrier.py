"""How a session travels: a cookie and a CSRF value for the web, the body for everything else.

`client_type` in the query decides: `web` or absent → cookie; `mobile`, `desktop`, `server` → body.
Source: RFC 6265bis (cookie attributes), read 2026-11-22; the InsForge contract, "Session transport".
"""

import hmac
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dealquest.errors import DeniedError, InputError
from dealquest_http.answers import answer_error, answer_json
from dealquest_http.bodies import parse_json
from dealquest_http.callers import caller_of

from .sessions import REFRESH_S, Kind, Opened, Sessions

CLIENT_TYPES = frozenset({"web", "mobile", "desktop", "server"})
COOKIES: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {"user": ("insforge_refresh_token", "/api/auth"), "admin": ("insforge_admin_refresh_token", "/api/auth/admin")}
)


class _RefreshBody(msgspec.Struct):
    refresh_token: str | None = None
    refreshToken: str | None = None  # noqa: N815  # the clients spell it both ways


@attrs.frozen(kw_only=True)
class Carrier:
    """Reads and writes the tokens of one kind of session."""

    sessions: Sessions
    kind: Kind = "user"

    def answer(self, request: Request, opened: Opened, **more: object) -> Response:
        """The answer to a sign-in or refresh: the tokens where this client looks for them.

        Raises:
            InputError: `http.client_type`.
        """
        body: dict[str, Any] = {"user": opened.user, "accessToken": opened.access_token, **more}
        if not _is_web(request):
            return answer_json({**body, "refreshToken": opened.refresh_token}, headers=_NEVER_STORED)
        response = answer_json({**body, "csrfToken": opened.csrf_token}, headers=_NEVER_STORED)
        name, path = COOKIES[self.kind]
        response.set_cookie(name, opened.refresh_token, max_age=REFRESH_S, path=path, secure=True, httponly=True, samesite="none")
        return response

    async def refresh(self, request: Request) -> Response:
        """Renew the session that the request carries; what proves nothing clears the cookie.

        Raises:
            DeniedError: `http.session.missing`, `.csrf`, `.racing`; without a cookie also those of `Sessions.refresh`.
        """
        is_web = _is_web(request)
        token = self._cookie(request) if is_web else await _body_token(request)
        if token is None:
            raise DeniedError("There is no session to refresh; sign in.", code="http.session.missing")
        try:
            if is_web:
                self._check_csrf(request, token)
            opened = await self.sessions.refresh(token, kind=self.kind, is_shared=is_web)
        except DeniedError as exc:
            if not is_web or exc.forbidden or exc.code == "http.session.racing":
                raise
            response = answer_error(exc)
            self._clear(response)
            return response
        return self.answer(request, opened)

    async def logout(self, request: Request) -> Response:
        """End the session that the request carries, if any.

        Raises:
            DeniedError: `http.session.csrf` for a cookie with neither its CSRF value nor the same person's access token, which
                SDK 1.1.3 sends instead: another site has neither, and may not sign a person out.
        """
        response = answer_json({"success": True, "message": "Signed out."}, headers=_NEVER_STORED)
        if (cookie := self._cookie(request)) is not None:
            if not await self._is_own_bearer(request, cookie):
                self._check_csrf(request, cookie)
            await self.sessions.end(cookie, kind=self.kind)
            self._clear(response)
        if (token := await _body_token(request)) is not None:
            await self.sessions.end(token, kind=self.kind)
        return response

    def _cookie(self, request: Request) -> str | None:
        return request.cookies.get(COOKIES[self.kind][0])

    async def _is_own_bearer(self, request: Request, cookie: str) -> bool:
        try:
            caller = await caller_of(request)
        except DeniedError:
            return False
        return caller.proof == "session" and caller.subject == self.sessions.owner_of(cookie, kind=self.kind)

    def _check_csrf(self, request: Request, token: str) -> None:
        if self.sessions.owner_of(token, kind=self.kind) is None:
            return  # a cookie that proves nothing protects nothing; it is only cleared
        expected = self.sessions.csrf_of(token, kind=self.kind)
        given = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()):
            raise DeniedError("The X-CSRF-Token header does not belong to this session.", code="http.session.csrf", forbidden=True)

    def _clear(self, response: Response) -> None:
        name, path = COOKIES[self.kind]
        response.delete_cookie(name, path=path, secure=True, httponly=True, samesite="none")


_NEVER_STORED = MappingProxyType({"cache-control": "no-store"})


def _is_web(request: Request) -> bool:
    client_type = request.query_params.get("client_type", "web")
    if client_type not in CLIENT_TYPES:
        raise InputError(f"client_type: none of {', '.join(sorted(CLIENT_TYPES))}", code="http.client_type")
    return client_type == "web"


async def _body_token(request: Request) -> str | None:
    body = await request.body()
    if not body.strip():
        return None
    found = parse_json(body, _RefreshBody)
    return found.refresh_token or found.refreshToken
