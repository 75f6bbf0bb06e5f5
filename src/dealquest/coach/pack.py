"""What a scenario pack is made of: tracks with levels and lessons, practice scenarios, rubrics with signals.

Values only: reading and checking files is `scenarios`, measuring an answer is `signals` and `scoring`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from dealquest.errors import NotFoundError

SignalKind: TypeAlias = Literal["says", "question", "question_first", "number", "next_step", "echo", "avoid", "words", "question_limit"]
Area: TypeAlias = Literal["discovery", "qualification", "value", "objection", "negotiation", "next_step", "rapport", "clarity"]
Channel: TypeAlias = Literal["email", "message", "call", "meeting"]
Seniority: TypeAlias = Literal["specialist", "manager", "director", "executive", "owner"]

GENERATED = "gen_"
"""How the ids of scenarios begin that a model wrote."""

GUARDS: frozenset[SignalKind] = frozenset({"avoid", "words", "question_limit"})


@attrs.frozen(kw_only=True)
class Signal:
    """One thing that can be seen in an answer without a model.

    Attributes:
        kind: What is looked for; the kinds of `GUARDS` earn nothing and only take away.
        label: What is looked for, in words for the seller.
        phrases: Phrases that count (`says`, `avoid`) or that the sentence must also hold (`question`, `number`, `next_step`).
        least: How many are needed: phrases, questions or words picked up.
        most: The limit of `words` (0: the scenario's own) and of `question_limit`.
        within: Look only at the first so many sentences; 0 looks everywhere.
        open: Whether a question must be an open one.
        new: Whether a figure must be one that the scenario does not name.
        unless: Phrases that excuse an `avoid` in the same sentence.
        points: Weight among the signals of its criterion.
        penalty: Share of the criterion a broken guard takes away, 1 to 100.
    """

    kind: SignalKind
    label: str
    phrases: tuple[str, ...] = ()
    least: int = 1
    most: int = 0
    within: int = 0
    open: bool = False
    new: bool = False
    unless: tuple[str, ...] = ()
    points: int = 1
    penalty: int = 100

    @property
    def is_guard(self) -> bool:
        """Whether it can only take away."""
        return self.kind in GUARDS


@attrs.frozen(kw_only=True)
class Criterion:
    """One line of a rubric.

    Attributes:
        id: Unique within the rubric.
        name: Short name for the score card.
        area: The part of selling it belongs to; statistics of weak areas use it.
        weight: Its points; the weights of a rubric sum to 100.
        description: What a full answer does, for the seller and for a judging model.
        suggestion: What to do when it was missed.
        need: Signal points that earn the full weight; 0 means all of them.
        signals: What the offline scorer measures.
    """

    id: str
    name: str
    area: Area
    weight: int
    description: str
    suggestion: str
    need: int = 0
    signals: tuple[Signal, ...]


@attrs.frozen(kw_only=True)
class Persona:
    """The person on the other side; `hidden_facts` and `dealbreakers` are never shown before the answer."""

    name: str
    role: str
    company: str
    seniority: Seniority
    temper: str
    background: str
    context: str = ""
    hidden_facts: tuple[str, ...]
    dealbreakers: tuple[str, ...]


@attrs.frozen
class Anchor:
    """An example answer and the points its authors give it, so that any scorer can be checked."""

    points: int
    text: str


@attrs.frozen(kw_only=True)
class Anchors:
    """Three example answers in rising order. They are never shown to a seller."""

    weak: Anchor
    fair: Anchor
    strong: Anchor

    def __iter__(self) -> Iterator[Anchor]:
        """From weak to strong."""
        return iter((self.weak, self.fair, self.strong))


@attrs.frozen(kw_only=True)
class Lexicon:
    """The words of one language that the offline scorer needs.

    Attributes:
        language: Language tag, such as `en`.
        phrases: Named groups of phrases; a signal refers to one as `@name`.
        wording: The scorer's own sentences, with `str.format` fields.
        endings: What a word of a phrase may end in and still match.
        criteria: The shared criteria a rubric can name, as the tables of the language's file.
    """

    language: str
    phrases: Mapping[str, tuple[str, ...]]
    wording: Mapping[str, str]
    endings: tuple[str, ...]
    criteria: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Scenario:
    """One situation to answer, with everything needed to score it.

    Attributes:
        id: Unique within the pack; short enough for a button.
        title: A few words.
        category: Practice category, such as `cold_outreach`; for a level, the track's id.
        difficulty: 1 easy, 2 medium, 3 hard.
        channel: How the answer reaches the persona.
        persona: Who is on the other side.
        situation: What has happened and what is asked of the seller.
        opening: What the persona says or writes last; it opens a role-play.
        max_words: Length that fits the channel.
        rubric: Criteria whose weights sum to 100.
        ideal: A model answer, shown after the seller's own.
        mistakes: Common mistakes, shown with the ideal answer.
        anchors: Example answers with agreed points.
        lexicon: The words of its language.
        time_limit_s: Suggested seconds to answer; 0 where there is none. Not enforced.
    """

    id: str
    title: str
    category: str
    difficulty: int
    channel: Channel
    persona: Persona
    situation: str
    opening: str
    max_words: int
    rubric: tuple[Criterion, ...]
    ideal: str
    mistakes: tuple[str, ...]
    anchors: Anchors
    lexicon: Lexicon = attrs.field(repr=False, eq=False)
    time_limit_s: int = 0

    @property
    def language(self) -> str:
        """Language tag, such as `en`."""
        return self.lexicon.language

    @property
    def is_generated(self) -> bool:
        """Whether a model wrote it; no file may use such an id."""
        return self.id.startswith(GENERATED)

    def for_turns(self, turns: int) -> "Scenario":
        """The same scenario for a role-play: limits of words and questions grow with the seller's turns.

        Args:
            turns: How often the seller spoke; the answer to score is these turns, joined by line breaks.
        """
        rubric = tuple(
            attrs.evolve(criterion, signals=tuple(attrs.evolve(signal, most=signal.most * turns) for signal in criterion.signals))
            for criterion in self.rubric
        )
        return attrs.evolve(self, rubric=rubric, max_words=self.max_words * turns)


@attrs.frozen(kw_only=True)
class Lesson:
    """What a level teaches before its scenario."""

    title: str
    content: str
    key_points: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Level:
    """A lesson and the scenario that practises it."""

    id: str
    name: str
    lesson: Lesson
    scenario: Scenario


@attrs.frozen(kw_only=True)
class Track:
    """Levels in the order they unlock."""

    id: str
    name: str
    description: str
    levels: tuple[Level, ...]


@attrs.frozen(kw_only=True)
class Pack:
    """Everything the coach can teach in one language.

    Attributes:
        name: `en` for the built-in pack, else the file's name without its ending.
        language: Language tag of all its texts.
        tracks: Learning tracks, in order.
        practice: Practice scenarios, in file order.
    """

    name: str
    language: str
    tracks: tuple[Track, ...]
    practice: tuple[Scenario, ...]

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """Those of the levels, then those for practice."""
        return (*(level.scenario for track in self.tracks for level in track.levels), *self.practice)

    @property
    def categories(self) -> tuple[str, ...]:
        """Practice categories, sorted."""
        return tuple(sorted({scenario.category for scenario in self.practice}))

    def scenario(self, scenario_id: str) -> Scenario:
        """Find a scenario by id, of a level or for practice.

        Raises:
            NotFoundError: `coach.scenario.unknown`.
        """
        for scenario in self.scenarios:
            if scenario.id == scenario_id:
                return scenario
        raise NotFoundError(
            f"no scenario {scenario_id[:40]!r} in the pack {self.name!r}; it may have been renamed: choose again",
            code="coach.scenario.unknown",
        )

    def track(self, track_id: str) -> Track:
        """Find a track by id.

        Raises:
            NotFoundError: `coach.track.unknown`.
        """
        for track in self.tracks:
            if track.id == track_id:
                return track
        raise NotFoundError(f"no track {track_id[:40]!r} in the pack {self.name!r}: choose again", code="coach.track.unknown")

    def level(self, level_id: str) -> Level:
        """Find a level by id, in any track.

        Raises:
            NotFoundError: `coach.level.unknown`.
        """
        for track in self.tracks:
            for level in track.levels:
                if level.id == level_id:
                    return level
        raise NotFoundError(f"no level {level_id[:40]!r} in the pack {self.name!r}: choose again", code="coach.level.unknown")
