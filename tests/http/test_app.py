"""The skeleton: health tells the truth, records obey the caller's role, unknown paths get the envelope."""

from collections.abc import Callable

import attrs
import httpx
import jwt
import pytest

from dealquest.compose import Kit
from dealquest_http import create_app

Bearer = Callable[..., dict[str, str]]


async def test_health_names_the_state_of_each_part(client: httpx.AsyncClient) -> None:
    """The keys of the contract are there, and the database was really asked."""
    answer = await client.get("/api/health")
    assert answer.status_code == 200
    assert {"status", "version", "service", "timestamp"} <= answer.json().keys()
    assert answer.json()["status"] == "ok"
    assert answer.json()["timestamp"].endswith("Z")
    assert answer.json()["components"] == {"database": "ok", "model": "off", "telegram": "off"}


async def test_q5_records_obey_the_role_of_the_token(client: httpx.AsyncClient, kit: Kit, bearer: Bearer) -> None:
    """Nobody and a forged token are refused, a user sees their own row, the service role all."""
    await kit.records.table("users").insert([{"local_name": "ann"}, {"local_name": "bob"}]).run()
    url = "/api/database/records/users?select=local_name"
    assert (await client.get(url)).json()["error"] == "AUTH_INVALID_CREDENTIALS"
    assert (await client.get(url, headers=bearer("authenticated", "1"))).json() == [{"local_name": "ann"}]
    assert len((await client.get(url, headers=bearer("project_admin"))).json()) == 2
    forged = jwt.encode({"role": "project_admin"}, "another-secret-of-more-than-32-bytes", algorithm="HS256")
    assert (await client.get(url, headers={"Authorization": f"Bearer {forged}"})).json()["error"] == "AUTH_UNAUTHORIZED"


async def test_functions_of_the_coach_are_for_the_service_role_only(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """A user may not call the conversation's functions; the service role may."""
    body = {"lease_name": "x", "by_holder": "y", "lease_s": 1}
    url = "/api/database/rpc/take_lease"
    assert (await client.post(url, json=body, headers=bearer("authenticated", "1"))).status_code == 403
    assert (await client.post(url, json=body, headers=bearer("project_admin"))).json() is True


async def test_h2_an_unknown_path_gets_the_envelope(client: httpx.AsyncClient) -> None:
    """404 is JSON with error, message, statusCode and nextActions; no second spelling of a path exists."""
    for path in ("/nothing/here", "/api/database/elsewhere", "/api/health/", "/api/database/%72ecords"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND"), path
        assert answer.json()["nextActions"]
    for path in ("//api/health", "/api%2fhealth", "/api/x/..%2Fhealth", "/api//health", "/api/%2e%2e/x", "/api%5chealth"):
        answer = await client.get(f"http://test{path}")
        assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_INPUT"), path


async def test_h2_no_header_changes_method_path_or_host(kit: Kit, client: httpx.AsyncClient, bearer: Bearer) -> None:
    """A read stays a read of its own path, whatever a proxy's header or a field claims."""
    await kit.records.table("users").insert({"local_name": "ann"}).run()
    claimed = {
        "X-HTTP-Method-Override": "DELETE",
        "X-HTTP-Method": "DELETE",
        "X-Method-Override": "DELETE",
        "X-Original-URL": "/api/health",
        "X-Rewrite-URL": "/api/health",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "//evil.example",
        "Forwarded": "host=evil.example;proto=gopher",
        "Host": "evil.example",
    }
    url = "/api/database/records/users?id=eq.1"
    for verb in (client.get, client.post):
        answer = await verb(url + "&_method=DELETE" if verb is client.post else url, headers=bearer("project_admin") | claimed)
        assert "evil.example" not in answer.text + str(answer.headers)
    assert (await client.get(url, headers=bearer("project_admin") | claimed)).json()[0]["local_name"] == "ann"
    assert "evil.example" not in (await client.get("/api/openapi.json", headers=claimed)).text


async def test_another_method_gets_the_envelope(client: httpx.AsyncClient) -> None:
    """405 too."""
    assert (await client.post("/api/health")).json()["statusCode"] == 405


async def test_a_defect_of_ours_is_found_in_the_log_by_the_answers_id(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """500 says nothing of the cause; the log has it under the id that the caller can tell."""

    class Broken:
        def rpc(self, name: str, /, **arguments: object) -> object:
            raise ZeroDivisionError("canary")

    app = create_app(attrs.evolve(kit, records=Broken()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://test") as client:
        answer = await client.get("/api/auth/public-config")
    assert (answer.status_code, answer.json()["error"]) == (500, "INTERNAL_ERROR")
    assert "canary" not in answer.text
    assert f"request {answer.headers['x-request-id']}: ZeroDivisionError" in [record.getMessage() for record in caplog.records]
