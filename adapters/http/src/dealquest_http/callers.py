"""Who is calling: a proven role, subject and claims. Every route asks here, and nowhere else.

A key or token counts only if it is proven; what cannot be proven is refused even where no proof was
needed. Roles come from our own tokens and keys, never from a request.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import attrs
from starlette.requests import Request

from dealquest.auth import authenticate
from dealquest.errors import DeniedError
from dealquest.values import Json, Principal, Role

from .keys import ANON_PREFIX, API_PREFIX
from .shared import shared_of

Proof: TypeAlias = Literal["none", "anon_key", "api_key", "session"]

ANON_SUBJECT = "12345678-1234-5678-90ab-cdef12345678"
_RANK: Mapping[Role, int] = MappingProxyType({"anon": 0, "authenticated": 1, "project_admin": 2})


@attrs.frozen(kw_only=True)
class Caller:
    """Who is asking, and how they proved it.

    Attributes:
        role: The database role.
        proof: `none`, the public `anon_key`, an `api_key`, or a `session` token.
        subject: A uuid of an account, the number of a Telegram user, or None.
        claims: Further claims of the token, such as `email` or `telegram_id`.
    """

    role: Role
    proof: Proof
    subject: str | None = None
    claims: Mapping[str, Json] = attrs.field(factory=lambda: MappingProxyType({}), hash=False)

    @property
    def principal(self) -> Principal:
        """The caller as the storage rooms want it."""
        return Principal(role=self.role, subject=self.subject, claims=self.claims)


NOBODY = Caller(role="anon", proof="none")
ANON = Caller(role="anon", proof="anon_key", subject=ANON_SUBJECT)
API = Caller(role="project_admin", proof="api_key")


async def caller_of(request: Request) -> Caller:
    """The caller; `NOBODY` without a credential. Asked once for each request.

    Raises:
        DeniedError: `auth.token.*`, `http.caller.api_key`, `http.caller.scheme`.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        known = request.state.caller = await _prove(request)
    return known


async def require(request: Request, role: Role = "authenticated") -> Caller:
    """The caller, who must be at least this much.

    Args:
        request: The request.
        role: `anon`: any credential will do, the public key too · `authenticated`: a person or better · `project_admin`.

    Raises:
        DeniedError: `http.caller.missing` (401), `http.caller.role` (403), and all of `caller_of`.
    """
    caller = await caller_of(request)
    if caller.proof == "none" or (role != "anon" and caller.role == "anon"):
        raise DeniedError("This needs a session token or a key in the Authorization header; sign in first.", code="http.caller.missing")
    if _RANK[caller.role] < _RANK[role]:
        raise DeniedError("This is for the project's admin.", code="http.caller.role", forbidden=True)
    return caller


async def _prove(request: Request) -> Caller:
    shared = shared_of(request)
    key = request.headers.get("x-api-key")
    if key is None:
        header = request.headers.get("authorization")
        if header is None:
            return NOBODY
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise DeniedError("The Authorization header is not `Bearer <token>`.", code="http.caller.scheme")
        if key.startswith(ANON_PREFIX) and shared.keys.is_anon_key(key):
            return ANON
    if key.startswith(API_PREFIX):
        if await shared.keys.is_api_key(key):
            return API
        raise DeniedError("This API key is not one of ours, or was revoked.", code="http.caller.api_key")
    if "x-api-key" in request.headers:
        raise DeniedError(f"An API key begins with {API_PREFIX}.", code="http.caller.api_key")
    session = await authenticate(key, shared.tokens, now=shared.clock.now())
    principal = session.principal
    return Caller(role=session.role, proof="session", subject=session.subject, claims=principal.claims)
