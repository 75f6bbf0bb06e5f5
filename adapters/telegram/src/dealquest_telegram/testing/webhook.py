"""Pushing updates to a bot: one chat in order, several chats at once, repeated until the bot answers 2xx.

Source: https://core.telegram.org/bots/webhooks and #setwebhook, read 2026-11-22. Differences on purpose: plain http,
loopback addresses only, and pauses of a tenth of a second, so that tests are quick and nothing leaves the machine.
"""

import asyncio  # noqa: TID251  # a server on aiohttp is bound to asyncio
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
import msgspec

from .account import Account, Queued, Webhook
from .methods import METHODS
from .params import Params
from .refusal import Refusal, bad_request

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
ANSWER_TIMEOUT_S = 60.0
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105  # the name of a header


def check_webhook_url(url: str) -> None:
    """Refuse every address but loopback ones.

    Raises:
        Refusal: 400 with the public server's words.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if parts.scheme not in {"http", "https"} or not loopback:
        raise bad_request("bad webhook: this server delivers to loopback addresses only")


class WebhookSender:
    """One task that keeps pushing while a webhook is set."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, or begin anew with the newest address."""
        await self.stop()
        self._task = asyncio.create_task(self._run(), name="webhook sender")

    async def stop(self) -> None:
        """Stop pushing; what was not answered stays queued."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        busy: dict[int, asyncio.Task[None]] = {}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)) as session, asyncio.TaskGroup() as group:
            while (hook := self._account.webhook) is not None:
                bell = self._account.bell
                busy = {chat: task for chat, task in busy.items() if not task.done()}
                for queued in self._heads():
                    if queued.chat_id not in busy and len(busy) < hook.max_connections:
                        busy[queued.chat_id] = group.create_task(self._push(session, hook, queued))
                await bell.wait()

    def _heads(self) -> list[Queued]:
        heads: dict[int, Queued] = {}
        for queued in self._account.queue:
            heads.setdefault(queued.chat_id, queued)
        return list(heads.values())

    async def _push(self, session: aiohttp.ClientSession, hook: Webhook, queued: Queued) -> None:
        pause_s = FIRST_PAUSE_S
        headers = {"Content-Type": "application/json"} | ({SECRET_HEADER: hook.secret} if hook.secret else {})
        while self._account.webhook is hook:
            try:
                async with session.post(hook.url, data=queued.raw, headers=headers, allow_redirects=False) as answer:
                    body = await answer.read()
                    if 200 <= answer.status < 300:
                        with suppress(ValueError):
                            self._account.queue.remove(queued)
                        self._perform(body)
                        break
                    hook.last_error = f"Wrong response from the webhook: {answer.status} {answer.reason}"
            except (aiohttp.ClientError, TimeoutError, OSError):
                hook.last_error = "Connection refused or broken"
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        # The next update of this chat may go only when this task is seen as done.
        asyncio.get_running_loop().call_soon(self._account.ring)

    def _perform(self, body: bytes) -> None:
        """A bot may answer the push with one call; its result is not told, as in the public server."""
        with suppress(msgspec.DecodeError, Refusal):
            call = msgspec.json.decode(body, type=dict) if body else {}
            method = METHODS.get(str(call.pop("method", "")).casefold())
            if method is not None:
                method(self._account, Params(call))
