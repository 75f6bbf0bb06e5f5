"""The HTTP adapter: health tells the truth, records obey the caller's role, unknown paths get the envelope."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest

from dealquest.compose import open_kit
from dealquest.settings import Settings, load_settings
from dealquest_http import create_app

SECRET = "0123456789abcdefghijklmnopqrstuv-test"


@pytest.fixture
def anyio_backend() -> str:
    """Starlette's server side is asyncio's."""
    return "asyncio"


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings({"DEALQUEST_HOME": str(home), "JWT_SECRET": SECRET})


@pytest.fixture
async def client(settings: Settings, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_kit(settings) as kit:
        await kit.records.table("users").insert([{"local_name": "ann"}, {"local_name": "bob"}]).run()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(kit)), base_url="http://test") as client:
            yield client


def bearer(role: str, subject: str = "") -> dict[str, str]:
    claims = {"role": role, "sub": subject} if subject else {"role": role}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


async def test_health_names_the_state_of_each_part(client: httpx.AsyncClient) -> None:
    """The keys of the contract are there, and the database was really asked."""
    answer = await client.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["components"] == {"database": "ok", "model": "off"}


async def test_q5_records_obey_the_role_of_the_token(client: httpx.AsyncClient) -> None:
    """Anonymous callers see nothing, a user their own row, the service role all; a forged token is refused."""
    url = "/api/database/records/users?select=local_name"
    assert (await client.get(url)).status_code == 401
    assert (await client.get(url, headers=bearer("authenticated", "1"))).json() == [{"local_name": "ann"}]
    assert len((await client.get(url, headers=bearer("project_admin"))).json()) == 2
    forged = jwt.encode({"role": "project_admin"}, "another-secret-of-more-than-32-bytes", algorithm="HS256")
    assert (await client.get(url, headers={"Authorization": f"Bearer {forged}"})).status_code == 401
    assert (await client.get(url, headers=bearer("postgres"))).status_code >= 400


async def test_functions_of_the_coach_are_for_the_service_role_only(client: httpx.AsyncClient) -> None:
    """A user may not call the conversation's functions; the service role may."""
    body = json.dumps({"lease_name": "x", "by_holder": "y", "lease_s": 1})
    headers = {"Content-Type": "application/json"}
    url = "/api/database/rpc/take_lease"
    assert (await client.post(url, content=body, headers=headers | bearer("authenticated", "1"))).status_code == 403
    assert (await client.post(url, content=body, headers=headers | bearer("project_admin"))).json() is True


async def test_an_unknown_path_gets_the_envelope(client: httpx.AsyncClient) -> None:
    """404 and 405 are JSON with error, message and statusCode, as the clients read them."""
    for answer in (await client.get("/nothing/here"), await client.get("/api/database/elsewhere")):
        assert answer.status_code == 404
        assert answer.json()["error"] == "NOT_FOUND"
    assert (await client.post("/api/health")).json()["statusCode"] == 405
