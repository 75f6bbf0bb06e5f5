"""What a graded answer sets off beside its feedback: practice cards, badges, the memory, a generated scenario's statistics."""

from collections.abc import Generator
from datetime import datetime

import attrs
import msgspec

from dealquest.coach.pack import Scenario
from dealquest.coach.progress import Tally, new_badges
from dealquest.coach.skills import AreaPoints, SkillCard, review

from .effects import Effect, EffectResult, Found, Look
from .scene import Flow, Scene
from .text import Text, join
from .values import Change, Turn


@attrs.frozen(kw_only=True)
class Earned:
    """A badge and when it was earned."""

    badge: str
    earned_at: datetime


@attrs.frozen(kw_only=True)
class Skills:
    """What is stored of a user's practice.

    Attributes:
        cards: One for each area that was practised.
        badges: What was earned, oldest first.
        week: Points by area in the last seven days, where they were asked for.
        writes_at: When new scenarios may be written again; None when they may be now.
    """

    cards: tuple[SkillCard, ...] = ()
    badges: tuple[Earned, ...] = ()
    week: tuple[AreaPoints, ...] = ()
    writes_at: datetime | None = None


def look_at_skills(*, with_week: bool = False) -> Generator[Effect, EffectResult, Skills | None]:
    """Read them; None when they cannot be read now."""
    found = yield Look(function="look_skills", arguments={"with_week": with_week})
    return msgspec.convert(found.value, Skills) if isinstance(found, Found) and found.value is not None else None


def memory_job(scene: Scene) -> Change:
    """Bring the memory up to date after this turn."""
    return Change(kind="start_job", values={"kind": "memory", "key": f"memory:{scene.event.update_id}"})


def reward(scene: Scene, scenario: Scenario, turn: Turn) -> Flow:
    """A graded turn with all that follows from it; every change is part of the turn's own transaction."""
    assert turn.attempt is not None
    score = turn.attempt.card.total
    changes = [memory_job(scene)]
    if scenario.is_generated:
        changes.append(Change(kind="use_generated", values={"scenario_id": scenario.id, "score": score}))
    skills = yield from look_at_skills()
    notes: list[Text] = []
    # What cannot be read is not written over: cards and badges catch up with the next answer.
    if skills is not None:
        cards = review(skills.cards, turn.attempt.card, scene.now)
        changes.append(Change(kind="review_skills", values={"cards": msgspec.to_builtins(cards)}))
        fresh = new_badges(_tally(scene, turn), {earned.badge for earned in skills.badges})
        if fresh:
            changes.append(Change(kind="earn_badges", values={"badges": [badge.id for badge in fresh]}))
            notes = [
                scene.say("badge.earned", name=scene.texts.label(f"badge.name.{badge.id}"), why=scene.texts.label(f"badge.why.{badge.id}"))
                for badge in fresh
            ]
    *first, last = turn.replies
    told = attrs.evolve(last, text=join((last.text, *notes), "\n\n"))
    return attrs.evolve(turn, replies=(*first, told), changes=(*turn.changes, *changes))


def _tally(scene: Scene, turn: Turn) -> Tally:
    """How things stand after the turn."""
    assert turn.attempt is not None
    bests = scene.view.bests
    return Tally(
        attempts=sum(best.attempts for best in bests) + 1,
        best_score=max((turn.attempt.card.total, *(best.best_score for best in bests))),
        xp=scene.view.user.total_xp + sum(entry.amount for entry in turn.xp),
        streak_days=turn.streak_days or scene.view.user.streak_days,
    )
