"""The coach's routes. Who speaks, in which conversation and on which channel follows from the caller's proof alone."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest.coach.dialogue import Event
from dealquest.compose import pack_for
from dealquest.errors import DealQuestError
from dealquest_http.answers import answer_json
from dealquest_http.bodies import read_json
from dealquest_http.callers import require
from dealquest_http.described import describe
from dealquest_http.event_stream import EVENT_STREAM, EventStream, Push
from dealquest_http.shared import Shared, shared_of

from .conversation import Conversations
from .people import Seat, seat_of
from .shapes import EventRequest, Outline, RepliesAnswer, SeenAnswer, SeenRequest, show_deliveries, show_outline


def routes(shared: Shared) -> list[BaseRoute]:
    """The routes of this room."""
    coach = Coach(Conversations(shared.kit))
    return [
        Route("/api/coach/events", coach.events, methods=["POST"]),
        Route("/api/coach/replies", coach.replies, methods=["GET"]),
        Route("/api/coach/replies/seen", coach.seen, methods=["POST"]),
        Route("/api/coach/outline", coach.outline, methods=["GET"]),
    ]


class Coach:
    """The handlers.

    Args:
        conversations: Everybody's.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    @describe(takes=EventRequest, gives=RepliesAnswer, also=(202,), guard="user", streams=True)
    async def events(self, request: Request) -> Response:
        """Store an event and answer with its replies; 202 while its turn goes on elsewhere."""
        seat = await _seat(request)
        asked = await read_json(request, EventRequest)
        event = await self._conversations.receive(seat, asked)
        if EVENT_STREAM in request.headers.get("accept", ""):
            return EventStream(partial(self._tell, event), ends_with_caller=False)
        replies = await self._conversations.answer(event)
        if replies is None:
            return answer_json(show_deliveries((), pending=True), status=202)
        return answer_json(show_deliveries(replies))

    @describe(gives=RepliesAnswer, guard="user")
    async def replies(self, request: Request) -> Response:
        """Replies that were not acknowledged yet, oldest first."""
        seat = await _seat(request)
        return answer_json(show_deliveries(await self._conversations.waiting(seat)))

    @describe(takes=SeenRequest, gives=SeenAnswer, guard="user")
    async def seen(self, request: Request) -> Response:
        """Acknowledge replies."""
        seat = await _seat(request)
        asked = await read_json(request, SeenRequest)
        return answer_json(SeenAnswer(await self._conversations.acknowledge(seat, asked.through)))

    @describe(gives=Outline, guard="user")
    async def outline(self, request: Request) -> Response:
        """What can be learned, in the caller's language."""
        seat = await _seat(request)
        return answer_json(show_outline(pack_for(seat.person.language)))

    async def _tell(self, event: Event, push: Push) -> None:
        """The answer while it is written, then the replies; a failure here leaves the event stored and open."""

        async def show(text: str) -> None:
            await push({"partial": text})

        try:
            replies = await self._conversations.answer(event, on_partial=show)
        except DealQuestError as exc:
            await push({"error": True, "message": exc.message})
            return
        shown = show_deliveries(replies or (), pending=replies is None)
        await push({"replies": shown.replies, "pending": shown.pending})
        await push({"done": True})


async def _seat(request: Request) -> Seat:
    caller = await require(request, "authenticated")
    return await seat_of(caller, shared_of(request).kit)
