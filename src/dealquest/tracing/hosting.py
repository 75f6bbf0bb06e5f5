"""Run sinks that need an event loop: on the host's own, for as long as the collector is open."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from .sinks.protocol import Sink


@asynccontextmanager
async def host_sinks(sinks: Sequence[Sink]) -> AsyncIterator[None]:
    """Give every sink that has a `run` a task of this event loop; ends them when left."""
    async with anyio.create_task_group() as tasks:
        for sink in sinks:
            run = getattr(sink, "run", None)
            if run is not None and not getattr(sink, "own_thread", False):
                await tasks.start(run)
        yield
        tasks.cancel_scope.cancel()


async def close_in_thread(close: Callable[[], object]) -> None:
    """Close without stopping the event loop: a sink may need it to deliver the rest. Cancellation waits for the deadline inside."""
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(close)
