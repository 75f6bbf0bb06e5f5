"""What the adapter's tests share: asyncio (aiogram is bound to it), the offline server, the echoing conversation."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_telegram import serve_telegram
from dealquest_telegram.loading import load_aiogram
from dealquest_telegram.testing import BotApiServer, EchoConversation

load_aiogram()  # before a test module imports a part of the adapter that imports aiogram the heavy way


@pytest.fixture
def anyio_backend() -> str:
    """aiogram and aiohttp run on asyncio only."""
    return "asyncio"


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[EchoConversation]:
    """A fresh echoing conversation."""
    conversation = EchoConversation(tmp_path / "echo.db")
    yield conversation
    conversation.close()


@pytest.fixture
def settings(tmp_path: Path, bot_api: BotApiServer) -> Settings:
    """Settings that point at the offline server."""
    return Settings(home=tmp_path / "home", telegram_bot_token=Secret(bot_api.token), telegram_api_base=bot_api.base_url)


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Running = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def running(settings: Settings, echo: EchoConversation) -> Running:
    """`async with running(): …` has the bot running inside, and stops it gracefully; `with_settings` changes settings."""

    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[None]:
        stop = anyio.Event()
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                changed = attrs.evolve(settings, **options.pop("with_settings", {}))
                turns = options.pop("turns", echo)
                await serve_telegram(changed, lambda _: turns, stop=stop, **options)

            group.start_soon(serve)
            try:
                yield
            finally:
                stop.set()

    return run
