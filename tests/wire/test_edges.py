"""The rarer ends of an exchange on a real socket: wrong packing, an exchange that is used after its end."""

import math

import anyio
import pytest

from dealquest.errors import DealQuestError, LimitError, PeerGarbledError, PeerUnavailableError
from dealquest.wire import HttpRequest, NetworkTransport


def get(path: str, **changes: object) -> HttpRequest:
    return HttpRequest(method="GET", url=path, **changes)  # type: ignore[arg-type]  # a shorthand for tests


@pytest.mark.parametrize("path", ["/no-gzip", "/half-gzip"])
async def test_u3_wrong_packing_is_garbled(transport: NetworkTransport, path: str) -> None:
    """A body that only says that it is packed, and one whose packing ends too early, are never returned as whole."""
    with pytest.raises(PeerGarbledError) as caught:
        await transport.send(get(path))
    assert caught.value.code == "wire.encoding"


async def test_a_piece_that_unpacks_to_nothing_is_no_end(transport: NetworkTransport) -> None:
    """The packing's head alone gives no chunk, and reading goes on."""
    async with transport.stream(get("/slow-gzip")) as answer:
        chunks = [chunk async for chunk in answer.chunks()]
    assert b"".join(chunks) == b"packed" * 100
    assert all(chunks)


async def test_reading_after_the_end_is_an_error_and_ending_twice_is_none(transport: NetworkTransport) -> None:
    """An exchange that was left or hung up on gives no more bytes; leaving it again changes nothing."""
    async with transport.stream(get("/large")) as answer:
        pass
    with pytest.raises(PeerUnavailableError) as caught:
        await answer.read()
    assert caught.value.code == "wire.broken"
    answer.abort()
    answer.abort()
    async with transport.stream(get("/endless")) as answer:
        await anext(answer.chunks())
        answer.abort()
        with pytest.raises(DealQuestError):
            await answer.read()
    assert (await transport.send(get("/echo"))).status == 200


async def test_what_has_arrived_is_no_reason_to_go_on_after_the_end(transport: NetworkTransport) -> None:
    """A reader that comes back after its time is over gets the timeout, although pieces wait in the buffer."""
    async with transport.stream(get("/large", timeout_s=0.2)) as answer:
        await anext(answer.chunks())
        await anyio.sleep(0.3)
        with pytest.raises(LimitError) as caught:
            await answer.read()
    assert caught.value.code == "wire.timeout"


async def test_a_request_may_have_all_the_time_in_the_world(transport: NetworkTransport) -> None:
    """Without an end the answer is read, and each read may be given an end of its own."""
    assert (await transport.send(get("/echo", timeout_s=math.inf))).status == 200
    async with transport.stream(get("/drip", timeout_s=math.inf)) as answer:
        answer.limit_read(0.2)
        with pytest.raises(LimitError):
            await answer.read()
