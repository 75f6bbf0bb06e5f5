"""Accounts: sign-up, sign-in, sessions, profiles, configuration, the admin."""

from starlette.routing import BaseRoute, Route

from dealquest_http.records import METHODS
from dealquest_http.remote import pass_on
from dealquest_http.service import Service

from .accounts import open_accounts
from .admin_routes import AdminRoutes
from .profile_routes import ProfileRoutes
from .session_routes import SessionRoutes

__all__ = ["routes"]


def routes(service: Service) -> list[BaseRoute]:
    """The routes of this room; accounts live where the records live."""
    if service.kit.remote is not None:
        return [Route("/api/auth/{rest:path}", pass_on, methods=METHODS)]
    accounts = open_accounts(service)
    return [*SessionRoutes(accounts).routes(), *ProfileRoutes(accounts).routes(), *AdminRoutes(accounts).routes()]
