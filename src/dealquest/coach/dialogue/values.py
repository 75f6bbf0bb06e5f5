"""What the dialogue takes and gives: events in, replies out, and the changes between, as plain values.

No transport and no database here; adapters translate, `coach.turns` stores.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

import attrs

from dealquest.coach.scorecard import ScoreCard

from .text import Text

EventKind: TypeAlias = Literal["text", "button", "hello", "voice", "photo", "other", "job"]
Mode: TypeAlias = Literal["learn", "train", "roleplay"]
LevelStatus: TypeAlias = Literal["locked", "unlocked", "in_progress", "completed"]

MAX_BUTTON_DATA_BYTES = 64
"""Telegram's limit for callback data, kept on every channel."""


def storable(text: str) -> str:
    r"""The text without what no database stores: NUL, and halves of surrogate pairs.

    >>> storable("a\x00b\ud800c")
    'ab?c'
    """
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


@attrs.frozen(kw_only=True)
class Person:
    """Who wrote, as the channel knows them: a Telegram account or a name on this machine."""

    telegram_id: int | None = None
    local_name: str | None = None
    username: str | None = None
    first_name: str = attrs.field(default="", converter=storable)
    language: str = "en"


@attrs.frozen(kw_only=True)
class Event:
    """One thing that came in.

    Attributes:
        source: The channel, such as `telegram:123` (the bot's id) or `terminal`.
        chat: The conversation within the source; its events are handled in order.
        update_id: Unique within the source; a repeated one is the same event.
        user: Who wrote.
        kind: `text`, `button` (text is its data), `hello` (a conversation was opened), `voice`, `photo` or `other`;
            `job` is what the house left itself to do later, and comes from no channel.
        text: The words, the caption, the button's data, or the job's kind.
        message_id: The channel's own message, for a reply that edits it.
        media: What else the channel knows (file id, size, type), or the job's payload; JSON values only.
        reply_chat: Where a job's replies go.
    """

    source: str
    chat: str
    update_id: int
    user: Person
    kind: EventKind = "text"
    text: str = attrs.field(default="", converter=storable)
    message_id: int | None = None
    media: Mapping[str, Any] | None = None
    reply_chat: str | None = None


@attrs.frozen
class Button:
    """A choice offered with a reply; `data` comes back in a `button` event."""

    label: str
    data: str = attrs.field()

    @data.validator
    def _fits(self, _: object, value: str) -> None:
        if not 0 < len(value.encode()) <= MAX_BUTTON_DATA_BYTES:
            raise ValueError(f"button data must have 1 to {MAX_BUTTON_DATA_BYTES} bytes: {value!r}")


@attrs.frozen(kw_only=True)
class Document:
    """A file that goes out with a reply."""

    name: str
    content: str
    media_type: str = "application/json"


@attrs.frozen(kw_only=True)
class Erase:
    """A message of the user that shall vanish from the channel, such as one with a key.

    Attributes:
        message_id: The channel's own message.
        otherwise: What to tell the user when the channel refuses.
    """

    message_id: int
    otherwise: Text


@attrs.frozen(kw_only=True)
class Reply:
    """One message to the user.

    Attributes:
        text: What it says.
        buttons: Rows of choices.
        edit: Whether it may replace the message whose button was pressed.
        erase: A message of the user's to delete before this is sent.
        document: A file to send with it.
    """

    text: Text
    buttons: tuple[tuple[Button, ...], ...] = ()
    edit: bool = False
    erase: Erase | None = None
    document: Document | None = None


@attrs.frozen(kw_only=True)
class Progress:
    """One level of one user."""

    track_id: str
    level_id: str
    status: LevelStatus = "locked"
    best_score: int = 0
    attempts_count: int = 0


@attrs.frozen(kw_only=True)
class Best:
    """What a user reached in one scenario so far."""

    scenario_id: str
    best_score: int
    last_score: int
    attempts: int


@attrs.frozen(kw_only=True)
class User:
    """The user's row, as far as the dialogue reads it; `key_providers` are those whose own key is stored."""

    id: int
    first_name: str = ""
    language: str = "en"
    time_zone: str = "UTC"
    total_xp: int = 0
    streak_days: int = 0
    last_graded_on: date | None = None
    greeted: bool = False
    provider: str = "openrouter"
    model: str = ""
    uses_shared_key: bool = True
    key_providers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class House:
    """What the operator's settings offer to everybody.

    Attributes:
        shared_model: The name of the team's model; empty without one.
        stores_keys: Whether users may bring a key of their own.
        hears: Whether voice messages can be written down.
        searches: Whether the web can be searched.
    """

    shared_model: str = ""
    stores_keys: bool = False
    hears: bool = False
    searches: bool = False


@attrs.frozen(kw_only=True)
class Entering:
    """What the user was asked for beside the open scenario, which stays open meanwhile.

    Attributes:
        what: A key, a model's name or a time zone to type; or a yes to something that cannot be undone.
        since: When it was asked; after a day it is forgotten.
        provider: Whose key.
        lead_id: Which lead.
    """

    what: Literal["key", "model", "time_zone", "reset", "delete", "forget", "delete_lead"]
    since: datetime
    provider: Literal["openrouter", "anthropic"] | None = None
    lead_id: int | None = None


@attrs.frozen(kw_only=True)
class State:
    """Where a conversation stands; small, and ids only.

    Attributes:
        at: `idle`, `answering` while a scenario is open, `roleplay` while a conversation with its persona goes on, or the flow
            that waits for words or a photo.
        scenario_id, mode, track_id, level_id: The open scenario, or the last one.
        difficulty: The difficulty last chosen for training; 0 is any.
        kept_answer: An answer that could not be scored yet.
        since: When the scenario, or the flow, was opened.
        lead_id: The lead that the next words or photo belong to.
        entering: What the user was asked to type or to confirm, if anything.
    """

    at: Literal["idle", "answering", "roleplay", "support", "lead_context", "lead_screenshot", "lead_edit", "lead_note"] = "idle"
    mode: Mode | None = None
    scenario_id: str | None = None
    track_id: str | None = None
    level_id: str | None = None
    difficulty: int = 0
    kept_answer: str | None = None
    since: datetime | None = None
    lead_id: int | None = None
    entering: Entering | None = None


@attrs.frozen(kw_only=True)
class View:
    """All that one turn may look at, loaded in one call."""

    user: User
    state: State = State()
    progress: tuple[Progress, ...] = ()
    seen: frozenset[str] = frozenset()
    bests: tuple[Best, ...] = ()
    recent_scores: tuple[int, ...] = ()

    def best(self, scenario_id: str) -> Best | None:
        """What the user reached in a scenario, if it was ever tried."""
        return next((best for best in self.bests if best.scenario_id == scenario_id), None)

    def level(self, track_id: str, level_id: str) -> Progress | None:
        """The user's progress in a level, if any is stored."""
        return next((row for row in self.progress if (row.track_id, row.level_id) == (track_id, level_id)), None)


@attrs.frozen(kw_only=True)
class Attempt:
    """One graded answer."""

    scenario_id: str
    mode: Mode
    difficulty: int
    answer: str
    card: ScoreCard
    xp_earned: int
    track_id: str | None = None
    level_id: str | None = None


@attrs.frozen(kw_only=True)
class XpEntry:
    """One line of the ledger; a reason occurs at most once in a turn."""

    reason: str
    amount: int


@attrs.frozen(kw_only=True)
class Change:
    """A stored change beyond the attempt: done in the turn's own transaction by the SQL function `dealquest_changes.<kind>`.

    The function gets the turn's user, the turn and `values`; it decides on the user's own rows alone.
    """

    kind: str
    values: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Turn:
    """The outcome of one event: what to say and what to store, committed together.

    Attributes:
        replies: What to say, in order.
        state: The conversation's next state.
        attempt: The graded answer, if there was one.
        xp: Ledger lines; their sum is added to the user's total.
        progress: Levels that changed.
        seen: Scenarios that count as seen from now on.
        unseen: Scenarios that are forgotten because their round is complete.
        streak_days, graded_on: The streak after this turn, when it changed.
        changes: What else is stored, in order.
        forget_text: Whether the event's own words are wiped from the inbox, because they held a secret.
    """

    replies: tuple[Reply, ...]
    state: State
    attempt: Attempt | None = None
    xp: tuple[XpEntry, ...] = ()
    progress: tuple[Progress, ...] = ()
    seen: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    streak_days: int | None = None
    graded_on: date | None = None
    changes: tuple[Change, ...] = ()
    forget_text: bool = False
