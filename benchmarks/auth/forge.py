"""Change signed credentials at random and count how many are still accepted; none may be.

    python benchmarks/auth/forge.py [COUNT] [SEED]       default 1000000 0, about 5 minutes

Four kinds in turn: initData by token, initData by Ed25519, session tokens, sealed secrets. A change replaces, inserts,
removes, doubles or swaps characters, or takes a piece of another credential of the same kind. Then the differential
part: 10,000 changed initData strings, where verifier and oracle must say the same.
"""

import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dealquest.auth import BotKey, BotPublicKey, Tokens, verify_init_data
from dealquest.errors import DeniedError
from dealquest.testing import sign_init_data, sign_init_data_ed25519
from dealquest.values import Secret
from dealquest.vault import Vault, generate_key

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "auth"))
import init_data_corpus as corpus
from init_data_oracle import judge

TOKEN = Secret("7342037359:AAHI25ES8xCOMPokpYoz-p8XVrZUdygo2J4")
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
ALPHABET = 'abcXYZ0129-_=&%+.~/ \n"{}:,é\0'


def change(text: str, other: str, chance: random.Random) -> str:
    """One to three random changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at, end = chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)
        match chance.randrange(6):
            case 0:
                text = text[:at] + chance.choice(ALPHABET) + text[at + 1 :]
            case 1:
                text = text[:at] + chance.choice(ALPHABET) + text[at:]
            case 2:
                text = text[:at] + text[at + chance.randrange(1, 4) :]
            case 3:
                text = text[:at] + text[at : at + 1].swapcase() + text[at + 1 :]
            case 4:
                text = text[:at] + other[at:end] + text[max(at, end) :]
            case _:
                text = text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    return text


def same_pairs(raw: str, changed: str) -> bool:
    """The order of pairs is the one thing that may vary."""
    return sorted(raw.split("&")) == sorted(changed.split("&"))


def forge(count: int, chance: random.Random) -> int:
    key = Ed25519PrivateKey.generate()
    bots = (BotKey.from_token(TOKEN),)
    third = (BotPublicKey(42, key.public_key().public_bytes_raw()),)
    tokens, vault = Tokens([Secret("q8Zr2vXc7Lw1Tn5Yb9Kd3Gh6Jm4Pf0Rs")]), Vault([generate_key(), generate_key()])
    users = [{"id": 7, "first_name": "Ann", "username": "ann"}, {"id": 777000, "first_name": "Telegram +%22"}]
    hashed = [sign_init_data(TOKEN, auth_date=NOW, user=user, query_id="Q-1") for user in users]
    # Third parties cannot check the hash, so the strings they are given here have none.
    signed = [sign_init_data_ed25519(key, 42, auth_date=NOW, user=user, query_id="Q-1").rpartition("&")[0] for user in users]
    minted = [tokens.mint_session(subject, now=NOW, token_id="j", telegram_id=7) for subject in ("17", "18")]
    sealed = [vault.seal(Secret(f"sk-{owner}"), owner=owner, purpose="p", now=NOW) for owner in ("17", "18")]
    kinds: dict[str, tuple[list[str], Callable[[str], object]]] = {
        "initData, bot token": (hashed, lambda text: verify_init_data(text, bots, now=NOW)),
        "initData, Ed25519": (signed, lambda text: verify_init_data(text, third, now=NOW)),
        "session token": (minted, lambda text: tokens.verify_session(text, now=NOW)),
        "sealed secret": (sealed, lambda text: vault.open(text, owner="17", purpose="p", now=NOW)),
    }
    accepted = 0
    for name, (originals, check) in kinds.items():
        reasons: dict[str, int] = {}
        tried = 0
        while tried < count // len(kinds):
            changed = change(originals[0], originals[1], chance)
            if changed in originals or ("initData" in name and any(same_pairs(original, changed) for original in originals)):
                continue
            tried += 1
            try:
                check(changed)
            except DeniedError as error:
                reasons[error.code] = reasons.get(error.code, 0) + 1
            else:
                accepted += 1
                print(f"ACCEPTED {name}: {changed!r}")
        print(f"{name:22} {tried:8} changed, {tried - sum(reasons.values())} accepted  {dict(sorted(reasons.items()))}")
    return accepted


def differ(count: int, chance: random.Random) -> int:
    now = datetime.fromtimestamp(corpus.NOW, UTC)
    vectors = [vector for vector in corpus.vectors() if 0 < len(vector.raw) < 4000 and not vector.bots.widget]
    differences = 0
    for _ in range(count):
        vector, other = chance.choice(vectors), chance.choice(vectors)
        raw = change(vector.raw, other.raw, chance)
        bots = [*(BotKey.from_token(Secret(token)) for token in vector.bots.tokens), *(BotPublicKey(*pair) for pair in vector.bots.public)]
        try:
            verify_init_data(raw, bots, now=now)
            verdict = "ok"
        except DeniedError as error:
            verdict = error.code.removeprefix("auth.init_data.")
        if verdict != (expected := judge(raw, vector.bots, corpus.NOW)):
            differences += 1
            print(f"DIFFERS {vector.name}: {verdict} and {expected}: {raw!r}")
    print(f"differential: {count} changed strings of {len(vectors)} vectors, {differences} differences")
    return differences


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wrong = forge(total, random.Random(seed)) + differ(min(10_000, total), random.Random(seed))
    sys.exit(1 if wrong else 0)
