"""The operator's views on the real engine, and that nobody else gets near them."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import psycopg
import pytest

from dealquest.auth import AccessPolicy
from dealquest.coach.admission import Admission, NameRows
from dealquest.coach.dialogue import Person, commands_of
from dealquest.coach.effects import Effects
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import Chatter
from dealquest.values import SERVICE, SystemClock

ANSWER = "What does the delay cost you each month? Could we talk on Thursday at 10 for 15 minutes?"
VIEWS = ("perf", "stats", "leaderboard", "trends", "users", "activity", "scenarios", "casebook", "improvement", "queue")
TRACE = "7f000000-0000-4000-8000-000000000001"


@pytest.fixture
async def records(database: Any, anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


def admission(records: Postgrest, allowed: tuple[str, ...] = (), admins: tuple[str, ...] = ()) -> Admission:
    return Admission(AccessPolicy.from_lists(allowed, admins), NameRows(records, SystemClock()))


def chatter(records: Postgrest, doors: Admission, person: Person, first: int) -> Chatter:
    effects = Effects(packs=lambda _: load_pack("en"), looks=records)
    chat = Chatter(Turns(records, effects=effects, worker="w", is_admin=doors.is_admin), name=f"c{first}", first_update=first)
    chat.person = attrs.evolve(person, local_name=f"c{first}")
    return chat


def fill(database: Any) -> None:
    """Eight answers over two weeks, a case, a trace with two spans, a dead letter of each kind."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(
            "insert into attempts (user_id, source, update_id, scenario_id, mode, difficulty, answer, score, scorer, feedback_json, "
            "xp_earned, created_at) "
            "select (select min(id) from users), 'old', n, 'cold-quiet-inbox', 'train', 1, 'secret words', 30 + n * 5, 'model', '{}', 1, "
            "now() - make_interval(days => 12 - n) from generate_series(1, 8) as n"
        )
        owner.execute(
            "insert into casebook (persona_type, scenario_type, strategy, quality_score) values ('cfo', 'pricing', 'Anchor on cost', 0.9)"
        )
        owner.execute(
            "insert into generated_scenarios (id, language, scenario, times_used, mean_score) values ('gen_abcdefgh', 'xx', '{}', 3, 61)"
        )
        owner.execute("insert into generator_runs (kept, refused) values (1, '[\"no rubric\"]')")
        owner.execute(
            "insert into pipeline_traces (trace_id, pipeline_name, user_id, start_time, duration_ms, status) "
            "values (%s, 'support', (select min(id)::text from users), now(), 2000, 'ok')",
            (TRACE,),
        )
        for number, (name, parent, took) in enumerate((("turn", None, 2000), ("model", 1, 1500))):
            owner.execute(
                "insert into pipeline_spans (span_id, trace_id, parent_span_id, span_name, status, start_time, end_time, start_ns, "
                "duration_ms, success, input_data) "
                "values (%s, %s, %s, %s, 'ok', now(), now(), %s, %s, true, '{\"prompt\": \"secret words\"}')",
                (f"{number + 1:032x}", TRACE, None if parent is None else f"{parent:032x}", name, number, took),
            )
        owner.execute(
            "insert into inbox (source, update_id, chat, payload, status, error) values ('test', 900, 'x', '{}', 'dead', 'Boom: it broke')"
        )
        owner.execute("insert into outbox (source, update_id, seq, chat, payload, status) values ('test', 901, 0, 'x', '{}', 'dead')")


async def test_an_admin_sees_every_view_and_no_words_of_users(records: Postgrest, database: Any) -> None:
    """Each view shows its numbers; what users wrote is in none."""
    doors = admission(records, admins=("42",))
    chat = chatter(records, doors, Person(telegram_id=42, first_name="Olga"), 1)
    assert "Admin" in await chat.says("/admin")
    fill(database)
    shown = {}
    for view in VIEWS:
        shown[view] = await chat.presses(f"data:admin:{view}")
        assert "earlier step" not in shown[view]
        assert "secret words" not in shown[view]
    assert "support: 1 runs, mean 2.0 s" in shown["perf"]
    assert "People: 1" in shown["stats"]
    assert "practice 8; mean 52" in shown["stats"]
    assert "Olga 52" in shown["leaderboard"]
    assert "Change: +" in shown["trends"]
    assert "Olga" in shown["users"]
    assert "70 points" in shown["activity"]
    assert "mean 52 of 8" in shown["scenarios"]
    assert "Written by a model: 1, answered 3 times, mean 61" in shown["scenarios"]
    assert "1 were kept and 1 refused" in shown["scenarios"]
    assert "cfo, pricing" in shown["casebook"]
    assert "45 → 60, improving" in shown["improvement"]
    assert "Boom: it broke" in shown["queue"]
    assert "1 undeliverable" in shown["queue"]


async def test_a_trace_is_opened_from_the_list(records: Postgrest, database: Any) -> None:
    """The drill-down shows the steps under their parents and names the slowest one with its share."""
    chat = chatter(records, admission(records, admins=("42",)), Person(telegram_id=42, first_name="Olga"), 1)
    await chat.says("/admin")
    fill(database)
    await chat.presses("admin:perf")
    opened = await chat.presses(f"admin:trace:{TRACE}")
    assert "Slowest step: model, 75 %" in opened
    assert "· " in opened
    assert "Nothing yet" in await chat.presses("data:admin:trace:00000000-0000-4000-8000-000000000000")


async def test_b2_forged_admin_buttons_show_and_change_nothing(records: Postgrest, database: Any) -> None:
    """To somebody who is no admin, the command and each button do not exist, whatever they send."""
    doors = admission(records, admins=("42",))
    chat = chatter(records, doors, Person(telegram_id=7, first_name="Mallory"), 1)
    await chat.says("/start")
    fill(database)
    assert "There is no command /admin" in await chat.says("/admin")
    assert "/admin" not in await chat.says("/help")
    for data in (*VIEWS, "back", "close", f"trace:{TRACE}", "users:0", "users:-1", "", "look_admin_team"):
        replied = await chat.presses(f"data:admin:{data}")
        assert "earlier step" in replied
        assert "Mallory" not in replied


async def test_b2_a_forged_view_of_an_admin_is_stale_too(records: Postgrest) -> None:
    """Unknown views, pages and traces that are no ids are answered, never an error."""
    chat = chatter(records, admission(records, admins=("42",)), Person(telegram_id=42), 1)
    await chat.says("/admin")
    for data in ("nothing", "trace:x", "trace:", "trace:' or 1=1", "users:99999999999", "users:x", "perf:1"):
        assert "earlier step" in await chat.presses(f"data:admin:{data}")


async def test_b1_a_listed_name_belongs_to_the_first_id_that_shows_it(records: Postgrest) -> None:
    """Whoever takes a name later, in whatever case, is no admin and may not enter; the first one stays, under any name."""
    doors = admission(records, allowed=("annie",), admins=("boss",))
    owner, thief = Person(telegram_id=1, username="Boss"), Person(telegram_id=2, username="bOSS")
    assert await doors.is_admin(owner)
    assert await doors.may_use(owner)
    assert not await doors.is_admin(thief)
    assert not await doors.may_use(thief)
    assert await doors.is_admin(attrs.evolve(owner, username="renamed"))
    # Another process with the same records agrees.
    others = admission(records, allowed=("annie",), admins=("boss",))
    assert not await others.is_admin(thief)
    assert await others.is_admin(owner)
    assert not await others.may_use(Person(telegram_id=3))
    assert await others.may_use(Person(telegram_id=3, username="annie"))


async def test_b1_a_turn_of_a_thief_of_the_name_shows_nothing(records: Postgrest, database: Any) -> None:
    """The name is claimed when its owner writes; the same name on another account gets the answer of a stranger."""
    doors = admission(records, admins=("boss",))
    assert "Admin" in await chatter(records, doors, Person(telegram_id=1, username="boss"), 1).says("/admin")
    assert "There is no command" in await chatter(records, doors, Person(telegram_id=2, username="boss"), 100).says("/admin")


async def test_the_looks_are_for_the_service_role_alone(records: Postgrest, database: Any) -> None:
    """Neither the public role nor a signed-in user may call a look, a change or the claims."""
    with psycopg.connect(database.owner_dsn) as owner:
        open_to = owner.execute(
            "select p.oid::regprocedure::text, r.rolname from pg_proc p cross join pg_roles r "
            "where r.rolname in ('anon', 'authenticated') and has_function_privilege(r.oid, p.oid, 'execute') "
            "and (p.proname like 'look\\_%' or p.proname in ('name_owners', 'claim_name', 'forget_traces', 'own_rows', 'own_messages') "
            "or p.pronamespace = 'dealquest_changes'::regnamespace)"
        ).fetchall()
    assert open_to == []


def test_the_menu_of_commands_is_in_the_users_language() -> None:
    """Adapters get every command with its words; the admin's only for admins."""
    names = [name for name, _ in commands_of("de")]
    assert names[0] == "start"
    assert "settings" in names
    assert "admin" not in names
    assert ("admin", "das Team, die Abläufe, die Warteschlange") in commands_of("de-AT", is_admin=True)
