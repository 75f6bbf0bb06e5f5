"""What proves that Telegram signed a string for one bot: keys derived once, at construction.

No parsing and no clock here. Three proofs exist: HMAC-SHA256 under a key made from the bot token
(Mini Apps), HMAC-SHA256 under the token's SHA-256 (Login Widget), and Telegram's own Ed25519
signature, which needs the bot's id only.
Source: https://core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app and
https://core.telegram.org/widgets/login#checking-authorization, read 2026-11-22.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import TypeAlias

import attrs

from dealquest.errors import SettingsError
from dealquest.values import Secret

PRODUCTION_PUBLIC_KEY = bytes.fromhex("e7bf03a2fa4602af4580703d88dda5bb59f32ed8b02a56c187fe7d34caed242d")
TEST_PUBLIC_KEY = bytes.fromhex("40055058a4ee38156a06562e52eece92a771bcd8346a8c4615cb7376eddf72ec")
MAX_ID = 2**53
"""Telegram's ids stay below this, so that every JSON reader keeps them exact."""

_TOKEN = re.compile(r"([1-9][0-9]{0,15}):[A-Za-z0-9_-]{8,128}")


@attrs.frozen(eq=False)  # two tokens of one bot are two keys
class BotKey:
    """One bot's token as the two keys that Telegram derives from it; the token itself is not kept.

    Build it with `from_token`. While a token is being changed pass the new key and the old one, newest first; drop the
    old one at once when it leaked.
    """

    bot_id: int
    _mini_app: Callable[[bytes], bytes] = attrs.field(repr=False)
    _login: Callable[[bytes], bytes] = attrs.field(repr=False)

    @classmethod
    def from_token(cls, token: Secret) -> "BotKey":
        """Derive the keys of one bot.

        Args:
            token: The token as BotFather gave it.

        Raises:
            SettingsError: `auth.bot_token.malformed`; an empty token would let anybody sign.
        """
        match = _TOKEN.fullmatch(token.reveal())
        bot_id = int(match[1]) if match else 0
        del match  # a captured frame would print the token
        if not 0 < bot_id <= MAX_ID:
            raise SettingsError(
                "TELEGRAM_BOT_TOKEN is empty or not a bot token; copy it whole from BotFather (123456:ABC...)",
                code="auth.bot_token.malformed",
            )
        return cls(
            bot_id,
            _keyed(hmac.digest(b"WebAppData", token.reveal().encode(), "sha256")),
            _keyed(hashlib.sha256(token.reveal().encode()).digest()),
        )

    def signed_mini_app(self, message: bytes, digest: bytes) -> bool:
        """Whether `digest` is this bot's HMAC of a Mini App's check string."""
        return hmac.compare_digest(self._mini_app(message), digest)

    def signed_login(self, message: bytes, digest: bytes) -> bool:
        """Whether `digest` is this bot's HMAC of a Login Widget's check string."""
        return hmac.compare_digest(self._login(message), digest)


def _keyed(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 under a key that lives in a closure, out of reprs and captured frames."""
    return lambda message: hmac.digest(key, message, "sha256")


@attrs.frozen
class BotPublicKey:
    """A bot known by its id alone: Telegram's Ed25519 signature proves initData to third parties.

    Attributes:
        bot_id: The number before the colon of the bot's token.
        public_key: Telegram's key, 32 bytes: production unless `TEST_PUBLIC_KEY` (its test servers) is given.

    Raises:
        SettingsError: `auth.public_key.malformed` or `auth.bot_id.malformed`.
    """

    bot_id: int
    public_key: bytes = PRODUCTION_PUBLIC_KEY
    _verify: Callable[[bytes, bytes], bool] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if type(self.bot_id) is not int or not 0 < self.bot_id <= MAX_ID:
            raise SettingsError("a bot's id is the number before the colon of its token", code="auth.bot_id.malformed")
        object.__setattr__(self, "_verify", _verifier(self.public_key))

    def signed_mini_app(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is Telegram's over this bot's id and a Mini App's check string."""
        return self._verify(signature, b"%d:WebAppData\n%b" % (self.bot_id, message))


def _verifier(public_key: bytes) -> Callable[[bytes, bytes], bool]:
    # Loaded here: most bots verify with their token and never need it.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  # see above

    try:
        verify = Ed25519PublicKey.from_public_bytes(public_key).verify
    except (ValueError, TypeError) as exc:
        raise SettingsError("an Ed25519 public key is 32 bytes", code="auth.public_key.malformed") from exc

    def verified(signature: bytes, message: bytes) -> bool:
        try:
            verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verified


Bot: TypeAlias = BotKey | BotPublicKey
