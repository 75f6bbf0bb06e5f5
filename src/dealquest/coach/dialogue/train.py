"""Practice: choose a difficulty, get a scenario that is new, until the round is complete."""

from dealquest.coach.pack import Scenario

from .scene import Scene, show_scenario, stars
from .text import Text, join
from .values import State, Turn

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


def next_scenario(scene: Scene, difficulty: int) -> Turn:
    """Open a scenario of a difficulty (0 is any) that was not answered in this round.

    When all of them were, a new round of that difficulty alone begins.
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
    chosen = scene.rng.choice(fresh)
    head = scene.say("train.remaining", category=_category(chosen), stars=stars(chosen.difficulty), remaining=len(unseen), pool=len(pool))
    return Turn(
        replies=(show_scenario(scene, chosen, head=join((head, note))),), state=_answering(scene, chosen, difficulty), unseen=forgotten
    )


def take_up(scene: Scene, scenario_id: str) -> Turn | None:
    """Open one practice scenario again, as it was; None when the pack does not have it."""
    scenario = next((scenario for scenario in scene.pack.practice if scenario.id == scenario_id), None)
    if scenario is None:
        return None
    return Turn(replies=(show_scenario(scene, scenario),), state=_answering(scene, scenario, scene.state.difficulty))


def _answering(scene: Scene, scenario: Scenario, difficulty: int) -> State:
    return State(at="answering", mode="train", scenario_id=scenario.id, difficulty=difficulty, since=scene.now)


def _category(scenario: Scenario) -> str:
    return scenario.category.replace("_", " ").capitalize()
