"""Practice: choose a difficulty, get a scenario that is new, until the round is complete; weak areas come first."""

from collections.abc import Sequence

from dealquest.coach.pack import Scenario
from dealquest.coach.scenario_prompt import WRITE_EVERY, WRITTEN_AT_MOST
from dealquest.coach.skills import TELLING_WEIGHT, Focus, choose_focus, weights_of

from .rewards import Skills, look_at_skills
from .scene import Flow, Scene, show_scenario, stars
from .text import Text, join
from .values import Change, State, Turn

DIFFICULTIES = {"any": 0, "easy": 1, "medium": 2, "hard": 3}


def show_training(scene: Scene) -> Turn:
    """How many scenarios there are, and the choice of difficulty."""
    pool = scene.pack.practice
    unseen = sum(scenario.id not in scene.view.seen for scenario in pool)
    rows = (
        (scene.button("easy", "train:diff:1"), scene.button("medium", "train:diff:2")),
        (scene.button("hard", "train:diff:3"), scene.button("any", "train:diff:0")),
    )
    return scene.stay(scene.reply(scene.say("train.menu", pool=len(pool), unseen=unseen), buttons=rows))


def next_scenario(scene: Scene, difficulty: int) -> Flow:
    """Open a scenario of a difficulty (0 is any) that was not answered in this round.

    Of the new ones, those come first that practise what was weak this week or is due again, and the reply says so.
    When all were answered, a new round of that difficulty alone begins.
    """
    name = scene.texts.label(f"difficulty.{difficulty}")
    pool = [scenario for scenario in scene.pack.practice if difficulty in {0, scenario.difficulty}]
    if not pool:
        return scene.stay(scene.reply(scene.say("train.nothing", difficulty=name)))
    unseen = [scenario for scenario in pool if scenario.id not in scene.view.seen]
    note: Text | str = ""
    forgotten: tuple[str, ...] = ()
    if not unseen:
        forgotten = tuple(scenario.id for scenario in pool)
        note = scene.say("train.round_complete", difficulty=name)
        unseen = pool
    fresh = [scenario for scenario in unseen if scenario.id != scene.state.scenario_id] or unseen
    skills = (yield from look_at_skills(with_week=True)) or Skills()
    chosen, focus = choose(scene, fresh, skills)
    head = scene.say("train.remaining", category=_category(chosen), stars=stars(chosen.difficulty), remaining=len(unseen), pool=len(pool))
    return Turn(
        replies=(show_scenario(scene, chosen, head=join((head, _reason(scene, focus), note))),),
        state=_answering(scene, chosen, difficulty),
        unseen=forgotten,
        changes=_wanted(scene, skills),
    )


def choose(scene: Scene, fresh: Sequence[Scenario], skills: Skills) -> tuple[Scenario, Focus | None]:
    """One of the scenarios, and the area it was chosen for: among those that practise it most, luck decides."""
    weights = {scenario.id: weights_of(scenario) for scenario in fresh}
    areas = {area for of_scenario in weights.values() for area, weight in of_scenario.items() if weight >= TELLING_WEIGHT}
    focus = choose_focus(skills.cards, skills.week, areas, scene.now)
    if focus is None:
        return scene.rng.choice(fresh), None
    heaviest = max(weight for of_scenario in weights.values() for area, weight in of_scenario.items() if area == focus.area)
    telling = [
        scenario
        for scenario in fresh
        if max((weight for area, weight in weights[scenario.id].items() if area == focus.area), default=0)
        >= max(TELLING_WEIGHT, heaviest / 2)
    ]
    return scene.rng.choice(telling), focus


def take_up(scene: Scene, scenario_id: str) -> Turn | None:
    """Open one practice scenario again, as it was; None when the pack does not have it."""
    scenario = next((scenario for scenario in scene.pack.practice if scenario.id == scenario_id), None)
    if scenario is None:
        return None
    return Turn(replies=(show_scenario(scene, scenario),), state=_answering(scene, scenario, scene.state.difficulty))


def _answering(scene: Scene, scenario: Scenario, difficulty: int) -> State:
    return State(at="answering", mode="train", scenario_id=scenario.id, difficulty=difficulty, since=scene.now)


def _reason(scene: Scene, focus: Focus | None) -> Text | str:
    if focus is None:
        return ""
    area = scene.texts.label(f"area.{focus.area}")
    return scene.say(f"practice.why_{focus.why}", area=area, percent=focus.percent, days=focus.days)


def _wanted(scene: Scene, skills: Skills) -> tuple[Change, ...]:
    """Ask for new scenarios where the team's model can write them, there are few, and nobody asked for hours."""
    written = sum(scenario.is_generated for scenario in scene.pack.practice)
    if not scene.house.shared_model or written >= WRITTEN_AT_MOST or (skills.writes_at is not None and skills.writes_at > scene.now):
        return ()
    return (Change(kind="want_scenarios", values={"every_s": WRITE_EVERY.total_seconds(), "payload": {}}),)


def _category(scenario: Scenario) -> str:
    return scenario.category.replace("_", " ").capitalize()
