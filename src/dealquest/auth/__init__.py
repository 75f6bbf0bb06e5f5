"""Who is asking: initData, session tokens, access lists."""

from .access import Access, AccessPolicy, Decision, NameClaims, decide_access
from .bot_keys import PRODUCTION_PUBLIC_KEY, TEST_PUBLIC_KEY, Bot, BotKey, BotPublicKey
from .init_data import InitData, TelegramChat, TelegramUser, read_tma_header, verify_init_data, verify_login_widget
from .sign_in import (
    MemoryReplays,
    Replays,
    Revocations,
    SignIn,
    Users,
    authenticate,
    sign_in,
    verify_telegram_status,
)
from .signing_secret import check_signing_secret
from .tokens import Purpose, Session, Token, Tokens

__all__ = [
    "PRODUCTION_PUBLIC_KEY",
    "TEST_PUBLIC_KEY",
    "Access",
    "AccessPolicy",
    "Bot",
    "BotKey",
    "BotPublicKey",
    "Decision",
    "InitData",
    "MemoryReplays",
    "NameClaims",
    "Purpose",
    "Replays",
    "Revocations",
    "Session",
    "SignIn",
    "TelegramChat",
    "TelegramUser",
    "Token",
    "Tokens",
    "Users",
    "authenticate",
    "check_signing_secret",
    "decide_access",
    "read_tma_header",
    "sign_in",
    "verify_init_data",
    "verify_login_widget",
    "verify_telegram_status",
]
