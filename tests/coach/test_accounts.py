"""Onboarding, keys, settings and one's own data, played through the dialogue on the real engine."""

import json
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.dialogue import (
    Entering,
    Event,
    EventKind,
    House,
    KeyChecked,
    Person,
    Scene,
    State,
    Turn,
    User,
    View,
    catalogue,
    converse,
)
from dealquest.coach.dialogue.keys import holds_key
from dealquest.coach.effects import Effects
from dealquest.coach.pack import Scenario
from dealquest.coach.scenarios import load_pack
from dealquest.coach.scorecard import ScoreCard
from dealquest.coach.turns import Turns
from dealquest.errors import PeerRefusedError
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import Chatter, ScriptedModels
from dealquest.values import SERVICE

GOOD, POOR, LATE = "sk-or-v1-good0123456789", "sk-or-v1-poor0123456789", "sk-or-v1-late0123456789"
CLAUDE = "sk-ant-api03-good0123456789"
KEYS = {
    GOOD: KeyChecked(verdict="good", sealed="sealed-openrouter"),
    CLAUDE: KeyChecked(verdict="good", sealed="sealed-anthropic"),
    POOR: KeyChecked(verdict="no_credit"),
    LATE: KeyChecked(verdict="unreachable"),
}
HOUSE = House(shared_model="team/model", stores_keys=True)
ANSWER = "What does the delay cost you each month? Could we talk on Thursday at 10 for 15 minutes?"


@pytest.fixture
async def records(database: Any, anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


@pytest.fixture
def models() -> ScriptedModels:
    return ScriptedModels(keys=KEYS)


@pytest.fixture
def chat(records: Postgrest, models: ScriptedModels) -> Chatter:
    return chatter(records, models)


def chatter(records: Postgrest, models: ScriptedModels | None, *, house: House = HOUSE, name: str = "ann", first: int = 1) -> Chatter:
    effects = Effects(packs=lambda _: load_pack("en"), looks=records, house=house, models=models)
    return Chatter(Turns(records, effects=effects, worker="w"), name=name, first_update=first)


def everything(database: Any) -> str:
    """The whole database as text, table by table."""
    with psycopg.connect(database.owner_dsn) as owner:
        tables = owner.execute("select quote_ident(tablename) from pg_tables where schemaname = 'public'").fetchall()
        return "\n".join(str(owner.execute(f"select t::text from {table} t").fetchall()) for (table,) in tables)


async def user(records: Postgrest) -> dict[str, Any]:
    row: dict[str, Any] = await records.table("users").select("*").one()
    return row


async def test_a_house_without_a_choice_asks_nothing(records: Postgrest) -> None:
    """Offline, without a place for keys, the first message leads to the first lesson in one press."""
    chat = chatter(records, None, house=House())
    assert "Welcome to dealquest" in await chat.says("", "hello")
    assert [button.data for button in chat.buttons] == ["go:learn", "go:train"]
    assert "Foundations" in await chat.presses("go:learn")


async def test_quick_setup_refers_to_the_teams_key_and_copies_nothing(chat: Chatter, records: Postgrest) -> None:
    """One press sets a new user up by reference; the way on leads into the real flows."""
    assert "team/model" in await chat.says("/start")
    assert "All set" in await chat.presses("setup:auto")
    assert (await user(records))["uses_shared_key"] is True
    assert await records.table("user_keys").select("*").all() == []
    assert {"go:learn", "go:support", "go:train"} == {button.data for button in chat.buttons}


async def test_an_offline_start_is_kept_although_the_house_has_a_model(chat: Chatter, models: ScriptedModels, records: Postgrest) -> None:
    """Who chose to go without a model is stored as such, and settings say so."""
    await chat.says("/start")
    assert "without a model" in await chat.presses("setup:offline")
    assert (await user(records))["provider"] == "offline"
    assert "Scored by: signals in the text, without a model" in await chat.says("/settings")


async def test_b3_a_good_key_is_sealed_and_leaves_no_trace(chat: Chatter, records: Postgrest, database: Any) -> None:
    """The key is checked, sealed, erased from the channel and wiped from the inbox; nothing stored holds it."""
    await chat.says("/start")
    await chat.presses("setup:custom")
    assert "openrouter.ai/keys" in await chat.presses("provider:openrouter")
    assert "is good" in await chat.says(f"  {GOOD} ")
    (reply,) = chat.replies
    assert reply.reply.erase is not None
    assert reply.reply.erase.message_id == reply.update_id
    assert "delete it yourself" in reply.reply.erase.otherwise.plain
    (row,) = await records.table("user_keys").select("provider", "sealed_key").all()
    assert row == {"provider": "openrouter", "sealed_key": "sealed-openrouter"}
    assert GOOD not in everything(database)
    assert "your key for OpenRouter" in await chat.says("/settings")


@pytest.mark.parametrize(
    ("key", "words"), [("sk-or-v1-unknown012345", "does not know"), (POOR, "no credit"), (LATE, "could not be reached")]
)
async def test_three_failures_are_told_apart_and_wait_for_another_key(chat: Chatter, records: Postgrest, key: str, words: str) -> None:
    """Wrong, without credit, unreachable: each says so, stores nothing, and takes the next try."""
    await chat.says("/start")
    await chat.presses("setup:custom")
    await chat.presses("provider:openrouter")
    assert words in await chat.says(key)
    assert await records.table("user_keys").select("*").all() == []
    assert "is good" in await chat.says(f"here it is: {GOOD}")


async def test_what_is_no_key_is_answered_in_the_key_state(chat: Chatter, records: Postgrest) -> None:
    """A photo, a voice message, a sentence, a key of the other provider: an answer each, and the state stays."""
    await chat.says("/start")
    await chat.presses("setup:custom")
    await chat.presses("provider:openrouter")
    assert "only as text" in await chat.says("", "photo", {"file_id": "a"})
    assert "only as text" in await chat.says("", "voice", {"file_id": "a"})
    assert "no key" in await chat.says("what is a key?")
    assert "a key for Anthropic" in await chat.says(CLAUDE)
    assert await records.table("user_keys").select("*").all() == []
    assert "is good" in await chat.says(GOOD)


async def test_a_command_is_no_key_and_leaves_the_state(chat: Chatter, records: Postgrest) -> None:
    """A leading slash is a command; what is typed after it is not read as a key."""
    await chat.says("/start")
    await chat.presses("setup:custom")
    await chat.presses("provider:openrouter")
    assert "What you can do" in await chat.says("/help")
    assert "No scenario is open" in await chat.says("just some words")
    await chat.says("/settings")
    await chat.presses("settings:update_key")
    await chat.presses("provider:claude")
    assert "Left it" in await chat.says("/cancel")
    assert "No scenario is open" in await chat.says("just some words")


@pytest.mark.parametrize("text", [GOOD, f"My answer is {CLAUDE}, is it not?", f"/train {GOOD}", "sk-or-v1-\u200bbroken\u200b0123456789"])
async def test_b3_a_key_in_the_wrong_place_is_wiped_and_never_scored(chat: Chatter, records: Postgrest, database: Any, text: str) -> None:
    """With a scenario open, a text with a key is no answer: wiped, erased, explained; the scenario stays open."""
    await chat.says("/train easy")
    assert "looks like an API key" in await chat.says(text)
    assert chat.replies[0].reply.erase is not None
    assert "0123456789" not in everything(database)
    assert await records.table("attempts").select("*").all() == []
    assert "of 100" in await chat.says(ANSWER)


async def test_b3_a_key_in_a_caption_is_wiped(chat: Chatter, database: Any) -> None:
    """A caption is a text, too."""
    assert "looks like an API key" in await chat.says(f"see {GOOD}", "photo", {"file_id": "a"})
    assert GOOD not in everything(database)


async def test_an_open_scenario_survives_the_settings(chat: Chatter) -> None:
    """A key, a time zone and a language are changed while a scenario waits; then it is answered."""
    await chat.says("/train easy")
    await chat.says("/settings")
    await chat.presses("settings:time_zone")
    assert "Europe/Lisbon" in await chat.says("lisbon")
    assert "of 100" in await chat.says(ANSWER)


async def test_a_key_is_stored_under_its_own_provider_whatever_was_half_chosen(chat: Chatter, records: Postgrest) -> None:
    """Choosing the other provider and going back leaves no trace on the next key."""
    await chat.says("/start")
    await chat.presses("setup:custom")
    await chat.presses("provider:openrouter")
    await chat.says(GOOD)
    await chat.says("/settings")
    await chat.presses("settings:switch_provider")
    assert "platform.claude.com" in await chat.presses("switch:claude")
    await chat.presses("settings:leave")
    await chat.says("/settings")
    assert "openrouter.ai/keys" in await chat.presses("settings:update_key")
    await chat.says(GOOD)
    assert [row["provider"] for row in await records.table("user_keys").select("provider").all()] == ["openrouter"]


async def test_providers_and_models_are_switched(chat: Chatter, records: Postgrest) -> None:
    """With two keys a switch is one press and resets the model; a model is chosen by button or by name."""
    await chat.says("/settings")
    await chat.presses("settings:switch_provider")
    await chat.presses("switch:openrouter")
    await chat.says(GOOD)
    await chat.says("/settings")
    await chat.presses("settings:change_model")
    assert "moonshotai/kimi-k2.5" in await chat.presses("model:moonshotai/kimi-k2.5")
    assert (await user(records))["model"] == "moonshotai/kimi-k2.5"
    await chat.presses("settings:back")
    await chat.presses("settings:change_model")
    assert "looks like" in await chat.says("gpt four")
    assert "acme/own-model:free" in await chat.says("acme/own-model:free")
    await chat.presses("settings:back")
    await chat.presses("settings:switch_provider")
    await chat.presses("switch:claude")
    await chat.says(CLAUDE)
    assert ((await user(records))["provider"], (await user(records))["model"]) == ("anthropic", "")
    await chat.says("/settings")
    await chat.presses("settings:switch_provider")
    assert "is used from now on" in await chat.presses("switch:openrouter")
    await chat.says("/settings")
    await chat.presses("settings:remove_keys")
    assert await records.table("user_keys").select("*").all() == []
    assert (await user(records))["uses_shared_key"] is True


async def test_b2_forged_settings_buttons_change_nothing(chat: Chatter, records: Postgrest) -> None:
    """Data that no button had is answered and stores nothing."""
    await chat.says("/start")
    before = await user(records)
    for data in (
        "model:evil/model",
        "switch:evil",
        "provider:../x",
        "language:xx",
        "zone:Mars/Base",
        "confirm_delete:yes",
        "confirm_reset:yes",
        "confirm_delete",
        "settings:",
        "settings:change_model",
        "setup:",
        "memory:all",
        "a" * 64,
    ):
        assert "earlier step" in await chat.presses("data:" + data)
    after = await user(records)
    assert {**before, "last_active_at": 0, "updated_at": 0} == {**after, "last_active_at": 0, "updated_at": 0}


async def test_the_language_is_kept_and_changed(chat: Chatter, records: Postgrest) -> None:
    """The channel's language at first contact stays; settings change it, and the answer comes in the new one."""
    chat.person = Person(local_name="ann", first_name="Ann", language="de")
    assert "Willkommen" in await chat.says("/start")
    chat.person = Person(local_name="ann", first_name="Ann", language="fr")
    assert "Einstellungen" in await chat.says("/settings")
    await chat.presses("settings:language")
    assert "I speak English" in await chat.presses("language:en")
    assert (await user(records))["language"] == "en"
    assert "Settings" in await chat.says("/settings")


async def test_a_reset_says_what_goes_and_takes_exactly_that(chat: Chatter, records: Postgrest) -> None:
    """After a confirmed reset scores, XP, levels and what was learned from them are gone; keys stay."""
    await chat.says("/settings")
    await chat.presses("settings:update_key")
    await chat.presses("provider:openrouter")
    await chat.says(GOOD)
    await chat.says("/train easy")
    await chat.says(ANSWER)
    await records.table("user_memory").insert({"user_id": (await user(records))["id"], "memory": {"strengths": ["open questions"]}}).run()
    await chat.says("/settings")
    asked = await chat.presses("settings:reset")
    assert "scored answers: 1" in asked
    assert "stored keys" not in asked
    assert "begin anew" in await chat.presses("confirm_reset:yes")
    row = await user(records)
    assert (row["total_xp"], row["streak_days"], row["current_level"]) == (0, 0, 1)
    for table, left in (
        ("attempts", 0),
        ("xp_ledger", 0),
        ("scenarios_seen", 0),
        ("badges", 0),
        ("skill_cards", 0),
        ("user_memory", 0),
        ("user_keys", 1),
    ):
        assert len(await records.table(table).select("*").all()) == left


async def test_a_confirmation_that_was_left_does_not_count(chat: Chatter, records: Postgrest) -> None:
    """Between the question and the yes nothing else may happen; a stale yes deletes nothing."""
    await chat.says("/settings")
    await chat.presses("settings:delete")
    await chat.says("/help")
    assert "earlier step" in await chat.presses("data:confirm_delete:yes")
    assert len(await records.table("users").select("*").all()) == 1


async def test_memory_is_reached_from_the_settings(chat: Chatter) -> None:
    """What is remembered stands beside the other data of one's own."""
    await chat.says("/settings")
    assert "remember nothing" in await chat.presses("settings:memory")


async def test_the_export_holds_all_of_ones_own_and_nothing_of_others(records: Postgrest, models: ScriptedModels) -> None:
    """One JSON document with the user's rows; no sealed key, and no word of somebody else."""
    chat, other = chatter(records, models), chatter(records, models, name="bob", first=100)
    await other.says("/train easy")
    await other.says("Bob asks: what does the delay cost you? Could we talk on Friday at 9?")
    await chat.says("/train easy")
    await chat.says(ANSWER)
    await chat.says("/settings")
    await chat.presses("settings:update_key")
    await chat.presses("provider:openrouter")
    await chat.says(GOOD)
    await chat.says("/settings")
    await chat.presses("settings:export")
    document = chat.replies[0].reply.document
    assert document is not None
    data = json.loads(document.content)
    assert [row["answer"] for row in data["attempts"]] == [ANSWER]
    assert data["users"][0]["local_name"] == "ann"
    assert ANSWER in [message["text"] for message in data["messages"]]
    assert "sealed" not in document.content
    assert "Bob asks" not in document.content


async def test_deleting_takes_every_row_and_leaves_others_alone(records: Postgrest, models: ScriptedModels, database: Any) -> None:
    """After a confirmed deletion no table holds a row or a word of the user; another user keeps all."""
    chat, other = chatter(records, models, name="annabel"), chatter(records, models, name="bob", first=100)
    await other.says("/train easy")
    await other.says(ANSWER)
    theirs = everything(database).count("bob")
    await chat.says("/train easy")
    await chat.says(ANSWER + " Marker")
    row = await records.table("users").select("id").where(local_name="annabel").one()
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(
            "select dealquest_changes.start_job(%s, %s, %s)",
            (row["id"], '{"source": "test", "chat": "annabel"}', '{"kind": "memory", "payload": {}}'),
        )
        owner.execute(
            "insert into pipeline_traces (trace_id, pipeline_name, user_id, start_time) values (gen_random_uuid(), 'train', %s, now())",
            (str(row["id"]),),
        )
    await records.table("user_memory").insert({"user_id": row["id"], "memory": {"seen": "annabel"}}).run()
    await records.table("http_events").insert({"chat": "annabel", "name": "n", "update_id": 1, "digest": "annabel"}).run()
    await chat.says("/settings")
    asked = await chat.presses("settings:delete")
    assert "scored answers: 1" in asked
    assert "casebook" in asked
    assert "Everything is deleted" in await chat.presses("confirm_delete:yes")
    left = everything(database)
    assert "Marker" not in left
    # The answered press stays as a number in its chat, without words, so that it is not handled twice; and the goodbye with it.
    assert left.count("annabel") == 2
    assert left.count("bob") == theirs
    assert await records.table("pipeline_traces").select("*").all() == []
    late = {"trace_id": str(uuid.uuid4()), "pipeline_name": "conversation", "user_id": str(row["id"]), "start_time": "2026-11-22T12:00:00Z"}
    await records.table("pipeline_traces").insert(late).run()
    await chat.turns.sweep()
    assert await records.table("pipeline_traces").select("*").all() == []
    assert "Welcome to dealquest" in await chat.says("/start")


async def test_a_key_that_stopped_working_leads_to_the_settings(records: Postgrest) -> None:
    """When the provider refuses the key, the answer is kept and a button leads to where it is mended."""

    class Refusing:
        async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
            raise PeerRefusedError("The provider does not accept the key.", code="llm.refused.key")

    chat = chatter(records, ScriptedModels(scorer=Refusing(), keys=KEYS))
    await chat.says("/train easy")
    assert "It is kept" in await chat.says(ANSWER)
    assert "Scored by" in await chat.presses("settings:back")


def after(days: int, text: str, entering: Entering, kind: EventKind = "text") -> Turn:
    """What the dialogue answers some days after it asked for something, without any storage."""
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    scene = Scene(
        view=View(user=User(id=1, greeted=True), state=State(entering=attrs.evolve(entering, since=now - timedelta(days=days)))),
        event=Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind=kind, text=text, message_id=5),
        pack=load_pack("en"),
        texts=catalogue("en"),
        now=now,
        rng=random.Random(1),
        house=HOUSE,
    )
    with pytest.raises(StopIteration) as end:
        next(converse(scene))
    turn: Turn = end.value.value
    return turn


def test_what_was_asked_for_is_not_waited_for_longer_than_a_day() -> None:
    """A day later words are words again, and a late yes deletes nothing."""
    asked = Entering(what="time_zone", since=datetime(2026, 11, 22, tzinfo=UTC))
    assert after(0, "Lisbon", asked).changes
    late = after(2, "Lisbon", asked)
    assert (late.changes, late.state.entering) == ((), None)
    deleting = attrs.evolve(asked, what="delete")
    assert after(0, "confirm_delete:yes", deleting, "button").changes
    assert not after(2, "confirm_delete:yes", deleting, "button").changes
    assert not after(0, "confirm_reset:yes", deleting, "button").changes
    assert not after(0, "yes", deleting).changes


@given(
    before=st.text(max_size=40).filter(lambda text: not text[-1:].isalnum()),
    key=st.from_regex(r"sk-(or-v1|ant-api03)-[A-Za-z0-9]{10,40}", fullmatch=True),
    behind=st.text(max_size=40),
    broken_at=st.integers(1, 12),
)
def test_b3_no_text_around_a_key_hides_it(before: str, key: str, behind: str, broken_at: int) -> None:
    """Whatever stands around it, and also with an invisible character inside, a key is seen."""
    assert holds_key(f"{before} {key} {behind}")
    assert holds_key(f"{before} {key[:broken_at]}\u200b{key[broken_at:]}")


@pytest.mark.parametrize(
    "text", ["We use skills-or-habits.", "The risk-oriented plan", "sk-or-...", "task-or-antidote", "ask-ant-hill", "sk-1 to sk-9"]
)
def test_plain_english_is_no_key(text: str) -> None:
    """Words that only look a little like one are answers."""
    assert not holds_key(text)
