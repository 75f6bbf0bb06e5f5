"""One attempt on one route: take a slot, send, read, judge. Retries and routes are the journey's business.

A stream is opened here up to its first piece of content, so that everything before it can still be
tried again; from then on `OpenAnswer` reads it, and nothing is asked twice.
"""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from importlib import import_module
from typing import Protocol

import anyio
import attrs

from dealquest.errors import DealQuestError, LimitError, PeerGarbledError, StreamInterruptedError
from dealquest.values import Usage
from dealquest.wire import Headers, HttpRequest, HttpStream, SseDecoder, SseEvent, Timer, Transport, find_header

from .failures import Failure, judge_answer, judge_error, judge_garbled, judge_timeout
from .messages import Ask, Completion, Done, Event, ReasoningDelta, TextDelta, ToolCallReady
from .routes import Route

MAX_ERROR_BYTES = 256 * 1024
LINGER_S = 2.0
DRAIN_S = 0.2
_CONTENT = (TextDelta, ReasoningDelta, ToolCallReady)


@attrs.frozen(kw_only=True)
class Limits:
    """How long and how much. Times in seconds.

    Attributes:
        deadline_s: A whole call: all attempts, waits and fallbacks.
        research_deadline_s: The same for web research.
        first_content_s: Until the first piece of content of a stream; comments and pings are none.
        reasoning_first_content_s: The same when reasoning was asked for.
        progress_s: Between two pieces of content.
        max_concurrent: Calls under way at one time; further ones wait inside their deadline.
        max_answer_bytes: Largest answer that is read.
        hedge_after_s: When set, a second route is asked too if the first has not begun to answer by then.
    """

    deadline_s: float = 60.0
    research_deadline_s: float = 180.0
    first_content_s: float = 30.0
    reasoning_first_content_s: float = 60.0
    progress_s: float = 20.0
    max_concurrent: int = 64
    max_answer_bytes: int = 16 * 1024 * 1024
    hedge_after_s: float | None = None


class StreamReader(Protocol):
    """What every dialect's stream reader offers."""

    failure: Failure | None
    finished: bool
    request_id: str

    @property
    def text(self) -> str: ...

    @property
    def usage(self) -> Usage: ...

    @property
    def complete(self) -> bool: ...

    @property
    def has_content(self) -> bool: ...

    def feed(self, event: SseEvent) -> list[Event]: ...

    def completion(self) -> Completion: ...


class Codec(Protocol):
    """One dialect."""

    def encode(self, ask: Ask, route: Route, *, stream: bool, max_bytes: int) -> HttpRequest: ...

    def decode(self, headers: Headers, body: bytes, ask: Ask, *, now: datetime) -> Completion | Failure: ...

    def open_stream(self, headers: Headers, ask: Ask, *, now: datetime) -> StreamReader: ...


def _codec(route: Route) -> Codec:
    # A program speaks one dialect as a rule, and loads that one.
    codec: Codec = import_module(f".{route.provider.dialect}_wire", __package__)
    return codec


class Sender:
    """Sends attempts over one transport, within a number of slots.

    The slots stand in front of the connection pool, so a cancelled call gives back its slot here and
    never leaves a half-taken connection behind.
    """

    def __init__(self, transport: Transport, timer: Timer, limits: Limits) -> None:
        self._transport = transport
        self._timer = timer
        self._limits = limits
        self._slots = anyio.Semaphore(limits.max_concurrent, fast_acquire=True)

    @property
    def free_slots(self) -> int:
        """Calls that may begin now."""
        return self._slots.value

    async def send(self, ask: Ask, route: Route, limit_s: float) -> Completion | Failure:
        """Ask for a whole answer."""
        codec = _codec(route)
        request = codec.encode(ask, route, stream=False, max_bytes=self._limits.max_answer_bytes)
        is_sent, answer = False, None
        with self._timer.limit(limit_s):
            async with self._slots:
                is_sent = True
                try:
                    answer = await self._transport.send(request)
                except DealQuestError as exc:
                    return judge_error(exc)
        if answer is None:
            return judge_timeout(limit_s) if is_sent else _no_slot(limit_s)
        if answer.status != 200:
            return judge_answer(answer.status, answer.headers, answer.body, now=self._timer.now())
        return codec.decode(answer.headers, answer.body, ask, now=self._timer.now())

    async def open(self, ask: Ask, route: Route, limit_s: float) -> "OpenAnswer | Failure":
        """Ask for a stream and read it up to its first piece of content."""
        first_s = self._limits.first_content_s if ask.reasoning is None else self._limits.reasoning_first_content_s
        wait_s = min(limit_s, first_s)
        codec = _codec(route)
        request = codec.encode(ask, route, stream=True, max_bytes=self._limits.max_answer_bytes)
        answer = OpenAnswer(ask, self._timer, self._limits)
        failure: Failure | None = None
        try:
            with self._timer.limit(wait_s) as limit:
                await self._slots.acquire()
                answer.holds(self._slots.release)
                try:
                    failure = await answer.begin(self._transport.stream(request), codec)
                except DealQuestError as exc:
                    failure = judge_error(exc)
            if limit.expired:
                failure = judge_timeout(wait_s, "No content") if answer.is_holding else _no_slot(wait_s)
        except BaseException:
            answer.abort()
            raise
        if failure is None:
            return answer
        await answer.close()
        return failure


def _no_slot(seconds: float) -> Failure:
    error = LimitError(f"Too many calls are under way; none ended within {seconds:.3g} s.", code="llm.busy", retryable=True)
    return Failure(error=error, verdict="stop")


class OpenAnswer:
    """A stream that has begun to answer. It holds a connection and a slot until it is closed or aborted.

    Attributes:
        events: What was read and not yet handed on; `Done` is always the last.
        error: Why there will be no `Done`, to be raised after the events.
    """

    def __init__(self, ask: Ask, timer: Timer, limits: Limits) -> None:
        self._ask = ask
        self._timer = timer
        self._limits = limits
        self._give_back: Callable[[], None] | None = None
        self._context: AbstractAsyncContextManager[HttpStream] | None = None
        self._http: HttpStream | None = None
        self._limit_read: Callable[[float], None] | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._sse = SseDecoder()
        self._reader: StreamReader | None = None
        self._progress_at = 0.0
        self.events: deque[Event] = deque()
        self.error: StreamInterruptedError | None = None
        self.is_over = False

    def holds(self, give_back: Callable[[], None]) -> None:
        """A slot was taken for this answer."""
        self._give_back = give_back

    @property
    def request_id(self) -> str:
        """The provider's id of this answer; empty until it was seen."""
        return self._reader.request_id if self._reader is not None else ""

    @property
    def is_holding(self) -> bool:
        """Whether a slot is held."""
        return self._give_back is not None

    async def begin(self, context: AbstractAsyncContextManager[HttpStream], codec: Codec) -> Failure | None:
        """Read up to the first piece of content, or say why there is none."""
        self._http = http = await context.__aenter__()
        self._limit_read = getattr(http, "limit_read", None)
        self._context = context
        now = self._timer.now()
        if http.status != 200:
            return judge_answer(http.status, http.headers, await self._read_some(http), now=now)
        if not (find_header(http.headers, "content-type") or "").startswith("text/event-stream"):
            return self._take_whole(codec.decode(http.headers, await http.read(), self._ask, now=now))
        self._reader = reader = codec.open_stream(http.headers, self._ask, now=now)
        self._source = http.chunks()
        while not any(isinstance(event, _CONTENT) for event in self.events):
            await self._read_chunk(reader)
            if reader.failure is not None:
                return reader.failure
            if reader.finished and not (reader.complete and reader.has_content):
                code = "llm.answer.empty" if reader.complete or not reader.text else "llm.answer.unfinished"
                return judge_garbled("The provider's stream ended without an answer.", code=code, received=reader.text)
        self._progress_at = self._timer.monotonic() + self._limits.progress_s
        self._end_if_whole(reader)
        return None

    async def _read_some(self, http: HttpStream) -> bytes:
        body = bytearray()
        async for chunk in http.chunks():
            body += chunk
            if len(body) > MAX_ERROR_BYTES:
                break
        return bytes(body)

    def _take_whole(self, answer: Completion | Failure) -> Failure | None:
        # Some servers ignore "stream" and answer whole.
        if isinstance(answer, Failure):
            return answer
        if answer.text:
            self.events.append(TextDelta(answer.text))
        self.events.extend(ToolCallReady(call) for call in answer.tool_calls)
        self.events.append(Done(answer))
        self.is_over = True
        return None

    async def _read_chunk(self, reader: StreamReader) -> None:
        """Read once."""
        assert self._source is not None
        chunk = await anext(self._source, None)
        if chunk is None:
            reader.finished = True
            return
        for event in self._sse.feed(chunk):
            self.events += reader.feed(event)
            if reader.failure is not None or reader.finished:
                return

    async def read_on(self, deadline_at: float) -> None:
        """Read once more and add to `events`.

        Raises:
            StreamInterruptedError: `llm.stream.interrupted`, once all events were taken, when there will be no `Done`.
        """
        if self.error is not None:
            raise self.error
        reader = self._reader
        assert reader is not None
        known = len(self.events)
        now = self._timer.monotonic()
        # After the finish reason only the bill is awaited, and not for long.
        until = min(now + LINGER_S if reader.complete else self._progress_at, deadline_at)
        try:
            is_late = await self._read_within(reader, until - now)
            cause = judge_timeout(until - now, "No further content").error if is_late else None
        except DealQuestError as exc:
            cause = exc
        if reader.failure is not None:
            cause = reader.failure.error
        if cause is not None and reader.complete:
            reader.finished = True
        if not self._end_if_whole(reader) and (cause is not None or reader.finished):
            self._interrupt(reader, cause)
        elif len(self.events) > known:
            self._progress_at = self._timer.monotonic() + self._limits.progress_s

    async def _read_within(self, reader: StreamReader, seconds: float) -> bool:
        """Read once; True when the time was over before."""
        if self._limit_read is not None and seconds > 0:
            # The network transports keep time inside the socket read, which costs less than a scope around every chunk.
            self._limit_read(seconds)
            await self._read_chunk(reader)
            return False
        with self._timer.limit(seconds) as limit:
            await self._read_chunk(reader)
        return limit.expired

    def _end_if_whole(self, reader: StreamReader) -> bool:
        if reader.finished and reader.complete and reader.failure is None:
            self.events.append(Done(reader.completion()))
            self.is_over = True
        return self.is_over

    def _interrupt(self, reader: StreamReader, cause: DealQuestError | None) -> None:
        why = cause or PeerGarbledError("The stream ended without its end marker.", code="llm.answer.unfinished")
        self.error = StreamInterruptedError(
            f"The answer broke off after {len(reader.text)} characters ({why.code}); nothing was asked again.",
            code="llm.stream.interrupted",
            received=reader.text,
            usage=reader.usage,
            request_id=reader.request_id,
        )
        self.error.__cause__ = why
        self.is_over = True

    async def close(self) -> None:
        """Hang up; a stream that ended well leaves its connection for the next call."""
        context, self._context = self._context, None
        try:
            if self.is_over and self.error is None and self._source is not None:
                with self._timer.limit(DRAIN_S), contextlib.suppress(DealQuestError):
                    while await anext(self._source, None) is not None:
                        pass
            if context is not None:
                await context.__aexit__(None, None, None)
        except BaseException:
            self._hang_up()
            raise
        finally:
            self._release()

    def abort(self) -> None:
        """Hang up at once, without waiting; the way out for an answer that nobody listens to any more."""
        if self._context is not None:
            self._context = None
            self._hang_up()
        self._release()

    def _hang_up(self) -> None:
        abort = getattr(self._http, "abort", None)
        if abort is not None:
            abort()

    def _release(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()
