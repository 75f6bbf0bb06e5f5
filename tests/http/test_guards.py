"""The guards, each around a small application: sizes, time, origins, addresses, the log."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from dealquest.errors import DealQuestError, LimitError
from dealquest.testing import FrozenClock
from dealquest_http.answers import answer_error
from dealquest_http.guards import AccessLog, BodyLimit, Cors, RateLimit, client_address


async def echo(request: Request) -> Response:
    """The size of the body."""
    return PlainTextResponse(str(len(await request.body())))


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, DealQuestError)
    return answer_error(error)


def around(guard: Callable[..., ASGIApp], handler: Callable[[Request], Awaitable[Response]] = echo, **options: Any) -> httpx.AsyncClient:
    methods = ["GET", "POST", "OPTIONS"]
    inner = Starlette(routes=[Route("/{path:path}", handler, methods=methods)], exception_handlers={DealQuestError: refused})
    app = AccessLog(guard(inner, **options), clock=FrozenClock(), trusted_hops=0)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


async def pieces(count: int, *, pause_s: float = 0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await anyio.sleep(pause_s)
        yield b"x" * 10


async def test_q8_a_body_is_counted_as_it_arrives() -> None:
    """An announced size is refused at once, an unannounced one at the byte that is too much; the limit itself passes."""
    async with around(BodyLimit, max_bytes=100) as client:
        assert (await client.post("/", content=b"x" * 100)).text == "100"
        announced = await client.post("/", content=b"x" * 101)
        assert (announced.status_code, announced.headers["connection"]) == (413, "close")
        streamed = await client.post("/", content=pieces(1000))
        assert (streamed.status_code, streamed.json()["error"]) == (413, "INVALID_INPUT")
        assert (await client.post("/", content=b"", headers={"content-length": "9" * 5000})).status_code == 413


async def test_fault_l2_a_body_that_stands_still_is_ended() -> None:
    """408, although the caller would go on for ever."""
    async with around(BodyLimit, max_bytes=10**6, stall_s=0.2) as client:
        with anyio.fail_after(5):
            answer = await client.post("/", content=pieces(1000, pause_s=0.05))
        assert answer.status_code == 408


async def test_fault_l2_a_reader_that_stops_is_ended() -> None:
    """The answer's sender is not held for ever; its slot is free again."""
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except LimitError as exc:
            ended.append(exc.code)

    async def stuck(_: Any) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        await BodyLimit(app, max_bytes=1, stall_s=0.1)({"type": "http", "headers": []}, None, stuck)  # type: ignore[arg-type]
    assert ended == ["http.reader.slow"]


async def test_waiting_for_a_caller_to_leave_has_no_limit() -> None:
    """A stream longer than the stall limit goes on while its reader reads."""

    async def stream(_: Request) -> Response:
        return StreamingResponse(pieces(10, pause_s=0.05))

    async with around(BodyLimit, stream, max_bytes=10, stall_s=0.2) as client:
        assert len((await client.get("/")).content) == 100


@pytest.mark.parametrize(
    "origin", ["null", "https://app.example.evil", "http://app.example", "https://app.example:444", "https://APP.example.", "x"]
)
async def test_h1_an_unlisted_origin_gets_no_permission(origin: str) -> None:
    """Nothing is reflected, for answers and pre-flights alike; the answer varies by origin."""
    async with around(Cors, origins=["https://app.example"]) as client:
        for answer in (
            await client.get("/api/x", headers={"Origin": origin}),
            await client.options("/api/x", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-allow")]
            assert "origin" in answer.headers["vary"].lower()


async def test_h1_a_listed_origin_may_call_with_cookies() -> None:
    """Its own name is answered, never `*`; pre-flights are answered on every path."""
    async with around(Cors, origins=["https://app.example"]) as client:
        answer = await client.get("/api/x", headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "prefer"}
        preflight = await client.options("/any/where", headers=asked)
        assert preflight.status_code == 204
        assert "PATCH" in preflight.headers["access-control-allow-methods"]
        assert "prefer" in preflight.headers["access-control-allow-headers"]


async def test_a_flood_from_one_address_is_refused_with_a_time_to_wait() -> None:
    """429 with the envelope and Retry-After; the next window is open again."""
    clock = FrozenClock()
    async with around(RateLimit, clock=clock, limit=3) as client:
        statuses = [(await client.get("/")).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        last = await client.get("/")
        assert 1 <= int(last.headers["retry-after"]) <= 900
        assert last.json()["error"] == "TOO_MANY_REQUESTS"
        clock.advance(901)
        assert (await client.get("/")).status_code == 200


async def test_c1_a_jump_of_the_wall_clock_opens_no_window() -> None:
    """Whoever is refused stays so, and no longer than before, when somebody sets the clock an hour on or back."""
    for hours in (1, -1):
        clock = FrozenClock()
        async with around(RateLimit, clock=clock, limit=1) as client:
            await client.get("/")
            clock.set_wall(clock.now() + timedelta(hours=hours))
            assert (await client.get("/")).status_code == 429
            clock.advance(901)
            assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("hops", "written", "expected"),
    [
        (0, "6.6.6.6", "10.0.0.1"),
        (1, "6.6.6.6, 9.9.9.9", "9.9.9.9"),
        (2, "6.6.6.6, 9.9.9.9, 8.8.8.8", "9.9.9.9"),
        (2, "9.9.9.9", "10.0.0.1"),
        (1, "not an address", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_l1_only_configured_hops_are_believed(hops: int, written: str, expected: str) -> None:
    """The nearest proxies' entries count from the right; whatever the caller wrote before them does not."""
    assert client_address("10.0.0.1", [(b"x-forwarded-for", written.encode())], trusted_hops=hops) == expected


@given(st.binary(max_size=200), st.integers(0, 5))
def test_l1_no_forwarded_header_breaks_the_address(written: bytes, hops: int) -> None:
    """Whatever stands there, an address or the socket's comes out."""
    import ipaddress

    ipaddress.ip_address(client_address("10.0.0.1", [(b"x-forwarded-for", written)], trusted_hops=hops))


async def test_h1_one_escaped_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks, escape sequences and direction marks of a path reach no terminal; neither query nor credential is written."""
    with caplog.at_level(logging.INFO, logger="dealquest.http.access"):
        async with around(Cors, origins=[]) as client:
            path = "/a%0d%0ab%1b%5b31m%e2%80%ae" + "x" * 5000
            answer = await client.get(path + "?key=canary-1", headers={"Authorization": "Bearer canary-2", "X-Request-Id": "a b\x7f"})
            given_id = await client.get("/", headers={"X-Request-Id": "plain-1"})
    first, second = (record.getMessage() for record in caplog.records)
    assert "canary" not in first
    assert first.isascii()
    assert first.isprintable()
    line = json.loads(first)
    assert (line["method"], line["address"]) == ("GET", "127.0.0.1")
    assert len(line["path"]) < 400
    assert answer.headers["x-request-id"] == line["id"] != "a b"
    assert given_id.headers["x-request-id"] == json.loads(second)["id"] == "plain-1"


def test_the_examples_in_docstrings_are_true() -> None:
    """Every one of the adapter."""
    import doctest
    import importlib
    import pkgutil

    import dealquest_http

    tried = 0
    for module in pkgutil.walk_packages(dealquest_http.__path__, "dealquest_http."):
        result = doctest.testmod(importlib.import_module(module.name))
        assert result.failed == 0, module.name
        tried += result.attempted
    assert tried >= 5
