"""One request, sent as often as is safe within one deadline: the only owner of retries for a database.

It decides nothing by itself: `render` says what is sent, `retry` what may be sent again, `answers` what came back.
"""

import random
from typing import TypeVar

import attrs

from dealquest.errors import DealQuestError, LimitError, PeerError
from dealquest.wire import Headers, HttpRequest, HttpResponse, RetryBudget, RetryPolicy, SystemTimer, Timer, Transport

from .answers import read_error
from .ast import Call, Describe, Request
from .dialects import DIALECTS, Dialect
from .render import render
from .retry import Safety, build_unknown_outcome, is_fate_known, may_repeat
from .rows import decode_rows, decode_value

T = TypeVar("T")

STORAGE_RETRIES = RetryPolicy(max_attempts=3, waits_s=(0.2, 1.0), least_attempt_s=0.2)


@attrs.frozen(kw_only=True)
class Session:
    """How requests reach one server; shared by every query.

    Attributes:
        transport: Where requests go.
        dialect: What the server understands.
        schema: The schema asked for unless a query says otherwise; None is the server's first.
        headers: Sent with every request.
        timeout_s: Seconds for a call, retries and waits included.
        max_bytes: Largest answer.
        row_limit: The server's own row limit, which cuts answers silently; None for a server without one.
        exact: Whether untyped numbers with a fraction become `Decimal`.
        policy: How often and how long.
        budget: What all calls together may spend on retries.
        timer: Where time comes from.
        rng: Where jitter comes from.
    """

    transport: Transport
    dialect: Dialect = DIALECTS["postgrest16"]
    schema: str | None = None
    headers: Headers = attrs.field(default=(), repr=False)
    timeout_s: float = 30.0
    max_bytes: int = 16 * 1024 * 1024
    row_limit: int | None = 1000
    exact: bool = False
    policy: RetryPolicy = STORAGE_RETRIES
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    timer: Timer = attrs.field(factory=SystemTimer)
    rng: random.Random = attrs.field(factory=random.Random)

    def read_rows(self, response: HttpResponse, row: type[T]) -> list[T]:
        """The rows of an answer, as this server writes them."""
        return decode_rows(response.body, row, lax=self.dialect.reads_doubles, exact=self.exact)

    def read_value(self, response: HttpResponse, kind: type[T]) -> T:
        """The one value of an answer."""
        return decode_value(response.body, kind, lax=self.dialect.reads_doubles, exact=self.exact)

    async def send(self, request: Request, *, safety: Safety) -> HttpResponse:
        """Send until it succeeds or may not be sent again.

        Raises:
            UnknownOutcomeError: `storage.write.unknown_outcome` for a write whose fate is not known.
            DealQuestError: What the server answered, by `errors`, or what the wire raised.
        """
        deadline = self.timer.monotonic() + self.timeout_s
        sent = self._render(request)
        attempts = 0
        doubtful = False
        while True:
            attempts += 1
            try:
                response = await self._send_once(sent, deadline - self.timer.monotonic(), again=attempts > 1)
            except (PeerError, LimitError) as exc:
                failure: DealQuestError = exc
            else:
                answered = read_error(response, now=self.timer.now())
                if answered is None:
                    self.budget.add_success()
                    return response
                failure = answered
            doubtful = doubtful or (safety != "read" and not is_fate_known(failure))
            wait_s = self._next_wait_s(failure, safety, attempts, deadline)
            if wait_s is None:
                if doubtful:
                    raise build_unknown_outcome(f"{type(request).__name__} of {_name(request)}", failure) from failure
                raise failure
            await self.timer.sleep(wait_s)

    def _render(self, request: Request) -> HttpRequest:
        rendered = render(request, self.dialect)
        url = rendered.url
        if len(url) > self.dialect.max_url_bytes:
            raise LimitError(
                f"The URL is {len(url)} bytes long and servers take {self.dialect.max_url_bytes}: split the list of values, "
                "or call a function by POST.",
                code="storage.request.url_too_long",
            )
        return HttpRequest(
            method=rendered.method,
            url=url,
            headers=rendered.headers + self.headers,
            body=rendered.payload.content,
            timeout_s=self.timeout_s,
            max_bytes=self.max_bytes,
        )

    async def _send_once(self, sent: HttpRequest, remaining_s: float, *, again: bool) -> HttpResponse:
        if remaining_s <= 0:
            raise LimitError(f"No answer within {self.timeout_s:g} s.", code="storage.timeout")
        return await self.transport.send(attrs.evolve(sent, timeout_s=remaining_s) if again else sent)

    def _next_wait_s(self, failure: DealQuestError, safety: Safety, attempts: int, deadline: float) -> float | None:
        if not may_repeat(failure, safety):
            return None
        remaining_s = deadline - self.timer.monotonic()
        wait_s = self.policy.next_wait_s(attempts, rng=self.rng, remaining_s=remaining_s, hint_s=failure.retry_after_s)
        if wait_s is None or not self.budget.take(after_timeout=failure.code == "wire.timeout"):
            return None
        return wait_s


def _name(request: Request) -> str:
    match request:
        case Call():
            return request.function
        case Describe():
            return "the root"
        case _:
            return request.relation
