"""How often one address may ask: a fixed window, counted in this process.

The window is generous and only ends floods; what must hold exactly over all workers (sign-in tries) is
counted in the database. Addresses are bounded: with too many at once the oldest windows are forgotten.
"""

import math

from starlette.types import ASGIApp, Receive, Scope, Send

from dealquest.errors import LimitError
from dealquest.values import Clock
from dealquest_http.answers import answer_error

from .addresses import counted_as

WINDOW_S = 15 * 60.0
MAX_ADDRESSES = 50_000


class RateLimit:
    """Refuses with 429 and `Retry-After`.

    Args:
        app: What is guarded.
        clock: For the windows.
        limit: Requests of one address in a window; 0 for no limit.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, limit: int) -> None:
        self._app = app
        self._clock = clock
        self._limit = limit
        self._windows: dict[str, list[float]] = {}  # address: end of its window, requests in it; oldest first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count it and pass it on."""
        wait_s = 0.0
        if self._limit > 0 and scope["type"] == "http":
            wait_s = self._count(counted_as(scope["state"]["client_address"]))
        if wait_s > 0:
            error = LimitError(
                f"This address may ask {self._limit} times in {WINDOW_S / 60:g} minutes.",
                code="http.rate",
                retryable=True,
                retry_after_s=math.ceil(wait_s),
            )
            await answer_error(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _count(self, address: str) -> float:
        """Seconds to wait; 0 when there is room."""
        now = self._clock.monotonic()
        window = self._windows.get(address)
        if window is None or window[0] <= now:
            self._windows.pop(address, None)
            if len(self._windows) >= MAX_ADDRESSES:
                del self._windows[next(iter(self._windows))]
            window = self._windows[address] = [now + WINDOW_S, 0]
        window[1] += 1
        return window[0] - now if window[1] > self._limit else 0.0
