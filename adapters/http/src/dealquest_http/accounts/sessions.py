"""Sessions: an access token that lives a quarter of an hour, and a refresh token that is good once.

A session is a family: every refresh replaces the refresh token by the next. One that is used a second
time was copied, so its whole family ends. Of a token only the hash of its id is stored.
Rules of `racing`: browsers share one cookie between tabs, so for them a token that was used less than
`RACE_S` ago is refused without ending the family.
"""

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import attrs

from dealquest.auth import Token, Tokens
from dealquest.errors import DeniedError
from dealquest.storage import Postgrest
from dealquest.values import Clock, Role, Secret

Kind: TypeAlias = Literal["user", "admin"]

ACCESS_S = 15 * 60
REFRESH_S = 7 * 86400
RACE_S = 1.0

_ROLES: Mapping[Kind, Role] = {"user": "authenticated", "admin": "project_admin"}


@attrs.frozen(kw_only=True)
class Opened:
    """What a person holds after sign-in or refresh."""

    user: dict[str, Any]
    access_token: str = attrs.field(repr=False)
    refresh_token: str = attrs.field(repr=False)
    csrf_token: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Sessions:
    """Opens, renews and ends sessions.

    Attributes:
        records: Where families are stored.
        tokens: Mints and verifies.
        secret: What CSRF values follow from.
        clock: The present.
    """

    records: Postgrest
    tokens: Tokens
    secret: Secret
    clock: Clock

    async def open(self, user: dict[str, Any], *, kind: Kind = "user") -> Opened:
        """A new session of a proven person."""
        session_id, token_id = str(uuid.uuid4()), uuid.uuid4().hex
        await self.records.rpc(
            "account_open_session",
            session_id=session_id,
            user_id=user["id"],
            kind=kind,
            token_hash=_hash(token_id),
            expires_at=self.clock.now() + timedelta(seconds=REFRESH_S),
        ).run()
        return self._opened(user, kind, session_id, token_id)

    async def refresh(self, refresh_token: str, *, kind: Kind = "user", is_shared: bool = False) -> Opened:
        """The next pair of tokens for this one.

        Args:
            refresh_token: The newest of its family.
            kind: The kind of session it must belong to.
            is_shared: Whether several tabs may hold the same token.

        Raises:
            DeniedError: `http.session.ended`, `auth.token.*`.
        """
        proven = self._prove(refresh_token, kind)
        token_id = uuid.uuid4().hex
        answer = await self.records.rpc(
            "account_rotate_session",
            old_hash=_hash(proven.token_id),
            new_hash=_hash(token_id),
            new_expires_at=self.clock.now() + timedelta(seconds=REFRESH_S),
            of_kind=kind,
            race_s=RACE_S if is_shared else 0.0,
        )
        if answer["outcome"] == "racing":
            raise DeniedError("This session was refreshed a moment ago in another tab.", code="http.session.racing")
        if answer["outcome"] != "rotated" or (kind == "admin" and not answer["is_admin"]):
            raise DeniedError("This session has ended; sign in again.", code="http.session.ended")
        return self._opened(answer["user"], kind, answer["session_id"], token_id)

    async def end(self, refresh_token: str, *, kind: Kind = "user") -> None:
        """End the session of this token; one that proves nothing ends nothing."""
        try:
            proven = self._prove(refresh_token, kind)
        except DeniedError:
            return
        await self.records.rpc("account_end_session", of_token_hash=_hash(proven.token_id)).repeatable().run()

    def owner_of(self, refresh_token: str, *, kind: Kind = "user") -> str | None:
        """Whose session this token belongs to; None if it proves nothing."""
        try:
            return self._prove(refresh_token, kind).subject
        except DeniedError:
            return None

    def csrf_of(self, refresh_token: str, *, kind: Kind = "user") -> str:
        """The CSRF value that belongs to a refresh token; it stays the same over rotations.

        Raises:
            DeniedError: `auth.token.*`.
        """
        return self._csrf(str(self._prove(refresh_token, kind).claims.get("sid")))

    def _opened(self, user: dict[str, Any], kind: Kind, session_id: str, token_id: str) -> Opened:
        now = self.clock.now()
        return Opened(
            user=user,
            access_token=self.tokens.mint_session(
                user["id"], now=now, token_id=uuid.uuid4().hex, role=_ROLES[kind], ttl_s=ACCESS_S, claims={"email": user["email"]}
            ),
            refresh_token=self.tokens.mint(
                "refresh", user["id"], now=now, token_id=token_id, ttl_s=REFRESH_S, claims={"sid": session_id, "kind": kind}
            ),
            csrf_token=self._csrf(session_id),
        )

    def _prove(self, refresh_token: str, kind: Kind) -> Token:
        proven = self.tokens.verify("refresh", refresh_token, now=self.clock.now())
        if proven.claims.get("kind") != kind:
            raise DeniedError("This session is of another kind; sign in again.", code="http.session.ended")
        return proven

    def _csrf(self, session_id: str) -> str:
        return hmac.new(self.secret.reveal().encode(), f"dealquest csrf v1 {session_id}".encode(), hashlib.sha256).hexdigest()


def _hash(token_id: str) -> str:
    return hashlib.sha256(token_id.encode()).hexdigest()
