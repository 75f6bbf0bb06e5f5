"""What an e-mail address and a password must look like. Pure.

Source: contract of the InsForge server, "Auth routes"; RFC 5321 section 4.5.3.1 (lengths), read 2026-11-22.
"""

import re
from collections.abc import Mapping
from typing import Any

from dealquest.errors import InputError

MAX_EMAIL = 254
MAX_PASSWORD_BYTES = 72
SPECIAL = "!@#$%^&*()_+-=[]{};\\|,.<>/?"

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


def normal_email(raw: str) -> str:
    """An address as it is compared and stored.

    Raises:
        InputError: `http.account.email`.

    >>> normal_email(" Ann@Example.COM ")
    'ann@example.com'
    """
    email = raw.strip().lower()
    if len(email) > MAX_EMAIL or not email.isprintable() or _EMAIL.fullmatch(email) is None:
        raise InputError("email: not an e-mail address, such as ann@example.com", code="http.account.email")
    return email


def check_password(password: str, config: Mapping[str, Any]) -> None:
    """Refuse a password that breaks a rule; the message lists every broken one.

    Args:
        password: As typed.
        config: The rules by the clients' names, as `account_config` returns them.

    Raises:
        InputError: `http.account.password`.

    >>> check_password("long enough", {"passwordMinLength": 6})
    """
    broken = []
    if len(password) < config["passwordMinLength"]:
        broken.append(f"at least {config['passwordMinLength']} characters")
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        # bcrypt would cut it silently.
        broken.append(f"at most {MAX_PASSWORD_BYTES} bytes")
    for rule, words, kept in (
        ("requireNumber", "a digit", str.isdigit),
        ("requireLowercase", "a lower-case letter", str.islower),
        ("requireUppercase", "an upper-case letter", str.isupper),
        ("requireSpecialChar", f"one of {SPECIAL}", SPECIAL.__contains__),
    ):
        if config.get(rule) and not any(kept(character) for character in password):
            broken.append(words)
    if broken:
        raise InputError(f"password: needs {', '.join(broken)}", code="http.account.password")
