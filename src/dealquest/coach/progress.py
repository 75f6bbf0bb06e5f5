"""The rules of the game, one table for every face of the product: XP, levels, ranks, streaks, badges.

Pure arithmetic; the database follows the same level rule (`dealquest.level_of`, held equal by a test).
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, tzinfo
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

PASS_MARK = 60
"""Points, of 100, from which a level is completed."""

FIRST_TRY_BONUS = 10
FIRST_TRY_MARK = 80
COMEBACK_BONUS = 15
COMEBACK_GAIN = 20
TRACK_BONUS = 50

RANKS = (
    "Rookie",
    "Associate",
    "Specialist",
    "Expert",
    "Strategist",
    "Deal Closer",
    "Senior Advisor",
    "Master Negotiator",
    "VP of Deals",
    "Deal Legend",
)

Measure: TypeAlias = Literal["attempts", "best_score", "xp", "streak_days"]
Rarity: TypeAlias = Literal["common", "rare", "epic", "legendary"]


@attrs.frozen
class Badge:
    """Earned once, when the measure reaches `least`; its name and meaning stand in the catalogue."""

    id: str
    rarity: Rarity
    measure: Measure
    least: int


BADGES = (
    Badge("first-win", "common", "attempts", 1),
    Badge("on-fire", "common", "streak_days", 3),
    Badge("dedicated", "common", "attempts", 10),
    Badge("perfect-score", "rare", "best_score", 100),
    Badge("xp-hunter", "rare", "xp", 1000),
    Badge("streak-master", "rare", "streak_days", 7),
    Badge("veteran", "epic", "attempts", 50),
    Badge("legend", "legendary", "xp", 3000),
)


@attrs.frozen(kw_only=True)
class Tally:
    """What badges are measured by."""

    attempts: int = 0
    best_score: int = 0
    xp: int = 0
    streak_days: int = 0

    def of(self, measure: Measure) -> int:
        """One of its numbers."""
        return {"attempts": self.attempts, "best_score": self.best_score, "xp": self.xp, "streak_days": self.streak_days}[measure]


def new_badges(tally: Tally, earned: Collection[str]) -> tuple[Badge, ...]:
    """The badges that are reached and were not earned before, in the table's order.

    >>> [badge.id for badge in new_badges(Tally(attempts=10, streak_days=3), {"first-win"})]
    ['on-fire', 'dedicated']
    """
    return tuple(badge for badge in BADGES if badge.id not in earned and tally.of(badge.measure) >= badge.least)


def xp_for_answer(score: int, *, best_before: int | None, last_before: int | None) -> dict[str, int]:
    """What an answer earns, by reason; repeats earn only what they improve, so nothing can be farmed.

    Args:
        score: 0 to 100.
        best_before: Best score in this scenario so far, None on the first try.
        last_before: Newest score in this scenario, None on the first try.

    >>> xp_for_answer(85, best_before=None, last_before=None)
    {'score': 85, 'first_try': 10}
    >>> xp_for_answer(70, best_before=85, last_before=40)
    {}
    >>> xp_for_answer(90, best_before=60, last_before=60)
    {'score': 30, 'comeback': 15}
    """
    earned: dict[str, int] = {}
    gain = score - (best_before or 0)
    if gain > 0:
        earned["score"] = gain
    if best_before is None and score > FIRST_TRY_MARK:
        earned["first_try"] = FIRST_TRY_BONUS
    if best_before is not None and last_before is not None and gain > 0 and score - last_before > COMEBACK_GAIN:
        earned["comeback"] = COMEBACK_BONUS
    return earned


def xp_at_level(level: int) -> int:
    """XP at which a level begins: 0, 200, 600, 1200, ... (level n costs n times 200)."""
    return 100 * level * (level - 1)


def level_of(xp: int) -> int:
    """The level of a total, from 1, without end.

    >>> [level_of(xp) for xp in (0, 199, 200, 599, 600, 9000)]
    [1, 1, 2, 2, 3, 10]
    """
    level = 1
    while xp >= xp_at_level(level + 1):
        level += 1
    return level


def rank_of(level: int) -> str:
    """The name of a level; the last rank stays.

    >>> rank_of(1), rank_of(10), rank_of(37)
    ('Rookie', 'Deal Legend', 'Deal Legend')
    """
    return RANKS[min(level, len(RANKS)) - 1]


def streak_after(now: datetime, *, time_zone: str, last_graded_on: date | None, streak_days: int) -> tuple[int, date]:
    """The streak after a graded answer, and the user's own day it counts for.

    One more on the first graded answer of a new day, one again after a missed day.
    """
    today = local_day(now, time_zone)
    if last_graded_on is None or (today - last_graded_on).days > 1:
        return 1, today
    if today <= last_graded_on:
        return max(streak_days, 1), last_graded_on
    return streak_days + 1, today


def local_day(moment: datetime, time_zone: str) -> date:
    """The day of a moment in a user's time zone."""
    return moment.astimezone(_zone(time_zone)).date()


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
