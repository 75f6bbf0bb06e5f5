"""Mint and verify the tokens we sign: session tokens and four other purposes, one key each.

Pure: time and token ids come in, nothing is looked up. A token is refused unless it could have come
from `mint` of this very class: exact header, canonical base64, exact issuer, audience and purpose.

* Access tokens are signed with `JWT_SECRET` itself, because a remote PostgREST or InsForge must accept them.
* Every other purpose has its own key, HKDF-SHA256 of that secret with the purpose as label, so a token of
  one purpose fails the signature of another before its `typ` is read.
* The header names the secret by `kid`; the first secret signs, all of them verify.

PyJWT signs and verifies; the claims are checked here, because time is an argument and each claim has one type.
Source: RFC 7519, RFC 7515, RFC 8725, RFC 5869, read 2026-11-22.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import attrs
import msgspec

from dealquest.errors import DeniedError, InputError, SettingsError
from dealquest.values import ROLES, Json, Principal, Role, Secret

from .signing_secret import check_signing_secret
from .strict_json import is_too_deep, parse_object

Purpose: TypeAlias = Literal["access", "refresh", "oauth_state", "presign", "reset"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

ISSUER = "deal-quest-tma"
AUDIENCE = "dealquest"
SESSION_TTL_S = 3600
MAX_TTL_S: Mapping[Purpose, int] = MappingProxyType(
    {"access": SESSION_TTL_S, "refresh": 30 * 86400, "oauth_state": 3600, "presign": 7 * 86400, "reset": 86400}
)
MAX_TOKEN_BYTES = 8 * 1024

# 32 bytes of HMAC leave two unused bits in the last character; they must be zero.
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_PLAIN = re.compile(r"[!-~]{1,255}")
_OWN_CLAIMS = frozenset({"sub", "iss", "aud", "iat", "exp", "nbf", "jti", "typ"})
_SESSION_CLAIMS = frozenset({"role", "telegram_id"})


@attrs.frozen(kw_only=True)
class Token:
    """What a token said, after proof.

    Attributes:
        purpose: The one thing it is good for.
        subject: Whom it is about; a user's id as text.
        token_id: Its `jti`.
        claims: Further claims, as minted.
    """

    purpose: Purpose
    subject: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    claims: Mapping[str, Json] = attrs.field(factory=lambda: MappingProxyType({}), hash=False)


@attrs.frozen(kw_only=True)
class Session:
    """A proven access token: who is asking, in which role, until when."""

    subject: str
    role: Role
    token_id: str
    issued_at: datetime
    expires_at: datetime
    telegram_id: int | None = None
    claims: Mapping[str, Json] = attrs.field(factory=lambda: MappingProxyType({}), hash=False)

    @property
    def principal(self) -> Principal:
        """The asker as the storage rooms want it."""
        claims: dict[str, Json] = dict(self.claims)
        if self.telegram_id is not None:
            claims["telegram_id"] = self.telegram_id
        return Principal(role=self.role, subject=self.subject, claims=MappingProxyType(claims))


@attrs.frozen
class _Key:
    """One secret for one purpose; the bytes live in closures, out of reprs, pickles and captured frames."""

    header: str
    sign: Callable[[bytes], str]
    open: Callable[[str], bytes | None]


class Tokens:
    """Mints and verifies tokens under one issuer and audience.

    Args:
        secrets: `JWT_SECRET`, newest first: the first signs, all verify.
        issuer: The exact `iss`.
        audience: The exact `aud`.
        leeway_s: Seconds by which the clocks of two machines may differ.
        other_secrets: Secrets with another use (the vault's keys), which these must not equal.

    Raises:
        SettingsError: `auth.secret.missing`, `.weak`, `.public` or `.shared`.
    """

    __slots__ = ("_audience", "_issuer", "_keys", "_leeway_s")

    def __init__(
        self,
        secrets: Sequence[Secret],
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        leeway_s: int = 30,
        other_secrets: Iterable[Secret] = (),
    ) -> None:
        if not secrets:
            raise SettingsError("JWT_SECRET is not set; make one with `dealquest keys generate`", code="auth.secret.missing")
        others = tuple(other_secrets)
        for secret in secrets:
            check_signing_secret(secret, other_secrets=others)
        self._issuer, self._audience, self._leeway_s = issuer, audience, leeway_s
        self._keys = {purpose: tuple(_make_key(secret, purpose) for secret in secrets) for purpose in PURPOSES}

    def mint_session(
        self,
        subject: str,
        *,
        now: datetime,
        token_id: str,
        role: Role = "authenticated",
        telegram_id: int | None = None,
        ttl_s: int = SESSION_TTL_S,
        claims: Mapping[str, Json] = MappingProxyType({}),
    ) -> str:
        """Mint an access token.

        Args:
            subject: The user's id as text.
            now: The present, aware.
            token_id: A fresh `jti`.
            role: One of `ROLES`; never taken from a request.
            telegram_id: The user's Telegram id, if they have one.
            ttl_s: Seconds it lives; at most an hour.
            claims: Further claims that row-level security may read.

        Raises:
            InputError: `auth.token.unmintable`.
        """
        if role not in ROLES:
            raise _unmintable(f"the role is none of {', '.join(ROLES)}")
        if telegram_id is not None and type(telegram_id) is not int:
            raise _unmintable("telegram_id is a whole number")
        if _SESSION_CLAIMS.intersection(claims):
            raise _unmintable("role and telegram_id have parameters of their own")
        own: dict[str, Json] = {"role": role} if telegram_id is None else {"telegram_id": telegram_id, "role": role}
        return self._mint("access", subject, now=now, token_id=token_id, ttl_s=ttl_s, claims={**claims, **own})

    def verify_session(self, token: str, *, now: datetime) -> Session:
        """Prove an access token.

        Raises:
            DeniedError: `auth.token.*`, see docs/errors/auth.md.
        """
        proven = self.verify("access", token, now=now)
        claims = dict(proven.claims)
        role, telegram_id = claims.pop("role", None), claims.pop("telegram_id", None)
        if role not in ROLES:
            raise DeniedError("the token's role is not one of ours", code="auth.token.claims")
        if telegram_id is not None and type(telegram_id) is not int:
            raise DeniedError("the token's telegram_id is no number", code="auth.token.claims")
        return Session(
            subject=proven.subject,
            role=role,
            token_id=proven.token_id,
            issued_at=proven.issued_at,
            expires_at=proven.expires_at,
            telegram_id=telegram_id,
            claims=MappingProxyType(claims),
        )

    def mint(
        self,
        purpose: Purpose,
        subject: str,
        *,
        now: datetime,
        token_id: str,
        ttl_s: int,
        claims: Mapping[str, Json] = MappingProxyType({}),
    ) -> str:
        """Mint a token of any purpose but access, which has `mint_session`.

        Raises:
            InputError: `auth.token.unmintable`: a longer life than `MAX_TTL_S`, a reserved claim, or too much text.
        """
        if purpose == "access":
            raise _unmintable("access tokens come from mint_session")
        return self._mint(purpose, subject, now=now, token_id=token_id, ttl_s=ttl_s, claims=claims)

    def _mint(self, purpose: Purpose, subject: str, *, now: datetime, token_id: str, ttl_s: int, claims: Mapping[str, Json]) -> str:
        if _OWN_CLAIMS.intersection(claims):
            raise _unmintable(f"reserved claims: {', '.join(sorted(_OWN_CLAIMS.intersection(claims)))}")
        if type(ttl_s) is not int or not 0 < ttl_s <= MAX_TTL_S[purpose]:
            raise _unmintable(f"a token for {purpose} lives 1 to {MAX_TTL_S[purpose]} s")
        if _PLAIN.fullmatch(subject) is None or _PLAIN.fullmatch(token_id) is None:
            raise _unmintable("subject and token id are 1 to 255 visible ASCII characters")
        issued = _seconds(now)
        payload = {
            "sub": subject,
            **claims,
            "iss": self._issuer,
            "aud": self._audience,
            "iat": issued,
            "exp": issued + ttl_s,
            "jti": token_id,
            "typ": purpose,
        }
        try:
            encoded = msgspec.json.encode(payload)
        except (TypeError, ValueError, RecursionError) as exc:
            raise _unmintable("the claims are not JSON") from exc
        if is_too_deep(encoded.decode()):
            raise _unmintable("the claims are nested too deeply")
        token = self._keys[purpose][0].sign(encoded)
        if len(token) > MAX_TOKEN_BYTES:
            raise _unmintable(f"the claims do not fit into {MAX_TOKEN_BYTES} bytes")
        return token

    def verify(self, purpose: Purpose, token: str, *, now: datetime) -> Token:
        """Prove a token of one purpose.

        Raises:
            DeniedError: `auth.token.*`, see docs/errors/auth.md.
        """
        match = _TOKEN.fullmatch(token) if type(token) is str and len(token) <= MAX_TOKEN_BYTES else None
        if match is None:
            raise DeniedError("this is not a token in its canonical form; sign in again", code="auth.token.malformed")
        for key in self._keys[purpose]:
            if match[1] == key.header:
                payload = key.open(token)
                break
        else:
            raise DeniedError("the token names a key or an algorithm that is not ours; sign in again", code="auth.token.header")
        if payload is None:
            raise DeniedError("the token was not signed by us for this purpose, or was changed; sign in again", code="auth.token.forged")
        return self._read(purpose, payload, _seconds(now))

    def _read(self, purpose: Purpose, payload: bytes, now_s: int) -> Token:
        try:
            claims = parse_object(payload.decode())
        except ValueError as exc:
            raise DeniedError("the token's claims are not one strict JSON object", code="auth.token.claims") from exc
        expected = {"typ": purpose, "iss": self._issuer, "aud": self._audience}
        for name, text in expected.items():
            if claims.pop(name, None) != text:
                raise DeniedError(f"the token's {name} is not ours", code="auth.token.claims")
        subject, token_id = claims.pop("sub", None), claims.pop("jti", None)
        if not _is_plain(subject) or not _is_plain(token_id):
            raise DeniedError("the token lacks its subject or id", code="auth.token.claims")
        issued, expires, not_before = claims.pop("iat", None), claims.pop("exp", None), claims.pop("nbf", 0)
        if type(issued) is not int or type(expires) is not int or type(not_before) is not int:
            raise DeniedError("the token's times are not whole seconds", code="auth.token.claims")
        if max(issued, not_before) > now_s + self._leeway_s:
            raise DeniedError("the token is not valid yet; set the clocks right", code="auth.token.future")
        if not issued < expires <= issued + MAX_TTL_S[purpose]:
            raise DeniedError("the token lives longer than its purpose allows", code="auth.token.claims")
        if now_s - self._leeway_s >= expires:
            raise DeniedError("the token is too old; sign in again", code="auth.token.expired")
        return Token(
            purpose=purpose,
            subject=str(subject),
            token_id=str(token_id),
            issued_at=datetime.fromtimestamp(issued, UTC),
            expires_at=datetime.fromtimestamp(expires, UTC),
            claims=MappingProxyType(claims),
        )


def _make_key(secret: Secret, purpose: Purpose) -> _Key:
    import jwt  # noqa: PLC0415  # a tenth of a second, which readers of initData need not pay

    jws = jwt.PyJWS()
    key = secret.reveal().encode() if purpose == "access" else _derive(secret, purpose, 32)
    kid = base64.urlsafe_b64encode(_derive(secret, "kid", 9)).decode()

    def sign(payload: bytes) -> str:
        return jws.encode(payload, key, "HS256", headers={"kid": kid})

    def unseal(token: str) -> bytes | None:
        try:
            payload: bytes = jws.decode(token, key, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            # Not chained: the frames of that error hold the key.
            return None
        return payload

    return _Key(header=sign(b"{}").partition(".")[0], sign=sign, open=unseal)


def _derive(secret: Secret, label: str, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  # comes with jwt
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415  # as above

    return HKDF(SHA256(), length, salt=None, info=f"dealquest token {label} v1".encode()).derive(secret.reveal().encode())


def _is_plain(value: Json) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _seconds(now: datetime) -> int:
    if now.tzinfo is None:
        raise InputError("now has no time zone; pass an aware datetime", code="auth.now.naive")
    return int(now.timestamp())


def _unmintable(message: str) -> InputError:
    return InputError(message, code="auth.token.unmintable")
