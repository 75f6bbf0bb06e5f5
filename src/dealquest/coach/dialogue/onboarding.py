"""The first minute: how answers shall be scored - with the team's model, with a key of one's own, or without a model.

Where the house offers neither a model nor a place for keys, nothing is asked. Checking a key is in `keys`.
"""

from collections.abc import Sequence

from .keys import PROVIDERS, ask_for_key, provider_rows
from .part import Part
from .scene import Rows, Scene
from .text import Text
from .values import Change, Turn


def setup_rows(scene: Scene) -> Rows:
    """The ways to begin that this house offers; none where there is nothing to choose."""
    house = scene.house
    rows: Rows = ()
    if house.shared_model:
        rows += ((scene.button("setup_auto", "setup:auto"),),)
    if house.stores_keys:
        rows += ((scene.button("setup_custom", "setup:custom"),),)
    return (*rows, (scene.button("setup_offline", "setup:offline"),)) if rows else ()


def welcome(scene: Scene, name: str, note: Text) -> Turn:
    """Greet somebody new; offer a choice only where there is one."""
    if rows := setup_rows(scene):
        parts = [scene.say("start.welcome", name=name), scene.say("setup.how")]
        if scene.house.shared_model:
            parts.append(scene.say("setup.auto", model=scene.house.shared_model))
        if scene.house.stores_keys:
            parts.append(scene.say("setup.custom"))
        return scene.stay(scene.reply(*parts, scene.say("setup.offline"), buttons=rows))
    rows = ((scene.button("first_lesson", "go:learn"),), (scene.button("practise", "go:train"),))
    return scene.stay(scene.reply(scene.say("start.welcome", name=name), note, buttons=rows))


def way_on(scene: Scene) -> Rows:
    """What to do once everything is set."""
    return (
        (scene.button("first_lesson", "go:learn"),),
        (scene.button("have_deal", "go:support"), scene.button("practise", "go:train")),
    )


def _setup(scene: Scene, words: Sequence[str]) -> Turn | None:
    match words:
        case ["auto"] if scene.house.shared_model:
            reply = scene.reply(scene.say("setup.done_auto", model=scene.house.shared_model), buttons=way_on(scene))
            return Turn(replies=(reply,), state=scene.state, changes=(Change(kind="use_shared_key"),))
        case ["offline"]:
            reply = scene.reply(scene.say("setup.done_offline"), buttons=way_on(scene))
            return Turn(replies=(reply,), state=scene.state, changes=(Change(kind="use_no_model"),))
        case ["custom"] if scene.house.stores_keys:
            return scene.stay(scene.reply(scene.say("setup.whose"), buttons=provider_rows(scene)))
    return None


def _provider(scene: Scene, words: Sequence[str]) -> Turn | None:
    match words:
        case [name] if name in PROVIDERS and scene.house.stores_keys:
            return ask_for_key(scene, PROVIDERS[name])
    return None


ONBOARDING = Part(buttons={"setup": _setup, "provider": _provider})
