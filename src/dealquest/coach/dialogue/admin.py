"""What the operator sees of everybody: numbers, traces, the queue's health. Never what somebody wrote.

Each press asks anew whether this is an admin; to everybody else the command and the buttons do not exist.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import attrs

from .asking import reason_of
from .effects import Failed, Found, Look
from .part import Answer, Part
from .scene import Flow, Rows, Scene, bar, stars
from .text import Text, join
from .values import Button, Turn

Row: TypeAlias = Mapping[str, Any]
Show: TypeAlias = Callable[[Scene, Any], tuple[Sequence[Text], Rows]]

IMPROVED_BY = 5
"""Points between the first five answers and the last five that count as a change."""

_PER_PAGE = 10
_MEDALS = ("🥇", "🥈", "🥉")
_MARKS = {"ok": "✓", "error": "✗", "cancelled": "-"}


@attrs.frozen(kw_only=True)
class _View:
    look: str
    show: Show


def show_admin(scene: Scene) -> Turn:
    """The list of views."""
    rows = tuple(
        tuple(scene.button(f"admin_{name}", f"admin:{name}") for name in pair)
        for pair in (
            ("perf", "stats"),
            ("leaderboard", "trends"),
            ("users", "activity"),
            ("scenarios", "casebook"),
            ("improvement", "queue"),
            ("close",),
        )
    )
    return scene.stay(scene.reply(scene.say("admin.title"), buttons=rows))


def _press(scene: Scene, words: Sequence[str]) -> Answer | None:
    if not scene.is_admin:
        return None
    match words:
        case ["back"]:
            return show_admin(scene)
        case ["close"]:
            return scene.stay(scene.reply(scene.say("admin.closed")))
        case ["trace", trace] if _is_uuid(trace):
            return _look(scene, _View(look="look_admin_trace", show=_trace), of_trace=trace)
        case ["users", page] if page.isascii() and page.isdigit() and len(page) < 6:
            return _users(scene, int(page))
        case ["users"]:
            return _users(scene, 0)
        case [name] if name in _VIEWS:
            return _look(scene, _VIEWS[name])
    return None


def _look(scene: Scene, view: _View, **arguments: Any) -> Flow:
    found = yield Look(function=view.look, arguments=arguments)
    if not isinstance(found, Found):
        assert isinstance(found, Failed)
        return scene.stay(scene.reply(scene.say("data.failed", reason=reason_of(scene, found)), buttons=_back(scene)))
    if not found.value:
        return scene.stay(scene.reply(scene.say("admin.nothing"), buttons=_back(scene)))
    lines, rows = view.show(scene, found.value)
    return scene.stay(scene.reply(join(lines), buttons=(*rows, *_back(scene))))


def _performance(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.perf_title")]
    for run in value["pipelines"]:
        times = {"mean": _ms(run["mean_ms"]), "longest": _ms(run["max_ms"])}
        line = scene.say("admin.perf_pipeline", name=run["name"], runs=run["runs"], errors=run["errors"], **times)
        lines.append(line)
    if not value["pipelines"]:
        lines.append(scene.say("admin.nothing"))
    rows: Rows = ()
    for trace in value["newest"]:
        label = f"{_MARKS.get(trace['status'], '·')} {trace['name']} · {_ms(trace['duration_ms'])} · {_age(scene, trace['start_time'])}"
        rows += ((Button(label, f"admin:trace:{trace['trace_id']}"),),)
    return lines, rows


def _trace(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
    spans: Sequence[Row] = value["spans"]
    whole = float(value["duration_ms"] or 0)
    age = _age(scene, value["start_time"])
    lines = [scene.say("admin.trace_title", name=value["name"], status=value["status"], duration=_ms(whole), age=age)]
    parents = {span["span_id"]: span["parent_span_id"] for span in spans}
    for span in spans:
        depth, above = 0, span["parent_span_id"]
        while above in parents and depth < 8:
            depth, above = depth + 1, parents[above]
        took = float(span["duration_ms"] or 0)
        line = scene.say("admin.trace_span", indent="· " * depth, bar=bar(took, whole), name=span["name"], duration=_ms(took))
        if span["model"]:
            tokens = f"{span['input_tokens'] or 0}+{span['output_tokens'] or 0}"
            line = line + scene.say("admin.trace_model", model=span["model"], tokens=tokens)
        lines.append(line)
    # The slowest step, not the ones around it, whose time is the steps' own.
    inner = set(parents.values())
    leaves = [span for span in spans if span["span_id"] not in inner]
    if leaves and whole:
        slowest = max(leaves, key=lambda span: float(span["duration_ms"] or 0))
        share = f"{100 * float(slowest['duration_ms'] or 0) / whole:.0f}"
        lines.append(scene.say("admin.trace_slowest", name=slowest["name"], share=share))
    return lines, ((scene.button("admin_perf", "admin:perf"),),)


def _team(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
    lines = [
        scene.say("admin.team_title"),
        scene.say("admin.team_users", users=value["users"], active=value["active"], xp=value["xp"]),
        scene.say("admin.team_models", counts=_counts({_provider(scene, name): people for name, people in value["providers"].items()})),
        scene.say(
            "admin.team_attempts",
            counts=_counts({_mode(scene, mode): count for mode, count in value["modes"].items()}),
            mean=_points(value["mean"]),
        ),
        scene.say("admin.team_sessions", sessions=value["sessions"]),
    ]
    return lines, ()


def _leaderboard(scene: Scene, value: Sequence[Row]) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.leader_title")]
    for place, row in enumerate(value):
        mark = _MEDALS[place] if place < len(_MEDALS) else f"{place + 1}."
        line = scene.say(
            "admin.leader_line", mark=mark, name=_who(row), mean=_points(row["mean"]), level=row["level"], xp=row["xp"], tries=row["tries"]
        )
        lines.append(line)
    return lines, ()


def _trends(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.trends_title")]
    lines.append(scene.say("admin.trends_week", mean=_points(value["mean"]), tries=value["tries"]))
    lines.append(scene.say("admin.trends_before", mean=_points(value["mean_before"]), tries=value["tries_before"]))
    if value["mean"] is not None and value["mean_before"] is not None:
        lines.append(scene.say("admin.trends_change", change=f"{value['mean'] - value['mean_before']:+.0f}"))
    if value["top"]:
        top = value["top"]
        lines.append(scene.say("admin.trends_top", name=_who(top), mean=_points(top["mean"]), tries=top["tries"]))
    categories = {scenario.id: scenario.category for scenario in scene.pack.scenarios}
    sums: dict[str, tuple[float, int]] = {}
    for row in value["scenarios"]:
        category = categories.get(row["scenario_id"], row["scenario_id"].split("_", 1)[0])
        points, tries = sums.get(category, (0.0, 0))
        sums[category] = (points + row["points"], tries + row["tries"])
    for category, (points, tries) in sorted(sums.items(), key=lambda item: item[1][0] / item[1][1]):
        lines.append(scene.say("admin.trends_category", name=_words(category), mean=_points(points / tries), tries=tries))
    return lines, ()


def _users(scene: Scene, page: int) -> Flow:
    def show(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
        lines = [scene.say("admin.users_title", all=value["all"], page=page + 1)]
        for row in value["users"]:
            name = f"{_who(row)} @{row['username']}" if row["username"] else _who(row)
            model = _provider(scene, row["provider"])
            seen = _age(scene, row["last_active_at"])
            lines.append(scene.say("admin.users_line", id=row["id"], name=name, level=row["level"], xp=row["xp"], model=model, age=seen))
        turning = []
        if page:
            turning.append(scene.button("page_before", f"admin:users:{page - 1}"))
        if (page + 1) * _PER_PAGE < value["all"]:
            turning.append(scene.button("page_after", f"admin:users:{page + 1}"))
        return lines, (tuple(turning),) if turning else ()

    return _look(scene, _View(look="look_admin_users", show=show), of_page=page)


def _activity(scene: Scene, value: Sequence[Row]) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.activity_title")]
    for row in value:
        line = scene.say(
            "admin.activity_line",
            name=_who(row),
            mode=_mode(scene, row["mode"]),
            scenario=_title(scene, row["scenario_id"]),
            score=row["score"],
            xp=row["xp_earned"],
            scorer=row["scorer"],
            age=_age(scene, row["created_at"]),
        )
        lines.append(line)
    return lines, ()


def _scenarios(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
    levels = sum(len(track.levels) for track in scene.pack.tracks)
    lines = [scene.say("admin.scenarios_title", pool=len(scene.pack.practice), levels=levels)]
    for difficulty in (1, 2, 3):
        count = sum(scenario.difficulty == difficulty for scenario in scene.pack.practice)
        lines.append(scene.say("admin.scenarios_pool", stars=stars(difficulty), count=count))
    for row in value["answered"]:
        mark, title = stars(row["difficulty"]), _title(scene, row["scenario_id"])
        lines.append(scene.say("admin.scenarios_line", title=title, stars=mark, mean=_points(row["mean"]), tries=row["tries"]))
    written = value["written"]
    lines.append(scene.say("admin.written_title", count=written["count"], used=written["used"], mean=_points(written["mean"])))
    for row in value["newest"]:
        title, age = _title(scene, row["id"]), _age(scene, row["created_at"])
        lines.append(scene.say("admin.written_line", title=title, used=row["times_used"], mean=_points(row["mean_score"]), age=age))
    if value["run"]:
        run = value["run"]
        lines.append(scene.say("admin.written_run", kept=run["kept"], refused=len(run["refused"]), age=_age(scene, run["created_at"])))
    return lines, ()


def _casebook(scene: Scene, value: Sequence[Row]) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.casebook_title")]
    for row in value:
        quality = f"{row['quality_score']:.2f}"
        kind = {"persona": _words(row["persona_type"]), "scenario": _words(row["scenario_type"])}
        line = scene.say("admin.casebook_line", id=row["id"], quality=quality, strategy=row["strategy"], **kind)
        lines.append(line)
    return lines, ()


def _improvement(scene: Scene, value: Sequence[Row]) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.improvement_title")]
    for row in value:
        change = row["last"] - row["first"]
        trend = "improving" if change > IMPROVED_BY else "declining" if change < -IMPROVED_BY else "stable"
        line = scene.say(
            "admin.improvement_line",
            name=_who(row),
            first=_points(row["first"]),
            last=_points(row["last"]),
            trend=scene.texts.label(f"admin.{trend}"),
            tries=row["tries"],
        )
        lines.append(line)
    return lines, ()


def _queue(scene: Scene, value: Row) -> tuple[Sequence[Text], Rows]:
    lines = [scene.say("admin.queue_title")]
    for what in ("messages", "jobs", "replies"):
        row = value[what]
        oldest = _seconds(row["oldest_s"]) if row["oldest_s"] is not None else "-"
        due = row.get("due", row["open"])
        lines.append(scene.say(f"admin.queue_{what}", open=row["open"], due=due, dead=row["dead"], oldest=oldest))
    for row in value["dead"]:
        which = {"what": row["what"], "source": row["source"], "number": row["update_id"]}
        lines.append(scene.say("admin.queue_dead", age=_age(scene, row["at"]), error=row["error"] or "?", **which))
    return lines, ()


def _title(scene: Scene, scenario_id: str) -> str:
    return next((scenario.title for scenario in scene.pack.scenarios if scenario.id == scenario_id), scenario_id)


def _provider(scene: Scene, name: str) -> str:
    key = f"provider.{name}"
    return scene.texts.label(key) if key in scene.texts.templates else name


def _mode(scene: Scene, mode: str) -> str:
    return scene.texts.label(f"mode.{mode}")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _who(row: Row) -> str:
    return row["name"] or "?"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1])) or "-"


def _points(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.0f}"


def _ms(duration_ms: float | None) -> str:
    if duration_ms is None:
        return "…"
    return f"{duration_ms:.0f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.1f} s"


def _age(scene: Scene, moment: str) -> str:
    return _seconds(max((scene.now - datetime.fromisoformat(moment)).total_seconds(), 0))


def _seconds(age_s: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if age_s >= size:
            return f"{age_s / size:.0f} {unit}"
    return f"{age_s:.0f} s"


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _back(scene: Scene) -> Rows:
    return ((scene.button("admin_back", "admin:back"),),)


_VIEWS = {
    "perf": _View(look="look_admin_performance", show=_performance),
    "stats": _View(look="look_admin_team", show=_team),
    "leaderboard": _View(look="look_admin_leaderboard", show=_leaderboard),
    "trends": _View(look="look_admin_trends", show=_trends),
    "activity": _View(look="look_admin_activity", show=_activity),
    "scenarios": _View(look="look_admin_scenarios", show=_scenarios),
    "casebook": _View(look="look_admin_casebook", show=_casebook),
    "improvement": _View(look="look_admin_improvement", show=_improvement),
    "queue": _View(look="look_admin_queue", show=_queue),
}

ADMIN = Part(commands={"admin": lambda scene, _: show_admin(scene)}, buttons={"admin": _press})
"""Its command is offered and taken only where `scene.is_admin`; see `converse.commands_of`."""
