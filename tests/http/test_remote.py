"""Remote records: what comes in goes out as it was, both ways, and the remote server is the judge."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dealquest.compose import open_kit
from dealquest.settings import Settings, load_settings
from dealquest.testing import Arrival, Fault, LoopbackServer, Reply
from dealquest_http import create_app
from dealquest_http.keys import anon_key

SECRET = "0123456789abcdefghijklmnopqrstuv-test"
API_KEY = "ik_" + "0123456789abcdef" * 4


class Mirror(LoopbackServer):
    """Says what it was asked."""

    def route_of(self, method: str, path: str) -> str:
        return "any"

    def answer(self, arrival: Arrival) -> Reply:
        self.last = arrival
        self.body = b"".join(arrival.chunks())
        headers = (("content-type", "application/json"), ("content-range", "0-0/7"), ("connection", "x-hop"), ("x-hop", "1"))
        return Reply(status=206, headers=headers, body=b'[{"id": 1}]')


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


def remote_settings(tmp_path: Path, address: str) -> Settings:
    return load_settings(
        {
            "DEALQUEST_HOME": str(tmp_path),
            "JWT_SECRET": SECRET,
            "INSFORGE_BASE_URL": address,
            "ACCESS_API_KEY": API_KEY,
            "INSFORGE_ANON_KEY": "remote-anon",
        }
    )


@pytest.fixture
async def passing(tmp_path: Path, mirror: Mirror, anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_kit(remote_settings(tmp_path, mirror.base_url)) as kit:
        transport = httpx.ASGITransport(app=create_app(kit))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def test_a_request_goes_through_verbatim(passing: httpx.AsyncClient, mirror: Mirror) -> None:
    """Repeated query keys, their order and their encoding survive; so do credentials, body, status and the headers of meaning."""
    path = "/api/database/records/users?id=gte.1&id=lt.9&name=eq.a%2Cb%20c&or=(a.eq.1,b.eq.2)&select=*"
    headers = {"Authorization": "Bearer users-own", "Prefer": "return=representation", "X-Hop": "1", "Connection": "x-hop"}
    answer = await passing.request("POST", path, content=b'{"name": "x"}', headers=headers)
    assert answer.status_code == 206, answer.text
    assert mirror.last.method == "POST"
    assert mirror.last.path == path
    assert mirror.last.header("authorization") == "Bearer users-own"
    assert mirror.last.header("prefer") == "return=representation"
    assert mirror.last.header("x-hop") is None
    assert mirror.last.header("x-api-key") is None
    assert mirror.body == b'{"name": "x"}'
    assert (answer.status_code, answer.json(), answer.headers["content-range"]) == (206, [{"id": 1}], "0-0/7")
    assert "x-hop" not in answer.headers


async def test_our_public_key_becomes_the_remote_one(passing: httpx.AsyncClient, mirror: Mirror) -> None:
    """A page that was given this server's anon key reaches the remote records with theirs."""
    from dealquest.values import Secret

    headers = {"Authorization": f"Bearer {anon_key(Secret(SECRET))}"}
    await passing.get("/api/database/records/users", headers=headers)
    assert mirror.last.header("authorization") == "Bearer remote-anon"


async def test_a_remote_server_that_is_gone_is_a_503(passing: httpx.AsyncClient, mirror: Mirror) -> None:
    """The envelope, not a broken connection; health names the part."""
    mirror.fail("any", *[Fault(kind="reset")] * 20)
    answer = await passing.get("/api/database/records/users")
    assert (answer.status_code, answer.json()["error"]) == (503, "INTERNAL_ERROR")
    health = await passing.get("/api/health")
    assert health.status_code == 503
    assert health.json()["components"]["database"] != "ok"


async def test_accounts_and_records_of_another_installation(live: str, settings: Settings, tmp_path: Path, anyio_backend: str) -> None:
    """Sign-up, the own token and a row, through one server to the other."""
    async with (
        open_kit(remote_settings(tmp_path / "second", live)) as kit,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(kit)), base_url="http://test") as client,
    ):
        person = {"email": "ann@example.com", "password": "correct horse"}
        opened = (await client.post("/api/auth/users?client_type=server", json=person)).json()
        headers = {"Authorization": f"Bearer {opened['accessToken']}"}
        assert (await client.get("/api/auth/sessions/current", headers=headers)).json()["user"] == opened["user"]
        assert (await client.get("/api/database/records/users?select=id", headers=headers)).json() == []
        assert (await client.get("/api/database/records/users")).status_code == 401


@pytest.fixture
def variables() -> dict[str, Any]:
    return {"ACCESS_API_KEY": API_KEY}
