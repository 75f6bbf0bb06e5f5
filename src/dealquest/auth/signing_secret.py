"""Refuse a signing secret that others could guess or already know, before it signs anything.

It judges the text only; whether a secret leaked cannot be seen.
Source: RFC 7518 section 3.2 (HS256 keys) and RFC 8725 section 3.5 (weak keys), read 2026-11-22.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

from dealquest.errors import SettingsError
from dealquest.values import Secret

MIN_BYTES = 32
MIN_DISTINCT = 8

# Words of example files and tutorials. Thirty random characters hold one of them about once in 10^8 draws.
_EXAMPLE = re.compile(r"change|secret|example|placeholder|password|default|insecure|dummy|your[-_ ]", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_KEY_TEXT = re.compile(r"-----BEGIN |^ssh-|^ecdsa-sha2|\"kty\"")


def check_signing_secret(secret: Secret, *, other_secrets: Iterable[Secret] = ()) -> None:
    """Refuse `JWT_SECRET` at start when it is weak, public, or shared.

    Args:
        secret: What is to sign session tokens.
        other_secrets: Secrets with another use, such as the vault's keys; none may be the same.

    Raises:
        SettingsError: `auth.secret.weak`, `auth.secret.public` or `auth.secret.shared`.
    """
    reason = _fault(secret, tuple(other_secrets))
    if reason is not None:
        code, message = reason
        raise SettingsError(f"JWT_SECRET {message}; make one with `dealquest keys generate`", code=code)


def _fault(secret: Secret, others: tuple[Secret, ...]) -> tuple[str, str] | None:
    # The text lives in this frame only, and this frame never raises: captured locals show no secret.
    text = secret.reveal()
    if _SURROGATE.search(text):
        return "auth.secret.weak", "holds bytes that are no text"
    if len(text.encode()) < MIN_BYTES or len(set(text)) < MIN_DISTINCT or _repeats(text):
        return "auth.secret.weak", f"is too weak: at least {MIN_BYTES} bytes of chance are needed"
    if _EXAMPLE.search(text):
        return "auth.secret.weak", "looks like the text of an example file"
    if _KEY_TEXT.search(text) or any(_is_public_key(data) for data in _readings(text)):
        return "auth.secret.public", "is a key file; HS256 needs a secret of its own, and a public key is known to everybody"
    readings = set(_readings(text))
    if any(readings.intersection(_readings(other.reveal())) for other in others):
        return "auth.secret.shared", "is also used for something else; one leak would open both"
    return None


def _repeats(text: str) -> bool:
    """Whether it is a shorter text over and over: only then does it meet itself again inside its own double."""
    return (text + text).find(text, 1) < len(text)


def _readings(text: str) -> Iterator[bytes]:
    """The text as bytes, and what it holds if it is hex or base64."""
    data = text.encode("utf-8", "surrogatepass")
    yield data
    padded = data + b"=" * (-len(data) % 4)
    for decode in (binascii.unhexlify, binascii.a2b_base64, base64.urlsafe_b64decode):
        try:
            decoded = decode(data if decode is binascii.unhexlify else padded)
        except ValueError:
            continue
        if len(decoded) >= MIN_BYTES:
            yield decoded


def _is_public_key(data: bytes) -> bool:
    if data[4:].startswith((b"ssh-", b"ecdsa-sha2")):  # OpenSSH writes the length of the name, then the name
        return True
    if not data.startswith(b"0"):  # DER begins with the tag of a sequence, 0x30
        return False
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # rarely needed, and heavy
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415  # as above
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415  # as above

    for load in (load_der_public_key, load_der_x509_certificate):
        try:
            load(data)
        except (ValueError, UnsupportedAlgorithm):
            continue
        return True
    return False
