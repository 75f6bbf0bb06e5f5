"""initData: what comes out, what never leaks, and the attack rows I1 to I6."""

# ruff: noqa: RUF001  # characters that look like others are among the attacks

import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from init_data_corpus import NOW as CORPUS_S
from init_data_corpus import signed

from dealquest.auth import (
    PRODUCTION_PUBLIC_KEY,
    TEST_PUBLIC_KEY,
    Bot,
    BotKey,
    BotPublicKey,
    TelegramChat,
    TelegramUser,
    read_tma_header,
    verify_init_data,
    verify_login_widget,
)
from dealquest.errors import DeniedError, InputError, SettingsError
from dealquest.testing import sign_init_data, sign_init_data_ed25519, sign_login_widget
from dealquest.values import Json, Secret

TOKEN = Secret("7342037359:AAHI25ES8xCOMPokpYoz-p8XVrZUdygo2J4")
OTHER = Secret("5000000001:AAGotherBototherBototherBototherB")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
USER: dict[str, Json] = {"id": 7, "first_name": "Ann", "username": "ann", "is_premium": True, "badge": {"level": 3}}
BOTS = (BotKey.from_token(TOKEN),)
KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
CORPUS_NOW = datetime.fromtimestamp(CORPUS_S, UTC)
PUBLIC = KEY.public_key().public_bytes_raw()


def refusal(raw: str, bots: Sequence[Bot] = BOTS, now: datetime = NOW) -> str:
    with pytest.raises(DeniedError) as caught:
        verify_init_data(raw, bots, now=now)
    return caught.value.code


def test_every_field_is_typed() -> None:
    """All of Telegram's fields arrive typed, and new ones are kept as signed."""
    raw = sign_init_data(
        TOKEN,
        auth_date=NOW,
        user=USER,
        receiver='{"id":8,"first_name":"Bot","is_bot":true}',
        chat='{"id":-100,"type":"group","title":"Team","forum":true}',
        chat_type="group",
        chat_instance="-5",
        start_param="ref",
        can_send_after="90",
        query_id="Q",
        signature="s",
        brand_new="1",
    )
    data = verify_init_data(raw, BOTS, now=NOW)
    assert data.user == TelegramUser(id=7, first_name="Ann", username="ann", is_premium=True, extra={"badge": {"level": 3}})
    assert data.receiver == TelegramUser(id=8, first_name="Bot", is_bot=True)
    assert data.chat == TelegramChat(id=-100, type="group", title="Team", extra={"forum": True})
    assert (data.chat_type, data.chat_instance, data.start_param, data.query_id, data.signature) == ("group", "-5", "ref", "Q", "s")
    assert (data.bot_id, data.auth_date, data.can_send_after) == (7342037359, NOW, timedelta(seconds=90))
    assert (dict(data.extra), len(data.proof)) == ({"brand_new": "1"}, 64)


def test_absent_fields_are_none() -> None:
    """What Telegram did not send is None, not an invention."""
    data = verify_init_data(sign_init_data(TOKEN, auth_date=NOW, user={"id": 7}), BOTS, now=NOW)
    assert (data.receiver, data.chat, data.chat_type, data.chat_instance, data.start_param) == (None,) * 5
    assert (data.can_send_after, data.query_id, data.signature, dict(data.extra)) == (None, None, None, {})
    assert data.user == TelegramUser(id=7)


@given(
    first_name=st.text(max_size=64),
    start_param=st.text(alphabet=st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"), max_size=64),
    user_id=st.integers(1, 2**53),
    age_s=st.integers(-60, 3600),
)
@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text builds Unicode tables
def test_sign_and_verify_are_inverse(first_name: str, start_param: str, user_id: int, age_s: int) -> None:
    """What `sign_init_data` signs comes back unchanged, in both modes."""
    auth_date = NOW - timedelta(seconds=age_s)
    user: dict[str, Json] = {"id": user_id, "first_name": first_name.replace("\x7f", "")}
    by_token = sign_init_data(TOKEN, auth_date=auth_date, user=user, start_param=start_param)
    by_telegram = sign_init_data_ed25519(KEY, 42, auth_date=auth_date, user=user, start_param=start_param)
    for raw, bot in ((by_token, BOTS[0]), (by_telegram, BotPublicKey(42, PUBLIC))):
        data = verify_init_data(raw, [bot], now=NOW)
        assert (data.user.id, data.user.first_name, data.start_param) == (user_id, user["first_name"], start_param)
        assert (data.auth_date, data.bot_id) == (auth_date, bot.bot_id)


def test_the_login_widget_gives_the_same_values() -> None:
    """A Login Widget's query is read into the same types."""
    raw = sign_login_widget(TOKEN, auth_date=NOW, id="7", first_name="Ann", username="ann", photo_url="https://t.me/i/x.jpg", x="1")
    data = verify_login_widget(raw, BOTS, now=NOW)
    assert data.user == TelegramUser(id=7, first_name="Ann", username="ann", photo_url="https://t.me/i/x.jpg", extra={"x": "1"})
    assert (data.bot_id, data.auth_date, data.proof) == (7342037359, NOW, raw.rpartition("=")[2])


def test_the_proof_is_the_verified_one() -> None:
    """The replay key is the hash with a token and the signature without; an unverified hash never is."""
    raw = sign_init_data_ed25519(KEY, 42, auth_date=NOW, user=USER)
    proofs = {
        verify_init_data(text, [BotPublicKey(42, PUBLIC)], now=NOW).proof
        for text in (raw, raw.replace("0" * 64, "1" * 64), raw.rpartition("&")[0])
    }
    assert len(proofs) == 1
    assert proofs.pop() in raw


def test_limits_are_parameters() -> None:
    """Age and skew are the caller's to set; NaN refuses."""
    raw = sign_init_data(TOKEN, auth_date=NOW, user=USER)
    later, earlier = NOW + timedelta(seconds=11), NOW - timedelta(seconds=3)
    assert verify_init_data(raw, BOTS, now=later, max_age_s=11).user.id == 7
    assert verify_init_data(raw, BOTS, now=earlier, max_skew_s=3).user.id == 7
    for now, age, skew in ((later, 10.9, 60), (earlier, 3600, 2.9), (NOW, float("nan"), 60), (NOW, 3600, float("nan"))):
        with pytest.raises(DeniedError):
            verify_init_data(raw, BOTS, now=now, max_age_s=age, max_skew_s=skew)


def test_the_widget_obeys_the_limits_too() -> None:
    """A Login Widget's query has the same age and skew."""
    raw = sign_login_widget(TOKEN, auth_date=NOW, id="7")
    assert verify_login_widget(raw, BOTS, now=NOW + timedelta(seconds=11), max_age_s=11).user.id == 7
    assert verify_login_widget(raw, BOTS, now=NOW - timedelta(seconds=3), max_skew_s=3).user.id == 7
    for now, age, skew in ((NOW + timedelta(seconds=11), 10, 60), (NOW - timedelta(seconds=3), 3600, 2)):
        with pytest.raises(DeniedError):
            verify_login_widget(raw, BOTS, now=now, max_age_s=age, max_skew_s=skew)


def test_a_naive_clock_is_a_mistake_of_the_caller() -> None:
    """A `now` without a zone is refused before it shifts the window by hours."""
    raw = sign_init_data(TOKEN, auth_date=NOW, user=USER)
    with pytest.raises(InputError, match="no time zone") as caught:
        verify_init_data(raw, BOTS, now=NOW.replace(tzinfo=None))
    assert caught.value.code == "auth.now.naive"


def test_no_bot_is_a_mistake_of_the_operator() -> None:
    """Without a bot nothing can be proven, and that is no user's fault."""
    for verify in (verify_init_data, verify_login_widget):
        with pytest.raises(SettingsError, match="no bot is set") as caught:
            verify("x=1", (), now=NOW)
        assert caught.value.code == "auth.bots.missing"


@pytest.mark.parametrize("header", [None, "", "tma", "tma ", "Bearer x=1", "tma  x=1", "tma x=1 ", "tmax=1", " tma x=1"])
def test_other_headers_are_refused(header: str | None) -> None:
    """Only `tma <initData>` is taken."""
    with pytest.raises(DeniedError, match="Authorization: tma") as caught:
        read_tma_header(header)
    assert caught.value.code == "auth.init_data.header"


def test_the_header_gives_the_raw_string() -> None:
    """The scheme's case does not matter, the rest is untouched."""
    assert read_tma_header("tma a=b&c=%20d") == "a=b&c=%20d"
    assert read_tma_header("TMA a=b") == "a=b"
    assert read_tma_header("tma a b") == "a b"


def test_telegrams_own_keys() -> None:
    """Production and test keys are those that Telegram published, and production is the default."""
    assert (PRODUCTION_PUBLIC_KEY.hex()[:8], PRODUCTION_PUBLIC_KEY.hex()[-8:]) == ("e7bf03a2", "caed242d")
    assert (TEST_PUBLIC_KEY.hex()[:8], TEST_PUBLIC_KEY.hex()[-8:]) == ("40055058", "eddf72ec")
    assert BotPublicKey(1).public_key == PRODUCTION_PUBLIC_KEY


def test_a_known_answer() -> None:
    """A hash made by an independent tool (openssl) for fixed bytes is accepted."""
    raw = (
        "user=%7B%22id%22%3A42%2C%22first_name%22%3A%22A%22%7D&auth_date=1700000000"
        "&hash=b3ec524700a412385c4794d035d012ddca7418776b5f6ac6fe919c159c82ad57"
    )
    data = verify_init_data(raw, [BotKey.from_token(Secret("123456:ABCDEFGHabcdefgh"))], now=datetime.fromtimestamp(1_700_000_000, UTC))
    assert data.user.id == 42


# Attack rows


def test_i1_no_changed_character_is_accepted() -> None:
    """Every position of a signed string, replaced, removed or doubled, is refused; only the order of pairs is free."""
    raw = sign_init_data(TOKEN, auth_date=NOW, user=USER, start_param="a b", query_id="Q-1_x")
    for position in range(len(raw)):
        before, here, after = raw[:position], raw[position], raw[position + 1 :]
        for changed in (
            before + after,
            before + here * 2 + after,
            before + here.swapcase() + after,
            before + "0" + after,
            before + "x" + after,
        ):
            if changed != raw:
                assert refusal(changed).startswith("auth.init_data."), changed
    pairs = raw.split("&")
    assert verify_init_data("&".join(sorted(pairs, reverse=True)), BOTS, now=NOW).user.id == 7


def test_i1_fields_cannot_be_added_or_removed() -> None:
    """One field more or less breaks the proof, `signature` included."""
    raw = sign_init_data(TOKEN, auth_date=NOW, user=USER, signature="s", query_id="Q")
    assert refusal(raw + "&start_param=x") == "auth.init_data.forged"
    assert refusal(raw.replace("&signature=s", "")) == "auth.init_data.forged"
    assert refusal(raw.replace("&query_id=Q", "")) == "auth.init_data.forged"


def test_i1_signature_stands_outside_its_own_message() -> None:
    """Ed25519 covers neither `hash` nor `signature`, and everything else."""
    raw = sign_init_data_ed25519(KEY, 42, auth_date=NOW, user=USER, query_id="Q")
    bots = [BotPublicKey(42, PUBLIC)]
    assert verify_init_data(raw.replace("0" * 64, "a" * 64), bots, now=NOW).query_id == "Q"
    assert refusal(raw.replace("query_id=Q", "query_id=R"), bots) == "auth.init_data.forged"


@pytest.mark.parametrize("auth_date", [-3601, 61, 86400])
def test_i3_old_and_future_dates_are_refused(auth_date: int) -> None:
    """Outside an hour back and a minute ahead there is no entry."""
    code = refusal(sign_init_data(TOKEN, auth_date=NOW + timedelta(seconds=auth_date), user=USER))
    assert code == ("auth.init_data.expired" if auth_date < 0 else "auth.init_data.future")


@pytest.mark.parametrize("text", [None, "", "0", "1e9", "abc", "-5", "+1795377600", "01795377600", "１７９５３７７６００"])
def test_i3_odd_dates_are_refused(text: str | None) -> None:
    """Only plain ASCII digits are a date, even where Telegram signed something else."""
    assert refusal(signed({"auth_date": text}), now=CORPUS_NOW) == "auth.init_data.auth_date"


def test_i4_floods_are_refused_quickly() -> None:
    """Ten megabytes, 10^5 names and non-ASCII hashes cost under 10 ms and give our error."""
    user = "user=%7B%7D&"
    attacks = [
        "a" * 10_000_000,
        "&".join(["a=b"] * 100_000),
        user + user + "hash=" + "0" * 64,
        "hash=",
        "hash=é",
        "hash=" + "%C3%A9" * 64,
        "%" * 16_000,
    ]
    for raw in attacks:
        start = time.perf_counter()
        assert refusal(raw).startswith("auth.init_data.")
        assert time.perf_counter() - start < 0.1, "a tenth of a second already means that it was read"


def test_i4_duplicates_are_refused() -> None:
    """A name that appears twice is refused before any proof."""
    raw = sign_init_data(TOKEN, auth_date=NOW, user=USER)
    for extra in ("&user=%7B%22id%22%3A1%7D", "&hash=" + "0" * 64, "&auth_date=1"):
        assert refusal(raw + extra) == "auth.init_data.duplicate"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "7342037359",
        "7342037359:",
        ":AAHI25ES8xCO",
        "7342037359:short",
        "0:AAHI25ES8xCO",
        "-1:AAHI25ES8xCO",
        "٧:AAHI25ES8xCOM",
        "1:AAHI25ES8xCO\n",
        " 1:AAHI25ES8xCO",
        "1:AAHI 25ES8xCO",
        "9007199254740993:AAHI25ES8xCO",
        "1:" + "A" * 129,
    ],
)
def test_i5_a_malformed_token_stops_the_start(token: str) -> None:
    """An empty or malformed token, with which anybody could sign, is an error of the operator, and is not shown."""
    with pytest.raises(SettingsError, match="TELEGRAM_BOT_TOKEN") as caught:
        BotKey.from_token(Secret(token))
    assert caught.value.code == "auth.bot_token.malformed"
    assert len(token) < 9 or token not in str(caught.value)


def test_i5_other_bots_and_environments_are_refused() -> None:
    """Another bot's token, another bot id, and the test servers' key prove nothing."""
    assert refusal(sign_init_data(OTHER, auth_date=NOW, user=USER)) == "auth.init_data.forged"
    raw = sign_init_data_ed25519(KEY, 42, auth_date=NOW, user=USER)
    for bot in (BotPublicKey(43, PUBLIC), BotPublicKey(42), BotPublicKey(42, TEST_PUBLIC_KEY)):
        assert refusal(raw, [bot]) == "auth.init_data.forged"
    widget = sign_login_widget(TOKEN, auth_date=NOW, id="7")
    with pytest.raises(DeniedError) as caught:
        verify_login_widget(widget, [BotKey.from_token(OTHER)], now=NOW)
    assert caught.value.code == "auth.init_data.forged"


@pytest.mark.parametrize(
    ("bot_id", "key", "code"),
    [
        (0, PUBLIC, "auth.bot_id.malformed"),
        (-1, PUBLIC, "auth.bot_id.malformed"),
        (True, PUBLIC, "auth.bot_id.malformed"),
        (2**53 + 1, PUBLIC, "auth.bot_id.malformed"),
        (1, b"", "auth.public_key.malformed"),
        (1, b"x" * 31, "auth.public_key.malformed"),
    ],
)
def test_i5_a_malformed_public_key_stops_the_start(bot_id: int, key: bytes, code: str) -> None:
    """A bot id or a public key that cannot be one is an error of the operator."""
    with pytest.raises(SettingsError, match=r"number before the colon|32 bytes") as caught:
        BotPublicKey(bot_id, key)
    assert caught.value.code == code


def test_i5_the_smallest_and_largest_bot() -> None:
    """Ids at the limits are bots."""
    assert BotKey.from_token(Secret("1:AAAAAAAA")).bot_id == BotPublicKey(1).bot_id == 1
    assert BotKey.from_token(Secret(f"{2**53}:{'A' * 128}")).bot_id == BotPublicKey(2**53).bot_id == 2**53


@pytest.mark.parametrize(
    "user", ["7", "[]", "null", "{}", '{"id":"7"}', '{"id":true}', '{"id":-7}', f'{{"id":{2**53 + 1}}}', '{"id":7,"is_bot":true}']
)
def test_i6_users_without_a_plain_id_are_refused(user: str) -> None:
    """The user is an object with an id that stays exact everywhere, and no bot."""
    assert refusal(signed({"user": user}), now=CORPUS_NOW) == "auth.init_data.user"


def test_errors_hold_neither_hash_nor_token() -> None:
    """Neither the message nor a traceback with captured locals shows what would have been right."""
    good = sign_init_data(TOKEN, auth_date=NOW, user=USER)
    right = good.rpartition("=")[2]
    raw = good.replace(right, "0" * 64)
    with pytest.raises(DeniedError) as denied:
        verify_init_data(raw, BOTS, now=NOW)
    shown = "".join(traceback.TracebackException.from_exception(denied.value, capture_locals=True).format())
    shown = "\n".join(line for line in shown.splitlines() if not line.lstrip().startswith(("good =", "right =")))
    assert right not in shown + str(denied.value) + repr(denied.value)
    assert TOKEN.reveal() not in shown
    assert repr(bytes.fromhex(right)) not in shown
    with pytest.raises(SettingsError) as caught:
        BotKey.from_token(Secret("canary " * 3))
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "canary canary" not in shown


def test_two_tokens_of_one_bot_are_two_keys() -> None:
    """A set of keys keeps the new and the old token of one bot."""
    keys = {BotKey.from_token(Secret(f"7:{letter * 20}")) for letter in "ab"}
    assert len(keys) == 2
    assert BotPublicKey(7) == BotPublicKey(7) != BotPublicKey(7, TEST_PUBLIC_KEY)


def test_keys_and_proofs_stay_out_of_reprs() -> None:
    """Printing a key or a verified value shows no secret, hash or signature."""
    raw = sign_init_data(TOKEN, auth_date=NOW, user=USER, signature="sig-canary")
    data = verify_init_data(raw, BOTS, now=NOW)
    assert repr(BOTS[0]) == "BotKey(bot_id=7342037359)"
    assert data.proof not in repr(data)
    assert "sig-canary" not in repr(data)


@pytest.mark.parametrize("raw", [None, 5, b"auth_date=1&hash=ab", ["auth_date=1"], {"hash": "ab"}])
def test_i1_what_is_no_text_is_refused_as_malformed(raw: Any) -> None:
    """A caller that passes on a member of a JSON body gets our error, whatever that member is."""
    with pytest.raises(DeniedError) as caught:
        verify_init_data(raw, BOTS, now=NOW)
    assert caught.value.code == "auth.init_data.malformed"
    with pytest.raises(DeniedError):
        verify_login_widget(raw, BOTS, now=NOW)
