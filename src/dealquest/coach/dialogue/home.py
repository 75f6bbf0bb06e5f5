"""The plain commands: start, help, stats, cancel, and what to say to words that fit nowhere."""

import difflib
from collections.abc import Sequence

import attrs

from dealquest.coach.leads import LeadPage
from dealquest.coach.progress import BADGES, PASS_MARK, level_of, local_day, rank_of, xp_at_level

from .answering import kept_buttons, open_buttons, start_buttons
from .asking import look
from .lead_view import count_by_status
from .onboarding import setup_rows, welcome
from .rewards import Skills, look_at_skills
from .scene import OPEN_FOR, Flow, Scene, bar, level_status, next_open_level, show_scenario
from .text import Text, join
from .values import Change, Reply, State, Turn

COMMANDS = ("start", "learn", "train", "roleplay", "support", "leads", "stats", "memory", "settings", "help", "cancel")


def is_expired(scene: Scene) -> bool:
    """Whether the open scenario waited for more than a day, or is gone from the pack."""
    state = scene.state
    if state.at != "answering" or (state.kept_answer is not None and scene.open_scenario() is not None):
        return False
    return scene.open_scenario() is None or (state.since is not None and scene.now - state.since > OPEN_FOR)


def set_aside(state: State) -> State:
    """The same conversation with nothing open; difficulty and the last scenario stay known."""
    return attrs.evolve(state, at="idle", kept_answer=None, since=None, lead_id=None)


def show_start(scene: Scene) -> Turn:
    """Greet, say where the user stands, and show an open scenario again."""
    user = scene.view.user
    name = user.first_name or scene.event.user.first_name or scene.texts.label("start.nameless")
    if not user.greeted:
        return welcome(scene, name, _scorer_note(scene))
    level = level_of(user.total_xp)
    where = scene.say("start.back", name=name, rank=rank_of(level), level=level, xp=user.total_xp)
    scenario = scene.open_scenario()
    if scenario is not None:
        replies = [scene.reply(where, scene.say("start.open_scenario")), attrs.evolve(show_scenario(scene, scenario), edit=False)]
        if scene.state.kept_answer is not None:
            replies.append(Reply(text=scene.say("answer.kept"), buttons=kept_buttons(scene)))
        return scene.stay(*replies)
    if scene.state.at == "roleplay":
        return scene.stay(scene.reply(where, scene.say("roleplay.open"), buttons=open_buttons(scene)))
    following = next_open_level(scene.pack, scene.view)
    lesson = (
        scene.say("learn.finished")
        if following is None
        else scene.say("start.next_level", level=following[0].levels[following[1]].name, track=following[0].name)
    )
    # Who uses the team's model, a key or no model has chosen; the quick setup is what counts until something else is chosen.
    has_chosen = bool(scene.house.shared_model) or not user.uses_shared_key or bool(user.key_providers)
    setup = setup_rows(scene) if not user.total_xp and not has_chosen else ()
    by_team = not user.total_xp and user.uses_shared_key and not scene.offline
    scored = scene.say("start.by_team", model=scene.house.shared_model) if by_team and scene.house.shared_model else _scorer_note(scene)
    return scene.stay(scene.reply(where + "\n" + lesson, scored, buttons=(*start_buttons(scene), *setup)))


def note_expired(scene: Scene) -> Reply:
    """Say that the open scenario was set aside, with a way back to it."""
    state = scene.state
    scenario = scene.open_scenario()
    if scenario is None:
        return scene.reply(scene.say("unknown.stale"), buttons=start_buttons(scene))
    data = f"learn:scenario:{state.level_id}" if state.mode == "learn" and state.level_id else f"again:{scenario.id}"
    return Reply(text=scene.say("start.expired", title=scenario.title), buttons=((scene.button("take_up", data),),))


def show_help(scene: Scene, commands: Sequence[str] = COMMANDS) -> Turn:
    """The commands, a line each."""
    lines = [scene.say("help.line", command=command, what=scene.say(f"command.{command}")) for command in commands]
    return scene.stay(scene.reply(join((scene.say("help.title"), *lines)), scene.say("help.answering"), _scorer_note(scene)))


def cancel(scene: Scene) -> Turn:
    """Leave the open scenario; it stays unseen."""
    if scene.state.at == "idle":
        return scene.stay(scene.reply(scene.say("cancel.nothing"), buttons=start_buttons(scene)))
    if scene.state.at == "roleplay":
        # Only the scenario at hand stays known, so that the talk can be begun anew.
        state = attrs.evolve(scene.state, at="idle", since=None)
        told = scene.reply(scene.say("cancel.done"), buttons=start_buttons(scene))
        return Turn(replies=(told,), state=state, changes=(Change(kind="end_roleplay"),))
    if scene.state.at != "answering":
        return Turn(replies=(scene.reply(scene.say("cancel.left"), buttons=start_buttons(scene)),), state=set_aside(scene.state))
    key = "cancel.done" if scene.state.kept_answer is None else "cancel.dropped"
    return Turn(replies=(scene.reply(scene.say(key), buttons=start_buttons(scene)),), state=set_aside(scene.state))


def show_stats(scene: Scene) -> Flow:
    """XP, level, streak, lessons, practice, the last scores, the leads and the badges."""
    skills = yield from look_at_skills()
    leads = yield from look(LeadPage, "look_leads", page=0, per_page=0, as_of=scene.now.isoformat())
    view, user = scene.view, scene.view.user
    level = level_of(user.total_xp)
    floor, ceiling = xp_at_level(level), xp_at_level(level + 1)
    into, needed = user.total_xp - floor, ceiling - floor
    statuses = [level_status(view, track, index) for track in scene.pack.tracks for index in range(len(track.levels))]
    pool = scene.pack.practice
    recent: Text = scene.say("stats.none")
    if view.recent_scores:
        scores = view.recent_scores
        recent = scene.say("stats.recent", count=len(scores), mean=f"{sum(scores) / len(scores):.0f}", best=max(scores))
    lines = (
        scene.say("stats.title", rank=rank_of(level), level=level, bar=bar(into, needed), into=into, needed=needed, next=level + 1),
        scene.say("stats.total", xp=user.total_xp, streak=streak_of(scene)),
        scene.say("stats.levels", done=statuses.count("completed"), all=len(statuses)),
        scene.say("stats.practice", seen=sum(scenario.id in view.seen for scenario in pool), pool=len(pool)),
        scene.say("stats.completed", completed=sum(best.best_score >= PASS_MARK for best in view.bests), tried=len(view.bests)),
        recent,
        scene.say("stats.leads", total=leads.total, counts=count_by_status(scene, leads))
        if isinstance(leads, LeadPage) and leads.total
        else "",
        *_badge_lines(scene, skills),
    )
    live = (scene.button("support", "go:support"), scene.button("leads", "go:leads"))
    return scene.stay(scene.reply(join(lines), buttons=(*start_buttons(scene), live)))


def _badge_lines(scene: Scene, skills: Skills | None) -> list[Text]:
    if skills is None or not skills.badges:
        return []
    days = {earned.badge: local_day(earned.earned_at, scene.view.user.time_zone) for earned in skills.badges}
    return [
        scene.say("badge.title", earned=len(days), all=len(BADGES)),
        *(
            scene.say(
                "badge.line",
                name=scene.texts.label(f"badge.name.{badge.id}"),
                rarity=scene.texts.label(f"badge.rarity.{badge.rarity}"),
                day=days[badge.id].isoformat(),
            )
            for badge in BADGES
            if badge.id in days
        ),
    ]


def streak_of(scene: Scene) -> Text:
    """The days in a row, in words."""
    days = scene.view.user.streak_days
    return scene.say({0: "stats.streak_none", 1: "stats.streak_one"}.get(days, "stats.streak_days"), days=days)


def unknown_command(scene: Scene, command: str, commands: Sequence[str] = COMMANDS) -> Turn:
    """Name the nearest command; an open scenario stays open."""
    nearest = difflib.get_close_matches(command, commands, n=1, cutoff=0.5)
    key, values = ("unknown.command", {"nearest": nearest[0]}) if nearest else ("unknown.command_far", {})
    return scene.stay(scene.reply(scene.say(key, command=command[:40], **values)))


def unknown_text(scene: Scene) -> Turn:
    """Words without an open scenario: say what can be done."""
    return scene.stay(scene.reply(scene.say("unknown.text"), buttons=start_buttons(scene)))


def stale_button(scene: Scene) -> Turn:
    """A button of an earlier step, or one we never sent: change nothing."""
    return scene.stay(attrs.evolve(scene.reply(scene.say("unknown.stale"), buttons=start_buttons(scene)), edit=False))


def _scorer_note(scene: Scene) -> Text:
    if not scene.offline:
        return Text()
    by_user = scene.house.shared_model or scene.house.stores_keys
    return scene.say("start.offline") + " " + scene.say("start.model_by_user" if by_user else "start.model_by_operator")
