"""A transport that answers from a script and fails on command.

It checks nothing about a request: a test looks at `requests` afterwards. It speaks no HTTP: for bytes
on a socket use a loopback server.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

import anyio
import anyio.lowlevel
import attrs
import msgspec

from dealquest.errors import DealQuestError, LimitError, PeerUnavailableError
from dealquest.wire import Headers, HttpRequest, HttpResponse, SystemTimer, Timer


@attrs.frozen
class Delay:
    """Nothing arrives for some seconds."""

    seconds: float


@attrs.frozen
class Hang:
    """Nothing arrives any more."""


@attrs.frozen
class Cut:
    """The connection breaks here."""

    error: DealQuestError = attrs.field(factory=lambda: PeerUnavailableError("The connection to the server broke.", code="wire.broken"))


BodyStep: TypeAlias = bytes | Delay | Hang | Cut


@attrs.frozen(kw_only=True)
class Step:
    """One scripted answer.

    Attributes:
        status: HTTP status.
        headers: Lower-case names.
        body: What arrives, in order.
        before: What happens before the head arrives: waiting, hanging or failing.
    """

    status: int = 200
    headers: Headers = ()
    body: Sequence[BodyStep] = ()
    before: Sequence[BodyStep] = ()


Script: TypeAlias = Step | DealQuestError | Callable[[HttpRequest], Step | Awaitable[Step]]


def answer_json(content: Any, *, status: int = 200, headers: Headers = ()) -> Step:
    """A whole JSON answer."""
    return Step(status=status, headers=(("content-type", "application/json"), *headers), body=(msgspec.json.encode(content),))


def answer_bytes(body: bytes, *, status: int = 200, content_type: str = "text/html", headers: Headers = ()) -> Step:
    """A whole answer of any kind."""
    return Step(status=status, headers=(("content-type", content_type), *headers), body=(body,))


def answer_events(*events: Any, status: int = 200, headers: Headers = ()) -> Step:
    """A stream of server-sent events.

    Args:
        *events: A mapping becomes a data line, with its `type` as the event's name where it has one; text becomes
            a data line as it stands; bytes are sent as they are; a `Delay`, `Hang` or `Cut` happens between events.
        status: HTTP status.
        headers: Lower-case names.
    """
    steps: list[BodyStep] = []
    for event in events:
        if isinstance(event, Mapping):
            name = b"event: " + str(event["type"]).encode() + b"\n" if "type" in event else b""
            steps.append(name + b"data: " + msgspec.json.encode(event) + b"\n\n")
        elif isinstance(event, str):
            steps.append(b"data: " + event.encode() + b"\n\n")
        else:
            steps.append(event)
    return Step(status=status, headers=(("content-type", "text/event-stream"), *headers), body=tuple(steps))


def fail(code: str = "wire.broken") -> DealQuestError:
    """A network failure in place of an answer: `wire.connect`, `wire.broken` or `wire.timeout`."""
    if code == "wire.timeout":
        return LimitError("No whole answer in time.", code=code, retryable=True)
    return PeerUnavailableError("The network failed.", code=code)


class ScriptedTransport:
    """Answers each request with the next step; the last one repeats when `repeat` is set.

    Args:
        *script: Answers, errors, or functions of the request.
        timer: A `FrozenClock`, so that delays and hangs take no real time.
        repeat: Whether the last step answers all further requests; else they fail the test.

    Attributes:
        requests: Every request that was sent, in order.
        open: Exchanges that are not closed yet; a leak when a test ends.
        closed_early: Exchanges that were closed before their body ended.
    """

    def __init__(self, *script: Script, timer: Timer | None = None, repeat: bool = False) -> None:
        self._script = list(script)
        self._timer = timer or SystemTimer()
        self._repeat = repeat
        self.requests: list[HttpRequest] = []
        self.open = 0
        self.closed_early = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing is held."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer with the next step, whole."""
        async with self.stream(request) as answer:
            return HttpResponse(status=answer.status, headers=answer.headers, body=await answer.read())

    def stream(self, request: HttpRequest) -> "_ScriptedExchange":
        """Answer with the next step, as it arrives."""
        return _ScriptedExchange(self, request)

    def _next(self, request: HttpRequest) -> Script:
        self.requests.append(request)
        if not self._script:
            raise AssertionError(f"the script is over, and request {len(self.requests)} has no answer")
        return self._script[0] if self._repeat and len(self._script) == 1 else self._script.pop(0)


class _ScriptedExchange:
    def __init__(self, transport: ScriptedTransport, request: HttpRequest) -> None:
        self._transport = transport
        self._request = request
        self._timer = transport._timer  # noqa: SLF001  # the exchange is the transport's other half
        self._steps: list[BodyStep] = []
        self._is_open = False
        self._ended = False
        self._seen = 0
        self._deadline = math.inf
        self.status = 0
        self.headers: Headers = ()

    async def __aenter__(self) -> Self:
        self._deadline = self._timer.monotonic() + self._request.timeout_s
        scripted = self._transport._next(self._request)  # noqa: SLF001  # as above
        await anyio.lowlevel.checkpoint()
        if isinstance(scripted, DealQuestError):
            raise scripted
        step = scripted if isinstance(scripted, Step) else scripted(self._request)
        if not isinstance(step, Step):
            step = await step
        self._is_open = True
        self._transport.open += 1
        try:
            for before in step.before:
                await self._play(before)
        except BaseException:
            self.abort()
            raise
        self.status, self.headers, self._steps = step.status, step.headers, list(step.body)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()

    def abort(self) -> None:
        """Hang up at once."""
        if self._is_open:
            self._is_open = False
            self._transport.open -= 1
            self._transport.closed_early += not self._ended

    async def _play(self, step: BodyStep) -> bytes:
        match step:
            case bytes():
                return step
            case Cut(error):
                raise error
            case Delay() | Hang():
                wanted = step.seconds if isinstance(step, Delay) else math.inf
                left = self._deadline - self._timer.monotonic()
                await self._timer.sleep(min(wanted, left))
                if wanted > left:
                    raise LimitError(f"No whole answer within {self._request.timeout_s:g} s.", code="wire.timeout", retryable=True)
        return b""

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self._steps:
            if chunk := await self._play(self._steps.pop(0)):
                self._seen += len(chunk)
                if self._seen > self._request.max_bytes:
                    raise LimitError(f"The answer is larger than {self._request.max_bytes} bytes.", code="wire.too_large")
                await anyio.lowlevel.checkpoint()
                return chunk
        self._ended = True
        raise StopAsyncIteration

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])
