"""The OpenAPI document tells the truth: every route is in it, and the real server keeps to it whatever it is sent."""

import itertools
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from dealquest.testing import ModelServer

Bearer = Callable[..., dict[str, str]]
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
CASES = 4
ADMIN = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model behind a socket."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def variables(model: ModelServer) -> dict[str, str]:
    """Every part is there: a model, a bot."""
    return {
        "OPENROUTER_API_KEY": "sk-or-test",
        "OPENROUTER_BASE_URL": model.base_url,
        "TELEGRAM_BOT_TOKEN": "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    }


async def test_every_route_is_in_the_document(client: httpx.AsyncClient) -> None:
    """Paths, methods, bodies by reference, and who may call."""
    document = (await client.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {"/api/health", "/api/auth/sessions", "/api/database/records/{rest}", "/functions/verify-telegram"} <= paths.keys()
    assert {"/api/ai/chat/completion", "/api/coach/events", "/app/"} <= paths.keys()
    chat = paths["/api/ai/chat"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert chat["security"]
    names = [operation["operationId"] for place in paths.values() for operation in place.values()]
    assert len(names) == len(set(names))
    assert all(operation.get("summary") for place in paths.values() for operation in place.values())


def test_q3_the_server_keeps_to_its_document(live: str, bearer: Bearer) -> None:
    """Generated requests, as a person and as the admin: no 5xx, no undocumented status, type or shape."""
    schema = schemathesis.openapi.from_url(f"{live}/api/openapi.json")
    proofs = itertools.cycle((bearer(), bearer("authenticated", str(uuid.uuid4())), bearer("project_admin", ADMIN)))
    bounded = settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    tried = 0
    for found in schema.get_all_operations():

        def check(case: Case) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(headers=next(proofs), checks=CHECKS, timeout=20)

        bounded(given(case=found.ok().as_strategy())(check))()
    assert tried > 100
