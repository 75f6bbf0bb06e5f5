"""Accounts: sign-up, sign-in, sessions, profiles, configuration, the admin."""

from starlette.routing import BaseRoute, Route

from dealquest_http.records import METHODS
from dealquest_http.remote import pass_on
from dealquest_http.shared import Shared

from .accounts import open_accounts
from .admin_routes import AdminRoutes
from .profile_routes import ProfileRoutes
from .session_routes import SessionRoutes

__all__ = ["routes"]


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room; accounts live where the records live."""
    if shared.kit.remote is not None:
        return [Route("/api/auth/{rest:path}", pass_on, methods=METHODS)]
    accounts = open_accounts(shared)
    return [*SessionRoutes(accounts).routes(), *ProfileRoutes(accounts).routes(), *AdminRoutes(accounts).routes()]
