"""Sign up, sign in, the current session, refresh, sign out."""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import ConflictError, DeniedError
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.callers import caller_of, require
from dealquest_http.described import describe

from .accounts import Accounts, address_of, too_many_tries, wrong_password
from .carrier import Carrier
from .rules import check_password, normal_email

PUBLIC = (
    "requireEmailVerification",
    "passwordMinLength",
    "requireNumber",
    "requireLowercase",
    "requireUppercase",
    "requireSpecialChar",
    "verifyEmailMethod",
    "resetPasswordMethod",
    "disableSignup",
)
MAX_NAME = 200
MAX_EMAIL_TRIED = 320


class SignUp(msgspec.Struct):
    """A new account."""

    email: str
    password: str
    name: str | None = None


class SignIn(msgspec.Struct):
    """A password's proof."""

    email: str
    password: str


@attrs.frozen
class SessionRoutes:
    """The routes."""

    _accounts: Accounts

    @property
    def _carrier(self) -> Carrier:
        return Carrier(sessions=self._accounts.sessions)

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/api/auth/public-config", self.public_config, methods=["GET"]),
            Route("/api/auth/users", self.sign_up, methods=["POST"]),
            Route("/api/auth/sessions", self.sign_in, methods=["POST"]),
            Route("/api/auth/sessions/current", self.current, methods=["GET"]),
            Route("/api/auth/refresh", self.refresh, methods=["POST"]),
            Route("/api/auth/logout", self.logout, methods=["POST"]),
        ]

    async def public_config(self, _: Request) -> Response:
        """How people sign up and in, for everybody to read."""
        config = await self._accounts.config()
        return answer_json({"oAuthProviders": [], "customOAuthProviders": [], **{name: config[name] for name in PUBLIC}})

    @describe(takes=SignUp)
    async def sign_up(self, request: Request) -> Response:
        """Make an account and open its first session.

        Raises:
            ConflictError: `http.account.exists`.
            DeniedError: `http.account.closed` while sign-up is switched off, but for the admin.
        """
        wanted = await read_json(request, SignUp)
        email, config = normal_email(wanted.email), await self._accounts.config()
        check_password(wanted.password, config)
        # Asked only where it matters: a page that still holds an old token may sign up.
        if config["disableSignup"] and (await caller_of(request)).role != "project_admin":
            raise DeniedError("Signing up is switched off here; ask the admin.", code="http.account.closed", forbidden=True)
        wait_s: float = await self._accounts.records.rpc("account_begin_sign_up", from_address=address_of(request))
        if wait_s > 0:
            raise too_many_tries(wait_s)
        # Hashed before it is known whether the address is free: both cost the same.
        hashed = await self._accounts.passwords.hash(wanted.password)
        profile = {"name": wanted.name[:MAX_NAME]} if wanted.name else {}
        user: dict[str, Any] | None = await self._accounts.records.rpc(
            "account_create", for_email=email, password_hash=hashed, with_profile=profile
        )
        if config["requireEmailVerification"]:
            # One answer whether the address was free or not.
            return answer_json({"accessToken": None, "requireEmailVerification": True})
        if user is None:
            raise ConflictError("There is an account with this e-mail address; sign in.", code="http.account.exists")
        opened = await self._accounts.sessions.open(user)
        return self._carrier.answer(request, opened, requireEmailVerification=False, **_redirect(config))

    @describe(takes=SignIn)
    async def sign_in(self, request: Request) -> Response:
        """Open a session.

        Raises:
            DeniedError: `http.account.password_wrong`, `http.account.unverified` (403).
            LimitError: `http.account.tries`, `http.busy`.
        """
        wanted = await read_json(request, SignIn)
        email = wanted.email.strip().lower()
        if len(email) > MAX_EMAIL_TRIED or not email.isprintable():
            raise wrong_password()
        user = await self._accounts.prove_password(email, wanted.password, address=address_of(request))
        config = await self._accounts.config()
        if config["requireEmailVerification"] and not user["emailVerified"]:
            raise DeniedError("Verify the e-mail address first.", code="http.account.unverified", forbidden=True)
        return self._carrier.answer(request, await self._accounts.sessions.open(user), **_redirect(config))

    @describe(guard="user")
    async def current(self, request: Request) -> Response:
        """Who I am."""
        return answer_json({"user": await self._accounts.user_of(await require(request))})

    async def refresh(self, request: Request) -> Response:
        """The next tokens."""
        return await self._carrier.refresh(request)

    async def logout(self, request: Request) -> Response:
        """Sign out."""
        return await self._carrier.logout(request)


def _redirect(config: Mapping[str, Any]) -> dict[str, Any]:
    target = config["signInRedirectTo"]
    return {} if target is None else {"redirectTo": target}
