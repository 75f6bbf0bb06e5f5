"""Row-level security: anon nothing, a person their own rows and never their own XP, the service role everything."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import ANON, Principal
from dealquest.wire import HttpRequest

OWN = (
    "users",
    "user_memory",
    "scenarios_seen",
    "attempts",
    "xp_ledger",
    "track_progress",
    "support_sessions",
    "badges",
    "lead_registry",
    "lead_activity_log",
    "roleplays",
    "skill_cards",
)
SHARED = ("casebook",)
CLOSED = (
    "user_keys",
    "name_claims",
    "forgotten_users",
    "generated_scenarios",
    "generator_runs",
    "knowledge_sections",
    "dialogue_states",
    "inbox",
    "inbox_steps",
    "outbox",
    "leases",
    "updates_set_aside",
    "http_events",
    "pipeline_traces",
    "pipeline_spans",
)
TABLES = (*OWN, *SHARED, *CLOSED)

FILL = """
insert into users (local_name) values ('ann'), ('bob');
insert into user_keys (user_id, provider, sealed_key) select id, 'openrouter', 'sealed' from users;
insert into user_memory (user_id) select id from users;
insert into scenarios_seen (user_id, scenario_id) select id, 's' from users;
insert into attempts (user_id, source, update_id, scenario_id, mode, difficulty, answer, score, scorer, feedback_json, xp_earned)
    select id, 't', id, 's', 'train', 1, 'a', 50, 'signals', '{}', 50 from users;
insert into xp_ledger (user_id, source, update_id, reason, amount) select id, 't', id, 'score', 50 from users;
insert into track_progress (user_id, track_id, level_id, status) select id, 'f', '1', 'completed' from users;
insert into support_sessions (user_id, input_type, input_text, output_json, provider) select id, 'text', 'x', '{}', 'p' from users;
insert into casebook (persona_type, scenario_type, quality_score, created_from_user) select 'p', 's', 0.9, id from users;
insert into dialogue_states (source, chat, user_id, state) select 't', id, id, '{}' from users;
insert into inbox (source, update_id, chat, payload) select 't', id, id, '{}' from users;
insert into inbox_steps (source, update_id, step, result) select 't', id, 's', '{}' from users;
insert into outbox (source, update_id, seq, chat, payload) select 't', id, 0, id, '{}' from users;
delete from casebook where created_from_user is null; -- what ships
insert into badges (user_id, badge, earned_at) select id, 'first-win', now() from users;
insert into lead_registry (user_id, name) select id, 'Mara' from users;
insert into lead_activity_log (lead_id, user_id, kind) select id, user_id, 'note' from lead_registry;
insert into roleplays (user_id, scenario_id, lines) select id, 's', '[]' from users;
insert into skill_cards (user_id, area, stability, difficulty, due, last_review) select id, 'value', 1, 1, now(), now() from users;
insert into leases (name, holder, held_until) values ('x', 'y', now());
"""


@pytest.fixture
def login(database: "object") -> Iterator[psycopg.Connection]:
    """The login role's connection, with two people's rows in every table."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:  # type: ignore[attr-defined]  # the fixture's value
        owner.execute(FILL)
    with psycopg.connect(database.login_dsn, autocommit=True) as connection:  # type: ignore[attr-defined]  # see above
        yield connection


def become(connection: psycopg.Connection, role: str, subject: object = None) -> None:
    claims = json.dumps({"role": role} if subject is None else {"role": role, "sub": subject})
    connection.execute("reset role")
    connection.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
    connection.execute(f"set role {role}")  # type: ignore[call-overload]  # one of three names of ours


def rows_seen(connection: psycopg.Connection, table: str) -> int | None:
    """How many rows a role sees; None when it may not look at all."""
    columns = "id, persona_type" if table == "casebook" else "*"
    try:
        return len(connection.execute(f"select {columns} from {table}").fetchall())  # type: ignore[call-overload]  # names of ours
    except psycopg.errors.InsufficientPrivilege:
        return None


def test_p21_the_tables_of_the_test_are_all_tables(login: psycopg.Connection) -> None:
    """No table escapes this file, and each has row-level security switched on."""
    rows = login.execute(
        "select relname, relrowsecurity from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    ).fetchall()
    assert {name for name, _ in rows} == set(TABLES)
    assert all(secured for _, secured in rows)


@pytest.mark.parametrize("table", TABLES)
def test_p21_anon_sees_and_changes_nothing(login: psycopg.Connection, table: str) -> None:
    """Without proof there is no row to read, write or remove."""
    become(login, "anon")
    assert rows_seen(login, table) is None
    for statement in (f"insert into {table} default values", f"delete from {table}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(statement)  # type: ignore[call-overload]  # names of ours


@pytest.mark.parametrize("table", TABLES)
def test_p21_a_person_sees_their_own_rows_alone(login: psycopg.Connection, table: str) -> None:
    """One of two rows where rows are personal, the casebook whole, the rest not at all."""
    become(login, "authenticated", "1")
    expected = 1 if table in OWN else 2 if table in SHARED else None
    assert rows_seen(login, table) == expected


MAY_CHANGE = {("update", "users"), ("delete", "user_memory")}


def test_p21_nobody_changes_a_row_of_another_by_any_verb(database: Any, login: psycopg.Connection) -> None:
    """Each verb on each column of each table, by anon and by somebody without rows: refused, or without effect."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        for table in TABLES:
            look = f"select array_agg(t order by t::text)::text from {table} t"
            before = owner.execute(look).fetchone()  # type: ignore[call-overload]  # names of ours
            statements = {f"update {table} set {column} = default": "update" for column in changeable(owner, table)}
            statements |= {f"{verb} {table}": verb.split()[0] for verb in ("delete from", "truncate")}
            statements[f"insert into {table} default values"] = "insert"
            for role, subject, allowed in (("anon", None, set()), ("authenticated", "3", MAY_CHANGE)):
                become(login, role, subject)
                for statement, verb in statements.items():
                    try:
                        assert login.execute(statement).rowcount == 0, statement  # type: ignore[call-overload]  # names of ours
                    except psycopg.errors.InsufficientPrivilege:
                        continue
                    assert (verb, table) in allowed, statement
            assert owner.execute(look).fetchone() == before, table  # type: ignore[call-overload]  # names of ours


def changeable(owner: psycopg.Connection, table: str) -> list[str]:
    """Columns that are not generated: PostgreSQL refuses those before it looks at rights."""
    rows = owner.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''", (table,)
    )
    return [name for (name,) in rows]


def test_p21_functions_are_for_the_service_alone(login: psycopg.Connection) -> None:
    """Of all functions of the house, callers may run those that tell who they are and those that only reckon with their arguments."""
    rows = login.execute(
        """
        select distinct p.oid::regproc::text from pg_proc p, unnest(array['anon', 'authenticated']) role
        where p.pronamespace::regnamespace::text in ('public', 'dealquest', 'dealquest_changes', 'accounts', 'ai', 'system')
            and has_schema_privilege(role, p.pronamespace, 'usage') and has_function_privilege(role, p.oid, 'execute')
        """
    ).fetchall()
    assert {name for (name,) in rows} == {
        *(f"dealquest.{name}" for name in ("current_user_id", "level_of")),
        *(f"dealquest.{name}" for name in ("any_word", "case_words", "is_same_lead", "text_config")),
    }


@pytest.mark.parametrize("claims", ["", "{}", '{"sub": null}', '{"sub": ""}'])
def test_q7_claims_that_an_earlier_transaction_left_empty_are_nobody(login: psycopg.Connection, claims: str) -> None:
    """After SET LOCAL a setting is the empty text, not null: policies see nobody and raise nothing."""
    become(login, "authenticated", "1")
    login.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
    assert [rows_seen(login, table) for table in OWN] == [0] * len(OWN)


async def test_p21_embeds_show_own_rows_alone(database: Any, login: psycopg.Connection) -> None:
    """Through the engine, too: each table under its person and each person above their table; closed tables under nobody."""
    person = Principal(role="authenticated", subject="1")
    async with await Engine.open(database.login_dsn, EngineConfig(db_anon_role="anon")) as engine:

        async def get(path: str, who: Principal = person) -> tuple[int, Any]:
            answer = await engine.bind(who).send(HttpRequest(method="GET", url=path))
            return answer.status, json.loads(answer.body)

        related = 0
        for table in TABLES:
            hidden = "" if table in OWN else "!created_from_user" if table in SHARED else ""
            status, below = await get(f"/users?select=id,{table}{hidden}(*)")
            if table in OWN and status == 200:
                assert len(below) == 1
                assert below[0]["id"] == 1
                shown = below[0][table]
                assert all(row.get("user_id", 1) == 1 for row in (shown if isinstance(shown, list) else [shown])), table
                above = await get(f"/{table}?select=users(id)")
                assert above == (200, [{"users": {"id": 1}}]), table
                related += 1
            else:
                assert status in {400, 401, 403}, (table, below)
            assert (await get(f"/users?select=id,{table}(*)", ANON))[0] in {400, 401}, table
            assert (await get(f"/{table}?select=count()", ANON))[0] in {400, 401}, table
        assert related >= 8


@pytest.mark.parametrize("subject", ["", "0", "-1", "1 or true", "1e0", "9" * 30, "x", [1], {"a": 1}, True, None])
def test_a_strange_subject_is_nobody(login: psycopg.Connection, subject: object) -> None:
    """A subject that is no id of ours sees nothing and raises nothing."""
    become(login, "authenticated", subject)
    assert [rows_seen(login, table) for table in OWN] == [0] * len(OWN)


@pytest.mark.parametrize(
    "statement",
    [
        "update users set total_xp = 9999",
        "update users set streak_days = 99",
        "update users set telegram_id = 777",
        "update attempts set score = 100",
        "update attempts set xp_earned = 1000",
        "insert into xp_ledger (user_id, source, update_id, reason, amount) values (1, 't', 99, 'gift', 1000)",
        "insert into attempts (user_id, source, update_id, scenario_id, mode, score) values (1, 't', 9, 's', 'train', 99)",
        "update track_progress set status = 'completed'",
        "delete from attempts",
        "delete from users",
        "select created_from_user from casebook",
        "select commit_turn('{}')",
        "select receive_updates('[]')",
        "select * from system.migrations",
    ],
)
def test_nobody_writes_their_own_xp_level_or_score(login: psycopg.Connection, statement: str) -> None:
    """What is earned is written by the service role alone."""
    become(login, "authenticated", "1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute(statement)  # type: ignore[call-overload]  # statements of this file


def test_a_person_may_set_their_language_and_forget_their_memory(login: psycopg.Connection) -> None:
    """Both touch the own row only."""
    become(login, "authenticated", "1")
    assert login.execute("update users set language = 'de', time_zone = 'Europe/Vienna'").rowcount == 1
    assert login.execute("delete from user_memory").rowcount == 1
    become(login, "project_admin")
    assert login.execute("select language from users order by id").fetchall() == [("de",), ("en",)]
    assert rows_seen(login, "user_memory") == 1


def test_the_service_role_does_everything(login: psycopg.Connection) -> None:
    """Every table can be read by the role that the coach works with."""
    become(login, "project_admin")
    assert all(rows_seen(login, table) is not None for table in TABLES)
