"""What is remembered of a user: one small value, computed anew from what is stored, so that doing it twice is doing it once.

Pure. `dialogue.remembering` reads the material, asks a model for patterns, and stores the result.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import attrs
import msgspec

from .skills import WEAK_SHARE, AreaPoints

PATTERNS_EVERY = 10
"""Interactions after which patterns are looked for again."""

MAX_BYTES = 16_000
MAX_AREAS = 3
MAX_MISTAKES = 5
MAX_RECENT = 20
MAX_PATTERNS = 5
MAX_TEXT_CHARS = 200
MIN_ANSWERS = 2
TREND_POINTS = 5
DRAFT_WISHES = ("shorter", "bolder")

Trend: TypeAlias = Literal["improving", "stable", "declining", "unknown"]


@attrs.frozen(kw_only=True)
class Interaction:
    """One graded answer or one deal: `what` is the scenario, or the deal's key concern."""

    at: datetime
    mode: str
    what: str = ""
    score: int | None = None
    difficulty: int | None = None
    words: int | None = None
    missed: tuple[str, ...] = ()
    prospect: str = ""
    variant: str = "first"


@attrs.frozen(kw_only=True)
class Material:
    """What is stored of a user: the newest answers and deals, newest first, and counts over all of them."""

    memory: "Memory | None" = None
    areas: tuple[AreaPoints, ...] = ()
    attempts: tuple[Interaction, ...] = ()
    sessions: tuple[Interaction, ...] = ()
    counts: dict[str, int] = attrs.field(factory=dict)
    mean_score: float | None = None
    completed: int = 0

    @property
    def interactions(self) -> int:
        """Graded answers and deals, ever."""
        return sum(self.counts.values())


@attrs.frozen(kw_only=True)
class Mistake:
    """A criterion that often got less than half of its points."""

    name: str
    times: int


@attrs.frozen(kw_only=True)
class Preferences:
    """How the user works; `draft` is what they keep asking of a draft, `shorter` or `bolder`."""

    mode: str = ""
    difficulty: int = 0
    words: int = 0
    draft: str = ""


@attrs.frozen(kw_only=True)
class Recent:
    """One interaction, as far as it is remembered."""

    at: datetime
    mode: str
    what: str
    score: int | None = None


@attrs.frozen(kw_only=True)
class Patterns:
    """What a model sees in many answers."""

    patterns: list[str]
    recommendations: list[str]


@attrs.frozen(kw_only=True)
class Memory:
    """What is remembered.

    Attributes:
        interactions: Graded answers and deals, ever.
        total_xp: XP of all kinds, bonus included.
        completed: Scenarios with a pass.
        mean_score: Over all graded answers.
        trend: The newest five answers against the five before.
        strengths, weak_areas: Areas by their share of points, the clearest first.
        mistakes: What was missed most often.
        preferences: How the user works.
        recent: The newest interactions.
        patterns, recommendations: What was seen over many answers, and what to do.
        patterns_at: The number of interactions when patterns were last looked for.
        updated_at: When all this was computed.
    """

    interactions: int = 0
    total_xp: int = 0
    completed: int = 0
    mean_score: float | None = None
    trend: Trend = "unknown"
    strengths: tuple[AreaPoints, ...] = ()
    weak_areas: tuple[AreaPoints, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    preferences: Preferences = Preferences()
    recent: tuple[Recent, ...] = ()
    patterns: tuple[str, ...] = ()
    recommendations: tuple[str, ...] = ()
    patterns_at: int = 0
    updated_at: datetime | None = None


def remember(material: Material, *, total_xp: int, now: datetime) -> Memory:
    """The memory as it follows from the material; patterns stay as they were."""
    before = material.memory or Memory()
    telling = [points for points in material.areas if points.answers >= MIN_ANSWERS]
    weak = sorted((points for points in telling if points.share < WEAK_SHARE), key=lambda points: points.share)
    strong = sorted((points for points in telling if points.share >= WEAK_SHARE), key=lambda points: -points.share)
    missed = Counter(name for attempt in material.attempts for name in attempt.missed)
    newest = sorted((*material.attempts, *material.sessions), key=lambda interaction: interaction.at, reverse=True)
    memory = Memory(
        interactions=material.interactions,
        total_xp=total_xp,
        completed=material.completed,
        mean_score=None if material.mean_score is None else round(material.mean_score, 1),
        trend=trend_of(material.attempts),
        strengths=tuple(strong[:MAX_AREAS]),
        weak_areas=tuple(weak[:MAX_AREAS]),
        mistakes=tuple(Mistake(name=name[:MAX_TEXT_CHARS], times=times) for name, times in missed.most_common(MAX_MISTAKES) if times > 1),
        preferences=_preferences(material),
        recent=tuple(
            Recent(at=interaction.at, mode=interaction.mode, what=interaction.what[:MAX_TEXT_CHARS], score=interaction.score)
            for interaction in newest[:MAX_RECENT]
        ),
        patterns=before.patterns,
        recommendations=before.recommendations,
        patterns_at=before.patterns_at,
        updated_at=now,
    )
    return _bounded(memory)


def needs_patterns(memory: Memory) -> bool:
    """Whether ten more interactions have come together since patterns were last looked for."""
    return memory.interactions // PATTERNS_EVERY > memory.patterns_at // PATTERNS_EVERY


def with_patterns(memory: Memory, patterns: list[str], recommendations: list[str]) -> Memory:
    """The memory with what was seen now."""
    return _bounded(
        attrs.evolve(
            memory,
            patterns=_short(patterns),
            recommendations=_short(recommendations),
            patterns_at=memory.interactions,
        )
    )


def trend_of(attempts: tuple[Interaction, ...]) -> Trend:
    """The mean of the newest five scores against that of the five before."""
    scores = [attempt.score for attempt in attempts if attempt.score is not None]
    if len(scores) < 2 * TREND_POINTS:
        return "unknown"
    now, before = sum(scores[:TREND_POINTS]) / TREND_POINTS, sum(scores[TREND_POINTS : 2 * TREND_POINTS]) / TREND_POINTS
    if abs(now - before) <= TREND_POINTS:
        return "stable"
    return "improving" if now > before else "declining"


def memory_summary(memory: Memory) -> str:
    r"""A few lines for a prompt; they rest on what the user wrote, so fence them as data.

    >>> memory_summary(Memory(interactions=3, mean_score=52.0, weak_areas=(AreaPoints(area="value", score=4, max=10),)))
    '3 interactions, mean score 52.\nWeak: value (40%).'
    """
    if not memory.interactions:
        return ""
    mean = "" if memory.mean_score is None else f", mean score {memory.mean_score:.0f}"
    trend = "" if memory.trend == "unknown" else f", {memory.trend}"
    lines = [f"{memory.interactions} interactions{mean}{trend}."]
    for name, areas in (("Strong", memory.strengths), ("Weak", memory.weak_areas)):
        if areas:
            lines.append(f"{name}: {', '.join(f'{points.area} ({100 * points.share:.0f}%)' for points in areas)}.")
    if memory.mistakes:
        lines.append(f"Often missed: {', '.join(mistake.name for mistake in memory.mistakes)}.")
    if memory.preferences.draft:
        lines.append(f"Usually wants drafts {memory.preferences.draft}.")
    lines += [f"Pattern: {pattern}" for pattern in memory.patterns[:2]]
    return "\n".join(lines)


def read_memory(stored: Mapping[str, object] | None) -> Memory:
    """A stored memory; an empty one where none is kept, or where it is of another shape."""
    try:
        return msgspec.convert(stored or {}, Memory)
    except msgspec.ValidationError:
        return Memory()


def _preferences(material: Material) -> Preferences:
    modes = Counter(material.counts).most_common(1)
    difficulties = Counter(
        attempt.difficulty for attempt in material.attempts if attempt.difficulty and attempt.mode != "learn"
    ).most_common(1)
    words = [attempt.words for attempt in material.attempts if attempt.words and attempt.mode != "roleplay"]
    drafts = Counter(session.variant for session in material.sessions if session.variant in DRAFT_WISHES).most_common(1)
    return Preferences(
        mode=modes[0][0] if modes else "",
        difficulty=difficulties[0][0] or 0 if difficulties else 0,
        words=round(sum(words) / len(words)) if words else 0,
        draft=drafts[0][0] if drafts and drafts[0][1] > 1 else "",
    )


def _short(texts: list[str]) -> tuple[str, ...]:
    cleaned = (" ".join(text.split())[:MAX_TEXT_CHARS] for text in texts)
    return tuple(text for text in cleaned if text)[:MAX_PATTERNS]


def _bounded(memory: Memory) -> Memory:
    while len(msgspec.json.encode(memory)) > MAX_BYTES and memory.recent:
        memory = attrs.evolve(memory, recent=memory.recent[:-1])
    return memory
