"""Updates by webhook: the same insert as polling, then 200; anything else makes Telegram send the update again.

The secret header is compared as bytes in constant time; a wrong one is answered before the body is read. No address
filter: behind a proxy the sender's address proves nothing, the secret does.
Source: https://core.telegram.org/bots/api#setwebhook, read 2026-11-22.
"""

import hmac
import json
import logging

import anyio
import attrs
from aiohttp import web

from dealquest.errors import DealQuestError, PeerError, SettingsError
from dealquest.settings import Settings
from dealquest.values import Secret

from .calls import BotCalls
from .intake import Intake
from .translate import WANTED_UPDATES

logger = logging.getLogger("dealquest.telegram")

MAX_BODY_BYTES = 1024 * 1024
STORE_TIMEOUT_S = 20.0
CONNECTIONS = 40
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  # the name of a header
LONGEST_PAUSE_S = 30.0


@attrs.frozen(kw_only=True)
class WebhookAddress:
    """Where Telegram sends updates, and where this process listens for them.

    Attributes:
        url: The public https address, path included; the proxy before us forwards it.
        secret: 1 to 256 of `A-Z a-z 0-9 _ -`; Telegram shows it with every update.
        host: Address to listen on.
        port: Port to listen on.
    """

    url: str
    secret: Secret
    host: str = "127.0.0.1"
    port: int = 8443


def webhook_address(settings: Settings) -> WebhookAddress | None:
    """The webhook that the settings ask for; None while updates are polled.

    Without a secret of its own one is derived from the token, which only Telegram and the operator know.
    """
    url, token, secret = settings.telegram_webhook_url, settings.telegram_bot_token, settings.telegram_webhook_secret
    if url is None or token is None:
        return None
    if secret is None:
        secret = Secret(hmac.new(token.reveal().encode(), b"dealquest webhook", "sha256").hexdigest())
    return WebhookAddress(url=url, secret=secret, host=settings.telegram_webhook_host, port=settings.telegram_webhook_port)


class WebhookReceiver:
    """Receives until it is cancelled; pass `receive` to `TelegramBot.run`.

    Args:
        calls: The bot, to tell Telegram the address.
        address: Where.
    """

    def __init__(self, calls: BotCalls, address: WebhookAddress) -> None:
        self._calls = calls
        self._address = address
        self._secret = address.secret.reveal().encode()

    async def receive(self, intake: Intake) -> None:
        """Listen, then have Telegram push; the webhook stays set when the process ends, so updates wait for the next."""

        async def answer(request: web.Request) -> web.Response:
            return web.Response(status=await self.take(intake, request))

        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await self._listen(runner)
            await self._announce()
            await intake.watch_over()
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    async def _announce(self) -> None:
        """Tell Telegram the address, until it knows it; nothing is lost meanwhile, updates wait there."""
        pause_s = 1.0
        while True:
            try:
                await self._calls.set_webhook(self._address.url, self._address.secret, kinds=WANTED_UPDATES, connections=CONNECTIONS)
            except PeerError as exc:
                logger.warning("The webhook could not be set, trying again in %.0f s: %s", pause_s, exc.message)
                await anyio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                return

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, self._address.host, self._address.port, reuse_port=True).start()
        except OSError as exc:
            raise SettingsError(
                f"Port {self._address.port} for the webhook cannot be opened ({exc.strerror}); choose another.", code="telegram.port"
            ) from exc

    async def take(self, intake: Intake, request: web.Request) -> int:
        """The HTTP status for one push: 200 once it is stored."""
        shown = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, self._secret):
            return 401
        try:
            raw = json.loads(await request.read())
        except (ValueError, RecursionError):
            return 400
        try:
            with anyio.fail_after(STORE_TIMEOUT_S):
                await intake.take([raw])
        except DealQuestError as exc:
            logger.warning("An update could not be stored, Telegram will send it again: %s", exc.message)
            return 503
        except TimeoutError:
            return 503
        return 200
