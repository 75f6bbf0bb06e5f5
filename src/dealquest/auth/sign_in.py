"""Sign a Mini App in: verify initData, find or make the user, mint a session; and admit that session later.

The stores are ports; this file only puts the steps in order.
It is the contract of the `verify-telegram` function: `{initDataRaw}` in, `{jwt, user}` out.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import attrs

from dealquest.errors import DealQuestError, DeniedError, LimitError
from dealquest.values import Json

from .access import AccessPolicy, NameClaims, decide_access
from .bot_keys import Bot
from .init_data import InitData, TelegramUser, verify_init_data
from .tokens import Session, Tokens

_UNREADABLE = frozenset(
    {
        "auth.init_data.content",
        "auth.init_data.duplicate",
        "auth.init_data.header",
        "auth.init_data.malformed",
        "auth.init_data.too_large",
        "auth.init_data.unsigned",
        "auth.init_data.user",
    }
)


class Users(Protocol):
    """The table of users."""

    async def upsert_telegram_user(self, user: TelegramUser, *, seen_at: datetime) -> int:
        """Make or refresh the row of this Telegram id, atomically, and return our id of it."""
        ...


class Replays(Protocol):
    """What was used already."""

    async def first_use(self, bot_id: int, proof: str, *, until: datetime, now: datetime) -> bool:
        """Remember (bot, proof) until that instant; whether it was new."""
        ...


class Revocations(Protocol):
    """Which sessions ended early: a deleted user, a lowered role, a sign-out everywhere."""

    async def valid_after(self, subject: str) -> datetime | None:
        """Sessions of this subject issued up to this instant are void; None: all stand.

        Sessions are dated in whole seconds, so one that is opened within that very second is void too.
        """
        ...


@attrs.frozen(kw_only=True)
class SignIn:
    """A session that was just opened."""

    token: str = attrs.field(repr=False)
    user_id: int
    init_data: InitData
    session: Session

    def to_json(self) -> dict[str, Json]:
        """The answer of `verify-telegram`."""
        user = self.init_data.user
        return {
            "jwt": self.token,
            "user": {"id": self.user_id, "telegram_id": user.id, "username": user.username, "first_name": user.first_name},
        }


async def sign_in(
    raw: str,
    *,
    bots: Sequence[Bot],
    users: Users,
    tokens: Tokens,
    now: datetime,
    max_age_s: float = 3600,
    max_skew_s: float = 60,
    policy: AccessPolicy | None = None,
    claims: NameClaims | None = None,
    replays: Replays | None = None,
    new_token_id: Callable[[], str] = secrets.token_urlsafe,
) -> SignIn:
    """Turn raw initData into a session.

    Args:
        raw: `Telegram.WebApp.initData` as received.
        bots: Keys of the bots, newest first.
        users: Where users live.
        tokens: What mints the session.
        now: The present, aware.
        max_age_s: Seconds since the Mini App was opened.
        max_skew_s: Seconds by which the clocks may differ.
        policy: Who may use the bot; everyone when left out.
        claims: Which id a listed name belongs to; without it only listed ids count.
        replays: Makes each initData good for one session. Off by default: a Mini App that reloads within the hour
            rightly sends the same string again.
        new_token_id: Draws a fresh `jti`.

    Raises:
        DeniedError: `auth.init_data.*`, `auth.init_data.replayed`, `auth.access.denied` (403).
    """
    init_data = verify_init_data(raw, bots, now=now, max_age_s=max_age_s, max_skew_s=max_skew_s)
    user = init_data.user
    if policy is not None:
        access = policy.decide(user.id, None) if claims is None else await decide_access(policy, claims, user.id, user.username)
        if not access.use.granted:
            raise DeniedError(
                f"Telegram user {user.id} may not use this bot ({access.use.reason}); ask its operator",
                code="auth.access.denied",
                forbidden=True,
            )
    user_id = await users.upsert_telegram_user(user, seen_at=now)
    # After the upsert, which may be repeated: a store that was down must not burn the user's initData.
    if replays is not None:
        until = init_data.auth_date + timedelta(seconds=max_age_s)
        if not await replays.first_use(init_data.bot_id, init_data.proof, until=until, now=now):
            raise DeniedError("this initData was used already; open the Mini App anew", code="auth.init_data.replayed")
    token = tokens.mint_session(str(user_id), telegram_id=user.id, now=now, token_id=new_token_id())
    return SignIn(token=token, user_id=user_id, init_data=init_data, session=tokens.verify_session(token, now=now))


async def authenticate(token: str, tokens: Tokens, *, now: datetime, revocations: Revocations | None = None) -> Session:
    """Prove an access token and ask whether its session was ended early.

    Raises:
        DeniedError: `auth.token.*`, `auth.token.revoked`.
    """
    session = tokens.verify_session(token, now=now)
    valid_after = None if revocations is None else await revocations.valid_after(session.subject)
    if valid_after is not None and session.issued_at <= valid_after:
        raise DeniedError("this session was ended; sign in again", code="auth.token.revoked")
    return session


def verify_telegram_status(error: DealQuestError) -> int:
    """The HTTP status with which `verify-telegram` answers an error: 400 unreadable, 403 not proven, else the error's own."""
    if error.code in _UNREADABLE:
        return 400
    if isinstance(error, DeniedError):
        return 403
    return error.http_status


class MemoryReplays:
    """`Replays` of one process, bounded; when full of live proofs it refuses rather than forgets."""

    def __init__(self, max_proofs: int = 100_000) -> None:
        self._max_proofs = max_proofs
        self._until: dict[tuple[int, str], datetime] = {}

    async def first_use(self, bot_id: int, proof: str, *, until: datetime, now: datetime) -> bool:
        """Remember (bot, proof) until that instant; whether it was new.

        Raises:
            LimitError: `auth.replays.full`.
        """
        if (bot_id, proof) in self._until:
            return False
        if len(self._until) >= self._max_proofs:
            self._until = {key: end for key, end in self._until.items() if end >= now}
        if len(self._until) >= self._max_proofs:
            raise LimitError("too many sign-ins at once; try again later", code="auth.replays.full", retryable=True)
        self._until[bot_id, proof] = until
        return True
