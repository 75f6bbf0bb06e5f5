"""The keys that stand for no person: the public anon key, and API keys that act as project_admin.

The anon key follows from `JWT_SECRET`, so every worker knows it and nothing is stored. An API key is the
operator's `ACCESS_API_KEY`, or one that the first start made, of which only a hash is stored.
"""

import hashlib
import hmac

from dealquest.storage import Postgrest
from dealquest.values import Clock, Secret

ANON_PREFIX = "anon_"
API_PREFIX = "ik_"
REMEMBER_S = 30.0
_REMEMBERED = 100


class Keys:
    """Knows a key when it sees one.

    Args:
        jwt_secret: What the anon key follows from.
        records: Where hashes of API keys are stored.
        given: The operator's own API key, with or without its prefix.
        clock: For how long an answer is remembered.
    """

    def __init__(self, jwt_secret: Secret, records: Postgrest, *, given: Secret | None, clock: Clock) -> None:
        self.anon_key = anon_key(jwt_secret)
        self._records = records
        self._given = None if given is None else hash_key(with_prefix(given.reveal()))
        self._clock = clock
        self._known: dict[str, float] = {}

    def is_anon_key(self, text: str) -> bool:
        """Whether this is the public key."""
        return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), self.anon_key.encode())

    async def is_api_key(self, text: str) -> bool:
        """Whether this is a live API key; a revoked one is still taken for `REMEMBER_S` seconds."""
        digest = hash_key(text)
        if self._given is not None and hmac.compare_digest(digest, self._given):
            return True
        now = self._clock.monotonic()
        if self._known.get(digest, 0.0) > now:
            return True
        if not await self._records.rpc("account_knows_api_key", key_hash=digest).repeatable().value(bool):
            return False
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = now + REMEMBER_S
        return True


def anon_key(jwt_secret: Secret) -> str:
    """The public key of an installation: it changes with `JWT_SECRET` only."""
    return ANON_PREFIX + hmac.new(jwt_secret.reveal().encode(), b"dealquest anon key v1", hashlib.sha256).hexdigest()


def with_prefix(key: str) -> str:
    """An API key as callers send it."""
    return key if key.startswith(API_PREFIX) else API_PREFIX + key


def hash_key(key: str) -> str:
    """What is stored of a key: it is 256 bits of chance, so a plain hash gives nothing away."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
