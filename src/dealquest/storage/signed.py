"""A plain PostgREST elsewhere, asked with the rights of somebody: each request carries a fresh token for that principal.

The server judges the token with the same secret (`jwt-secret`) and takes the role it names; its policies decide.
Source: PostgREST documentation, "JWT Authentication", read 2026-11-22.
"""

from contextlib import AbstractAsyncContextManager

import attrs
import jwt

from dealquest.values import Clock, Principal, Secret
from dealquest.wire import HttpRequest, HttpResponse, HttpStream, Transport

TOKEN_TTL_S = 60


class SignedTransport:
    """Sends requests as one principal.

    Args:
        wire: Reaches the server, without a credential.
        principal: With whose rights.
        secret: The server's `jwt-secret`.
        clock: Where time comes from.
    """

    def __init__(self, wire: Transport, principal: Principal, *, secret: Secret, clock: Clock) -> None:
        self._wire = wire
        self._principal = principal
        self._secret = secret
        self._clock = clock

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send it, signed."""
        return await self._wire.send(self._sign(request))

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """The same, its answer read in chunks."""
        return self._wire.stream(self._sign(request))

    def _sign(self, request: HttpRequest) -> HttpRequest:
        now = int(self._clock.now().timestamp())
        claims = {**self._principal.to_claims(), "iat": now, "exp": now + TOKEN_TTL_S}
        token = jwt.encode(claims, self._secret.reveal(), algorithm="HS256")
        return attrs.evolve(request, headers=(*request.headers, ("authorization", f"Bearer {token}")))
