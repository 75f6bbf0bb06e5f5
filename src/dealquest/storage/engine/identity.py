"""Who a transaction runs as: a role, and the claims that row-level security reads."""

from collections.abc import Mapping

import attrs
import msgspec

from dealquest.values import Json, Principal


@attrs.frozen(kw_only=True)
class Identity:
    """A proven role.

    Attributes:
        role: The database role.
        claims: `request.jwt.claims` as JSON text.
        authenticated: Whether a proof came with the request; without one a missing right is a 401.
    """

    role: str
    claims: bytes
    authenticated: bool


def from_claims(role: str, claims: Mapping[str, Json], *, authenticated: bool) -> Identity:
    """An identity from verified claims."""
    return Identity(role=role, claims=msgspec.json.encode({**claims, "role": role}), authenticated=authenticated)


def from_principal(principal: Principal, *, anonymous: str) -> Identity:
    """An identity from a principal that the program itself vouches for."""
    return Identity(role=principal.role, claims=msgspec.json.encode(principal.to_claims()), authenticated=principal.role != anonymous)
