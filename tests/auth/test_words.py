"""What people read: each refusal says what is wrong, which thing it is about and what to do next."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from init_data_corpus import BASE, NOW, OTHER_TOKEN, THIRD, TOKEN, by_telegram, signed, spell, widget

from dealquest.auth import (
    AccessPolicy,
    BotKey,
    BotPublicKey,
    MemoryReplays,
    Tokens,
    authenticate,
    read_tma_header,
    sign_in,
    verify_init_data,
    verify_login_widget,
)
from dealquest.auth.tokens import AUDIENCE, ISSUER
from dealquest.errors import DealQuestError
from dealquest.values import Secret

INSTANT = datetime.fromtimestamp(NOW, UTC)
SECRET = Secret("q8Zr2vXc7Lw1Tn5Yb9Kd3Gh6Jm4Pf0Rs")


def read(raw: str) -> object:
    return verify_init_data(raw, [BotKey.from_token(Secret(TOKEN))], now=INSTANT)


def read_third(raw: str) -> object:
    return verify_init_data(raw, [BotPublicKey(*THIRD.public[0])], now=INSTANT)


def read_widget(raw: str, token: str = TOKEN) -> object:
    return verify_login_widget(raw, [BotKey.from_token(Secret(token))], now=INSTANT)


def mint(**changes: Any) -> str:
    return Tokens([SECRET]).mint_session(**{"subject": "17", "now": INSTANT, "token_id": "j", **changes})


def prove(token: str, now: datetime = INSTANT) -> object:
    return Tokens([SECRET]).verify_session(token, now=now)


def altered(**changes: Any) -> str:
    """A token of ours with other claims, under the right key and header."""
    import jwt  # its signer, for claims that ours refuses

    claims = {"sub": "1", "role": "anon", "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, "jti": "j", "typ": "access"}
    header = json.loads(jwt.utils.base64url_decode(mint().split(".")[0]))
    return jwt.PyJWS().encode(json.dumps({**claims, **changes}).encode(), SECRET.reveal(), "HS256", headers=header)


class Ended:
    async def valid_after(self, subject: str) -> datetime | None:
        return INSTANT


class Users:
    async def upsert_telegram_user(self, user: object, *, seen_at: datetime) -> int:
        return 1


def enter(**changes: Any) -> object:
    async def walk() -> object:
        return await sign_in(
            signed(), bots=[BotKey.from_token(Secret(TOKEN))], users=Users(), tokens=Tokens([SECRET]), now=INSTANT, **changes
        )

    return anyio.run(walk)


def enter_twice() -> object:
    replays = MemoryReplays()
    enter(replays=replays)
    return enter(replays=replays)


GENERATE = "; make one with `dealquest keys generate`"
RAW = "this is not initData as Telegram writes it; pass the raw string, neither decoded nor rebuilt"
WORDS: list[tuple[Callable[[], object], str, str]] = [
    (
        lambda: verify_init_data("", [], now=INSTANT),
        "auth.bots.missing",
        "no bot is set; give the key of at least one (TELEGRAM_BOT_TOKEN)",
    ),
    (
        lambda: BotKey.from_token(Secret("")),
        "auth.bot_token.malformed",
        "TELEGRAM_BOT_TOKEN is empty or not a bot token; copy it whole from BotFather (123456:ABC...)",
    ),
    (lambda: BotPublicKey(0), "auth.bot_id.malformed", "a bot's id is the number before the colon of its token"),
    (lambda: BotPublicKey(1, b""), "auth.public_key.malformed", "an Ed25519 public key is 32 bytes"),
    (lambda: read("&" * 99), "auth.init_data.too_large", "initData has at most 16384 characters and 64 fields"),
    (lambda: read("{}"), "auth.init_data.malformed", RAW),
    (lambda: read("a=%FF"), "auth.init_data.malformed", "initData is not UTF-8"),
    (lambda: read("a=1&a=2"), "auth.init_data.duplicate", "initData names a field twice"),
    (lambda: read("hash=0"), "auth.init_data.malformed", "hash is not 64 lower-case hex digits"),
    (lambda: read("a=1"), "auth.init_data.unsigned", "initData lacks its hash or signature; pass the raw string, not initDataUnsafe"),
    (lambda: read(signed(token=OTHER_TOKEN)), "auth.init_data.forged", "initData was not signed for this bot, or was changed"),
    (lambda: read_third(spell({**by_telegram(), "signature": "x"})), "auth.init_data.malformed", "signature is not 64 bytes in base64url"),
    (lambda: read_widget("id=1"), "auth.init_data.unsigned", "the login has no hash; pass the query exactly as Telegram sent it"),
    (lambda: read_widget(widget(), OTHER_TOKEN), "auth.init_data.forged", "the login was not signed for this bot, or was changed"),
    (lambda: read(signed({"auth_date": ""})), "auth.init_data.auth_date", "auth_date is missing or not a number of seconds"),
    (lambda: read(signed({"auth_date": str(NOW + 61)})), "auth.init_data.future", "auth_date lies in the future; set the clocks right"),
    (lambda: read(signed({"auth_date": str(NOW - 3601)})), "auth.init_data.expired", "initData is too old; open the Mini App anew"),
    (
        lambda: read(signed({"user": None})),
        "auth.init_data.user",
        "initData names no user; open the Mini App from a button or a link of the bot",
    ),
    (lambda: read(signed({"user": "{"})), "auth.init_data.user", "a nested value is not one strict JSON object"),
    (lambda: read(signed({"user": "{}"})), "auth.init_data.user", "the user has no id that Telegram would give"),
    (lambda: read(signed({"user": '{"id":"7"}'})), "auth.init_data.user", "id has the wrong type"),
    (lambda: read(signed({"user": '{"id":7,"is_bot":true}'})), "auth.init_data.user", "the user is a bot"),
    (lambda: read(signed({"chat": "{}"})), "auth.init_data.content", "the chat has no id or type that Telegram would give"),
    (lambda: read(signed({"can_send_after": "x"})), "auth.init_data.content", "can_send_after is not a number of seconds"),
    (
        lambda: verify_init_data(spell(BASE) + "&hash=" + "0" * 64, [BotKey.from_token(Secret(TOKEN))], now=INSTANT.replace(tzinfo=None)),
        "auth.init_data.forged",
        "initData was not signed for this bot, or was changed",
    ),
    (
        lambda: verify_init_data(signed(), [BotKey.from_token(Secret(TOKEN))], now=INSTANT.replace(tzinfo=None)),
        "auth.now.naive",
        "now has no time zone; pass an aware datetime",
    ),
    (lambda: read_tma_header(None), "auth.init_data.header", "send initData as `Authorization: tma <initData>`"),
    (lambda: Tokens([]), "auth.secret.missing", "JWT_SECRET is not set" + GENERATE),
    (lambda: Tokens([Secret("\udc80")]), "auth.secret.weak", "JWT_SECRET holds bytes that are no text" + GENERATE),
    (lambda: Tokens([Secret("x")]), "auth.secret.weak", "JWT_SECRET is too weak: at least 32 bytes of chance are needed" + GENERATE),
    (
        lambda: Tokens([Secret("please-change-me-0123456789-abcdefg")]),
        "auth.secret.weak",
        "JWT_SECRET looks like the text of an example file" + GENERATE,
    ),
    (
        lambda: Tokens([Secret("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ")]),
        "auth.secret.public",
        "JWT_SECRET is a key file; HS256 needs a secret of its own, and a public key is known to everybody" + GENERATE,
    ),
    (
        lambda: Tokens([SECRET], other_secrets=[SECRET]),
        "auth.secret.shared",
        "JWT_SECRET is also used for something else; one leak would open both" + GENERATE,
    ),
    (lambda: mint(role="x"), "auth.token.unmintable", "the role is none of anon, authenticated, project_admin"),
    (lambda: mint(claims={"role": 1}), "auth.token.unmintable", "role and telegram_id have parameters of their own"),
    (lambda: mint(claims={"exp": 1, "aud": 2}), "auth.token.unmintable", "reserved claims: aud, exp"),
    (lambda: mint(ttl_s=0), "auth.token.unmintable", "a token for access lives 1 to 3600 s"),
    (lambda: mint(subject=""), "auth.token.unmintable", "subject and token id are 1 to 255 visible ASCII characters"),
    (lambda: mint(claims={"x": "y" * 9999}), "auth.token.unmintable", "the claims do not fit into 8192 bytes"),
    (lambda: mint(now=INSTANT.replace(tzinfo=None)), "auth.now.naive", "now has no time zone; pass an aware datetime"),
    (
        lambda: Tokens([SECRET]).mint("access", "1", now=INSTANT, token_id="j", ttl_s=1),
        "auth.token.unmintable",
        "access tokens come from mint_session",
    ),
    (lambda: prove("x"), "auth.token.malformed", "this is not a token in its canonical form; sign in again"),
    (
        lambda: prove("x" + mint()),
        "auth.token.header",
        "the token names a key or an algorithm that is not ours; sign in again",
    ),
    (
        lambda: prove(mint()[:-43] + "A" * 43),
        "auth.token.forged",
        "the token was not signed by us for this purpose, or was changed; sign in again",
    ),
    (lambda: prove(altered(x=float("nan"))), "auth.token.claims", "the token's claims are not one strict JSON object"),
    (lambda: prove(altered(typ="x")), "auth.token.claims", "the token's typ is not ours"),
    (lambda: prove(altered(iss="x")), "auth.token.claims", "the token's iss is not ours"),
    (lambda: prove(altered(aud="x")), "auth.token.claims", "the token's aud is not ours"),
    (lambda: prove(altered(sub="")), "auth.token.claims", "the token lacks its subject or id"),
    (lambda: prove(altered(exp="")), "auth.token.claims", "the token's times are not whole seconds"),
    (lambda: prove(altered(exp=NOW)), "auth.token.claims", "the token lives longer than its purpose allows"),
    (lambda: prove(altered(role="x")), "auth.token.claims", "the token's role is not one of ours"),
    (lambda: prove(altered(telegram_id="x")), "auth.token.claims", "the token's telegram_id is no number"),
    (lambda: prove(mint(), INSTANT - timedelta(hours=1)), "auth.token.future", "the token is not valid yet; set the clocks right"),
    (lambda: prove(mint(), INSTANT + timedelta(hours=2)), "auth.token.expired", "the token is too old; sign in again"),
    (
        lambda: anyio.run(lambda: authenticate(mint(), Tokens([SECRET]), now=INSTANT, revocations=Ended())),
        "auth.token.revoked",
        "this session was ended; sign in again",
    ),
    (enter_twice, "auth.init_data.replayed", "this initData was used already; open the Mini App anew"),
    (lambda: enter(replays=MemoryReplays(0)), "auth.replays.full", "too many sign-ins at once; try again later"),
    (
        lambda: enter(policy=AccessPolicy.from_lists(["42"], [])),
        "auth.access.denied",
        "Telegram user 279058397 may not use this bot (not_listed); ask its operator",
    ),
    (
        lambda: AccessPolicy.from_lists(["a b"], []),
        "auth.access.entry",
        "ALLOWED_USERNAMES holds 'a b', which is neither a Telegram id nor a name",
    ),
    (
        lambda: AccessPolicy.from_lists([], ["-"]),
        "auth.access.entry",
        "ADMIN_USERNAMES holds '-', which is neither a Telegram id nor a name",
    ),
]


@pytest.mark.parametrize(("call", "code", "words"), WORDS, ids=[f"{code}-{position}" for position, (_, code, _) in enumerate(WORDS)])
def test_refusals_say_what_to_do(call: Callable[[], object], code: str, words: str) -> None:
    """The code and the words are those that the docs and the users know."""
    with pytest.raises(DealQuestError) as caught:
        call()
    assert (caught.value.code, caught.value.message) == (code, words)


def test_the_docs_list_our_codes_and_no_others() -> None:
    """Each code in the sources stands in the docs, and each documented one in the sources."""
    root = Path(__file__).parents[2]
    for room, sources in {"auth": sorted((root / "src/dealquest/auth").glob("*.py")), "vault": [root / "src/dealquest/vault.py"]}.items():
        raised = set(re.findall(rf'"({room}\.[a-z_]+\.[a-z_]+)"', "\n".join(path.read_text() for path in sources)))
        listed = set(re.findall(rf"^\| `({room}\.[a-z_.]+)`", (root / f"docs/errors/{room}.md").read_text(), re.MULTILINE))
        assert raised == listed
        assert raised
