"""Run the application under uvicorn until it is told to stop: one process, several workers, or reloading.

Every worker opens a kit of its own in its lifespan; the embedded server is shared, and the last one to leave stops it.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

import dealquest
from dealquest.compose import open_kit
from dealquest.errors import DealQuestError, SettingsError
from dealquest.settings import Settings, load_settings
from dealquest.storage import EmbeddedPostgres

from .app import create_app
from .coach import keep_working
from .first_start import audit_rights, prepare, with_signing_secret
from .keys import anon_key, with_prefix
from .protocol import GuardedProtocol

LOG = logging.getLogger(__name__)

DRAIN_S = 10
KEEP_ALIVE_S = 75
SHOWN_CHARACTERS = 9
OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "http": GuardedProtocol,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": DRAIN_S,
    }
)
"""How uvicorn is to run the application, wherever it runs: its own log and proxy headers off, guarded heads on."""


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 7130, workers: int = 1, reload: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight get ten seconds.

    Args:
        settings: What the operator decided; workers and reloading read the environment again.
        host: The address to listen on.
        port: The port to listen on.
        workers: Processes that share the port.
        reload: Start anew when a source file changes; for development, with one worker.

    Raises:
        SettingsError: `http.jwt_secret`, `http.secret_file`, `http.workers`.
    """
    if reload and workers > 1:
        raise SettingsError("--reload works with one worker only.", code="http.workers")
    settings = with_signing_secret(settings)
    _log_to_streams(settings)
    print("\n".join(start_lines(settings, host=host, port=port, workers=workers)), file=sys.stderr, flush=True)  # noqa: T201  # for people
    alone = workers == 1 and not reload
    # Held here, the embedded server outlives the workers that come and go.
    is_embedded = settings.database_url is None and settings.remote_records is None
    with nullcontext() if alone or not is_embedded else EmbeddedPostgres(settings.home):
        uvicorn.run(
            Serving(settings) if alone else "dealquest_http.serving:application",
            factory=not alone,
            host=host,
            port=port,
            workers=None if alone else workers,
            reload=reload,
            reload_dirs=[str(Path(package).parent) for package in (dealquest.__file__, __file__)] if reload else None,
            **OPTIONS,
        )


def application() -> "Serving":
    """The application of one worker process, from the environment."""
    settings = with_signing_secret(load_settings())
    _log_to_streams(settings)
    return Serving(settings)


def start_lines(settings: Settings, *, host: str, port: int, workers: int) -> list[str]:
    """The start-up lines: addresses in full, secrets cut to what tells them apart."""
    assert settings.jwt_secret is not None
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if settings.remote_records is not None:
        records = settings.remote_records
    else:
        records = "DATABASE_URL" if settings.database_url is not None else f"embedded PostgreSQL in {settings.home}"
    lines = [
        f"dealquest serves {address} (health: {address}/api/health), workers: {workers}",
        f"records: {records} · anon key {anon_key(settings.jwt_secret)[:SHOWN_CHARACTERS]}…",
        f"pages that may call with cookies: {', '.join(settings.http_cors_origins) or 'none of other origins (HTTP_CORS_ORIGINS)'}",
    ]
    if settings.access_api_key is not None:
        lines[1] += f" · API key {with_prefix(settings.access_api_key.reveal())[:5]}…"
    return lines


class Serving:
    """The application and the kit it works with, opened and closed by the server's lifespan.

    Args:
        settings: With a signing secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                kit = await stack.enter_async_context(open_kit(self._settings))
                self._app = create_app(kit)
                made = await prepare(kit)
                findings = await audit_rights(kit)
            except DealQuestError as exc:
                await send({"type": "lifespan.startup.failed", "message": f"{exc.message} ({exc.code})"})
                return
            if made:
                assert self._settings.jwt_secret is not None
                lines = [
                    "First start. Keep these, they are not shown again:",
                    *made,
                    f"anon key      {anon_key(self._settings.jwt_secret)}",
                ]
                print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201  # for people, once; never through the log
            for finding in findings:
                LOG.warning("open to callers beyond their rows: %s", finding)
            await send({"type": "lifespan.startup.complete"})
            async with anyio.create_task_group() as group:
                group.start_soon(keep_working, kit)
                await receive()
                group.cancel_scope.cancel()
        await send({"type": "lifespan.shutdown.complete"})


def _log_to_streams(settings: Settings) -> None:
    """The access log is one JSON object a line on standard output; everything else goes to standard error."""
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    access = logging.getLogger("dealquest.http.access")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access.handlers = [handler]
    access.propagate = False
