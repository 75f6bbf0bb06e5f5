"""Sign-in: the steps in order, replays, early ends, and the contract of `verify-telegram`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dealquest.auth import (
    AccessPolicy,
    BotKey,
    MemoryReplays,
    SignIn,
    TelegramUser,
    Tokens,
    authenticate,
    sign_in,
    verify_telegram_status,
)
from dealquest.errors import DealQuestError, DeniedError, LimitError, PeerUnavailableError, SettingsError
from dealquest.testing import sign_init_data
from dealquest.values import Secret

TOKEN = Secret("7342037359:AAHI25ES8xCOMPokpYoz-p8XVrZUdygo2J4")
TOKENS = Tokens([Secret("q8Zr2vXc7Lw1Tn5Yb9Kd3Gh6Jm4Pf0Rs")])
BOTS = (BotKey.from_token(TOKEN),)
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
RAW = sign_init_data(TOKEN, auth_date=NOW, user={"id": 7, "first_name": "Ann", "username": "ann"})


class Users:
    """A table of users in memory; `fails` times it is down."""

    def __init__(self, fails: int = 0) -> None:
        self.rows: dict[int, tuple[int, TelegramUser, datetime]] = {}
        self.fails = fails

    async def upsert_telegram_user(self, user: TelegramUser, *, seen_at: datetime) -> int:
        if self.fails:
            self.fails -= 1
            raise PeerUnavailableError("records are down", code="test.down")
        number = self.rows[user.id][0] if user.id in self.rows else 100 + len(self.rows)
        self.rows[user.id] = (number, user, seen_at)
        return number


class Claims:
    """Nobody claimed anything yet."""

    def __init__(self) -> None:
        self.owned: dict[str, int] = {}

    async def owners(self) -> dict[str, int]:
        return self.owned

    async def claim(self, name: str, telegram_id: int) -> int:
        return self.owned.setdefault(name, telegram_id)


class Ended:
    """Every session issued up to an instant is void."""

    def __init__(self, until: datetime | None) -> None:
        self.until = until
        self.asked: list[str] = []

    async def valid_after(self, subject: str) -> datetime | None:
        self.asked.append(subject)
        return self.until


async def enter(raw: str = RAW, **changes: Any) -> SignIn:
    return await sign_in(raw, **{"bots": BOTS, "users": Users(), "tokens": TOKENS, "now": NOW, **changes})


async def test_a_mini_app_signs_in() -> None:
    """Verified, stored, minted: the answer has the shape of `verify-telegram`, and the token proves the user."""
    users = Users()
    opened = await enter(users=users, new_token_id=lambda: "j-1")
    assert opened.to_json() == {"jwt": opened.token, "user": {"id": 100, "telegram_id": 7, "username": "ann", "first_name": "Ann"}}
    assert users.rows[7][1:] == (opened.init_data.user, NOW)
    session = await authenticate(opened.token, TOKENS, now=NOW + timedelta(minutes=59))
    assert session == opened.session
    assert (session.subject, session.telegram_id, session.role, session.token_id) == ("100", 7, "authenticated", "j-1")
    assert session.expires_at == NOW + timedelta(hours=1)
    assert opened.token not in repr(opened)


async def test_token_ids_differ() -> None:
    """Two sign-ins have two token ids."""
    assert (await enter()).session.token_id != (await enter()).session.token_id


async def test_limits_reach_the_verifier() -> None:
    """Age and skew are the caller's; an hour and a minute when left out."""
    for away_s, good in ((3600, True), (3601, False), (-60, True), (-61, False)):
        if good:
            assert (await enter(now=NOW + timedelta(seconds=away_s))).user_id == 100
        else:
            with pytest.raises(DeniedError):
                await enter(now=NOW + timedelta(seconds=away_s))
    for now, limits in ((NOW + timedelta(seconds=9), {"max_age_s": 8}), (NOW - timedelta(seconds=9), {"max_skew_s": 8})):
        with pytest.raises(DeniedError):
            await enter(now=now, **limits)


async def test_a_forger_leaves_no_row() -> None:
    """Nothing is stored for what was not proven or not admitted."""
    users = Users()
    with pytest.raises(DeniedError):
        await enter(RAW + "&x=1", users=users)
    with pytest.raises(DeniedError) as caught:
        await enter(users=users, policy=AccessPolicy.from_lists(["42"], []))
    assert (caught.value.code, caught.value.status) == ("auth.access.denied", 403)
    assert "user 7 may not use this bot (not_listed)" in str(caught.value)
    assert users.rows == {}


async def test_listed_names_count_with_claims_only() -> None:
    """Without a store of claims a name cannot be made an id, so it admits nobody."""
    policy = AccessPolicy.from_lists(["ann"], [])
    with pytest.raises(DeniedError):
        await enter(policy=policy)
    claims = Claims()
    assert (await enter(policy=policy, claims=claims)).user_id == 100
    assert claims.owned == {"ann": 7}
    assert (await enter(policy=AccessPolicy.from_lists(["7"], []))).user_id == 100


async def test_i2_a_replay_is_refused_where_asked_for() -> None:
    """With a replay store each initData is good once, in any order of its pairs; without, it is good for its hour."""
    replays = MemoryReplays()
    await enter(replays=replays)
    shuffled = "&".join(reversed(RAW.split("&")))
    for raw in (RAW, shuffled):
        with pytest.raises(DeniedError) as caught:
            await enter(raw, replays=replays)
        assert caught.value.code == "auth.init_data.replayed"
        assert (await enter(raw)).user_id == 100
    fresh = sign_init_data(TOKEN, auth_date=NOW, user={"id": 7, "first_name": "Ann", "username": "ann"}, query_id="2")
    assert (await enter(fresh, replays=replays)).user_id == 100


async def test_i2_a_store_that_was_down_does_not_burn_initdata() -> None:
    """When the users' table fails, the same initData may try again."""
    users, replays = Users(fails=1), MemoryReplays()
    with pytest.raises(PeerUnavailableError):
        await enter(users=users, replays=replays)
    assert (await enter(users=users, replays=replays)).user_id == 100


async def test_i2_the_store_of_proofs_is_bounded() -> None:
    """Full of live proofs it refuses and forgets none; ended ones make room."""
    replays, end = MemoryReplays(max_proofs=2), NOW + timedelta(seconds=10)
    assert await replays.first_use(1, "a", until=end, now=NOW)
    assert await replays.first_use(2, "a", until=end + timedelta(seconds=1), now=NOW)
    with pytest.raises(LimitError) as caught:
        await replays.first_use(1, "b", until=end, now=end)
    assert (caught.value.code, caught.value.retryable) == ("auth.replays.full", True)
    assert not await replays.first_use(1, "a", until=end, now=end)
    later = end + timedelta(seconds=1)
    assert await replays.first_use(1, "b", until=later, now=later)
    assert not await replays.first_use(2, "a", until=later, now=later)
    assert await MemoryReplays(max_proofs=1).first_use(1, "x", until=end, now=NOW)


async def test_i2_proofs_are_kept_as_long_as_they_count() -> None:
    """A proof is remembered until its initData is too old anyway."""
    kept: list[tuple[int, str, datetime, datetime]] = []

    class Spy(MemoryReplays):
        async def first_use(self, bot_id: int, proof: str, *, until: datetime, now: datetime) -> bool:
            kept.append((bot_id, proof, until, now))
            return await super().first_use(bot_id, proof, until=until, now=now)

    await enter(replays=Spy(), max_age_s=600)
    assert kept == [(7342037359, RAW.rpartition("=")[2], NOW + timedelta(seconds=600), NOW)]


@pytest.mark.parametrize(("ended_s", "stands"), [(None, True), (-1, True), (0, False), (1, False)])
async def test_j7_sessions_can_end_early(ended_s: int | None, stands: bool) -> None:
    """A deleted user or a lowered role ends the sessions issued up to that instant, at once."""
    token = TOKENS.mint_session("17", now=NOW, token_id="j")
    ended = Ended(None if ended_s is None else NOW + timedelta(seconds=ended_s))
    if stands:
        assert (await authenticate(token, TOKENS, now=NOW, revocations=ended)).subject == "17"
    else:
        with pytest.raises(DeniedError) as caught:
            await authenticate(token, TOKENS, now=NOW, revocations=ended)
        assert caught.value.code == "auth.token.revoked"
    assert ended.asked == ["17"]


async def test_c1_a_session_is_as_old_as_the_wall_says() -> None:
    """An hour on it has ended; set back by less than the leeway it counts, by an hour it is of the future."""
    token = TOKENS.mint_session("17", now=NOW, token_id="j")
    assert (await authenticate(token, TOKENS, now=NOW - timedelta(seconds=29))).subject == "17"
    for hours, code in ((2, "auth.token.expired"), (-1, "auth.token.future")):
        with pytest.raises(DeniedError) as caught:
            await authenticate(token, TOKENS, now=NOW + timedelta(hours=hours))
        assert caught.value.code == code


async def test_j7_a_removed_secret_ends_its_sessions() -> None:
    """Once the secret is taken away, its tokens are refused."""
    opened = await enter()
    with pytest.raises(DeniedError) as caught:
        await authenticate(opened.token, Tokens([Secret("M3xVt8Qb1Zp6Wc9Ln2Hk5Rg7Yd4Sj0Fa")]), now=NOW)
    assert caught.value.code == "auth.token.header"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *[
            (DeniedError("x", code=f"auth.init_data.{reason}"), 400)
            for reason in ("malformed", "too_large", "duplicate", "unsigned", "user", "content", "header")
        ],
        *[(DeniedError("x", code=f"auth.init_data.{reason}"), 403) for reason in ("forged", "expired", "future", "auth_date", "replayed")],
        (DeniedError("x", code="auth.access.denied", forbidden=True), 403),
        (SettingsError("x", code="auth.bots.missing"), 500),
        (LimitError("x", code="auth.replays.full"), 429),
        (PeerUnavailableError("x", code="y"), 503),
    ],
    ids=lambda value: value.code if isinstance(value, DealQuestError) else "",
)
def test_statuses_of_verify_telegram(error: DealQuestError, status: int) -> None:
    """Unreadable is 400, unproven 403, our own trouble keeps its status."""
    assert verify_telegram_status(error) == status
