"""A bearer token → role and claims: signature by shared secret or JWK set, times and audience, bounded cache.

What a verified token says is remembered by its text; times and audience are checked anew each time.
Source: RFC 7515, 7517, 7519; https://docs.postgrest.org/en/latest/references/auth.html, read 2026-11-22.
"""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
import jwt as pyjwt
import msgspec

from dealquest.errors import DealQuestError, SettingsError
from dealquest.values import Json

from .claim_path import read_path
from .config import EngineConfig
from .errors import refuse
from .identity import Identity, from_claims

_SKEW_S = 30
_ALGORITHMS = {"oct": ("HS256", "HS384", "HS512"), "RSA": ("RS256", "RS384", "RS512"), "EC": ("ES256", "ES384", "ES512")}
_TIMES = {"exp": "JWT expired", "nbf": "JWT not yet valid", "iat": "JWT issued at future"}


@attrs.frozen
class _Key:
    """A key and the algorithms it may verify."""

    key: Any = attrs.field(repr=False)
    algorithms: tuple[str, ...]
    kid: str | None = None
    shared: bool = False


@attrs.frozen
class _Proof:
    """What a verified token says, and whom it makes its bearer; the role is None where it names none."""

    claims: dict[str, Json]
    role: str | None
    identity: Identity


class TokenReader:
    """Reads tokens by the engine's options.

    Args:
        config: Secret, audience, role path, anonymous role.

    Raises:
        SettingsError: `engine.jwt.secret` when the secret is no usable key, `engine.jwt.role_claim_key` when the path is unreadable.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._keys = _read_keys(config)
        self._find_role = read_path(config.jwt_role_claim_key)
        self._cache: OrderedDict[str, _Proof] = OrderedDict()
        anon = config.db_anon_role
        self._anonymous = None if anon is None else from_claims(anon, {}, authenticated=False)

    def read(self, authorization: str | None, *, now: datetime, allowed: frozenset[str]) -> Identity:
        """Who a request is from.

        Args:
            authorization: The `Authorization` header.
            now: The time, aware.
            allowed: Roles that a token may name.

        Raises:
            DeniedError: PGRST301 for a bad token, PGRST302 for a missing one, PGRST303 for claims that do not hold.
            PeerRefusedError: PGRST300 without a secret.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if authorization is None or scheme.lower() != "bearer":
            return self.be_anonymous()
        token = token.strip()
        if not token:
            raise _invalid("PGRST301", "Empty JWT is sent in Authorization header")
        if not self._keys:
            raise refuse("PGRST300", "Server lacks JWT secret")
        proof = self._verify(token)
        self._check_claims(proof.claims, now.timestamp())
        if proof.role is None:
            if self._config.db_anon_role is None:
                self.be_anonymous()
        elif proof.role not in allowed:
            raise refuse("22023", f'role "{proof.role}" does not exist', status=401, headers={"www-authenticate": "Bearer"})
        return proof.identity

    def be_anonymous(self) -> Identity:
        """Who a request without a token is from.

        Raises:
            DeniedError: PGRST302 when nobody may come without one.
        """
        if self._anonymous is None:
            raise refuse("PGRST302", "Anonymous access is disabled", headers={"www-authenticate": "Bearer"})
        return self._anonymous

    def _verify(self, token: str) -> _Proof:
        known = self._cache.get(token)
        if known is not None:
            self._cache.move_to_end(token)
            return known
        claims, anon = self._decode(token), self._config.db_anon_role
        role = self._find_role(claims)
        if role is not None and not isinstance(role, str):
            role = msgspec.json.encode(role).decode()
        identity = from_claims(anon or "" if role is None else role, claims, authenticated=role is not None and role != anon)
        proof = _Proof(claims, role, identity)
        if self._config.jwt_cache_max_entries > 0:
            self._cache[token] = proof
            while len(self._cache) > self._config.jwt_cache_max_entries:
                self._cache.popitem(last=False)
        return proof

    def _decode(self, token: str) -> dict[str, Json]:
        parts = token.count(".") + 1
        if parts != 3:
            raise _invalid("PGRST301", f"Expected 3 parts in JWT; got {parts}")
        try:
            header = pyjwt.get_unverified_header(token)
        except pyjwt.PyJWTError as exc:
            raise _invalid("PGRST301", "JWT cryptographic operation failed") from exc
        if header.get("alg") == "none":
            details = "JWT is unsecured but expected 'alg' was not 'none'"
            raise _invalid("PGRST301", "Wrong or unsupported encoding algorithm", details=details)
        for key in self._by_kid(header.get("kid")):
            if header.get("alg") not in key.algorithms:
                continue
            try:
                payload = pyjwt.PyJWS().decode(token, key.key, algorithms=list(key.algorithms))
            except pyjwt.PyJWTError:
                continue
            try:
                claims = msgspec.json.decode(payload, type=dict[str, Any])
            except msgspec.DecodeError as exc:
                raise _invalid("PGRST303", "Parsing claims failed") from exc
            return claims
        raise _invalid("PGRST301", "No suitable key or wrong key type", details="None of the keys was able to decode the JWT")

    def _by_kid(self, kid: object) -> list[_Key]:
        """The keys that a token's key id leaves; a shared secret has none, and is what a token of ours names by its own."""
        return [key for key in self._keys if kid is None or key.kid == kid or key.shared]

    def _check_claims(self, claims: Mapping[str, Json], now: float) -> None:
        for name, message in _TIMES.items():
            value = claims.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise _invalid("PGRST303", f"The JWT '{name}' claim must be a number")
            if now > value + _SKEW_S if name == "exp" else now < value - _SKEW_S:
                raise _invalid("PGRST303", message)
        audience = claims.get("aud")
        names = [audience] if isinstance(audience, str) else audience
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise _invalid("PGRST303", "The JWT 'aud' claim must be a string or an array of strings")
        wanted = self._config.jwt_aud
        if wanted is not None and names and wanted not in names:
            raise _invalid("PGRST303", "JWT not in audience")


def _invalid(code: str, message: str, *, details: str | None = None) -> DealQuestError:
    return refuse(
        code,
        message,
        details=details,
        headers={"www-authenticate": f'Bearer error="invalid_token", error_description="{message}"'},
    )


def _read_keys(config: EngineConfig) -> tuple[_Key, ...]:
    if config.jwt_secret is None:
        return ()
    text = config.jwt_secret.reveal()
    if text.lstrip().startswith("{"):
        try:
            found = msgspec.json.decode(text, type=dict[str, Any])
            return _read_jwks(found["keys"]) if "keys" in found else (_read_jwk(found),)
        except (msgspec.DecodeError, pyjwt.PyJWTError, KeyError, TypeError) as exc:
            raise SettingsError("jwt-secret looks like a JWK but cannot be read as one.", code="engine.jwt.secret") from exc
    raw = text.encode()
    if config.jwt_secret_is_base64:
        try:
            raw = base64.b64decode(raw.translate(bytes.maketrans(b"-_.", b"+/=")), validate=True)
        except binascii.Error as exc:
            raise SettingsError("jwt-secret is said to be base64, but is not.", code="engine.jwt.secret") from exc
    if len(raw) < 31:
        raise SettingsError("jwt-secret is too short: at least 32 characters.", code="engine.jwt.secret")
    # A shared secret verifies HMAC-SHA256 only, so a public key can never pass for one.
    return (_Key(raw, ("HS256",), shared=True),)


def _read_jwks(items: list[dict[str, Any]]) -> tuple[_Key, ...]:
    """The keys of a set that verify signatures; others that a provider lists beside them are passed over (RFC 7517, section 5)."""
    keys = tuple(_read_jwk(item) for item in items if item["kty"] in _ALGORITHMS and item.get("use") != "enc")
    if not keys:
        raise KeyError("keys")
    return keys


def _read_jwk(item: dict[str, Any]) -> _Key:
    kind = item["kty"]
    algorithms = (item["alg"],) if item.get("alg") in _ALGORITHMS[kind] else _ALGORITHMS[kind]
    parsed = pyjwt.PyJWK(item, algorithm=algorithms[0])
    return _Key(parsed.key, algorithms, item.get("kid"))
