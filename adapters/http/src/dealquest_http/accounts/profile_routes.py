"""Profiles: everybody may read one, a person changes their own."""

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.errors import InputError, NotFoundError
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.callers import require
from dealquest_http.described import describe

from .accounts import Accounts, read_uuid


class ProfileChange(msgspec.Struct):
    """Keys to merge into the stored profile."""

    profile: dict[str, msgspec.Raw]


@attrs.frozen
class ProfileRoutes:
    """The routes."""

    _accounts: Accounts

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/api/auth/profiles/current", self.change, methods=["PATCH"]),
            Route("/api/auth/profiles/{id}", self.show, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """A person's public profile.

        Raises:
            InputError: `http.account.id`.
            NotFoundError: `http.account.unknown`.
        """
        user = await self._accounts.records.rpc("account_find", user_id=path_id(request)).repeatable()
        if user is None:
            raise unknown_account()
        return answer_json({"id": user["id"], "userId": user["id"], "profile": user["profile"]})

    @describe(takes=ProfileChange, guard="user")
    async def change(self, request: Request) -> Response:
        """Merge keys into my profile."""
        caller = await require(request)
        user = await self._accounts.user_of(caller)
        changes = await read_json(request, ProfileChange)
        answer = await self._accounts.records.rpc("account_update_profile", user_id=user["id"], changes=changes.profile).repeatable()
        if answer is None:
            raise unknown_account()
        return answer_json({**answer, "userId": answer["id"]})


def path_id(request: Request) -> str:
    """The uuid in the path.

    Raises:
        InputError: `http.account.id`.
    """
    found = read_uuid(request.path_params["id"])
    if found is None:
        raise InputError("id: not a uuid", code="http.account.id")
    return found


def unknown_account() -> NotFoundError:
    """Nobody has this id."""
    return NotFoundError("There is no account with this id.", code="http.account.unknown")
