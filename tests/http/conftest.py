"""A kit over a real database, the application over it, and tokens of every kind."""

import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import attrs
import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from dealquest.auth import Tokens
from dealquest.compose import Kit, open_kit
from dealquest.settings import Settings, load_settings
from dealquest.values import Secret, SystemClock
from dealquest_http import create_app
from dealquest_http.serving import OPTIONS, Serving

Loopback: TypeAlias = Callable[[ASGIApp], AbstractAsyncContextManager[str]]

SECRET = "0123456789abcdefghijklmnopqrstuv-test"


@pytest.fixture
def anyio_backend() -> str:
    """Starlette's server side is asyncio's."""
    return "asyncio"


@pytest.fixture
def variables() -> dict[str, str]:
    """What a test sets beside the database and the secret."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, database: Any, variables: dict[str, str]) -> Settings:
    """The operator's settings: the test's own database."""
    loaded = load_settings({"DEALQUEST_HOME": str(tmp_path), "JWT_SECRET": SECRET, "HTTP_REQUEST_LIMIT": "0", **variables})
    return attrs.evolve(loaded, database_url=Secret(database.login_dsn))


@pytest.fixture
async def kit(settings: Settings, anyio_backend: str) -> AsyncIterator[Kit]:
    """The cores, open."""
    async with open_kit(settings) as kit:
        yield kit


@pytest.fixture
def app(kit: Kit) -> ASGIApp:
    """The application."""
    return create_app(kit)


@pytest.fixture
def loopback() -> Loopback:
    """One application behind a real socket, in the test's own loop: `async with loopback(app) as base`."""
    return _listen


@asynccontextmanager
async def _listen(app: ASGIApp) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=2))
    stopped = anyio.Event()

    async def serve() -> None:
        await server.serve()
        stopped.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        while not server.started:  # noqa: ASYNC110  # uvicorn offers no event
            await anyio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await stopped.wait()


@pytest.fixture
async def client(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a socket."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


@pytest.fixture
def bearer(settings: Settings) -> Callable[..., dict[str, str]]:
    """The header of a caller: `bearer("authenticated", "1")`."""
    assert settings.jwt_secret is not None
    tokens = Tokens([settings.jwt_secret])

    def make(role: str = "authenticated", subject: str = "1", **claims: object) -> dict[str, str]:
        token = tokens.mint_session(subject, now=SystemClock().now(), token_id=uuid.uuid4().hex, role=role, claims=claims)  # type: ignore[arg-type]
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture
def bearer_of() -> Callable[[str], dict[str, str]]:
    """The header of a caller with this role, under the tests' usual secret."""

    def make(role: str) -> dict[str, str]:
        token = Tokens([Secret(SECRET)]).mint_session("1", now=SystemClock().now(), token_id=uuid.uuid4().hex, role=role)  # type: ignore[arg-type]
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture
def live(settings: Settings) -> Iterator[str]:
    """The address of a real server over a real socket, as `dealquest serve` runs it."""
    with serving(settings) as address:
        yield address


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """A server in a thread; its address while the context lasts."""
    server = uvicorn.Server(uvicorn.Config(Serving(settings), host="127.0.0.1", port=0, **OPTIONS))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
