"""The job that has a model write new practice scenarios for everybody, keeps the sound ones and notes why others were refused."""

import json

from dealquest.coach.scenario_prompt import WRITTEN_AT_MOST, WRITTEN_AT_ONCE, Drafts, build_writer_prompt, sift

from .effects import Answered, AskModel, Failed, Found, Line, Look
from .scene import Flow, Scene
from .values import Change, Turn

MAX_TITLES = 120


def write_scenarios(scene: Scene) -> Flow:
    """Write as many as are missing, a few at once. A failing model is noted; the next wish comes some hours later."""
    missing = WRITTEN_AT_MOST - sum(scenario.is_generated for scenario in scene.pack.practice)
    if missing <= 0:
        return Turn(replies=(), state=scene.state)
    most = min(missing, WRITTEN_AT_ONCE)
    looked = yield Look(function="look_casebook_best")
    cases = looked.value if isinstance(looked, Found) else []
    titles = [scenario.title for scenario in scene.pack.practice[-MAX_TITLES:]]
    outcome = yield AskModel(
        purpose="write_scenarios",
        system=build_writer_prompt(scene.pack, fence=scene.fence),
        lines=[
            Line(
                "user",
                scene.fenced(("cases", json.dumps(cases, ensure_ascii=False)), ("titles", json.dumps(titles, ensure_ascii=False)))
                + f"\n\nWrite {most} new scenarios.",
            )
        ],
        output=Drafts,
        max_tokens=12_000,
        temperature=1.0,
        shared=True,
    )
    if not isinstance(outcome, Answered):
        assert isinstance(outcome, Failed)
        return _noted(scene, [], [f"model: {outcome.code}"], model="")
    drafts: Drafts = outcome.value
    sifted = sift(drafts.scenarios, scene.pack, rng=scene.rng, most=most)
    return _noted(scene, list(sifted.kept), list(sifted.refused), model=outcome.model)


def _noted(scene: Scene, kept: list[object], refused: list[str], *, model: str) -> Turn:
    values = {"language": scene.pack.language, "most": WRITTEN_AT_MOST, "model": model, "scenarios": kept, "refused": refused}
    return Turn(replies=(), state=scene.state, changes=(Change(kind="add_generated", values=values),))
