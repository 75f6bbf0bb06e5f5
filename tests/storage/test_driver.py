"""The engine's connection at its end: what it leaves alone."""

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import anyio
import psycopg
import pytest

from dealquest.errors import PeerUnavailableError
from dealquest.storage.engine.driver import Connection


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_dead_connection_leaves_the_next_owner_of_its_socket_number_alone(database: Any) -> None:
    """After PostgreSQL hung up, closing the connection does not deafen whoever was given the same socket number since."""
    connection = await Connection.open(database.login_dsn)
    number = connection._socket
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("select pg_terminate_backend(%s)", [connection.backend_pid])
    with anyio.fail_after(5):
        while connection.is_alive():  # noqa: ASYNC110  # the loop tells the connection, and nobody else
            await anyio.sleep(0.01)
    with ExitStack() as stack:
        ends = [end for _ in range(8) for end in socket.socketpair()]
        for end in ends:
            stack.enter_context(end)
        heir = next(place for place, end in enumerate(ends) if end.fileno() == number)
        reader, writer = await asyncio.open_connection(sock=ends[heir])
        connection.close()
        ends[heir ^ 1].sendall(b"still here\n")
        with anyio.fail_after(5):
            assert await reader.readline() == b"still here\n"
        writer.close()
        await writer.wait_closed()


async def test_a_failed_connection_says_why_and_not_where() -> None:
    """What callers over HTTP may read holds the reason as a sentence, not the database's address."""
    with pytest.raises(PeerUnavailableError) as caught:
        await Connection.open("host=127.0.0.1 port=9 dbname=none")
    assert caught.value.message.startswith("PostgreSQL cannot be reached: ")
    assert caught.value.message.endswith(".")
    assert "127.0.0.1" not in caught.value.message
