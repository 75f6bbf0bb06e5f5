"""A plain PostgREST as the records: the same backend and the same coach, every request signed for its principal."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from dealquest.compose import Kit, open_kit
from dealquest.errors import SettingsError
from dealquest.settings import Settings, load_settings
from dealquest.testing import Chatter
from dealquest.values import Principal
from dealquest_http import create_app


@pytest.fixture
async def elsewhere(kit: Kit, settings: Settings, loopback: Any) -> AsyncIterator[Kit]:
    """A kit whose records are behind a real socket; our engine plays the PostgREST there."""
    assert kit.engine is not None
    async with (
        loopback(kit.engine.asgi) as address,
        open_kit(attrs.evolve(settings, database_url=None, postgrest_base_url=address)) as remote,
    ):
        yield remote


async def test_accounts_and_records_work_over_a_postgrest_elsewhere(elsewhere: Kit) -> None:
    """Sign-up, session and records are the same; anon sees nothing, a person their own rows."""
    transport = httpx.ASGITransport(app=create_app(elsewhere))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/api/health")).json()["status"] == "ok"
        made = await client.post("/api/auth/users?client_type=server", json={"email": "ann@example.com", "password": "a-long-password-1"})
        assert made.status_code in {200, 201}, made.text
        token = made.json()["accessToken"]
        mine = await client.get("/api/database/records/users?select=id&id=gt.0&id=lt.99", headers={"Authorization": f"Bearer {token}"})
        assert (mine.status_code, mine.json()) == (200, [])
        assert (await client.get("/api/database/records/users")).status_code in {401, 403}


async def test_the_coach_talks_over_a_postgrest_elsewhere(elsewhere: Kit) -> None:
    """A turn is stored and answered, and the rights are those of the principal that signs."""
    chat = Chatter(elsewhere.turns())
    assert "Welcome" in await chat.says("/start")
    assert elsewhere.transport_of is not None
    from dealquest.storage import Postgrest

    mine = Postgrest(elsewhere.transport_of(Principal(role="authenticated", subject="1")))
    assert await mine.table("users").select("first_name").all() == [{"first_name": "Ann"}]
    stranger = Postgrest(elsewhere.transport_of(Principal(role="authenticated", subject="2")))
    assert await stranger.table("users").select("first_name").all() == []


async def test_a_postgrest_elsewhere_needs_its_secret(tmp_path: Path, anyio_backend: str) -> None:
    """Without the secret nothing can be signed, and the operator is told so."""
    settings = load_settings({"DEALQUEST_HOME": str(tmp_path), "POSTGREST_BASE_URL": "http://127.0.0.1:1"})
    with pytest.raises(SettingsError, match="jwt-secret"):
        async with open_kit(settings):
            pass
