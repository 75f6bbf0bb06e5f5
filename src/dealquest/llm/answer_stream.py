"""A streamed answer as its reader sees it: an async iterator that cleans up however it is left.

It is not an async generator on purpose: a generator that is dropped half-way is finalised by the event
loop at some later time and in another task; this object hangs up the moment nobody holds it.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from dealquest.errors import DealQuestError

from .messages import Completion, Done, Event
from .sending import OpenAnswer


class AnswerStream:
    """Iterate over it; `async with` closes it at a definite point, leaving the loop closes it too.

    Args:
        open_answer: Finds a route whose answer has begun.
        finish: Completes the final value and settles what is to be settled.
        fail: Is told when the stream ends in any other way.
    """

    def __init__(
        self,
        open_answer: Callable[[], Awaitable[tuple[OpenAnswer, float]]],
        finish: Callable[[Completion], Completion],
        fail: Callable[[BaseException | None], None],
    ) -> None:
        self._open_answer = open_answer
        self._finish = finish
        self._fail = fail
        self._answer: OpenAnswer | None = None
        self._deadline_at = 0.0
        self._is_over = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event; the last one is `Done`.

        Raises:
            StreamInterruptedError: `llm.stream.interrupted` when it broke off after its first piece.
            DealQuestError: as `Router.complete` raises, when no route began to answer.
        """
        if self._is_over:
            raise StopAsyncIteration
        try:
            if self._answer is None:
                self._answer, self._deadline_at = await self._open_answer()
            answer = self._answer
            while not answer.events:
                await answer.read_on(self._deadline_at)
        except DealQuestError as exc:
            self._end(exc)
            if self._answer is not None:
                await self._answer.close()
            raise
        except BaseException as exc:
            self._drop(exc)
            raise
        event = answer.events.popleft()
        if isinstance(event, Done):
            event = Done(self._finish(event.completion))
            self._is_over = True
            await answer.close()
        return event

    async def aclose(self) -> None:
        """Stop listening and hang up."""
        if not self._is_over:
            self._end(None)
            if self._answer is not None:
                await self._answer.close()

    def _end(self, error: BaseException | None) -> None:
        self._is_over = True
        self._fail(error)

    def _drop(self, error: BaseException | None) -> None:
        if not self._is_over:
            self._end(error)
        if self._answer is not None:
            self._answer.abort()

    def __del__(self) -> None:
        if not getattr(self, "_is_over", True):
            self._drop(None)
