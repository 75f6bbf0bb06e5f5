"""Which part of selling a user should practise next: spaced repetition by FSRS, and the weak spots of the week.

One card per area of the rubrics. Pure: cards come in and go out as values, `now` is an argument.
Source: the algorithm and its numbers are those of the library `fsrs` (Open Spaced Repetition), read 2026-11-22.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import attrs

from .pack import Area, Scenario
from .scorecard import ScoreCard

if TYPE_CHECKING:
    from fsrs import Scheduler

WEAK_SHARE = 0.7
"""An area with less than this share of its points in a week is a weak spot."""

TELLING_WEIGHT = 15
"""Points, of 100, from which a scenario practises an area."""

MAX_INTERVAL_DAYS = 60
_AGAIN, _HARD, _GOOD = 0.4, 0.6, 0.85


@attrs.frozen(kw_only=True)
class SkillCard:
    """What FSRS keeps of one area; `due` is when it should be practised again."""

    area: str
    stability: float
    difficulty: float
    due: datetime
    last_review: datetime


@attrs.frozen(kw_only=True)
class AreaPoints:
    """How many of an area's points were reached, in some answers."""

    area: str
    score: int
    max: int
    answers: int = 0

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.score / self.max if self.max else 1.0


@attrs.frozen(kw_only=True)
class Focus:
    """An area to practise, and why: it was weak this week (`percent` of its points), or it is due after `days` days."""

    area: str
    why: Literal["weak", "due"]
    percent: int = 0
    days: int = 0


def points_by_area(card: ScoreCard) -> dict[str, AreaPoints]:
    """The points of one answer by area."""
    found: dict[str, AreaPoints] = {}
    for item in card.criteria:
        known = found.get(item.area, AreaPoints(area=item.area, score=0, max=0, answers=1))
        found[item.area] = attrs.evolve(known, score=known.score + item.score, max=known.max + item.max)
    return found


def weights_of(scenario: Scenario) -> dict[Area, int]:
    """How many points of a scenario belong to each area; they sum to 100."""
    weights: dict[Area, int] = {}
    for criterion in scenario.rubric:
        weights[criterion.area] = weights.get(criterion.area, 0) + criterion.weight
    return weights


def review(cards: Iterable[SkillCard], result: ScoreCard, now: datetime) -> tuple[SkillCard, ...]:
    """The cards of the areas that an answer practised, reviewed by the share of points it reached in each."""
    known = {card.area: card for card in cards}
    return tuple(_review(known.get(area), points, now) for area, points in sorted(points_by_area(result).items()))


def choose_focus(cards: Sequence[SkillCard], week: Sequence[AreaPoints], areas: Collection[str], now: datetime) -> Focus | None:
    """The area to practise next.

    Args:
        cards: The user's cards.
        week: The points of the last seven days.
        areas: What the scenarios at hand can practise.
        now: The moment, aware UTC.

    Returns:
        The week's weakest spot, else what is most overdue; None when nothing stands out.
    """
    weak = [points for points in week if points.area in areas and points.share < WEAK_SHARE]
    if weak:
        weakest = min(weak, key=lambda points: (points.share, points.area))
        return Focus(area=weakest.area, why="weak", percent=round(100 * weakest.share))
    due = [card for card in cards if card.area in areas and card.due <= now]
    if due:
        faded = min(due, key=lambda card: (_recall(card, now), card.area))
        return Focus(area=faded.area, why="due", days=max((now - faded.last_review).days, 1))
    return None


def _review(card: SkillCard | None, points: AreaPoints, now: datetime) -> SkillCard:
    from fsrs import Card, Rating, State  # noqa: PLC0415  # whoever only asks for help does not wait for it

    share = points.share
    rating = Rating.Again if share < _AGAIN else Rating.Hard if share < _HARD else Rating.Good if share < _GOOD else Rating.Easy
    # The library stamps a card without a number by the clock, so every card gets one.
    before = Card(card_id=0, due=now)
    if card is not None:
        before = Card(
            card_id=0,
            state=State.Review,
            stability=card.stability,
            difficulty=card.difficulty,
            due=card.due,
            last_review=min(card.last_review, now),
        )
    after, _ = _scheduler().review_card(before, rating, now)
    assert after.stability is not None
    assert after.difficulty is not None
    return SkillCard(area=points.area, stability=after.stability, difficulty=after.difficulty, due=after.due, last_review=now)


def _recall(card: SkillCard, now: datetime) -> float:
    from fsrs import Card, State  # noqa: PLC0415  # see above

    known = Card(
        card_id=0, state=State.Review, stability=card.stability, difficulty=card.difficulty, due=card.due, last_review=card.last_review
    )
    return _scheduler().get_card_retrievability(known, now)


@lru_cache(maxsize=1)
def _scheduler() -> "Scheduler":
    """Whole days, no luck: a repeated turn plans the same."""
    from fsrs import Scheduler  # noqa: PLC0415  # see above

    return Scheduler(learning_steps=(), relearning_steps=(), maximum_interval=MAX_INTERVAL_DAYS, enable_fuzzing=False)
