"""What flows stand on: effects for one user, changes inside the turn's transaction, jobs in a lane of their own."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import psycopg
import pytest

from dealquest.coach.dialogue import Answered, AskModel, Failed, Hear, Heard, House, Line, Look, ScoreAnswer, User
from dealquest.coach.effects import Caller, Effects, restore
from dealquest.coach.scenarios import load_pack
from dealquest.coach.scorecard import ScoreCard
from dealquest.coach.turns import Turns
from dealquest.errors import InputError, PeerUnavailableError
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import Chatter, HeldMedia, ScriptedEars, ScriptedModels
from dealquest.values import SERVICE

CALLER = Caller(user=User(id=7))
QUESTION = AskModel(purpose="test", system="Be brief.", lines=[Line("user", "Hello")])


@pytest.fixture
async def records(database: Any, anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


def effects_of(**parts: Any) -> Effects:
    return Effects(packs=lambda _: load_pack("en"), **parts)


async def test_a_part_that_is_missing_is_an_answer_and_no_crash() -> None:
    """Without a model, ears or storage a flow is told so, and goes on."""
    effects = effects_of()
    for effect in (QUESTION, Hear(media={"file_id": "a"}), Look(function="look_x")):
        result = await effects.perform(effect, CALLER)
        assert isinstance(result, Failed)
        assert result.code == "coach.part_missing"


async def test_a_peer_that_fails_is_an_answer_with_its_code() -> None:
    """What a flow sees of an outage is a reason it can show, and whether to try again."""
    effects = effects_of(models=ScriptedModels(PeerUnavailableError("The model is down.", code="llm.unavailable.test")))
    result = await effects.perform(QUESTION, CALLER)
    assert result == Failed(reason="The model is down.", code="llm.unavailable.test", retryable=True)


async def test_paid_results_come_back_from_storage_as_they_were() -> None:
    """A stored score card and a stored answer are the values they were before."""
    effects = effects_of(models=ScriptedModels("Hi"))
    scenario = load_pack("en").practice[0]
    for effect in (ScoreAnswer(scenario_id=scenario.id, answer=scenario.ideal, offline=True), QUESTION):
        result = await effects.perform(effect, CALLER)
        assert isinstance(result, ScoreCard | Answered)
        assert restore(effect, msgspec.json.decode(msgspec.json.encode(result))) == result


async def test_a_voice_message_is_heard_through_the_channels_own_file() -> None:
    """The reference in the event names the sound; nothing else is fetched."""
    effects = effects_of(ears=ScriptedEars("Hello Ann"), media=HeldMedia({"a": b"sound"}))
    assert await effects.perform(Hear(media={"file_id": "a"}), CALLER) == Heard(text="Hello Ann", language="en")
    assert isinstance(await effects.perform(Hear(media={"file_id": "b"}), CALLER), Failed)


async def test_a_spoken_answer_is_shown_and_scored_and_a_spoken_slash_is_no_command(records: Postgrest) -> None:
    """Voice counts as what was said, inside whatever is open."""
    effects = effects_of(
        looks=records, house=House(hears=True), ears=ScriptedEars("/cancel this meeting, Sarah"), media=HeldMedia({"a": b"sound"})
    )
    chat = Chatter(Turns(records, effects=effects, worker="w"))
    await chat.says("/train easy")
    replied = await chat.says("", "voice", {"file_id": "a"})
    assert "/cancel this meeting, Sarah" in replied
    assert "of 100" in replied


async def test_no_channel_can_send_a_job(records: Postgrest) -> None:
    """A job's payload is trusted by its handler, so only turns start one."""
    with pytest.raises(InputError, match="no channel may"):
        await Chatter(Turns(records, effects=effects_of(), worker="w")).says("memory", "job")


async def test_a_job_waits_for_its_time_in_a_lane_beside_the_chat(records: Postgrest, database: Any) -> None:
    """A job is done once when it is due, replaces an open one of the same key, and never holds up what the user says."""
    chat = Chatter(Turns(records, effects=effects_of(looks=records), worker="w"))
    await chat.says("/start")
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        turn = """'{"source": "test", "chat": "ann"}'"""
        for at in ("2999-01-01", "2000-01-01"):
            change = f'{{"kind": "nothing", "key": "k", "run_at": "{at}", "payload": {{"at": "{at}"}}}}'
            owner.execute(f"select dealquest_changes.start_job((select id from users), {turn}, '{change}')")
            if at == "2999-01-01":
                assert await chat.turns.work("test", only_jobs=True) is None
        assert owner.execute("select count(*) from inbox where is_job").fetchone() == (1,)
        assert await chat.says("/help")
        done = await chat.turns.work("test", only_jobs=True)
        assert done is not None
        assert (done.event.kind, done.event.text, done.event.media) == ("job", "nothing", {"at": "2000-01-01"})
        assert done.event.reply_chat == "ann"
        assert await chat.turns.work("test", only_jobs=True) is None
