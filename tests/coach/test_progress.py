"""The rules of the game: no farming, levels that agree with the database, streaks by the user's own day."""

from datetime import UTC, date, datetime, timedelta

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.progress import level_of, streak_after, xp_at_level, xp_for_answer


@given(scores=st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_repeats_cannot_farm_xp(scores: list[int]) -> None:
    """However often one scenario is answered, its points earn at most its best score, plus the bonuses of real gains."""
    best: int | None = None
    last: int | None = None
    points = 0
    for score in scores:
        earned = xp_for_answer(score, best_before=best, last_before=last)
        assert all(amount > 0 for amount in earned.values())
        points += earned.get("score", 0)
        best, last = max(score, best or 0), score
    assert points == max(scores)


def test_levels_agree_with_the_database(database: "object") -> None:
    """Python and SQL give the same level for every total up to level 30."""
    with psycopg.connect(database.owner_dsn) as connection:  # type: ignore[attr-defined]  # the fixture's value
        rows = connection.execute("select xp, dealquest.level_of(xp) from generate_series(0, 90000) as xp").fetchall()
    assert [level for _, level in rows] == [level_of(xp) for xp, _ in rows]


def test_level_thresholds_are_the_published_ones() -> None:
    """Level 2 at 200, 3 at 600, 4 at 1200 ... 10 at 9000."""
    assert [xp_at_level(level) for level in range(1, 11)] == [0, 200, 600, 1200, 2000, 3000, 4200, 5600, 7200, 9000]


def test_a_streak_counts_the_users_own_days() -> None:
    """23:30 and 00:30 in Tokyo are two days, though one in UTC; a missed day starts again."""
    late = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
    days, day = streak_after(late, time_zone="Asia/Tokyo", last_graded_on=None, streak_days=0)
    assert (days, day) == (1, date(2026, 11, 22))
    days, day = streak_after(late + timedelta(hours=1), time_zone="Asia/Tokyo", last_graded_on=day, streak_days=days)
    assert (days, day) == (2, date(2026, 11, 23))
    days, day = streak_after(late + timedelta(days=3), time_zone="Asia/Tokyo", last_graded_on=day, streak_days=days)
    assert days == 1


def test_a_strange_time_zone_is_utc() -> None:
    """A zone that does not exist never fails a turn."""
    assert streak_after(datetime(2026, 1, 1, tzinfo=UTC), time_zone="../etc/passwd", last_graded_on=None, streak_days=0)[1] == date(
        2026, 1, 1
    )
