"""Connections that die at the worst moment, over real sockets (D2 as far as the client goes, P2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest

from dealquest.errors import UnknownOutcomeError
from dealquest.storage import Postgrest
from dealquest.wire import HttpxTransport

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n[{"
REST = b'"id":1}]'


class Flaky:
    """Reads whole requests; each one's fate comes from a list: answered, answered and then closed, cut, or closed unanswered."""

    def __init__(self, *fates: str) -> None:
        self.fates = list(fates)
        self.seen: list[bytes] = []

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            while True:
                try:
                    head = await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                if head.startswith(b"POST") and not head.rstrip().endswith(b"}"):
                    head += await stream.receive()
                self.seen.append(head.split(b" ", 1)[0])
                fate = self.fates.pop(0)
                if fate == "unanswered":
                    return
                await stream.send(ANSWER if fate == "cut" else ANSWER + REST)
                if fate != "answered":
                    return


@asynccontextmanager
async def client(flaky: Flaky) -> AsyncIterator[Postgrest]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, flaky.serve)
        async with HttpxTransport(f"http://127.0.0.1:{port}") as transport:
            yield Postgrest(transport)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("fate", ["unanswered", "cut"])
async def test_p2_d2_a_write_whose_connection_dies_is_sent_once_and_said(fate: str) -> None:
    """A write that was received and not, or only half, answered has an unknown fate: one request, one honest error."""
    flaky = Flaky(fate, "answered")
    async with client(flaky) as db:
        with pytest.raises(UnknownOutcomeError):
            await db.table("t").insert({"id": 1}).run()
    assert flaky.seen == [b"POST"]


@pytest.mark.parametrize("fate", ["unanswered", "cut"])
async def test_d2_a_read_outlives_a_dying_connection(fate: str) -> None:
    """A read, and a keyed write, are sent again, and half an answer is never taken for the whole."""
    flaky = Flaky(fate, "answered", fate, "answered")
    async with client(flaky) as db:
        assert await db.table("t").select().all() == [{"id": 1}]
        assert await db.table("t").upsert({"id": 1}, on="id").all() == [{"id": 1}]
    assert flaky.seen == [b"GET", b"GET", b"POST", b"POST"]


async def test_d2_a_connection_that_the_server_closed_is_not_used_for_a_write() -> None:
    """After the server closed an idle connection, the next write goes over a new one and is sent once."""
    flaky = Flaky("answered and closed", "answered")
    async with client(flaky) as db:
        await db.table("t").select().all()
        await anyio.sleep(0.1)
        await db.table("t").insert({"id": 1}).run()
    assert flaky.seen == [b"GET", b"POST"]
