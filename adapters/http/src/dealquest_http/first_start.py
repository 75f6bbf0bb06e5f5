"""What the first start makes and shows once: a signing secret, the admin, an API key.

The secret is a file of the data folder, made only for the embedded PostgreSQL: whoever brings a database
of their own brings `JWT_SECRET` too, because several machines must agree on it.
"""

import contextlib
import os
import secrets
from pathlib import Path

import attrs

from dealquest.compose import Kit
from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.values import Secret

from .accounts.passwords import Passwords
from .keys import API_PREFIX, hash_key

MAX_FINDINGS = 50
SECRET_FILE = "jwt_secret"  # noqa: S105  # a file's name


def with_signing_secret(settings: Settings) -> Settings:
    """The settings with a secret to sign with.

    Raises:
        SettingsError: `http.jwt_secret` for a database of the operator's own without `JWT_SECRET`, `http.secret_file`.
    """
    if settings.jwt_secret is not None:
        return settings
    if settings.database_url is not None or settings.remote_records is not None:
        raise SettingsError(
            "Serving needs JWT_SECRET: at least 32 bytes of chance, such as `openssl rand -hex 32` prints.", code="http.jwt_secret"
        )
    try:
        return attrs.evolve(settings, jwt_secret=Secret(_read_or_make(settings.home / SECRET_FILE)))
    except OSError as exc:
        raise SettingsError(
            f"{settings.home / SECRET_FILE} cannot be used ({exc.strerror}). Set JWT_SECRET, or DEALQUEST_HOME to a folder of yours.",
            code="http.secret_file",
        ) from exc


async def prepare(kit: Kit) -> list[str]:
    """Make the admin and the first API key where there are none.

    Returns:
        Lines to show the operator, once; empty at every later start.
    """
    if kit.remote is not None:
        return []
    state = await kit.records.rpc("account_state").repeatable()
    if state["has_admin"] and state["has_key"]:
        return []
    settings = kit.settings
    password, api_key = secrets.token_urlsafe(18), API_PREFIX + secrets.token_hex(32)
    given = settings.admin_password
    hashed = await Passwords().hash(password if given is None else given.reveal())
    made = await kit.records.rpc(
        "account_prepare", admin_email=settings.admin_email, admin_password=hashed, first_key_hash=hash_key(api_key)
    ).repeatable()
    lines = []
    if made["admin_is_new"]:
        shown = "the password in ADMIN_PASSWORD" if given is not None else password
        lines.append(f"admin         {settings.admin_email}  {shown}")
    if made["key_is_new"] and settings.access_api_key is None:
        lines.append(f"API key       {api_key}")
    return lines


async def audit_rights(kit: Kit) -> list[str]:
    """What gets around the policies for callers who are not the admin: one line each, for the log."""
    if kit.remote is not None:
        return []
    rows = await kit.records.rpc("account_audit_rights").repeatable().limit(MAX_FINDINGS).all()
    return [f"{row['object']}: {row['problem']}" for row in rows]


def _read_or_make(path: Path) -> str:
    # PostgreSQL's account must be able to pass through the folder, so only the file is closed to others.
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        # Written whole under another name, then linked: of two first starts one wins, and nobody reads half a secret.
        fresh.touch(mode=0o600, exist_ok=False)
        try:
            fresh.write_text(secrets.token_hex(32), "utf-8")
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            fresh.unlink()
    return path.read_text("utf-8").strip()
