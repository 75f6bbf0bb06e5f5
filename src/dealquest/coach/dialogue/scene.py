"""What every flow is given, and the few words all of them share."""

import random
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import TypeAlias

import attrs

from dealquest.coach.pack import Level, Pack, Scenario, Track

from .catalogue import Catalogue
from .effects import Effect, EffectResult
from .text import Text, join, styled
from .values import Button, Event, House, LevelStatus, Reply, State, Turn, View

Flow: TypeAlias = Generator[Effect, EffectResult, Turn]
"""A conversation step: it may ask for effects, and ends with the turn to store."""

Rows: TypeAlias = tuple[tuple[Button, ...], ...]

OPEN_FOR = timedelta(days=1)
"""A scenario that waited longer is set aside, with a button to take it up again."""


@attrs.frozen(kw_only=True)
class Scene:
    """One event with all it may look at; flows are pure functions of it.

    Attributes:
        view: The user, their state and history.
        event: What came in.
        pack: The scenarios.
        texts: The sentences of the user's language.
        now: The moment of the event, aware UTC.
        rng: Seeded by the event, so that a repeated turn chooses the same.
        fence: An unguessable word, new for each turn, that walls in the texts of strangers in prompts.
        house: What the operator's settings offer.
        offline: Whether this user has no model, neither an own one nor the team's.
        is_admin: Whether this user sees the admin views.
    """

    view: View
    event: Event
    pack: Pack
    texts: Catalogue
    now: datetime
    rng: random.Random = attrs.field(repr=False)
    fence: str = attrs.field(default="fence", repr=False)
    house: House = attrs.field(factory=House)
    offline: bool = True
    is_admin: bool = False

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self.view.state

    def say(self, key: str, /, **values: Text | str | float) -> Text:
        """A sentence of the catalogue."""
        return self.texts.say(key, **values)

    def button(self, key: str, data: str, /, **values: str | int) -> Button:
        """A button whose label is in the catalogue under `button`."""
        return Button(self.texts.label(f"button.{key}", **values), data)

    def too_long(self, key: str, text: str, limit: int) -> "Turn":
        """Say how long a text is and how long it may be; nothing is changed."""
        length, most = (f"{count:,}".replace(",", self.texts.templates["language.thousands"]) for count in (len(text), limit))
        return self.stay(self.reply(self.say(key, length=length, limit=most)))

    def reply(self, *parts: Text | str, buttons: Rows = (), separator: str = "\n\n") -> Reply:
        """One message of several paragraphs; it edits the message whose button was pressed."""
        return Reply(text=join(parts, separator), buttons=buttons, edit=self.event.kind == "button")

    def stay(self, *replies: Reply) -> Turn:
        """Say something, change nothing."""
        return Turn(replies=replies, state=self.state)

    def fenced(self, *parts: tuple[str, str]) -> str:
        """Texts of strangers by name, walled in for a prompt whose orders say that they are data."""
        walls = ((f"<{name} {self.fence}>", text.replace(self.fence, ""), f"</{name} {self.fence}>") for name, text in parts)
        return "\n\n".join("\n".join(wall) for wall in walls)

    def open_scenario(self) -> Scenario | None:
        """The scenario that waits for an answer, if the pack still has it."""
        if self.state.at != "answering":
            return None
        return next((scenario for scenario in self.pack.scenarios if scenario.id == self.state.scenario_id), None)


def find_level(pack: Pack, level_id: str) -> tuple[Track, int, Level] | None:
    """A level with its track and its place in it, from 0."""
    for track in pack.tracks:
        for index, level in enumerate(track.levels):
            if level.id == level_id:
                return track, index, level
    return None


def level_status(view: View, track: Track, index: int) -> LevelStatus:
    """What a user may do with a level: the first is open, the next opens when the one before is completed."""
    row = view.level(track.id, track.levels[index].id)
    if row is not None and row.status != "locked":
        return row.status
    if index == 0:
        return "unlocked"
    before = view.level(track.id, track.levels[index - 1].id)
    return "unlocked" if before is not None and before.status == "completed" else "locked"


def next_open_level(pack: Pack, view: View) -> tuple[Track, int] | None:
    """The first level that is open and not completed, over all tracks."""
    for track in pack.tracks:
        for index in range(len(track.levels)):
            if level_status(view, track, index) in {"unlocked", "in_progress"}:
                return track, index
    return None


def stars(difficulty: int) -> str:
    """One to three stars."""
    return "★" * difficulty + "☆" * (3 - difficulty)


def bar(part: float, whole: float) -> str:
    """Ten steps."""
    filled = round(10 * min(max(part / whole, 0), 1)) if whole else 0
    return "█" * filled + "░" * (10 - filled)


def show_scenario(scene: Scene, scenario: Scenario, *, head: Text | str = "") -> Reply:
    """A scenario as the seller meets it: hidden facts stay hidden."""
    persona = scenario.persona
    mark = scene.say("scenario.generated") if scenario.is_generated else ""
    parts = (
        join((scene.say("scenario.title", title=scenario.title), head, mark)),
        styled(f"{persona.name}, {persona.role}, {persona.company}", "bold") + "\n" + join((persona.background, persona.context)),
        scenario.situation,
        styled(scenario.opening, "quote"),
        scene.say("scenario.how", words=scenario.max_words),
    )
    # A kept answer goes first: its own buttons follow the scenario.
    rows: Rows = () if scene.offline or scene.state.kept_answer is not None else ((scene.button("roleplay", f"role:start:{scenario.id}"),),)
    return scene.reply(*parts, buttons=rows)
