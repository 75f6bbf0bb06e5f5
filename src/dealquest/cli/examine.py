"""What `dealquest doctor` finds out by asking each part once; no token is spent."""

from collections.abc import Iterator
from typing import Literal, TypeAlias

import anyio
import attrs

from dealquest.compose import open_service_transport
from dealquest.errors import DealQuestError
from dealquest.llm import Router
from dealquest.settings import Settings
from dealquest.storage import Postgrest
from dealquest.vault import Vault
from dealquest.wire import HttpRequest, open_transport

CHECK_TIMEOUT_S = 15.0
MAX_RIGHTS = 50

State: TypeAlias = Literal["ok", "warning", "fault", "off"]

_MODEL_STATES: dict[str, State] = {"served": "ok", "ageing": "warning", "gone": "fault", "unknown": "warning"}


@attrs.frozen(kw_only=True)
class Finding:
    """One part and how it is."""

    part: str
    state: State
    message: str


async def examine(settings: Settings) -> list[Finding]:
    """Ask the database, the models, the bot and the vault."""
    findings: list[Finding] = []
    with anyio.move_on_after(2 * CHECK_TIMEOUT_S) as scope:
        findings += await _records(settings)
        findings += await _models(settings)
        findings.append(await _telegram(settings))
    findings += _at_rest(settings)
    if scope.cancelled_caught:
        findings.append(Finding(part="doctor", state="fault", message=f"gave up after {2 * CHECK_TIMEOUT_S:g} s; a part does not answer"))
    return findings


async def _records(settings: Settings) -> list[Finding]:
    where = settings.remote_records or ("DATABASE_URL" if settings.database_url else f"embedded, in {settings.home}")
    try:
        async with open_service_transport(settings) as (transport, dialect):
            records = Postgrest(transport, dialect=dialect)
            await records.table("users").select("id").limit(1).all()
            # What a remote server exposes is its operator's to judge.
            around = [] if settings.remote_records else await records.rpc("account_audit_rights").repeatable().limit(MAX_RIGHTS).all()
    except DealQuestError as exc:
        return [Finding(part="records", state="fault", message=exc.message)]
    rights = [Finding(part="rights", state="warning", message=f"{row['object']}: {row['problem']}") for row in around]
    return [Finding(part="records", state="ok", message=where), *rights]


async def _models(settings: Settings) -> list[Finding]:
    if not settings.has_model:
        offline = "answers are scored offline; set OPENROUTER_API_KEY or OPENAI_BASE_URL"
        return [Finding(part="model", state="off", message=offline)]
    findings = []
    async with Router.from_settings(settings) as llm:
        for key in await llm.check_keys():
            left = f"left: {key.left_usd} USD" if key.left_usd is not None else "the key is accepted"
            message = key.error.message if key.error else left
            findings.append(Finding(part=f"key {key.provider}", state="ok" if key else "fault", message=message))
        for model in await llm.check_models():
            asked = f" (asked as {model.asked_as})" if model.asked_as != model.model else ""
            message = f"{model.state}{asked} {model.note}".strip()
            findings.append(Finding(part=f"model {model.model}", state=_MODEL_STATES[model.state], message=message))
    return findings


async def _telegram(settings: Settings) -> Finding:
    token = settings.telegram_bot_token
    if token is None:
        return Finding(part="telegram", state="off", message="set TELEGRAM_BOT_TOKEN to run the bot")
    try:
        async with open_transport(settings.telegram_api_base) as transport:
            answer = await transport.send(HttpRequest(method="GET", url=f"/bot{token.reveal()}/getMe", timeout_s=CHECK_TIMEOUT_S))
            me = answer.json()
    except DealQuestError as exc:
        return Finding(part="telegram", state="fault", message=exc.message)
    if answer.status != 200 or not isinstance(me, dict) or not isinstance(me.get("result"), dict):
        return Finding(part="telegram", state="fault", message="the Bot API refuses the token; ask BotFather for a new one")
    return Finding(part="telegram", state="ok", message=f"@{me['result'].get('username', '?')}")


def _at_rest(settings: Settings) -> Iterator[Finding]:
    try:
        if settings.encryption_keys:
            Vault(settings.encryption_keys, other_secrets=[settings.jwt_secret] if settings.jwt_secret else [])
            yield Finding(part="vault", state="ok", message=f"{len(settings.encryption_keys)} key(s), the first one seals")
        else:
            yield Finding(part="vault", state="off", message="set ENCRYPTION_KEY (see `dealquest keys generate`) to store users' keys")
    except DealQuestError as exc:
        yield Finding(part="vault", state="fault", message=exc.message)
    if not settings.allowed_usernames and settings.telegram_bot_token is not None:
        yield Finding(part="access", state="warning", message="everyone may use the bot and spend the shared key; set ALLOWED_USERNAMES")
    speech = "a speech server of your own" if settings.whisper_base_url else "AssemblyAI" if settings.assemblyai_api_key else None
    yield Finding(part="speech", state="ok" if speech else "off", message=speech or "set ASSEMBLYAI_API_KEY or WHISPER_BASE_URL for voice")
