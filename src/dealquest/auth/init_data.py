"""Verify the initData of a Telegram Mini App, or the query of a Login Widget, into typed values.

Pure: no I/O, no clock, no store. It refuses whatever has two readings, because a signature over joined
lines does not say where one field ends. The rules, in the order in which they are checked:

1. At most 16 KiB and 64 fields.
2. `name=value` pairs joined with `&`; names of letters, digits, `_`, `.`, `-`; nothing in a value
   that a query string must escape; escapes in upper case, none of a letter, digit, `-`, `.`, `_` or ASCII control
   character; one decoding only, into valid UTF-8.
3. No name twice.
4. `hash` is 64 lower-case hex digits, `signature` (where it is the proof) 86 canonical base64url ones.
5. The proof itself, in constant time, for each bot in turn.
6. `auth_date` in ASCII digits, neither too old nor in the future.
7. Only then JSON: objects without repeated names; a user with a positive id who is not a bot.

Source: https://core.telegram.org/bots/webapps#webappinitdata and
https://core.telegram.org/widgets/login, read 2026-11-22.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import attrs

from dealquest.errors import DeniedError, InputError, SettingsError
from dealquest.values import Json

from .bot_keys import MAX_ID, Bot, BotKey, BotPublicKey
from .strict_json import parse_object

MAX_CHARACTERS = 16 * 1024
MAX_FIELDS = 64

_RAW = r"[A-Za-z0-9_.~!$'()*+,;:@/?-]*+"
_ESCAPE = r"%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-E]|[89A-F][0-9A-F])"
_PAIR = rf"[A-Za-z0-9_.-]++={_RAW}(?:{_ESCAPE}{_RAW})*+"
_QUERY = re.compile(rf"{_PAIR}(?:&{_PAIR})*+")
_TO_QUOTED_PRINTABLE = bytes.maketrans(b"%&+", b"=\n ")
_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{85}[AQgw]")  # 64 bytes leave 4 unused bits, which must be zero
_INSTANT = re.compile(r"[1-9][0-9]{0,9}")
_SECONDS = re.compile(r"0|[1-9][0-9]{0,8}")
_USER_ID = re.compile(r"[1-9][0-9]{0,15}")

_NOTHING: Mapping[str, Json] = MappingProxyType({})
_NO_TEXTS: Mapping[str, str] = MappingProxyType({})


# Without slots attrs fills a frozen value in half the time, and these two are made at every request.
@attrs.frozen(kw_only=True, slots=False)
class TelegramUser:
    """A person as Telegram describes them; `extra` keeps what Telegram added since."""

    id: int
    first_name: str = ""
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None
    photo_url: str | None = None
    is_bot: bool = False
    is_premium: bool = False
    added_to_attachment_menu: bool = False
    allows_write_to_pm: bool = False
    extra: Mapping[str, Json] = attrs.field(default=_NOTHING, hash=False)


@attrs.frozen(kw_only=True)
class TelegramChat:
    """The chat from which a Mini App was opened through the attachment menu."""

    id: int
    type: str
    title: str | None = None
    username: str | None = None
    photo_url: str | None = None
    extra: Mapping[str, Json] = attrs.field(default=_NOTHING, hash=False)


@attrs.frozen(kw_only=True, slots=False)
class InitData:
    """What Telegram vouches for: who opened the Mini App, where, and when.

    Attributes:
        bot_id: The bot whose key, or for whose id, it was signed.
        proof: The verified hash (token) or signature (Ed25519): the key under which a replay is known.
        signature: Telegram's Ed25519 signature as received; verified only where a `BotPublicKey` was given.
        extra: Fields that Telegram added since; their texts as signed.
    """

    bot_id: int
    user: TelegramUser
    auth_date: datetime
    proof: str = attrs.field(repr=False)
    receiver: TelegramUser | None = None
    chat: TelegramChat | None = None
    chat_type: str | None = None
    chat_instance: str | None = None
    start_param: str | None = None
    can_send_after: timedelta | None = None
    query_id: str | None = None
    signature: str | None = attrs.field(default=None, repr=False)
    extra: Mapping[str, str] = attrs.field(default=_NO_TEXTS, hash=False)


_USER_TYPES: Mapping[str, type] = {
    "id": int,
    "first_name": str,
    "last_name": str,
    "username": str,
    "language_code": str,
    "photo_url": str,
    "is_bot": bool,
    "is_premium": bool,
    "added_to_attachment_menu": bool,
    "allows_write_to_pm": bool,
}
_CHAT_TYPES: Mapping[str, type] = {"id": int, "type": str, "title": str, "username": str, "photo_url": str}


def verify_init_data(raw: str, bots: Sequence[Bot], *, now: datetime, max_age_s: float = 3600, max_skew_s: float = 60) -> InitData:
    """Verify the raw `Telegram.WebApp.initData` string and read it.

    Args:
        raw: The string exactly as Telegram gave it, decoded by nobody.
        bots: Keys of the bots that may have signed, newest first: `BotKey` proves by token, `BotPublicKey` by the
            bot's id, which does not count where the same bot's token is given too.
        now: The present, aware.
        max_age_s: Seconds since `auth_date` after which it is refused.
        max_skew_s: Seconds by which `auth_date` may lie in the future.

    Raises:
        DeniedError: `auth.init_data.*`, see docs/errors/auth.md; never with a computed hash.
        SettingsError: `auth.bots.missing` when `bots` is empty.
        InputError: `auth.now.naive` when `now` has no time zone.
    """
    _require_bots(bots)
    fields = _decode(raw)
    digest = _digest(fields)
    bot_id, proof = _find_signer(fields, digest, bots)
    auth_date = _check_freshness(fields, now, max_age_s, max_skew_s)
    return _read(fields, bot_id, proof, auth_date)


def verify_login_widget(raw: str, bots: Sequence[BotKey], *, now: datetime, max_age_s: float = 3600, max_skew_s: float = 60) -> InitData:
    """Verify the query string of a Login Widget's redirect and read it.

    Arguments and errors are those of `verify_init_data`. The key differs (SHA-256 of the token), so
    neither of the two is ever taken for the other.
    """
    _require_bots(bots)
    fields = _decode(raw)
    digest = _digest(fields)
    if digest is None:
        raise DeniedError("the login has no hash; pass the query exactly as Telegram sent it", code="auth.init_data.unsigned")
    message = _check_string(fields)
    for bot in bots:
        if bot.signed_login(message, digest):
            break
    else:
        raise DeniedError("the login was not signed for this bot, or was changed", code="auth.init_data.forged")
    auth_date = _check_freshness(fields, now, max_age_s, max_skew_s)
    proof, _ = fields.pop("hash"), fields.pop("auth_date")
    values: dict[str, Json] = dict(fields)
    values["id"] = int(fields["id"]) if _USER_ID.fullmatch(fields.get("id", "")) else None
    return InitData(bot_id=bot.bot_id, user=_read_user(values), auth_date=auth_date, proof=proof)


def read_tma_header(value: str | None) -> str:
    """Take the raw initData out of an `Authorization: tma <initData>` header.

    Raises:
        DeniedError: `auth.init_data.header` when the header is missing or names another scheme.

    >>> read_tma_header("tma auth_date=1&hash=ab")
    'auth_date=1&hash=ab'
    """
    scheme, _, raw = (value or "").partition(" ")
    if scheme.lower() != "tma" or not raw or raw != raw.strip():
        raise DeniedError("send initData as `Authorization: tma <initData>`", code="auth.init_data.header")
    return raw


def _decode(raw: str) -> dict[str, str]:
    """Rules 1 to 3: names to texts, decoded once."""
    if not isinstance(raw, str):  # a member of somebody's JSON body, perhaps
        raise DeniedError("initData is a text", code="auth.init_data.malformed")
    if len(raw) > MAX_CHARACTERS or raw.count("&") >= MAX_FIELDS:
        raise DeniedError(f"initData has at most {MAX_CHARACTERS} characters and {MAX_FIELDS} fields", code="auth.init_data.too_large")
    if _QUERY.fullmatch(raw) is None:
        raise DeniedError(
            "this is not initData as Telegram writes it; pass the raw string, neither decoded nor rebuilt", code="auth.init_data.malformed"
        )
    # Percent escapes become quoted-printable ones, which the standard library decodes in C. "&" becomes a line
    # feed; no other can appear, since the pattern lets no control character through.
    encoded = raw.encode("ascii").replace(b"=", b"%3D").translate(_TO_QUOTED_PRINTABLE)
    try:
        text = binascii.a2b_qp(encoded).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise DeniedError("initData is not UTF-8", code="auth.init_data.malformed") from exc
    pairs = [line.split("=", 1) for line in text.split("\n")]
    fields: dict[str, str] = dict(pairs)  # the pattern gives every line its "="
    if len(fields) != len(pairs):
        raise DeniedError("initData names a field twice", code="auth.init_data.duplicate")
    return fields


def _digest(fields: Mapping[str, str]) -> bytes | None:
    """Rule 4 for `hash`, which third parties may leave out."""
    text = fields.get("hash")
    if text is None:
        return None
    if _HASH.fullmatch(text) is None:
        raise DeniedError("hash is not 64 lower-case hex digits", code="auth.init_data.malformed")
    return bytes.fromhex(text)


def _check_string(fields: Mapping[str, str], *, third_party: bool = False) -> bytes:
    """The lines that are signed, sorted by name in byte order."""
    unsigned = {"hash", "signature"} if third_party else {"hash"}
    return "\n".join([f"{name}={fields[name]}" for name in sorted(fields) if name not in unsigned]).encode()


def _find_signer(fields: Mapping[str, str], digest: bytes | None, bots: Sequence[Bot]) -> tuple[int, str]:
    """Rule 5: the bot's id and the proof that held."""
    by_token = [bot for bot in bots if isinstance(bot, BotKey)]
    if digest is not None and by_token:
        message = _check_string(fields)
        for bot in by_token:
            if bot.signed_mini_app(message, digest):
                return bot.bot_id, fields["hash"]
    # A bot whose token is known is proven by it alone: with two proofs a replayed string would have two names.
    known = {bot.bot_id for bot in by_token}
    by_id = [bot for bot in bots if isinstance(bot, BotPublicKey) and bot.bot_id not in known] if fields.get("signature") else []
    if by_id:
        if _SIGNATURE.fullmatch(fields["signature"]) is None:
            raise DeniedError("signature is not 64 bytes in base64url", code="auth.init_data.malformed")
        signature = base64.urlsafe_b64decode(fields["signature"] + "==")
        message = _check_string(fields, third_party=True)
        for third_party in by_id:
            if third_party.signed_mini_app(message, signature):
                return third_party.bot_id, fields["signature"]
    if not by_id and (digest is None or not by_token):
        raise DeniedError("initData lacks its hash or signature; pass the raw string, not initDataUnsafe", code="auth.init_data.unsigned")
    raise DeniedError("initData was not signed for this bot, or was changed", code="auth.init_data.forged")


def _check_freshness(fields: Mapping[str, str], now: datetime, max_age_s: float, max_skew_s: float) -> datetime:
    """Rule 6; the comparisons are written so that a NaN refuses."""
    if now.tzinfo is None:
        raise InputError("now has no time zone; pass an aware datetime", code="auth.now.naive")
    text = fields.get("auth_date", "")
    if _INSTANT.fullmatch(text) is None:
        raise DeniedError("auth_date is missing or not a number of seconds", code="auth.init_data.auth_date")
    age_s = now.timestamp() - int(text)
    if not age_s >= -max_skew_s:
        raise DeniedError("auth_date lies in the future; set the clocks right", code="auth.init_data.future")
    if not age_s <= max_age_s:
        raise DeniedError("initData is too old; open the Mini App anew", code="auth.init_data.expired")
    return datetime.fromtimestamp(int(text), UTC)


def _read(fields: dict[str, str], bot_id: int, proof: str, auth_date: datetime) -> InitData:
    """Rule 7."""
    if "user" not in fields:
        raise DeniedError("initData names no user; open the Mini App from a button or a link of the bot", code="auth.init_data.user")
    fields.pop("hash", None)
    del fields["auth_date"]
    user = _read_user(_parse_object(fields.pop("user"), "auth.init_data.user"))
    receiver, chat = fields.pop("receiver", None), fields.pop("chat", None)
    seconds = fields.pop("can_send_after", None)
    if seconds is not None and _SECONDS.fullmatch(seconds) is None:
        raise DeniedError("can_send_after is not a number of seconds", code="auth.init_data.content")
    return InitData(
        bot_id=bot_id,
        user=user,
        auth_date=auth_date,
        proof=proof,
        receiver=None if receiver is None else _read_person(_parse_object(receiver, "auth.init_data.content"), "auth.init_data.content"),
        chat=None if chat is None else _read_chat(_parse_object(chat, "auth.init_data.content")),
        chat_type=fields.pop("chat_type", None),
        chat_instance=fields.pop("chat_instance", None),
        start_param=fields.pop("start_param", None),
        query_id=fields.pop("query_id", None),
        signature=fields.pop("signature", None),
        can_send_after=None if seconds is None else timedelta(seconds=int(seconds)),
        extra=MappingProxyType(fields) if fields else _NO_TEXTS,
    )


def _read_user(values: dict[str, Json]) -> TelegramUser:
    user = _read_person(values, "auth.init_data.user")
    if user.is_bot:
        raise DeniedError("the user is a bot", code="auth.init_data.user")
    return user


def _read_person(values: dict[str, Json], code: str) -> TelegramUser:
    known, extra = _split(values, _USER_TYPES, code)
    if not 0 < known.get("id", 0) <= MAX_ID:
        raise DeniedError("the user has no id that Telegram would give", code=code)
    return TelegramUser(**known, extra=extra)


def _read_chat(values: dict[str, Json]) -> TelegramChat:
    known, extra = _split(values, _CHAT_TYPES, "auth.init_data.content")
    if not 0 < abs(known.get("id", 0)) <= MAX_ID or "type" not in known:
        raise DeniedError("the chat has no id or type that Telegram would give", code="auth.init_data.content")
    return TelegramChat(**known, extra=extra)


def _split(values: dict[str, Json], types: Mapping[str, type], code: str) -> tuple[dict[str, Any], Mapping[str, Json]]:
    """The fields we know, checked, and the others; null counts as absent, and a bool is no int."""
    known: dict[str, Any] = {}
    extra: dict[str, Json] = {}
    for name, value in values.items():
        kind = types.get(name)
        if kind is None:
            extra[name] = value
        elif type(value) is kind:
            known[name] = value
        elif value is not None:
            raise DeniedError(f"{name} has the wrong type", code=code)
    return known, MappingProxyType(extra) if extra else _NOTHING


def _parse_object(text: str, code: str) -> dict[str, Json]:
    try:
        return parse_object(text)
    except ValueError as exc:
        raise DeniedError("a nested value is not one strict JSON object", code=code) from exc


def _require_bots(bots: Sequence[Bot]) -> None:
    if not bots:
        raise SettingsError("no bot is set; give the key of at least one (TELEGRAM_BOT_TOKEN)", code="auth.bots.missing")
