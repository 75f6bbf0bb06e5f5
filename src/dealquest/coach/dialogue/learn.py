"""The lessons: tracks, levels, a lesson, its scenario."""

import attrs

from dealquest.coach.pack import Track
from dealquest.coach.progress import PASS_MARK

from .scene import Rows, Scene, find_level, level_status, show_scenario
from .text import join, styled
from .values import Button, Reply, State, Turn

_MARKS = {"completed": "✓", "in_progress": "▸", "unlocked": "▸", "locked": "·"}


def show_learning(scene: Scene) -> Turn:
    """The tracks, or the levels of the only one."""
    tracks = scene.pack.tracks
    if len(tracks) == 1:
        return scene.stay(levels_of(scene, tracks[0]))
    rows = tuple((Button(track.name, f"learn:track:{track.id}"),) for track in tracks)
    return scene.stay(
        scene.reply(scene.say("learn.tracks"), *(styled(track.name, "bold") + f"\n{track.description}" for track in tracks), buttons=rows)
    )


def show_track(scene: Scene, track_id: str) -> Turn | None:
    """The levels of a track; None when there is no such track."""
    track = next((track for track in scene.pack.tracks if track.id == track_id), None)
    return None if track is None else scene.stay(levels_of(scene, track))


def levels_of(scene: Scene, track: Track) -> Reply:
    """Every level with its state, and a button for each that is open."""
    lines = []
    rows: Rows = ()
    for index, level in enumerate(track.levels):
        status = level_status(scene.view, track, index)
        row = scene.view.level(track.id, level.id)
        best = scene.texts.label("learn.best", score=row.best_score) if row is not None and row.best_score else ""
        lines.append(scene.say("learn.level", mark=_MARKS[status], number=index + 1, name=level.name, best=best))
        if status != "locked":
            rows += ((Button(f"{index + 1}. {level.name}", f"learn:level:{level.id}"),),)
    if len(scene.pack.tracks) > 1:
        rows += ((scene.button("tracks", "go:learn"),),)
    return scene.reply(scene.say("learn.title", track=track.name, description=track.description), join(lines), buttons=rows)


def show_lesson(scene: Scene, level_id: str) -> Turn | None:
    """A lesson with a button that begins its scenario; a locked level says how to open it."""
    found = find_level(scene.pack, level_id)
    if found is None:
        return None
    track, index, level = found
    if level_status(scene.view, track, index) == "locked":
        return scene.stay(scene.reply(scene.say("learn.locked", pass_mark=PASS_MARK)), attrs.evolve(levels_of(scene, track), edit=False))
    points = join((scene.say("learn.key_points"), *(f"• {point}" for point in level.lesson.key_points)))
    lesson = scene.say("learn.lesson", number=index + 1, name=level.name, title=level.lesson.title, content=level.lesson.content)
    rows = ((scene.button("begin", f"learn:scenario:{level.id}"),), (scene.button("levels", f"learn:track:{track.id}"),))
    return scene.stay(scene.reply(lesson, points, buttons=rows))


def begin_level(scene: Scene, level_id: str) -> Turn | None:
    """Open a level's scenario, if the level is open: a stale button of a locked one changes nothing."""
    found = find_level(scene.pack, level_id)
    if found is None:
        return None
    track, index, level = found
    if level_status(scene.view, track, index) == "locked":
        return show_lesson(scene, level_id)
    state = State(
        at="answering",
        mode="learn",
        scenario_id=level.scenario.id,
        track_id=track.id,
        level_id=level.id,
        difficulty=scene.state.difficulty,
        since=scene.now,
    )
    return Turn(replies=(show_scenario(scene, level.scenario),), state=state)
