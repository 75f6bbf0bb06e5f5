"""Accounts: sign-up, sign-in, sessions, profiles, configuration, the admin."""

from starlette.routing import BaseRoute

from dealquest_http.service import Service

from .accounts import open_accounts
from .admin_routes import AdminRoutes
from .profile_routes import ProfileRoutes
from .session_routes import SessionRoutes

__all__ = ["routes"]


def routes(service: Service) -> list[BaseRoute]:
    """The routes of this room."""
    accounts = open_accounts(service)
    return [*SessionRoutes(accounts).routes(), *ProfileRoutes(accounts).routes(), *AdminRoutes(accounts).routes()]
