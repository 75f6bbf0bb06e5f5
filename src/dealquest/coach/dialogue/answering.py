"""An answer: clean it, have it scored, say what was good and what to improve, and count it."""

import re
import unicodedata

import attrs

from dealquest.coach.pack import Scenario
from dealquest.coach.progress import (
    PASS_MARK,
    TRACK_BONUS,
    level_of,
    rank_of,
    streak_after,
    xp_for_answer,
)
from dealquest.coach.scorecard import ScoreCard

from .asking import reason_of
from .effects import Failed, ScoreAnswer
from .rewards import reward
from .scene import Flow, Rows, Scene, bar, find_level
from .text import Text, join, styled
from .values import Attempt, Best, Progress, Reply, State, Turn, XpEntry

MAX_ANSWER_CHARACTERS = 8_000
"""Far more than any scenario asks for; what is longer was pasted by mistake."""

_MENDED_IN_SETTINGS = frozenset(
    {"vault.sealed.refused", "llm.refused.key", "llm.refused.permission", "llm.refused.credit", "llm.refused.model"}
)
_BLANK_RUNS = re.compile(r"\n{3,}")


def clean_answer(text: str) -> str:
    r"""The answer without control characters (NUL would not even be storable), with plain line ends; empty where nothing can be seen.

    >>> clean_answer("  Hi\x00 Ann,\r\n\x1b[31mred\x1b[0m  "), clean_answer("\u202e\u200b \u2060")
    ('Hi Ann,\n[31mred[0m', '')
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    can_be_seen = any(c.isprintable() and not c.isspace() for c in kept)
    return _BLANK_RUNS.sub("\n\n", kept).strip() if can_be_seen else ""


def answer(scene: Scene, text: str, *, offline: bool = False) -> Flow:
    """Score an answer to the open scenario."""
    scenario = scene.open_scenario()
    if scenario is None:
        return scene.stay(scene.reply(scene.say("unknown.text"), buttons=start_buttons(scene)))
    cleaned = clean_answer(text)
    if not cleaned:
        return scene.stay(scene.reply(scene.say("answer.blank", name=scenario.persona.name)))
    if len(cleaned) > MAX_ANSWER_CHARACTERS:
        return scene.too_long("answer.too_long", cleaned, MAX_ANSWER_CHARACTERS)
    outcome = yield ScoreAnswer(scenario_id=scenario.id, answer=cleaned, offline=offline)
    if not isinstance(outcome, ScoreCard):
        assert isinstance(outcome, Failed)
        return _keep(scene, cleaned, outcome)
    return (yield from reward(scene, scenario, graded(scene, scenario, cleaned, outcome)))


def score_kept(scene: Scene, *, offline: bool) -> Flow:
    """Score an answer again that could not be scored before."""
    kept = scene.state.kept_answer
    if scene.open_scenario() is None or kept is None:
        return scene.stay(scene.reply(scene.say("unknown.stale"), buttons=start_buttons(scene)))
    return (yield from answer(scene, kept, offline=offline))


def show_ideal(scene: Scene, scenario_id: str) -> Turn | None:
    """A strong answer and common mistakes, for those who tried; None for a button that was never offered."""
    scenario = next((scenario for scenario in scene.pack.scenarios if scenario.id == scenario_id), None)
    if scenario is None or scene.view.best(scenario_id) is None:
        return None
    mistakes = join((scene.say("ideal.mistakes"), *(f"• {mistake}" for mistake in scenario.mistakes)))
    rows = ((scene.button("again", f"again:{scenario.id}"), scene.button("next_scenario", "train:next")),)
    pause = scene.say("ideal.pause") if "…" in scenario.ideal else ""
    shown = scene.reply(join((scene.say("ideal.title"), scenario.ideal, pause)), mistakes, buttons=rows)
    return scene.stay(attrs.evolve(shown, edit=False))


def start_buttons(scene: Scene) -> Rows:
    """The two ways to begin."""
    return ((scene.button("next_lesson", "go:learn"), scene.button("practise", "go:train")),)


def open_buttons(scene: Scene) -> Rows:
    """What can be done with a role-play that is open."""
    return (
        (scene.button("roleplay_go_on", "role:go_on"), scene.button("roleplay_end", "role:end")),
        (scene.button("drop", "role:drop"),),
    )


def kept_buttons(scene: Scene) -> Rows:
    """What can be done with an answer that waits for its score."""
    return (
        (scene.button("score_again", "score:again"), scene.button("score_offline", "score:offline")),
        (scene.button("drop", "go:cancel"),),
    )


def ask_about_kept(scene: Scene) -> Turn:
    """An answer waits for its score: it goes first, or the user drops it."""
    return scene.stay(attrs.evolve(scene.reply(scene.say("answer.kept"), buttons=kept_buttons(scene)), edit=False))


def keep_late(scene: Scene, scenario: Scenario) -> Turn:
    """A text to a scenario that was open for more than a day: perhaps its answer, perhaps not, so ask and lose nothing."""
    rows = ((scene.button("score_it", "score:again"), scene.button("drop", "go:cancel")),)
    reply = Reply(text=scene.say("answer.late", title=scenario.title), buttons=rows)
    return Turn(replies=(reply,), state=attrs.evolve(scene.state, kept_answer=scene.event.text, since=scene.now))


def _keep(scene: Scene, text: str, failure: Failed) -> Turn:
    # A key that was blocked, spent or cannot be opened any more, and a model that is not served, are mended in the settings.
    mend = ((scene.button("settings", "settings:back"),),) if failure.code in _MENDED_IN_SETTINGS and scene.house.stores_keys else ()
    reply = scene.reply(scene.say("answer.failed", reason=reason_of(scene, failure)), buttons=(*kept_buttons(scene), *mend))
    return Turn(replies=(attrs.evolve(reply, edit=False),), state=attrs.evolve(scene.state, kept_answer=text))


def graded(scene: Scene, scenario: Scenario, text: str, card: ScoreCard) -> Turn:
    """A score card as a turn: feedback, XP, streak, and in a lesson the level."""
    view, state = scene.view, scene.state
    mode = state.mode or "train"
    before = view.best(scenario.id)
    earned = xp_for_answer(card.total, best_before=before.best_score if before else None, last_before=before.last_score if before else None)
    progress, notes, bonus, rows = _level_outcome(scene, card.total) if mode == "learn" else ((), (), 0, _practice_buttons(scene, scenario))
    if bonus:
        earned["track"] = bonus
    total_earned = sum(earned.values())
    streak, day = streak_after(
        scene.now, time_zone=view.user.time_zone, last_graded_on=view.user.last_graded_on, streak_days=view.user.streak_days
    )
    level_before, level_now = level_of(view.user.total_xp), level_of(view.user.total_xp + total_earned)
    if level_now > level_before:
        notes = (*notes, scene.say("feedback.level_up", level=level_now, rank=rank_of(level_now)))
    if streak > max(view.user.streak_days, 1):
        notes = (*notes, scene.say("feedback.streak", days=streak))
    feedback = _feedback(scene, card, total_earned, before)
    return Turn(
        replies=(Reply(text=join((feedback, *notes), "\n\n"), buttons=rows),),
        state=State(mode=mode, scenario_id=scenario.id, track_id=state.track_id, level_id=state.level_id, difficulty=state.difficulty),
        attempt=Attempt(
            scenario_id=scenario.id,
            mode=mode,
            difficulty=scenario.difficulty,
            answer=text,
            card=card,
            xp_earned=total_earned,
            track_id=state.track_id,
            level_id=state.level_id,
        ),
        xp=tuple(XpEntry(reason=reason, amount=amount) for reason, amount in earned.items()),
        progress=progress,
        seen=() if mode == "learn" else (scenario.id,),
        streak_days=streak,
        graded_on=day,
    )


def _practice_buttons(scene: Scene, scenario: Scenario) -> Rows:
    return (
        (scene.button("next_scenario", "train:next"), scene.button("again", f"again:{scenario.id}")),
        (scene.button("ideal", f"ideal:{scenario.id}"), scene.button("stats", "go:stats")),
    )


def _level_outcome(scene: Scene, score: int) -> tuple[tuple[Progress, ...], tuple[Text, ...], int, Rows]:
    """What an answer does to its level: the stored row, what to say about it, the track's bonus, the buttons."""
    found = find_level(scene.pack, scene.state.level_id or "")
    if found is None:
        return (), (), 0, start_buttons(scene)
    track, index, level = found
    known = scene.view.level(track.id, level.id) or Progress(track_id=track.id, level_id=level.id)
    completed_before = known.status == "completed"
    passed = score >= PASS_MARK
    row = Progress(
        track_id=track.id,
        level_id=level.id,
        status="completed" if passed or completed_before else "in_progress",
        best_score=max(known.best_score, score),
        attempts_count=known.attempts_count + 1,
    )
    again = scene.button("again", f"learn:scenario:{level.id}")
    below = (scene.button("ideal", f"ideal:{level.scenario.id}"), scene.button("levels", f"learn:track:{track.id}"))
    if not passed:
        return (row,), (scene.say("learn.not_passed", pass_mark=PASS_MARK, missing=PASS_MARK - score),), 0, ((again,), below)
    notes: tuple[Text, ...] = (scene.say("learn.completed"),)
    if index + 1 < len(track.levels):
        after = track.levels[index + 1]
        notes = (scene.say("learn.unlocked", number=index + 2, name=after.name),)
        return (row,), notes, 0, ((scene.button("next_level", f"learn:level:{after.id}", number=index + 2),), below)
    others_done = all(
        (found_row := scene.view.level(track.id, other.id)) is not None and found_row.status == "completed"
        for other in track.levels
        if other.id != level.id
    )
    bonus = TRACK_BONUS if others_done and not completed_before else 0
    if bonus:
        notes = (scene.say("learn.track_completed", track=track.name, xp=bonus),)
    return (row,), notes, bonus, (below,)


def _feedback(scene: Scene, card: ScoreCard, earned: int, before: Best | None) -> Text:
    head = scene.say("feedback.score", score=card.total, bar=bar(card.total, 100))
    gain = scene.say("feedback.xp", xp=earned)
    if not earned:
        gain = scene.say("feedback.xp_none", best=before.best_score) if before else scene.say("feedback.xp_zero")
    lines = []
    for item in card.criteria:
        line = scene.say("feedback.criterion", label=item.name, score=item.score, max=item.max) + f"  {item.feedback}"
        if item.quote:
            line = line + "\n  " + styled(f"“{item.quote}”", "italic")
        if item.suggestion:
            line = line + f"\n  → {item.suggestion}"
        lines.append(line)
    parts: list[Text | str] = [head + "   " + gain, join(lines)]
    if card.strengths:
        parts.append(join((scene.say("feedback.strengths"), *(f"+ {strength}" for strength in card.strengths))))
    shown = {item.suggestion for item in card.criteria}
    if improvements := [improvement for improvement in card.improvements if improvement not in shown]:
        parts.append(join((scene.say("feedback.improvements"), *(f"→ {improvement}" for improvement in improvements))))
    parts.append(styled(card.note, "italic"))
    return join(parts, "\n\n")
