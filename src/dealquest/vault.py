"""Seal secrets for storage and open them again, each bound to its owner and purpose.

Fernet does the cryptography; this room adds what it leaves open: owner and purpose inside the sealed
text (a ciphertext copied to another row does not open), one spelling per token, age and future
checks by a clock that is passed in, and one error that says nothing about the reason. No I/O but
`rotate_rows`, which works on a port.
Source: https://github.com/fernet/spec/blob/master/Spec.md, read 2026-11-22.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NoReturn, Protocol

import attrs
import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from dealquest.errors import DeniedError, InputError, SettingsError
from dealquest.values import Secret

MAX_SECRET_CHARACTERS = 16 * 1024
MAX_BINDING_CHARACTERS = 1024
MAX_SEALED_CHARACTERS = 256 * 1024
MAX_SKEW_S = 60

_KEY = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]=")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_PUBLISHED_KEYS = frozenset({"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="})  # the specification's own test vectors
_PRINTABLE = re.compile(rb"[\x20-\x7e]{32}")


def generate_key() -> Secret:
    """Draw a fresh key for `ENCRYPTION_KEY`."""
    return Secret(Fernet.generate_key().decode())


class Vault:
    """Seals with the first key, opens with all.

    Args:
        keys: Fernet keys (`ENCRYPTION_KEY`), newest first.
        other_secrets: Secrets with another use (`JWT_SECRET`), which no key may equal.

    Raises:
        SettingsError: `vault.key.missing`, `.malformed`, `.weak`, `.repeated` or `.shared`.
    """

    __slots__ = ("_all", "_first")

    def __init__(self, keys: Sequence[Secret], *, other_secrets: Iterable[Secret] = ()) -> None:
        fault = _find_fault(keys, tuple(other_secrets))
        if fault is not None:
            code, message = fault
            raise SettingsError(f"ENCRYPTION_KEY {message}; make one with `dealquest keys generate`", code=code)
        fernets = [Fernet(key.reveal()) for key in keys]
        # Closures, as in Secret: nothing that walks attributes reaches the keys.
        self._first: Callable[[], Fernet] = lambda: fernets[0]
        self._all: Callable[[], MultiFernet] = lambda: MultiFernet(fernets)

    def seal(self, secret: Secret, *, owner: str, purpose: str, now: datetime) -> str:
        """Seal a secret for one owner and one purpose.

        Args:
            secret: What to keep.
            owner: Whose it is, such as a user's id.
            purpose: What it is for, such as `openrouter`.
            now: The present, aware; readable in the token without a key.

        Returns:
            Url-safe text for storage. Its length tells the length of the secret, nothing else.

        Raises:
            InputError: `vault.binding.unfit`, `vault.secret.unfit`, `vault.now.naive`.
        """
        _require_binding(owner, purpose)
        if not _is_text(secret.reveal()) or len(secret.reveal()) > MAX_SECRET_CHARACTERS:
            raise InputError("the secret is blank, too long, or no text; paste it again", code="vault.secret.unfit")
        return self._first().encrypt_at_time(_wrap(secret, owner, purpose), _seconds(now)).decode()

    def open(self, token: str, *, owner: str, purpose: str, now: datetime, max_age_s: int | None = None) -> Secret:
        """Open a sealed secret.

        Args:
            token: What `seal` returned.
            owner: Whose it must be.
            purpose: What it must be for.
            now: The present, aware.
            max_age_s: Seconds since it was sealed after which it no longer opens; None: it always does.

        Raises:
            DeniedError: `vault.sealed.refused`, whatever the reason.
            InputError: `vault.binding.unfit`, `vault.now.naive`.
        """
        _require_binding(owner, purpose)
        secret = self._open(token, owner, purpose, _seconds(now), max_age_s)
        if secret is None:
            raise _refused()
        return secret

    def _open(self, token: str, owner: str, purpose: str, now_s: int, max_age_s: int | None) -> Secret | None:
        # Nothing is raised in this frame, so no traceback holds what it decrypted.
        sealed_s = _read_time(token)
        if sealed_s is None or sealed_s > now_s + MAX_SKEW_S or (max_age_s is not None and now_s - sealed_s > max_age_s):
            return None
        try:
            content = self._all().decrypt(token)
        except InvalidToken:
            return None
        return _unwrap(content, owner, purpose)

    def is_current(self, token: str) -> bool:
        """Whether the first key sealed it, so that the other keys may go."""
        try:
            return _read_time(token) is not None and bool(self._first().decrypt(token))
        except InvalidToken:
            return False

    def rotate(self, token: str) -> str:
        """Seal anew with the first key; owner, purpose and time stay.

        Raises:
            DeniedError: `vault.sealed.refused` when no key opens it.
        """
        rotated = None
        if _read_time(token) is not None:
            try:
                rotated = self._all().rotate(token).decode()
            except InvalidToken:
                rotated = None
        if rotated is None:
            raise _refused()
        return rotated

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault does not pickle; build it from the settings")


@attrs.frozen(kw_only=True)
class SealedRow:
    """One stored token under its row's key."""

    key: str
    token: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Resealed:
    """One change to store: `new` in place of `old`."""

    key: str
    old: str = attrs.field(repr=False)
    new: str = attrs.field(repr=False)


class SealedRows(Protocol):
    """The stored tokens, in the order of their keys."""

    async def read(self, *, after: str | None, limit: int) -> Sequence[SealedRow]:
        """Up to `limit` rows whose key follows `after`; from the first when None."""
        ...

    async def write(self, changes: Sequence[Resealed]) -> int:
        """Store each change whose row still holds `old`, one row at a time atomically; how many were stored."""
        ...


@attrs.frozen(kw_only=True)
class Rotation:
    """What `rotate_rows` found.

    Attributes:
        resealed: Rows sealed anew.
        current: Rows that the first key had sealed already.
        changed: Rows that somebody else wrote meanwhile; they are sealed with that writer's first key.
        unreadable: Keys of rows that no key opens: put the missing key back and run again.
    """

    resealed: int = 0
    current: int = 0
    changed: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def old_keys_may_go(self) -> bool:
        """Whether every row was seen to open with the first key; true for good once no process seals with an old one."""
        return not self.changed and not self.unreadable


async def rotate_rows(vault: Vault, rows: SealedRows, *, batch: int = 100) -> Rotation:
    """Seal every stored row with the first key.

    Every row stays readable at every moment, because the vault holds the old keys too; so give the new key, first,
    and the old ones to every running process before. Killed half way, run it again: rows already sealed with the
    first key are passed over.

    Args:
        vault: The new key first, then the old ones.
        rows: Where the tokens are stored.
        batch: Rows read and written at once.

    Raises:
        InputError: `vault.batch.size` when `batch` is below 1.
    """
    if batch < 1:
        raise InputError("a batch has at least one row", code="vault.batch.size")
    resealed = current = changed = 0
    unreadable: list[str] = []
    after: str | None = None
    while found := await rows.read(after=after, limit=batch):
        changes: list[Resealed] = []
        for row in found:
            if vault.is_current(row.token):
                current += 1
                continue
            try:
                changes.append(Resealed(key=row.key, old=row.token, new=vault.rotate(row.token)))
            except DeniedError:
                unreadable.append(row.key)
        stored = await rows.write(changes) if changes else 0
        resealed += stored
        changed += len(changes) - stored
        after = found[-1].key
    return Rotation(resealed=resealed, current=current, changed=changed, unreadable=tuple(unreadable))


def _find_fault(keys: Sequence[Secret], others: Sequence[Secret]) -> tuple[str, str] | None:
    # The texts live in this frame, and this frame never raises: captured locals show no key.
    texts = [key.reveal() for key in keys]
    if not texts:
        return "vault.key.missing", "is not set"
    if any(_KEY.fullmatch(text) is None for text in texts):
        return "vault.key.malformed", "is not a Fernet key (44 characters of url-safe base64)"
    contents = [base64.urlsafe_b64decode(text) for text in texts]
    if any(text in _PUBLISHED_KEYS for text in texts) or any(len(set(key)) < 16 or _PRINTABLE.fullmatch(key) for key in contents):
        return "vault.key.weak", "was not drawn by chance, or is a published one"
    if len(set(texts)) < len(texts):
        return "vault.key.repeated", "names one key twice"
    shared = {other.reveal().encode("utf-8", "surrogatepass") for other in others}
    if any(text.encode() in shared or content in shared for text, content in zip(texts, contents, strict=True)):
        return "vault.key.shared", "is also used for something else (JWT_SECRET?); one leak would open both"
    return None


def _require_binding(owner: str, purpose: str) -> None:
    if not owner or not purpose or len(owner + purpose) > MAX_BINDING_CHARACTERS or not _is_text(owner + purpose):
        message = f"a sealed secret needs an owner and a purpose, at most {MAX_BINDING_CHARACTERS} characters together"
        raise InputError(message, code="vault.binding.unfit")


def _seconds(now: datetime) -> int:
    if now.tzinfo is None or now.timestamp() < 0:
        raise InputError("now has no time zone, or lies before 1970; pass an aware datetime", code="vault.now.naive")
    return int(now.timestamp())


def _is_text(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _wrap(secret: Secret, owner: str, purpose: str) -> bytes:
    return msgspec.json.encode((owner, purpose, secret.reveal()))


def _unwrap(content: bytes, owner: str, purpose: str) -> Secret | None:
    try:
        sealed_owner, sealed_purpose, text = msgspec.json.decode(content, type=tuple[str, str, str])
    except ValueError:  # no JSON, another shape, or no UTF-8; that error would carry what was decrypted
        return None
    return Secret(text) if (sealed_owner, sealed_purpose) == (owner, purpose) else None


def _read_time(token: object) -> int | None:
    """When a token in its one canonical spelling says that it was sealed; None for anything else."""
    if not isinstance(token, str) or len(token) > MAX_SEALED_CHARACTERS or _TOKEN.fullmatch(token) is None:
        return None
    try:
        data = base64.urlsafe_b64decode(token)
    except binascii.Error:
        return None
    return int.from_bytes(data[1:9], "big") if base64.urlsafe_b64encode(data).decode() == token else None


def _refused() -> DeniedError:
    return DeniedError("the stored secret cannot be opened here; enter it again", code="vault.sealed.refused", forbidden=True)
