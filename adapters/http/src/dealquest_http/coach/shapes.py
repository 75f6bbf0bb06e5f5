"""What callers send the coach and what they get, as JSON. Pure."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from dealquest.coach import PASS_MARK, RANKS, Delivery, Pack, xp_at_level
from dealquest.coach.dialogue import Reply

MAX_TEXT = 20_000

EventName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}$")]


class Upload(Struct, rename="camel"):
    """A photo or a voice message, inside the request.

    Attributes:
        data: Base64.
        type: Its media type.
        duration_s: How long a voice message is.
    """

    data: Annotated[str, Meta(min_length=4)]
    type: Literal["image/jpeg", "image/png", "image/webp", "audio/ogg", "audio/mpeg", "audio/mp4", "audio/wav", "audio/webm"]
    duration_s: Annotated[float, Meta(ge=0, le=7200)] | None = None


class EventRequest(Struct, rename="camel"):
    """The body of `POST /api/coach/events`.

    Attributes:
        id: The caller's own name of the event, such as a uuid; the same id is the same event.
        kind: A text, a pressed button, a conversation that is opened, or an upload.
        text: The words, the caption, or the button's data.
        media: What a `voice` or `photo` consists of.
    """

    id: EventName
    kind: Literal["text", "button", "hello", "voice", "photo"] = "text"
    text: Annotated[str, Meta(max_length=MAX_TEXT)] = ""
    media: Upload | None = None


class SeenRequest(Struct):
    """The body of `POST /api/coach/replies/seen`: every reply up to this id was shown."""

    through: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class ShownSpan(Struct, omit_defaults=True):
    """A style over `length` Unicode characters (not UTF-16 units) from `offset`."""

    style: str
    offset: int
    length: int
    url: str | None = None


class ShownButton(Struct):
    """A choice; its `data` is the text of a `button` event."""

    label: str
    data: str


class ShownDocument(Struct, rename="camel"):
    """A file to offer."""

    name: str
    content: str
    media_type: str


class ShownReply(Struct, omit_defaults=True):
    """One message of the coach.

    Attributes:
        id: Grows with every reply; what `seen` names.
        event: Number of the event that it answers.
        text: The words, without markup.
        spans: How they are styled.
        buttons: Rows of choices.
        edit: Whether it may replace the message whose button was pressed.
        document: A file that comes with it.
    """

    id: int
    event: int
    text: str
    spans: list[ShownSpan] = []
    buttons: list[list[ShownButton]] = []
    edit: bool = False
    document: ShownDocument | None = None


class RepliesAnswer(Struct):
    """Replies in order; `pending` means that the turn goes on, and `GET /api/coach/replies` brings its end."""

    replies: list[ShownReply]
    pending: bool = False


class SeenAnswer(Struct):
    """How many replies that were new."""

    seen: int


class ShownLevel(Struct):
    """A level of a track."""

    id: str
    name: str


class ShownTrack(Struct):
    """A track of lessons."""

    id: str
    name: str
    description: str
    levels: list[ShownLevel]


class Outline(Struct, rename="camel"):
    """What can be learned, and the rules of the game.

    Attributes:
        tracks: The lessons, in order.
        practice: How many practice scenarios there are.
        pass_mark: Points from which a level is completed.
        ranks: Names of the levels, from 1; the last one stays.
        level_xp: XP at which each of those levels begins.
    """

    tracks: list[ShownTrack]
    practice: int
    pass_mark: int
    ranks: list[str]
    level_xp: list[int]


def show_deliveries(deliveries: Sequence[Delivery], *, pending: bool = False) -> RepliesAnswer:
    """Replies as callers see them."""
    return RepliesAnswer([_show(delivery.id, delivery.update_id, delivery.reply) for delivery in deliveries], pending=pending)


def show_outline(pack: Pack) -> Outline:
    """The pack's outline."""
    tracks = [
        ShownTrack(track.id, track.name, track.description, [ShownLevel(level.id, level.name) for level in track.levels])
        for track in pack.tracks
    ]
    return Outline(
        tracks=tracks,
        practice=len(pack.practice),
        pass_mark=PASS_MARK,
        ranks=list(RANKS),
        level_xp=[xp_at_level(level) for level in range(1, len(RANKS) + 1)],
    )


def _show(reply_id: int, event: int, reply: Reply) -> ShownReply:
    spans = [ShownSpan(span.style, span.offset, span.length, span.url) for span in reply.text.spans]
    rows = [[ShownButton(button.label, button.data) for button in row] for row in reply.buttons]
    document = None if reply.document is None else ShownDocument(reply.document.name, reply.document.content, reply.document.media_type)
    return ShownReply(reply_id, event, reply.text.plain, spans, rows, edit=reply.edit, document=document)
