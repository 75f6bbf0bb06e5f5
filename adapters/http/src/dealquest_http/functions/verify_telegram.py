"""`POST /functions/verify-telegram`: `{initDataRaw}` in, `{jwt, user}` out. The rules are `dealquest.auth.sign_in`'s."""

from datetime import datetime
from typing import Any, Self

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dealquest.auth import AccessPolicy, Bot, BotKey, NameClaims, TelegramUser, sign_in, verify_telegram_status
from dealquest.coach import NameRows
from dealquest.errors import DealQuestError, SettingsError
from dealquest.storage import Postgrest
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.shared import Shared


class Opening(msgspec.Struct):
    initDataRaw: str  # noqa: N815  # the clients' name


@attrs.frozen(kw_only=True)
class VerifyTelegram:
    """Opens a session for who opened the Mini App."""

    shared: Shared
    bots: tuple[Bot, ...]
    policy: AccessPolicy
    names: NameClaims

    @classmethod
    def of(cls, shared: Shared) -> Self:
        """The handler over what all rooms share; without a bot token it refuses everybody.

        Raises:
            SettingsError: `auth.bot_token.malformed`, `auth.access.entry`.
        """
        settings = shared.settings
        token = settings.telegram_bot_token
        return cls(
            shared=shared,
            bots=() if token is None else (BotKey.from_token(token),),
            policy=AccessPolicy.from_lists(settings.allowed_usernames, settings.admin_usernames),
            names=NameRows(shared.kit.records, shared.clock),
        )

    async def __call__(self, request: Request) -> Response:
        """Answer one request; 400 unreadable, 403 not proven.

        Raises:
            SettingsError: `http.telegram_off` without `TELEGRAM_BOT_TOKEN`.
        """
        if not self.bots:
            raise SettingsError("This server has no bot token, so nobody can prove to come from Telegram.", code="http.telegram_off")
        opening = await read_json(request, Opening)
        shared = self.shared
        try:
            signed_in = await sign_in(
                opening.initDataRaw,
                bots=self.bots,
                users=TelegramUsers(shared.kit.records),
                tokens=shared.tokens,
                now=shared.clock.now(),
                policy=self.policy,
                claims=self.names,
            )
        except DealQuestError as exc:
            if not exc.code.startswith("auth."):
                raise
            status = verify_telegram_status(exc)
            return answer_json({"error": exc.message, "statusCode": status}, status=status)
        return answer_json(signed_in.to_json(), headers={"cache-control": "no-store"})


@attrs.frozen
class TelegramUsers:
    """The coach's table of people, as `sign_in` wants it."""

    _records: Postgrest

    async def upsert_telegram_user(self, user: TelegramUser, *, seen_at: datetime) -> int:
        """Make or refresh the row of this Telegram id; a language that was chosen stays."""
        shown: dict[str, Any] = {"username": user.username, "first_name": user.first_name, "last_active_at": seen_at}
        new = {**shown, "telegram_id": user.id, "language": (user.language_code or "en")[:35]}
        users = self._records.table("users")
        row = await users.upsert(new, on="telegram_id", ignore=True).select("id").one_or_none()
        if row is None:
            row = await users.update(shown).where(telegram_id=user.id).select("id").one()
        return int(row["id"])
