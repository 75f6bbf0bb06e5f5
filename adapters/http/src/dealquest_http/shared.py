"""What every room of routes is given: the open kit and the parts that all routes share."""

from typing import TYPE_CHECKING

import attrs

from dealquest.auth import Tokens
from dealquest.compose import Kit
from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.values import Clock

from .keys import Keys

if TYPE_CHECKING:
    from starlette.requests import Request


@attrs.frozen(kw_only=True)
class Shared:
    """What all rooms of routes share. A request finds it with `shared_of`.

    Attributes:
        kit: The cores; the caller of `create_app` owns and closes it.
        tokens: Mints and verifies session tokens.
        keys: The anon key and the API keys.
    """

    kit: Kit
    tokens: Tokens
    keys: Keys

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        return self.kit.settings

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self.kit.clock


def open_shared(kit: Kit) -> Shared:
    """The same over an open kit.

    Raises:
        SettingsError: `http.jwt_secret` without `JWT_SECRET`: no caller could prove anything; `auth.secret.*` for a weak one.
    """
    settings = kit.settings
    if settings.jwt_secret is None:
        raise SettingsError(
            "Serving needs JWT_SECRET: at least 32 bytes of chance, such as `openssl rand -hex 32` prints.", code="http.jwt_secret"
        )
    return Shared(
        kit=kit,
        tokens=Tokens([settings.jwt_secret], other_secrets=settings.encryption_keys),
        keys=Keys(settings.jwt_secret, kit.records, given=settings.access_api_key, clock=kit.clock),
    )


def shared_of(request: "Request") -> Shared:
    """The parts behind this request."""
    shared: Shared = request.app.state.shared
    return shared
