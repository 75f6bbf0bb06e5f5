"""Whether updates come in, for whoever watches the process: a file that is touched, and `GET /health` where a port is set."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from aiohttp import web

from dealquest.errors import SettingsError

EVERY_S = 5.0


async def touch_while_healthy(path: Path, is_healthy: Callable[[], bool]) -> None:
    """Touch a file every few seconds, until cancelled."""
    while True:
        if is_healthy():
            with contextlib.suppress(OSError):  # a full disk is not a reason to end
                await anyio.Path(path).touch()
        await anyio.sleep(EVERY_S)


@asynccontextmanager
async def health_port(port: int | None, is_healthy: Callable[[], bool]) -> AsyncIterator[None]:
    """Answer `GET /health` with 200 while healthy, else 503, on every address of the machine.

    Raises:
        SettingsError: `telegram.port` when the port cannot be opened.
    """
    if port is None:
        yield
        return

    async def answer(_: web.Request) -> web.Response:
        healthy = is_healthy()
        return web.json_response({"receiving": healthy}, status=200 if healthy else 503)

    app = web.Application()
    app.router.add_get("/health", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            # A host's check comes from outside of the container; the answer tells nothing but yes or no.
            await web.TCPSite(runner, "0.0.0.0", port, reuse_port=True).start()  # noqa: S104  # see above
        except OSError as exc:
            raise SettingsError(f"Port {port} for the health check cannot be opened ({exc.strerror}).", code="telegram.port") from exc
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
