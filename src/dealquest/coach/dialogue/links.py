"""Deep links: what stands behind `/start` names a track or a scenario, which is opened if it exists and the user may.

Channels let few characters into a link (Telegram: letters, digits, `_`, `-`), and anybody can write one: it is a wish.
"""

import attrs

from .answering import ask_about_kept
from .home import show_start
from .learn import begin_level, show_track
from .scene import Scene
from .train import take_up
from .values import Turn


def follow_link(scene: Scene, payload: str) -> Turn | None:
    """Open what a link names.

    Args:
        scene: The event.
        payload: A track's or a scenario's id, in lower case.

    Returns:
        The turn; None for a link that leads nowhere.
    """
    turn = _open(scene, payload)
    if turn is None or scene.view.user.greeted:
        return turn
    return attrs.evolve(turn, replies=(*show_start(scene).replies, *turn.replies))


def _open(scene: Scene, payload: str) -> Turn | None:
    track = next((track for track in scene.pack.tracks if track.id.casefold() == payload), None)
    if track is not None:
        return show_track(scene, track.id)
    scenario = next((scenario for scenario in scene.pack.scenarios if scenario.id.casefold() == payload), None)
    if scenario is None:
        return None
    if scene.state.at == "answering" and scene.state.kept_answer is not None:
        return ask_about_kept(scene)
    level = next((level for track in scene.pack.tracks for level in track.levels if level.scenario.id == scenario.id), None)
    return take_up(scene, scenario.id) if level is None else begin_level(scene, level.id)
