"""The durable conversation on the real engine: once, in order, and nothing lost when a worker goes silent."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import attrs
import pytest

from dealquest.coach.dialogue import Event, EventKind, Person
from dealquest.coach.effects import Effects
from dealquest.coach.pack import Scenario
from dealquest.coach.scenarios import load_pack
from dealquest.coach.scorecard import ScoreCard
from dealquest.coach.signals import score_by_signals
from dealquest.coach.turns import MAX_FAILURES, Turns
from dealquest.errors import PeerUnavailableError
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import ScriptedModels
from dealquest.values import SERVICE

ANN = Person(local_name="ann", first_name="Ann")


@attrs.define
class PaidScorer:
    """A model double: counts what it is paid for, may wait, may fail."""

    calls: int = 0
    wait_s: float = 0.0
    error: Exception | None = None

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        self.calls += 1
        await anyio.sleep(self.wait_s)
        if self.error is not None:
            raise self.error
        return attrs.evolve(score_by_signals(scenario, answer), scorer="model", model="m")


@pytest.fixture
async def records(database: "object", anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=6)) as engine:  # type: ignore[attr-defined]  # the fixture's value
        yield Postgrest(engine.bind(SERVICE))


def turns_of(records: Postgrest, worker: str = "w", *, scorer: PaidScorer | None = None, lease_s: float = 5.0) -> Turns:
    models = None if scorer is None else ScriptedModels(scorer=scorer)
    return Turns(records, effects=Effects(packs=lambda _: load_pack("en"), models=models), worker=worker, lease_s=lease_s)


def event(number: int, text: str, *, chat: str = "1", user: Person = ANN, kind: EventKind = "text") -> Event:
    return Event(source="test", chat=chat, update_id=number, user=user, kind=kind, text=text)


async def count(records: Postgrest, table: str, **where: object) -> int:
    return len(await records.table(table).where(**where).all()) if where else len(await records.table(table).select("*").all())


async def test_an_event_that_arrives_twice_is_one_event(records: Postgrest) -> None:
    """Duplicates by source and update id are stored once and answered once."""
    turns = turns_of(records)
    assert await turns.receive([event(1, "/start"), event(1, "/start")]) == 1
    assert await turns.receive([event(1, "/start"), event(2, "/help")]) == 1
    while await turns.work("test"):
        pass
    assert [delivery.update_id for delivery in await turns.deliveries("test")] == [1, 2]


async def test_one_chat_is_handled_in_order_and_chats_side_by_side(records: Postgrest) -> None:
    """While a chat's oldest event is worked on, its next one waits; another chat's does not."""
    scorer = PaidScorer(wait_s=0.4)
    turns, other = turns_of(records, "a", scorer=scorer), turns_of(records, "b")
    await turns.receive([event(1, "/train easy")])
    await turns.work("test")
    await turns.receive([event(2, "my answer"), event(3, "/stats"), event(4, "/help", chat="2", user=Person(local_name="bob"))])
    async with anyio.create_task_group() as group:
        group.start_soon(turns.work, "test")
        await anyio.sleep(0.15)
        done = await other.work("test")
        assert done is not None
        assert done.event.update_id == 4
        assert await other.work("test") is None
    done = await other.work("test")
    assert done is not None
    assert done.event.update_id == 3


async def test_a_lost_lease_cannot_store_a_second_attempt(records: Postgrest) -> None:
    """Two workers on one event, one of them too late: one attempt, one ledger line, one reply."""
    slow, quick = PaidScorer(wait_s=1.0), PaidScorer()
    first, second = turns_of(records, "slow", scorer=slow, lease_s=30.0), turns_of(records, "quick", scorer=quick)
    await first.receive([event(1, "/train easy")])
    await first.work("test")
    await first.receive([event(2, "What does it cost you each month? Let us talk on Friday at 9.")])
    async with anyio.create_task_group() as group:
        group.start_soon(first.work, "test")
        await anyio.sleep(0.3)
        await records.table("inbox").update({"lease_until": "2000-01-01T00:00:00Z"}).where(update_id=2).run()
        assert await second.work("test") is not None
    assert await count(records, "attempts") == 1
    total = (await records.table("users").select("total_xp").one())["total_xp"]
    assert total == sum(row["amount"] for row in await records.table("xp_ledger").select("amount").all())


async def test_a_paid_result_is_not_paid_for_twice(records: Postgrest) -> None:
    """A worker that dies after the model answered and before the commit leaves the result for the next one."""
    scorer = PaidScorer()
    turns = turns_of(records, "dying", scorer=scorer)
    await turns.receive([event(1, "/train easy")])
    await turns.work("test")
    await turns.receive([event(2, "What does it cost you? Let us talk on Friday at 9.")])
    claimed = await records.rpc("claim_update", for_source="test", for_worker="dying", lease_s=0.0)
    assert claimed["event"]["update_id"] == 2
    pack = load_pack("en")
    card = attrs.evolve(score_by_signals(pack.scenario(claimed["state"]["scenario_id"]), claimed["event"]["text"]), scorer="model")
    await records.rpc("save_step", for_source="test", for_update_id=2, for_step="effect-0", step_result=attrs.asdict(card))
    assert await turns_of(records, "heir", scorer=scorer).work("test") is not None
    assert scorer.calls == 0
    assert await count(records, "attempts") == 1
    assert await count(records, "inbox_steps") == 0


async def test_a_slow_model_keeps_its_lease(records: Postgrest) -> None:
    """A call that is longer than the lease is not taken over while its worker lives."""
    scorer = PaidScorer(wait_s=1.2)
    turns, other = turns_of(records, "slow", scorer=scorer, lease_s=0.6), turns_of(records, "other")
    await turns.receive([event(1, "/train easy")])
    await turns.work("test")
    await turns.receive([event(2, "my answer to you")])
    async with anyio.create_task_group() as group:
        group.start_soon(turns.work, "test")
        for _ in range(8):
            await anyio.sleep(0.12)
            assert await other.work("test") is None
    assert (scorer.calls, await count(records, "attempts")) == (1, 1)


async def test_a_cancelled_turn_is_handed_back_at_once(records: Postgrest) -> None:
    """Ctrl-C in the middle of a score leaves the event open for the next worker, without a wait."""
    scorer = PaidScorer(wait_s=30.0)
    turns = turns_of(records, "gone", scorer=scorer, lease_s=30.0)
    await turns.receive([event(1, "/train easy")])
    await turns.work("test")
    await turns.receive([event(2, "my answer")])
    async with anyio.create_task_group() as group:
        group.start_soon(turns.work, "test")
        while not scorer.calls:  # noqa: ASYNC110  # the double counts, it does not signal
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert await turns_of(records, "next").work("test") is not None


async def test_a_failing_model_becomes_a_reply(records: Postgrest) -> None:
    """The scorer's error is told to the user, the turn commits, no attempt is stored."""
    scorer = PaidScorer(error=PeerUnavailableError("The model is overloaded.", code="llm.unavailable.overloaded"))
    turns = turns_of(records, scorer=scorer)
    await turns.receive([event(1, "/train easy"), event(2, "my answer")])
    while await turns.work("test"):
        pass
    said = [delivery.reply.text.plain for delivery in await turns.deliveries("test")]
    assert "The model is overloaded." in said[-1]
    assert await count(records, "attempts") == 0


async def test_p4_a_poison_event_is_set_aside_and_the_rest_goes_on(records: Postgrest) -> None:
    """An event that makes us fail is tried a few times, then kept as dead, with one apology; the next one is answered."""
    turns = turns_of(records, scorer=PaidScorer(error=ZeroDivisionError("a bug of ours")))
    await turns.receive([event(1, "/train easy"), event(2, "poison"), event(3, "/help")])
    await turns.work("test")
    for _ in range(MAX_FAILURES):
        await records.table("inbox").update({"lease_until": None}).where(update_id=2).run()
        with pytest.raises(ZeroDivisionError):
            await turns.work("test")
    dead = await records.table("inbox").select("status", "error").where(update_id=2).one()
    assert dead == {"status": "dead", "error": "ZeroDivisionError: a bug of ours"}
    assert await turns.work("test") is not None
    said = [delivery.reply.text.plain for delivery in await turns.deliveries("test") if delivery.update_id == 2]
    assert len(said) == 1
    assert "went wrong on our side" in said[0]


async def test_replies_wait_in_order_behind_one_that_waits(records: Postgrest) -> None:
    """A reply that must be tried again later holds back the ones after it in its chat, not other chats."""
    turns = turns_of(records)
    await turns.receive([event(1, "/start"), event(2, "/help"), event(3, "/help", chat="2", user=Person(local_name="bob"))])
    while await turns.work("test"):
        pass
    first = next(delivery for delivery in await turns.deliveries("test") if delivery.update_id == 1)
    await turns.mark_unsent(first, "429", retry_in_s=60.0)
    await records.table("outbox").update({"held_until": None}).where(update_id__in=[2, 3]).run()
    assert [delivery.update_id for delivery in await turns.deliveries("test")] == [3]


async def test_a_job_for_one_is_held_by_one(records: Postgrest) -> None:
    """A lease is kept by its holder, refused to others, and free after it was dropped or ran out."""
    one, two = turns_of(records, "one"), turns_of(records, "two")
    assert await one.take_lease("poll", lease_s=0.3)
    assert await one.take_lease("poll", lease_s=0.3)
    assert not await two.take_lease("poll", lease_s=0.3)
    await anyio.sleep(0.4)
    assert await two.take_lease("poll", lease_s=30)
    await two.drop_lease("poll")
    assert await one.take_lease("poll", lease_s=30)


async def test_whoever_takes_over_frees_what_the_dead_one_held(records: Postgrest) -> None:
    """A worker that died over claims and replies does not make its heir wait for their leases."""
    dead, heir = turns_of(records, "dead", lease_s=600.0), turns_of(records, "heir")
    await dead.take_lease("poll", lease_s=0.2)
    await dead.receive([event(1, "/start"), event(2, "/help")])
    await dead.work("test")
    assert len(await dead.deliveries("test", lease_s=600.0)) == 1
    await records.rpc("claim_update", for_source="test", for_worker="dead", lease_s=600.0)
    assert await heir.work("test") is None
    assert await heir.deliveries("test") == []
    await anyio.sleep(0.3)
    assert await heir.take_lease("poll", lease_s=5.0)
    assert await heir.work("test") is not None
    assert [delivery.update_id for delivery in await heir.deliveries("test")] == [1, 2]


async def test_fifty_people_at_once_lose_nothing_and_double_nothing(records: Postgrest) -> None:
    """Four workers, fifty chats, three lines each: every line is answered once, and XP is the ledger's sum for everybody."""
    people = [Person(local_name=f"p{number}", first_name="P") for number in range(50)]
    lines = ("/train any", "What does it cost you each month? Let us talk on Friday at 9.", "/stats")
    events = [
        event(index * 1000 + number, line, chat=str(number), user=person)
        for index, line in enumerate(lines)
        for number, person in enumerate(people)
    ]
    await turns_of(records).receive(events)

    async def work(turns: Turns) -> None:
        while await turns.work("test"):
            pass

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(work, turns_of(records, f"w{number}", scorer=PaidScorer(wait_s=0.02)))
    assert await count(records, "inbox", status="open") == 0
    assert await count(records, "attempts") == 50
    assert await count(records, "outbox") == 150
    earned: dict[int, int] = {}
    for row in await records.table("xp_ledger").select("user_id", "amount").all():
        earned[row["user_id"]] = earned.get(row["user_id"], 0) + row["amount"]
    totals = {row["id"]: row["total_xp"] for row in await records.table("users").select("id", "total_xp").all()}
    assert {user: total for user, total in totals.items() if total} == earned


async def test_finished_events_are_forgotten_after_some_days(records: Postgrest) -> None:
    """Sweeping removes what is done and delivered for days, and nothing else."""
    turns = turns_of(records)
    await turns.receive([event(1, "/start"), event(2, "/help")])
    while await turns.work("test"):
        pass
    for delivery in await turns.deliveries("test"):
        await turns.mark_sent(delivery)
    old = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    await records.table("inbox").update({"done_at": old}).where(update_id=1).run()
    await records.table("outbox").update({"sent_at": old}).where(update_id=1).run()
    assert await turns.sweep() == 1
    assert [row["update_id"] for row in await records.table("inbox").select("update_id").all()] == [2]
