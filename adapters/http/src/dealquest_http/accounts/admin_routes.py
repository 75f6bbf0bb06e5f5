"""The admin: their own session, the configuration, everybody's accounts, the public key."""

import hashlib
import hmac
from typing import Annotated, Literal
from urllib.parse import urlsplit

import attrs
import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import InputError
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.callers import require
from dealquest_http.described import describe

from .accounts import ADMIN_ID, Accounts, User, address_of, read_uuid, too_many_tries, wrong_password
from .carrier import Carrier
from .profile_routes import path_id, unknown_account

DOOR = "admin"
MAX_PAGE = 1000

Method = Literal["code", "link"]


class AdminSignIn(msgspec.Struct):
    """The admin's proof; the newer clients say `username`."""

    password: str
    email: str | None = None
    username: str | None = None


class ConfigChange(msgspec.Struct, rename="camel", omit_defaults=True):
    """Any part of the configuration."""

    require_email_verification: bool | UnsetType = UNSET
    password_min_length: Annotated[int, Meta(ge=4, le=128)] | UnsetType = UNSET
    require_number: bool | UnsetType = UNSET
    require_lowercase: bool | UnsetType = UNSET
    require_uppercase: bool | UnsetType = UNSET
    require_special_char: bool | UnsetType = UNSET
    verify_email_method: Method | UnsetType = UNSET
    reset_password_method: Method | UnsetType = UNSET
    sign_in_redirect_to: str | UnsetType | None = UNSET
    disable_signup: bool | UnsetType = UNSET


class Deletion(msgspec.Struct, rename="camel"):
    """Whom to delete."""

    user_ids: Annotated[list[str], Meta(min_length=1, max_length=1000)]


class Page(msgspec.Struct):
    """The query of the list of accounts."""

    limit: Annotated[int, Meta(ge=0, le=MAX_PAGE)] = 10
    offset: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    search: str = ""


@attrs.frozen
class AdminRoutes:
    """The routes."""

    _accounts: Accounts

    @property
    def _carrier(self) -> Carrier:
        return Carrier(sessions=self._accounts.sessions, kind="admin")

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/api/auth/admin/sessions", self.sign_in, methods=["POST"]),
            Route("/api/auth/admin/refresh", self.refresh, methods=["POST"]),
            Route("/api/auth/admin/logout", self.logout, methods=["POST"]),
            Route("/api/auth/config", self.config, methods=["GET"]),
            Route("/api/auth/config", self.change_config, methods=["PUT"]),
            Route("/api/auth/users", self.users, methods=["GET"]),
            Route("/api/auth/users", self.delete, methods=["DELETE"]),
            Route("/api/auth/users/{id}", self.user, methods=["GET"]),
            Route("/api/auth/tokens/anon", self.anon_token, methods=["POST"]),
        ]

    @describe(takes=AdminSignIn)
    async def sign_in(self, request: Request) -> Response:
        """Open the admin's session.

        Raises:
            DeniedError: `http.account.password_wrong`.
            LimitError: `http.account.tries`, `http.busy`.
        """
        wanted = await read_json(request, AdminSignIn)
        email = (wanted.email or wanted.username or "").strip().lower()
        if not email:
            raise InputError("email: missing", code="http.body.field")
        user = await self._prove(email, wanted.password, address=address_of(request))
        return self._carrier.answer(request, await self._accounts.sessions.open(user, kind="admin"))

    async def refresh(self, request: Request) -> Response:
        """The next tokens."""
        return await self._carrier.refresh(request)

    async def logout(self, request: Request) -> Response:
        """Sign out."""
        return await self._carrier.logout(request)

    @describe(guard="admin")
    async def config(self, request: Request) -> Response:
        """The whole configuration."""
        await require(request, "project_admin")
        return answer_json(await self._accounts.config())

    @describe(takes=ConfigChange, guard="admin")
    async def change_config(self, request: Request) -> Response:
        """Change a part of it.

        Raises:
            InputError: `http.account.redirect`.
        """
        await require(request, "project_admin")
        changes = await read_json(request, ConfigChange)
        if isinstance(changes.sign_in_redirect_to, str):
            parts = urlsplit(changes.sign_in_redirect_to)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise InputError("signInRedirectTo: not an absolute http(s) address", code="http.account.redirect")
        return answer_json(await self._accounts.records.rpc("account_update_config", changes=msgspec.to_builtins(changes)).repeatable())

    @describe(query=Page, guard="admin")
    async def users(self, request: Request) -> Response:
        """A page of the accounts."""
        await require(request, "project_admin")
        limit, offset = _number(request, "limit", default=10, most=MAX_PAGE), _number(request, "offset", default=0, most=2**31 - 1)
        found = await self._accounts.records.rpc(
            "account_list", most=limit, skipped=offset, search=request.query_params.get("search", "")[:200]
        ).repeatable()
        return answer_json({"data": found["data"], "pagination": {"offset": offset, "limit": limit, "total": found["total"]}})

    @describe(guard="admin")
    async def user(self, request: Request) -> Response:
        """One account."""
        await require(request, "project_admin")
        user = await self._accounts.records.rpc("account_find", user_id=path_id(request)).repeatable()
        if user is None:
            raise unknown_account()
        return answer_json(user)

    @describe(takes=Deletion, guard="admin")
    async def delete(self, request: Request) -> Response:
        """Delete accounts and their sessions; the admin stays."""
        await require(request, "project_admin")
        wanted = await read_json(request, Deletion)
        if any(read_uuid(user_id) is None for user_id in wanted.user_ids):
            raise InputError("userIds: not all are uuids", code="http.account.id")
        deleted = await self._accounts.records.rpc("account_delete", user_ids=wanted.user_ids).repeatable()
        return answer_json({"message": f"{deleted} accounts deleted.", "deletedCount": deleted})

    @describe(guard="admin")
    async def anon_token(self, request: Request) -> Response:
        """The public key that pages call with before anybody signs in."""
        await require(request, "project_admin")
        return answer_json({"accessToken": self._accounts.shared.keys.anon_key, "message": "This key is public; it may stand in a page."})

    async def _prove(self, email: str, password: str, *, address: str) -> User:
        """The admin's account: against the operator's settings where they hold a password, else against the row."""
        settings, records = self._accounts.shared.settings, self._accounts.records
        if settings.admin_password is None:
            user = await self._accounts.prove_password(email, password, address=address, door=DOOR)
            if user["id"] != ADMIN_ID:
                raise wrong_password()
            return user
        names = {"for_email": email, "from_address": address, "at_door": DOOR}
        begun = await records.rpc("account_begin_sign_in", **names)
        if begun["wait_s"] > 0:
            raise too_many_tries(begun["wait_s"])
        right = _same(email, settings.admin_email) & _same(password, settings.admin_password.reveal())
        await records.rpc("account_end_sign_in", **names, succeeded=right).run()
        found: User | None = await records.rpc("account_find", user_id=ADMIN_ID).repeatable() if right else None
        if found is None:
            raise wrong_password()
        return found


def _same(given: str, expected: str) -> bool:
    """Compared as digests: neither content nor length shows in the time it takes."""
    first, second = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, expected))
    return hmac.compare_digest(first, second)


def _number(request: Request, name: str, *, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > most:
        raise InputError(f"{name}: not a number from 0 to {most}", code="http.query")
    return int(text)
