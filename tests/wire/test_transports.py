"""One suite for every network transport: what `Transport` promises holds on a real socket."""

import time
from collections.abc import AsyncIterator

import anyio
import pytest

from dealquest.errors import DealQuestError, InputError, LimitError, PeerGarbledError, PeerUnavailableError
from dealquest.wire import AiohttpTransport, HttpRequest, HttpxTransport, NetworkTransport, find_header, open_transport

from .conftest import Upstream

CANARY = "sk-canary-0123456789"


def get(path: str, **changes: object) -> HttpRequest:
    return HttpRequest(method="GET", url=path, **changes)  # type: ignore[arg-type]  # a shorthand for tests


async def test_a_request_arrives_as_it_was_given(transport: NetworkTransport) -> None:
    """Method, path with its encoding, headers and body reach the server unchanged."""
    answer = await transport.send(HttpRequest(method="POST", url="/echo?a=in.(%221%22)&b=x%2Cy", headers=(("x-own", "1"),), body=b"body"))
    seen = answer.json()
    assert answer.status == 200
    assert seen["path"] == "/echo?a=in.(%221%22)&b=x%2Cy"
    assert seen["body"] == "body"
    assert seen["headers"]["x-own"] == "1"
    assert seen["headers"]["x-base"] == "yes"


async def test_a_body_may_be_a_source(transport: NetworkTransport) -> None:
    """A body that is yielded piece by piece is sent whole."""

    async def source() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    answer = await transport.send(HttpRequest(method="POST", url="/echo", headers=(("content-length", "6"),), body=source()))
    assert answer.json()["body"] == "onetwo"


async def test_packed_answers_are_unpacked(transport: NetworkTransport) -> None:
    """A gzip body arrives as it was before packing."""
    assert (await transport.send(get("/gzip"))).body == b"packed" * 100


@pytest.mark.parametrize("path", ["/bomb", "/large", "/endless"])
async def test_u4_answers_are_capped_on_the_decoded_side(transport: NetworkTransport, path: str) -> None:
    """A body beyond `max_bytes` raises, also when it is small on the wire or has no end."""
    with pytest.raises(LimitError) as caught:
        await transport.send(get(path, max_bytes=100_000))
    assert caught.value.code == "wire.too_large"


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/reset", PeerUnavailableError, "wire.broken"),
        ("/drop", PeerUnavailableError, "wire.broken"),
        ("/cut", PeerUnavailableError, "wire.broken"),
        ("/garbage", PeerGarbledError, "wire.garbled"),
        ("/brotli", PeerGarbledError, "wire.encoding"),
    ],
)
async def test_u3_every_broken_answer_has_its_error(transport: NetworkTransport, path: str, kind: type[DealQuestError], code: str) -> None:
    """What the peer does wrong arrives as one of our errors, with its code."""
    with pytest.raises(kind) as caught:
        await transport.send(get(path))
    assert caught.value.code == code


@pytest.mark.parametrize("path", ["/hang", "/drip"])
async def test_p8_time_is_bounded_for_the_whole_exchange(transport: NetworkTransport, path: str) -> None:
    """A server that hangs or drips is given up when `timeout_s` is over, not later."""
    started = time.monotonic()
    with pytest.raises(LimitError) as caught:
        await transport.send(get(path, timeout_s=0.3))
    assert caught.value.code == "wire.timeout"
    assert time.monotonic() - started < 1.5


async def test_n1_a_refused_connection_is_a_connect_error(transport: NetworkTransport) -> None:
    """Nobody listening, and a name that does not resolve, are `wire.connect`: nothing was sent."""
    for url in ("http://127.0.0.1:9/x", "http://nobody.invalid/x"):
        with pytest.raises(PeerUnavailableError) as caught:
            await transport.send(get(url, timeout_s=30.0))
        assert caught.value.code == "wire.connect"


async def test_g3_redirects_and_cookies_are_not_followed(transport: NetworkTransport) -> None:
    """A redirect is an answer like any other, and a cookie is not sent back."""
    answer = await transport.send(get("/redirect"))
    assert (answer.status, answer.header("location")) == (302, "/echo")
    assert find_header((await transport.send(get("/cookie"))).headers, "set-cookie") == "taste=sweet"
    assert "cookie" not in (await transport.send(get("/echo"))).json()["headers"]


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b"])
async def test_g3_a_header_cannot_be_broken_out_of(transport: NetworkTransport, upstream: Upstream, value: str) -> None:
    """A line break in a header's value is refused before anything is sent."""
    with pytest.raises(InputError) as caught:
        await transport.send(get("/echo", headers=(("x-key", value),)))
    assert caught.value.code == "wire.bad_request"
    assert upstream.requests == 0


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://", "nonsense"])
async def test_a_malformed_address_is_the_callers_fault(transport: NetworkTransport, url: str) -> None:
    """An address that is none raises `InputError`."""
    with pytest.raises(InputError):
        await transport.send(get(url))


async def test_g1_no_error_shows_address_or_header(transport: NetworkTransport) -> None:
    """Errors of every kind keep the key and the address to themselves."""
    for path in ("/reset", "/cut", "/garbage", "/hang"):
        with pytest.raises(DealQuestError) as caught:
            await transport.send(get(f"{path}?key={CANARY}", headers=(("authorization", CANARY),), timeout_s=0.3))
        assert CANARY not in str(caught.value) + repr(caught.value)


async def test_proxies_of_the_environment_do_not_count(upstream: Upstream, monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> None:
    """HTTP_PROXY is ignored unless `trust_env` is set."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    kinds = [HttpxTransport] if anyio_backend == "trio" else [HttpxTransport, AiohttpTransport]
    for kind in kinds:
        async with kind(upstream.url) as plain:
            assert (await plain.send(get("/echo"))).status == 200
        async with kind(upstream.url, trust_env=True) as trusting:
            with pytest.raises(PeerUnavailableError):
                await trusting.send(get("/echo"))


async def test_a_stream_is_read_as_it_arrives(transport: NetworkTransport) -> None:
    """Status and headers come first, then the chunks, then the end."""
    async with transport.stream(get("/events")) as answer:
        assert answer.status == 200
        assert b"".join([chunk async for chunk in answer.chunks()]) == b"onetwothree"


async def test_connections_are_reused(transport: NetworkTransport, upstream: Upstream) -> None:
    """Answers that were read to their end leave the connection for the next request."""
    for _ in range(5):
        await transport.send(get("/echo"))
        async with transport.stream(get("/events")) as answer:
            assert await answer.read() == b"onetwothree"
    assert upstream.connections == 1


async def test_n2_a_stale_connection_is_not_used(transport: NetworkTransport, upstream: Upstream) -> None:
    """A connection that the server closed while it was idle is replaced without an error."""
    for _ in range(3):
        assert (await transport.send(get("/once"))).body == b"bye"
        await upstream.wait_for_open(0)
        await anyio.sleep(0.05)
    assert upstream.connections == 3


async def test_leaving_a_stream_hangs_up(transport: NetworkTransport, upstream: Upstream) -> None:
    """A stream that is left early closes its connection, so that the server stops working."""
    async with transport.stream(get("/endless")) as answer:
        await anext(answer.chunks())
    await upstream.wait_for_open(0)


async def test_a_stream_can_be_dropped_without_waiting(transport: NetworkTransport, upstream: Upstream) -> None:
    """`abort` hangs up at once from code that cannot await, and the transport works on."""
    answer = await transport.stream(get("/endless")).__aenter__()
    await anext(answer.chunks())
    answer.abort()  # type: ignore[attr-defined]  # the network transports' own addition
    await upstream.wait_for_open(0)
    assert (await transport.send(get("/echo"))).status == 200


async def test_p11_cancelled_calls_cost_no_connection(transport: NetworkTransport, upstream: Upstream) -> None:
    """After many cancelled calls to a hanging server the next calls succeed and nothing stays open (A1)."""
    for _ in range(5):
        with anyio.move_on_after(0.05):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(transport.send, get("/hang"))
    with anyio.fail_after(5):
        for _ in range(30):
            assert (await transport.send(get("/echo"))).status == 200
        await upstream.wait_for_open(1)


async def test_a2_cancelled_anywhere_nothing_is_lost(transport: NetworkTransport, upstream: Upstream) -> None:
    """A call cancelled at the n-th checkpoint leaves the transport whole, for every n."""
    for delay in range(25):
        with anyio.CancelScope() as scope:

            async def cancel_later(scope: anyio.CancelScope = scope, delay: int = delay) -> None:
                for _ in range(delay):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(cancel_later)
                await transport.send(get("/echo"))
    with anyio.fail_after(3):
        assert (await transport.send(get("/echo"))).status == 200
        await upstream.wait_for_open(1)


async def test_no_more_connections_than_allowed(upstream: Upstream, anyio_backend: str) -> None:
    """Requests beyond the limit wait for a place instead of opening another connection."""
    async with HttpxTransport(upstream.url, max_lanes=3) as over_httpx, anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(over_httpx.send, get("/echo"))
    assert upstream.connections <= 3
    if anyio_backend == "asyncio":
        async with AiohttpTransport(upstream.url, max_connections=3) as over_aiohttp, anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(over_aiohttp.send, get("/echo"))
        assert upstream.connections <= 6


async def test_the_faster_transport_is_chosen(anyio_backend: str) -> None:
    """aiohttp where asyncio runs, httpx on trio."""
    async with open_transport() as chosen:
        assert isinstance(chosen, AiohttpTransport if anyio_backend == "asyncio" else HttpxTransport)
