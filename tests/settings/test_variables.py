"""What each kind of variable takes, and what it refuses in words that say how to mend it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dealquest.errors import SettingsError
from dealquest.settings import load_settings, variables

LONG = "pass" * 19

TAKEN: list[tuple[str, str, Any]] = [
    ("INSFORGE_BASE_URL", "https://records.example/", "https://records.example"),
    ("HTTP_TRUSTED_HOPS", "2", 2),
    ("AI_CALLER_BUDGET_USD", "2.50", Decimal("2.50")),
    ("AI_TOTAL_BUDGET_USD", "0", Decimal(0)),
    ("DEV_SIGN_IN", "On", True),
    ("DEV_SIGN_IN", "no", False),
    ("HTTP_CORS_ORIGINS", "https://A.example/, http://localhost:5173, https://a.example", ("https://a.example", "http://localhost:5173")),
    ("ADMIN_EMAIL", "Ann@Example.com", "ann@example.com"),
    ("KNOWLEDGE_DIR", "/srv/knowledge", Path("/srv/knowledge")),
    ("KNOWLEDGE_TOKENS", "500", 500),
    ("LOG_LEVEL", "debug", "DEBUG"),
    ("TELEGRAM_CAREFUL", "YES", True),
    ("TELEGRAM_CAREFUL", "0", False),
    ("TELEGRAM_HEALTH_PORT", "65535", 65535),
]

REFUSED = [
    ("INSFORGE_BASE_URL", "records.example", "is not an http(s) address"),
    ("INSFORGE_BASE_URL", "https://ann:canary@records.example", "holds a user or a password"),
    ("INSFORGE_BASE_URL", "https://records.example:0", "is not an http(s) address"),
    ("INSFORGE_BASE_URL", "https://records.example:65536", "INSFORGE_BASE_URL"),
    ("OPENROUTER_API_KEY", "canary canary", "holds blanks"),
    ("HTTP_TRUSTED_HOPS", "-1", "is not a whole number"),
    ("HTTP_TRUSTED_HOPS", "1.5", "is not a whole number"),
    ("AI_CALLER_BUDGET_USD", "five", "is not an amount of USD, such as"),
    ("AI_CALLER_BUDGET_USD", "NaN", "from 0 to 1,000,000"),
    ("AI_CALLER_BUDGET_USD", "-1", "from 0 to 1,000,000"),
    ("AI_CALLER_BUDGET_USD", "1000001", "from 0 to 1,000,000"),
    ("DEV_SIGN_IN", "perhaps", "is neither on nor off"),
    ("HTTP_CORS_ORIGINS", "https://a.example/path", "holds what is no origin"),
    ("HTTP_CORS_ORIGINS", "https://ann@a.example", "holds what is no origin"),
    ("HTTP_CORS_ORIGINS", "*", "holds what is no origin"),
    ("ADMIN_PASSWORD", "canary", "is too weak"),
    ("ADMIN_PASSWORD", "change-this-password", "none that an example file shows"),
    ("ADMIN_PASSWORD", LONG, "longer than 72 bytes"),
    ("ADMIN_EMAIL", "ann", "is not an e-mail address"),
    ("KNOWLEDGE_DIR", "~nobody-of-that-name/x", "names the home of a user who is not known here"),
    ("KNOWLEDGE_TOKENS", "499", "is not a whole number from 500"),
    ("KNOWLEDGE_TOKENS", "many", "is not a whole number from 500"),
    ("LOG_LEVEL", "LOUD", "is none of DEBUG"),
    ("TELEGRAM_CAREFUL", "perhaps", "is neither yes nor no"),
    ("TELEGRAM_HEALTH_PORT", "0", "is not a port"),
    ("TELEGRAM_HEALTH_PORT", "65536", "is not a port"),
    ("TELEGRAM_WEBHOOK_SECRET", "canary!", "is not 16 to 256 of"),
]


@pytest.mark.parametrize(("name", "text", "value"), TAKEN)
def test_what_is_written_well_is_read(name: str, text: str, value: Any) -> None:
    """Each kind of variable is read into its own type, and is said to be given."""
    settings = load_settings({name: text})
    field = next(variable.field for variable in variables() if variable.name == name)
    assert getattr(settings, field) == value
    assert settings.given == {name}


@pytest.mark.parametrize(("name", "text", "words"), REFUSED)
def test_what_is_written_wrongly_is_said(name: str, text: str, words: str) -> None:
    """The message names the variable and what is wrong with it; a secret's text is not repeated."""
    with pytest.raises(SettingsError) as caught:
        load_settings({name: text})
    assert words in caught.value.message
    assert name in caught.value.message
    assert "canary" not in caught.value.message


def test_secrets_of_telegram_are_hidden() -> None:
    """A webhook's secret that is taken stays out of the repr."""
    settings = load_settings({"TELEGRAM_WEBHOOK_SECRET": "canary-canary-canary"})
    assert "canary" not in repr(settings)
    assert settings.telegram_webhook_secret is not None
