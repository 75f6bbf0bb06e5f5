"""Sign a Telegram Mini App in: raw initData becomes a session token, and the token a principal.

Nothing here needs Telegram: `sign_init_data` stands in for its servers.
"""

from datetime import UTC, datetime, timedelta

import anyio

from dealquest.auth import AccessPolicy, BotKey, TelegramUser, Tokens, authenticate, sign_in
from dealquest.errors import DeniedError
from dealquest.testing import sign_init_data
from dealquest.values import Secret
from dealquest.vault import generate_key

BOT_TOKEN = Secret("7342037359:AAHI25ES8xCOMPokpYoz-p8XVrZUdygo2J4")  # an invented one
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Users:
    """The table of users; yours is a row in PostgreSQL."""

    async def upsert_telegram_user(self, user: TelegramUser, *, seen_at: datetime) -> int:
        print(f"{user.first_name} (Telegram {user.id}) was seen at {seen_at:%H:%M}")
        return 17


async def main() -> None:
    bots = [BotKey.from_token(BOT_TOKEN)]  # newest first, when a token was changed
    tokens = Tokens([generate_key()])  # in production: settings.jwt_secret
    policy = AccessPolicy.from_lists(allowed=["279058397"], admins=[])

    raw = sign_init_data(BOT_TOKEN, auth_date=NOW, user={"id": 279058397, "first_name": "Ann"})
    opened = await sign_in(raw, bots=bots, users=Users(), tokens=tokens, policy=policy, now=NOW)
    session = await authenticate(opened.token, tokens, now=NOW + timedelta(minutes=30))
    print(session.principal.to_claims())

    for title, attempt in {"changed": raw.replace("Ann", "Eve"), "old": raw}.items():
        try:
            await sign_in(attempt, bots=bots, users=Users(), tokens=tokens, now=NOW + timedelta(hours=title == "old", seconds=1))
        except DeniedError as error:
            print(f"{title}: {error.code}")


if __name__ == "__main__":
    anyio.run(main)
