"""The engine as an ASGI application: heads and bodies as servers hand them over, origins, and clients that leave."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dealquest.storage.engine import Engine, EngineConfig

Sent = list[dict[str, Any]]


@pytest.fixture
def anyio_backend() -> str:
    """The engine's pool is bound to asyncio."""
    return "asyncio"


@pytest.fixture
async def engine(database: Any) -> AsyncIterator[Engine]:
    config = EngineConfig(
        db_anon_role="anon",
        db_pool=1,
        max_body_bytes=10,
        server_cors_allowed_origins=("https://app.example",),
        server_timing_enabled=True,
        server_trace_header="X-Request-Id",
    )
    async with await Engine.open(database.login_dsn, config) as engine:
        yield engine


async def ask(
    engine: Engine, method: str, path: str, *events: dict[str, Any], headers: Any = (), **scope: Any
) -> tuple[int, dict[str, str], bytes]:
    waiting = list(events) or [{"type": "http.request", "body": b""}]
    sent: Sent = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    given = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": list(headers), **scope}
    await engine.asgi(given, receive, send)
    start, body = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


async def test_a_body_in_pieces_is_whole_too_large_or_left(engine: Engine) -> None:
    """Pieces are put together up to the limit; a client that leaves half way gets nothing done."""
    pieces = [{"type": "http.request", "body": b'{"a"', "more_body": True}, {"type": "http.request", "body": b":1}"}]
    status, headers, _ = await ask(engine, "POST", "/nowhere", *pieces)
    assert status == 404
    assert "jwt;dur=" in headers["server-timing"]
    large = [{"type": "http.request", "body": b"x" * 8, "more_body": True}, {"type": "http.request", "body": b"x" * 8, "more_body": True}]
    assert (await ask(engine, "POST", "/nowhere", *large))[0] == 413
    assert (await ask(engine, "POST", "/nowhere", {"type": "http.request", "body": b"x" * 11}))[0] == 413
    status, _, body = await ask(engine, "POST", "/nowhere", pieces[0], {"type": "http.disconnect"})
    assert (status, b"left before its body" in body) == (400, True)


async def test_origins_are_answered_as_configured(engine: Engine) -> None:
    """A known origin is named, an unknown one gets no header, and a preflight is answered without the database."""
    known, other = ((b"origin", b"https://app.example"),), ((b"origin", b"https://elsewhere.example"),)
    assert (await ask(engine, "GET", "/nowhere", headers=known))[1]["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in (await ask(engine, "GET", "/nowhere", headers=other))[1]
    asking = (*known, (b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"X-Own, , Accept"))
    status, headers, _ = await ask(engine, "OPTIONS", "/nowhere", headers=asking)
    assert status == 200
    assert headers["access-control-allow-headers"] == "Authorization, X-Own, Accept, Accept-Language, Content-Language"


async def test_without_a_list_every_origin_may_call(database: Any) -> None:
    """No list and an empty one say the same: anybody, but without credentials."""
    origin = ((b"origin", b"https://elsewhere.example"),)
    for allowed in (None, ()):
        async with await Engine.open(database.login_dsn, EngineConfig(db_pool=1, server_cors_allowed_origins=allowed)) as engine:
            headers = (await ask(engine, "GET", "/nowhere", headers=origin))[1]
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers
        assert "x-request-id" not in headers


async def test_heads_are_read_as_servers_hand_them_over(engine: Engine) -> None:
    """A trace header comes back, blank when there was none; cookies are joined, Prefer may be repeated, bytes that are no UTF-8 pass."""
    heads = (
        (b"X-Request-Id", b"abc-1"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"prefer", b"count=exact"), (b"prefer", b"return=minimal"),
        (b"accept-profile", b"\xff"),
    )  # fmt: skip
    status, headers, _ = await ask(engine, "GET", "/users", headers=heads)
    assert (status, headers["x-request-id"]) == (406, "abc-1")
    status, headers, body = await ask(engine, "GET", "/", headers=((b"authorization", b"Bearer a.b.c"), (b"x-request-id", b"abc-2")))
    assert (status >= 400, headers["x-request-id"]) == (True, "abc-2")
    assert [(await ask(engine, "HEAD", path))[1]["x-request-id"] for path in ("/", "/nowhere")] == ["", ""]
    assert b"PGRST" in body


async def test_a_mount_point_is_taken_off_the_path(engine: Engine) -> None:
    """Under `/db` the engine reads the path behind it, raw as it came."""
    mounted = await ask(engine, "GET", "/db/nowhere", root_path="/db", raw_path=b"/db/nowhere?x=1")
    assert (mounted[0], b"nowhere" in mounted[2], b"/db" in mounted[2]) == (404, True, False)
    assert (await ask(engine, "HEAD", "/db", root_path="/db"))[2] == b""


async def test_start_and_stop_are_acknowledged_and_other_protocols_ignored(engine: Engine) -> None:
    """The engine is opened by its owner; a server's lifespan and a websocket change nothing."""
    waiting, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await engine.asgi({"type": "lifespan"}, receive, send)
    await engine.asgi({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
