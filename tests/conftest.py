"""What every test shares."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Cores run on both event loops."""
    return str(request.param)
