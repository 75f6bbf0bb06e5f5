"""Sign initData as Telegram would, so that tests need no Telegram.

The lines are built here anew rather than taken from the verifier, so that a mistake in one shows in the other.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dealquest.values import Json, Secret


def sign_init_data(token: Secret, *, auth_date: datetime, user: Mapping[str, Json], **fields: str) -> str:
    """The raw initData of a Mini App, signed with a bot token.

    Args:
        token: The bot's token.
        auth_date: When the Mini App was opened.
        user: The user object; written as JSON.
        fields: Further fields as texts, such as `query_id` or `start_param`.
    """
    key = hmac.digest(b"WebAppData", token.reveal().encode(), "sha256")
    return _sign_hmac(key, _lines(auth_date, {"user": _json(user), **fields}))


def sign_login_widget(token: Secret, *, auth_date: datetime, **fields: str) -> str:
    """The query string of a Login Widget's redirect, signed with a bot token; `fields` are id, first_name and so on."""
    return _sign_hmac(hashlib.sha256(token.reveal().encode()).digest(), _lines(auth_date, fields))


def sign_init_data_ed25519(key: Ed25519PrivateKey, bot_id: int, *, auth_date: datetime, user: Mapping[str, Json], **fields: str) -> str:
    """The raw initData of a Mini App, signed for third parties; verify it with `BotPublicKey(bot_id, public_key)`.

    Args:
        key: A private key of the test's own, such as `Ed25519PrivateKey.generate()`.
        bot_id: The bot for which Telegram signs.
        auth_date: When the Mini App was opened.
        user: The user object; written as JSON.
        fields: Further fields as texts; a `hash` is passed through, since third parties cannot check it.
    """
    given_hash = fields.pop("hash", "0" * 64)
    values = _lines(auth_date, {"user": _json(user), **fields})
    signature = key.sign(f"{bot_id}:WebAppData\n{_join(values)}".encode())
    values["signature"] = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    return urlencode({**values, "hash": given_hash})


def _lines(auth_date: datetime, fields: Mapping[str, str]) -> dict[str, str]:
    return {"auth_date": str(int(auth_date.timestamp())), **fields}


def _join(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={values[name]}" for name in sorted(values))


def _sign_hmac(key: bytes, values: Mapping[str, str]) -> str:
    return urlencode({**values, "hash": hmac.digest(key, _join(values).encode(), "sha256").hex()})


def _json(value: Mapping[str, Json]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"))
