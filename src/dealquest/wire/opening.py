"""Choose the transport for this process: aiohttp where it is installed and asyncio runs, else httpx."""

from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from .loops import is_trio_running
from .messages import Headers, Transport


@runtime_checkable
class NetworkTransport(Transport, Protocol):
    """A transport that owns connections and must be closed."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def open_transport(base_url: str = "", *, headers: Headers = (), trust_env: bool = False) -> NetworkTransport:
    """Open the faster transport that works here; call it where the event loop runs.

    Args:
        base_url: Prefix for requests whose URL is a path; comes from the operator, never from a request.
        headers: Sent with every request unless the request has its own; credentials belong here.
        trust_env: Whether HTTP_PROXY and its kin count. Off by default.
    """
    if find_spec("aiohttp") is not None and not is_trio_running():
        from .aiohttp_client import AiohttpTransport  # noqa: PLC0415  # an optional library

        return AiohttpTransport(base_url, headers=headers, trust_env=trust_env)
    from .client import HttpxTransport  # noqa: PLC0415  # slow to import, loaded only when needed

    return HttpxTransport(base_url, headers=headers, trust_env=trust_env)


class TransportSource:
    """Where a client gets its transport from: the one it was handed, or one of its own, opened at the first call.

    Args:
        given: Stays open when this is closed. None: open one that works here.
    """

    def __init__(self, given: Transport | None) -> None:
        self._given = given
        self._own: NetworkTransport | None = None

    @property
    def has_own(self) -> bool:
        """Whether one of its own is open."""
        return self._own is not None

    def get(self) -> Transport:
        """The transport; call it where the event loop runs."""
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = open_transport()
        return self._own

    async def aclose(self) -> None:
        """Close the own one; the next call opens another."""
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()
