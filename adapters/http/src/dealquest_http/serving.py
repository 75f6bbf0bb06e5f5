"""Run the application under uvicorn until it is told to stop."""

import sys

import anyio
import uvicorn

from dealquest.compose import open_kit
from dealquest.errors import SettingsError
from dealquest.settings import Settings

from .app import create_app

DRAIN_S = 10


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = 7130) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight get ten seconds.

    Raises:
        SettingsError: `http.jwt_secret` without `JWT_SECRET`: no caller could prove anything.
    """
    if settings.jwt_secret is None:
        raise SettingsError(
            "Serving needs JWT_SECRET: at least 32 bytes of chance, such as `openssl rand -hex 32` prints.", code="http.jwt_secret"
        )
    anyio.run(_serve, settings, host, port)


async def _serve(settings: Settings, host: str, port: int) -> None:
    async with open_kit(settings) as kit:
        config = uvicorn.Config(
            create_app(kit),
            host=host,
            port=port,
            log_level=settings.log_level.lower(),
            timeout_graceful_shutdown=DRAIN_S,
            server_header=False,
        )
        server = uvicorn.Server(config)
        print(f"dealquest serves http://{host}:{port}/api/health", file=sys.stderr)  # noqa: T201  # the start-up line is for people
        await server.serve()
