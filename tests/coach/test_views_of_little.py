"""The views of the operator and of what is remembered, where there is little or much to show."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from dealquest.coach.dialogue import EffectResult, Event, Found, Look, Person, Scene, Turn, User, View, catalogue, converse
from dealquest.coach.scenarios import load_pack

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
THEN = "2026-11-22T11:59:30+00:00"
TRACE = "7f000000-0000-4000-8000-000000000001"
ROW = {"id": 1, "username": None, "name": None, "level": 1, "xp": 0, "provider": "", "last_active_at": THEN}


def shown(data: str, value: Any, *, kind: Any = "button") -> Turn:
    """The turn of a press by an admin whose looks all bring this value."""
    event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind=kind, text=data)
    scene = Scene(
        view=View(user=User(id=1)), event=event, pack=load_pack("en"), texts=catalogue("en"), now=NOW, rng=random.Random(1), is_admin=True
    )
    flow, result = converse(scene), None
    while True:
        try:
            effect = next(flow) if result is None else flow.send(result)
        except StopIteration as end:
            turn: Turn = end.value
            return turn
        assert isinstance(effect, Look)
        found: EffectResult = Found(value)
        result = found


def words(turn: Turn) -> str:
    return "\n".join(reply.text.plain for reply in turn.replies)


def buttons(turn: Turn) -> set[str]:
    return {button.data for reply in turn.replies for row in reply.buttons for button in row}


def test_pages_of_users_lead_both_ways() -> None:
    """In the middle of many users there is a page before and a page after; on the only page there is neither."""
    middle = buttons(shown("admin:users:1", {"all": 100, "users": [ROW]}))
    assert {"admin:users:0", "admin:users:2"} <= middle
    assert not {data for data in buttons(shown("admin:users", {"all": 1, "users": [ROW]})) if data.startswith("admin:users:")}


def test_runs_that_nobody_made_and_runs_under_way() -> None:
    """No run is said as such; one that has not ended has no duration yet."""
    newest = {"status": "unset", "name": "support", "duration_ms": None, "start_time": THEN, "trace_id": TRACE}
    turn = shown("admin:perf", {"pipelines": [], "newest": [newest]})
    assert any("…" in button.label for row in turn.replies[0].buttons for button in row)
    assert f"admin:trace:{TRACE}" in buttons(turn)


def test_a_trace_names_the_model_and_the_slowest_step_where_there_is_one() -> None:
    """A model's step shows its tokens; a trace without time names no slowest step."""
    span = {
        "span_id": "a",
        "parent_span_id": None,
        "name": "ask",
        "duration_ms": 900,
        "model": "a/b",
        "input_tokens": 3,
        "output_tokens": None,
    }
    trace = {"name": "support", "status": "ok", "duration_ms": 1000, "start_time": THEN, "spans": [span]}
    told = words(shown(f"admin:trace:{TRACE}", trace))
    assert "a/b" in told
    assert "3+0" in told
    assert "90" in told
    empty = words(shown(f"admin:trace:{TRACE}", {**trace, "duration_ms": None, "spans": []}))
    assert "ask" not in empty


def test_a_week_without_answers_has_no_change() -> None:
    """Without a mean of both weeks no change is claimed, and nobody is the best."""
    told = words(shown("admin:trends", {"mean": None, "tries": 0, "mean_before": 40, "tries_before": 3, "top": None, "scenarios": []}))
    assert "Change" not in told


def test_nothing_was_written_by_a_model_yet() -> None:
    """A pool that was never added to shows no run of the generator."""
    written = {"count": 0, "used": 0, "mean": None}
    told = words(shown("admin:scenarios", {"answered": [], "written": written, "newest": [], "run": None}))
    assert "refused" not in told


@pytest.mark.parametrize("view", ["perf", "stats", "leaderboard", "trends", "activity", "scenarios", "casebook", "improvement", "queue"])
def test_a_view_of_nothing_says_so(view: str) -> None:
    """Where the records hold nothing at all, each view says that and leads back."""
    assert "admin:back" in buttons(shown(f"admin:{view}", None))
