"""An offline Bot API server: the methods a bot needs, with the public server's rules, limits and faults on demand.

It stands in for `https://api.telegram.org` behind `TELEGRAM_API_BASE`, in tests and for `dealquest bot --simulate`.
It knows one bot, listens on loopback only, keeps everything in memory and speaks to nobody: webhooks go to loopback.
It does not know groups' rights, payments, stickers, inline mode, and reads `entities` and HTML but no Markdown.
Source: https://core.telegram.org/bots/api (Bot API 10.3), read 2026-11-22.
"""

import asyncio  # noqa: TID251  # a server on aiohttp is bound to asyncio
from types import TracebackType
from typing import Any, Self

import attrs
import msgspec
from aiohttp import web

from dealquest.values import Clock, SystemClock

from .account import Account, Queued, Webhook
from .faults import Drop, Fault, FaultPlan
from .methods import METHODS
from .page import add_page
from .params import Params, Upload
from .people import SimulatedUser
from .refusal import Refusal, bad_request
from .webhook import WebhookSender, check_webhook_url

TOKEN = "123456789:offline-test-token-0000000000000000"  # noqa: S105  # opens nothing but this server
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_LONG_POLL_S = 50
CONFLICT_POLLER = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
CONFLICT_WEBHOOK = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"


@attrs.frozen(kw_only=True)
class Call:
    """One call the bot made, for assertions: `at` is monotonic seconds, `status` what it was answered (0: dropped)."""

    method: str
    values: dict[str, Any] = attrs.field(repr=False)
    status: int
    at: float


class BotApiServer:
    """The server; use it as an async context manager.

    Args:
        token: The one token it accepts.
        port: Port on 127.0.0.1; 0 takes a free one.
        clock: Dates of messages, pauses of the webhook sender.
        without: Methods this server shall not know (answers 404), to test fallbacks.
        first_update_id: Where update ids begin; on a store that outlives the server, later than the last time.
        users: First id that `user()` gives; ids count up from it.

    Example:
        async with BotApiServer() as api:
            ann = api.user("Ann")
            await ann.says("/start")
            reply = await ann.waits_for_reply()
            await ann.presses("Begin")
    """

    def __init__(
        self,
        token: str = TOKEN,
        *,
        port: int = 0,
        clock: Clock | None = None,
        without: tuple[str, ...] = (),
        users: int = 1001,
        first_update_id: int = 100_000_001,
    ) -> None:
        self.token = token
        self.account = Account(token, clock=clock)
        self.account.next_update_id = first_update_id
        self.calls: list[Call] = []
        self._clock: Clock = clock or SystemClock()
        self._faults = FaultPlan()
        self._port = port
        self._without = {name.casefold() for name in without}
        self._next_user = users
        self._users: dict[int, SimulatedUser] = {}
        self._poller = 0
        self._webhooks = WebhookSender(self.account)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/bot{token}/{method}", self._answer_call)
        app.router.add_get("/file/bot{token}/{path:.+}", self._answer_download)
        add_page(app, self)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._webhooks.stop()
        self._poller += 1  # whoever polls is sent home, so that the server closes at once
        self.account.ring()
        if self._runner is not None:
            await self._runner.cleanup()

    # For tests

    @property
    def base_url(self) -> str:
        """What belongs into `TELEGRAM_API_BASE`."""
        return f"http://127.0.0.1:{self._port}"

    def user(
        self, first_name: str = "Ann", *, username: str | None = None, language: str = "en", user_id: int | None = None
    ) -> SimulatedUser:
        """Someone who has a private chat with the bot; the same id gives the same person."""
        if user_id is None:
            user_id, self._next_user = self._next_user, self._next_user + 1
        if user_id not in self._users:
            self._users[user_id] = SimulatedUser(self.account, user_id, first_name=first_name, username=username, language=language)
        return self._users[user_id]

    def fault(
        self,
        method: str = "*",
        *,
        status: int | None = None,
        description: str = "scripted",
        retry_after_s: int | None = None,
        hang_s: float = 0.0,
        drop: Drop | None = None,
        body: bytes | None = None,
        skip: int = 0,
        times: int | None = 1,
    ) -> None:
        """Plan trouble; the arguments are those of `Fault`."""
        self._faults.add(
            Fault(
                method=method, status=status, description=description, retry_after_s=retry_after_s,
                hang_s=hang_s, drop=drop, body=body, skip=skip, times=times,
            )
        )  # fmt: skip

    @property
    def polls(self) -> int:
        """How many calls of `getUpdates` have begun; `calls` has those that ended."""
        return self._poller

    def clear_faults(self) -> None:
        """Let everything work again."""
        self._faults.clear()

    def queue_raw(self, raw: bytes, *, chat_id: int = 0) -> int:
        """Queue an update as bytes, with `{id}` replaced by the next id, which is returned."""
        update_id = self.account.next_update_id
        self.account.queue_raw(raw.replace(b"{id}", str(update_id).encode()), update_id=update_id, chat_id=chat_id)
        return update_id

    def redeliver(self, count: int, *, backwards: bool = False) -> list[Queued]:
        """Deliver the last updates once more, as the public server may after a fault."""
        last = self.account.history[-count:]
        again = last[::-1] if backwards else last
        self.account.redeliver(again)
        return again

    def calls_of(self, method: str) -> list[Call]:
        """The calls of one method so far, in order."""
        return [call for call in self.calls if call.method.casefold() == method.casefold()]

    # The wire

    async def _answer_call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            params = await _read_params(request)
        except Refusal as refusal:
            return self._reply(method, {}, refusal.status, refusal.to_json())
        fault = self._faults.strike(method) or Fault()
        await asyncio.sleep(fault.hang_s)
        if fault.drop == "before":
            return self._break(request, method, params)
        if fault.body is not None:
            self._note(method, params.values, 200)
            return web.Response(body=fault.body, content_type="application/json")
        if fault.status is not None:
            extra = {} if fault.retry_after_s is None else {"retry_after": fault.retry_after_s}
            return self._reply(method, params.values, fault.status, Refusal(fault.status, fault.description, **extra).to_json())
        try:
            result = await self._perform(request, method, params)
        except Refusal as refusal:
            return self._reply(method, params.values, refusal.status, refusal.to_json())
        if fault.drop == "after":
            return self._break(request, method, params)
        if isinstance(result, bytes):
            self._note(method, params.values, 200)
            return web.Response(body=b'{"ok":true,"result":' + result + b"}", content_type="application/json")
        return self._reply(method, params.values, 200, {"ok": True, "result": result})

    async def _perform(self, request: web.Request, method: str, params: Params) -> Any:
        if request.match_info["token"] != self.token:
            raise Refusal(401, "Unauthorized")
        match method.casefold():
            case name if name in self._without:
                raise Refusal(404, "Not Found: method not found")
            case "getupdates":
                return await self._get_updates(params)
            case "setwebhook":
                return await self._set_webhook(params)
            case "deletewebhook":
                return await self._delete_webhook(params)
            case "getwebhookinfo":
                return self._webhook_info()
            case name if name in METHODS:
                return METHODS[name](self.account, params)
            case _:
                raise Refusal(404, "Not Found: method not found")

    async def _get_updates(self, params: Params) -> bytes:
        account = self.account
        if account.webhook is not None:
            raise Refusal(409, CONFLICT_WEBHOOK)
        limit, offset = params.integer("limit", 100), params.integer("offset")
        if not 1 <= limit <= 100:
            limit = 100
        wanted = params.json("allowed_updates")
        if isinstance(wanted, list):
            account.allowed_updates = [str(kind) for kind in wanted]
        # The newest poller wins; an older one is told so, and never gets an update after that.
        self._poller += 1
        mine = self._poller
        account.ring()
        account.confirm(offset)
        deadline = self._clock.monotonic() + min(max(params.integer("timeout"), 0), MAX_LONG_POLL_S)
        while True:
            bell = account.bell
            if mine != self._poller:
                raise Refusal(409, CONFLICT_POLLER)
            if account.queue:
                batch = [account.queue[index].raw for index in range(min(limit, len(account.queue)))]
                return b"[" + b",".join(batch) + b"]"
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0:
                return b"[]"
            try:
                await asyncio.wait_for(bell.wait(), remaining)
            except TimeoutError:
                return b"[]"

    async def _set_webhook(self, params: Params) -> bool:
        url = params.text("url")
        if not url:
            return await self._delete_webhook(params)
        check_webhook_url(url)
        secret = params.text("secret_token")
        if secret and (len(secret) > 256 or not all(mark.isascii() and (mark.isalnum() or mark in "_-") for mark in secret)):
            raise bad_request("secret token contains unallowed characters")
        wanted = params.json("allowed_updates")
        if isinstance(wanted, list):
            self.account.allowed_updates = [str(kind) for kind in wanted]
        if params.flag("drop_pending_updates"):
            self.account.queue.clear()
        self.account.webhook = Webhook(url=url, secret=secret, max_connections=min(max(params.integer("max_connections", 40), 1), 100))
        self._poller += 1
        self.account.ring()
        await self._webhooks.start()
        return True

    async def _delete_webhook(self, params: Params) -> bool:
        self.account.webhook = None
        await self._webhooks.stop()
        if params.flag("drop_pending_updates"):
            self.account.queue.clear()
        return True

    def _webhook_info(self) -> dict[str, Any]:
        hook = self.account.webhook
        info: dict[str, Any] = {
            "url": hook.url if hook else "",
            "has_custom_certificate": False,
            "pending_update_count": len(self.account.queue),
        }
        if hook and hook.last_error:
            info |= {"last_error_message": hook.last_error, "last_error_date": int(self._clock.now().timestamp())}
        return info

    async def _answer_download(self, request: web.Request) -> web.StreamResponse:
        fault = self._faults.strike("download")
        if fault is not None:
            await asyncio.sleep(fault.hang_s)
            if fault.drop is not None:
                return self._break(request, "download", Params({}))
            if fault.status is not None:
                return web.Response(status=fault.status)
        stored = next((file for file in self.account.files.values() if file.path == request.match_info["path"]), None)
        if request.match_info["token"] != self.token or stored is None:
            return web.json_response(Refusal(404, "Not Found").to_json(), status=404)
        # Chunked when the size is unknown or a lie, so that a reader has to count for itself.
        answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        if stored.size == len(stored.content):
            answer.content_length = stored.size
        await answer.prepare(request)
        for start in range(0, len(stored.content), 65_536):
            await answer.write(stored.content[start : start + 65_536])
        await answer.write_eof()
        return answer

    def _break(self, request: web.Request, method: str, params: Params) -> web.StreamResponse:
        self._note(method, params.values, 0)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _reply(self, method: str, values: dict[str, Any], status: int, body: dict[str, Any]) -> web.StreamResponse:
        self._note(method, values, status)
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")

    def _note(self, method: str, values: dict[str, Any], status: int) -> None:
        self.calls.append(Call(method=method, values=values, status=status, at=self._clock.monotonic()))
        self.account.ring()


async def _read_params(request: web.Request) -> Params:
    values: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = msgspec.json.decode(await request.read())
        except msgspec.DecodeError as exc:
            raise bad_request("can't parse JSON") from exc
        if not isinstance(body, dict):
            raise bad_request("object expected")
        return Params({**values, **body})
    uploads: dict[str, Upload] = {}
    if request.content_type in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                uploads[name] = Upload(name=value.filename, mime_type=value.content_type, content=value.file.read())
            else:
                values[name] = value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
    return Params(values, uploads)
