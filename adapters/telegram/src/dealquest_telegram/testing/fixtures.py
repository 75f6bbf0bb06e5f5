"""pytest fixtures: put `pytest_plugins = ["dealquest_telegram.testing.fixtures"]` into your `conftest.py`.

The fixture is asynchronous: it needs the anyio plugin (on asyncio) or pytest-asyncio in auto mode.
"""

from collections.abc import AsyncIterator

import pytest

from .server import BotApiServer


@pytest.fixture
async def bot_api() -> AsyncIterator[BotApiServer]:
    """A fresh offline Bot API server for one test."""
    async with BotApiServer() as server:
        yield server
