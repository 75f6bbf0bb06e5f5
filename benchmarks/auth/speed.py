"""How long a strict, typed verdict takes, beside the floor: the least anybody must do, leniently and untyped.

    python benchmarks/auth/speed.py

Floor for a token: parse_qsl, sort, HMAC with a stored key, json.loads of the user. Floor for Ed25519: the same with a
kept key object. Rounds alternate between both sides in one process, and the ratio is that of the two medians;
aiogram, where it is installed, runs along.
"""

import base64
import hashlib
import hmac
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dealquest.auth import BotKey, BotPublicKey, Tokens, verify_init_data
from dealquest.errors import DeniedError
from dealquest.testing import sign_init_data, sign_init_data_ed25519
from dealquest.values import Secret
from dealquest.vault import Vault, generate_key

TOKEN = "7342037359:AAHI25ES8xCOMPokpYoz-p8XVrZUdygo2J4"
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
USER = {
    "id": 279058397,
    "first_name": "Vladislav",
    "last_name": "Kibenko",
    "username": "vdkfrost",
    "language_code": "ru",
    "is_premium": True,
    "allows_write_to_pm": True,
    "photo_url": "https://t.me/i/userpic/320/4FPEE4tmP3ATHa57u6MqTDih13LTOiMoKoLDRG4PnSA.svg",
}
FIELDS = {"query_id": "AAHdF6IQAAAAAN0XohDhrOrc", "chat_instance": "8134722200314281151", "chat_type": "private", "start_param": "ref42"}


def paired(sides: dict[str, Callable[[], object]], *, calls: int, rounds: int = 41) -> dict[str, float]:
    """Median seconds of CPU per call, rounds alternating."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 2):
        for name, call in sides.items():
            start = time.process_time()
            for _ in range(calls):
                call()
            if turn > 1:
                times[name].append((time.process_time() - start) / calls)
    return {name: statistics.median(found) for name, found in times.items()}


def report(title: str, times: dict[str, float], floor: str) -> None:
    print(title)
    for name, seconds in times.items():
        print(f"  {name:34} {seconds * 1e6:8.1f} us   {seconds / times[floor]:.2f} x floor")


def by_token() -> None:
    raw = sign_init_data(Secret(TOKEN), auth_date=NOW, user=USER, signature="A" * 86, **FIELDS)
    key = hmac.digest(b"WebAppData", TOKEN.encode(), "sha256")
    bots = (BotKey.from_token(Secret(TOKEN)),)
    three = (BotKey.from_token(Secret("1:AAAAAAAAAA")), BotKey.from_token(Secret("2:AAAAAAAAAA")), *bots)

    def floor() -> object:
        fields = dict(parse_qsl(raw, keep_blank_values=True))
        given = fields.pop("hash")
        message = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
        assert hmac.compare_digest(hmac.new(key, message.encode(), hashlib.sha256).hexdigest(), given)
        return json.loads(fields["user"])

    sides = {
        "floor": floor,
        "verify_init_data": lambda: verify_init_data(raw, bots, now=NOW),
        "verify_init_data, third of 3 bots": lambda: verify_init_data(raw, three, now=NOW),
    }
    if importlib.util.find_spec("aiogram"):
        from aiogram.utils.web_app import safe_parse_webapp_init_data  # noqa: PLC0415  # a peer, where installed

        sides["aiogram, typed"] = lambda: safe_parse_webapp_init_data(TOKEN, raw)
    report(f"bot token, {len(raw)} characters", paired(sides, calls=400), "floor")


def by_telegram() -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    raw = sign_init_data_ed25519(private, 42, auth_date=NOW, user=USER, **FIELDS)
    bots = (BotPublicKey(42, public.public_bytes_raw()),)

    def floor() -> object:
        fields = dict(parse_qsl(raw, keep_blank_values=True))
        del fields["hash"]
        signature = base64.urlsafe_b64decode(fields.pop("signature") + "==")
        message = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
        public.verify(signature, f"42:WebAppData\n{message}".encode())
        return json.loads(fields["user"])

    report("Ed25519", paired({"floor": floor, "verify_init_data": lambda: verify_init_data(raw, bots, now=NOW)}, calls=100), "floor")


def the_rest() -> None:
    tokens, vault = Tokens([Secret("q8Zr2vXc7Lw1Tn5Yb9Kd3Gh6Jm4Pf0Rs")]), Vault([generate_key()])
    token = tokens.mint_session("17", telegram_id=7, now=NOW, token_id="j")
    sealed = vault.seal(Secret("sk-0123456789"), owner="17", purpose="openrouter", now=NOW)
    sides = {
        "mint_session": lambda: tokens.mint_session("17", telegram_id=7, now=NOW, token_id="j"),
        "verify_session": lambda: tokens.verify_session(token, now=NOW),
        "seal": lambda: vault.seal(Secret("sk-0123456789"), owner="17", purpose="openrouter", now=NOW),
        "open": lambda: vault.open(sealed, owner="17", purpose="openrouter", now=NOW),
        "refuse 10 MB": lambda: _refused("a" * 10_000_000),
    }
    print("other calls")
    for name, seconds in paired(sides, calls=100, rounds=11).items():
        print(f"  {name:34} {seconds * 1e6:8.1f} us")


def _refused(raw: str, bots: tuple[BotKey, ...] = (BotKey.from_token(Secret(TOKEN)),)) -> bool:
    try:
        verify_init_data(raw, bots, now=NOW)
    except DeniedError as error:
        return "too_large" in str(error)
    return False


if __name__ == "__main__":
    by_token()
    by_telegram()
    the_rest()
    sys.exit(0)
