"""Money after a break: the worst case counts until the provider says what the answer really cost; a partition heals."""

from decimal import Decimal

import pytest

from dealquest.errors import DealQuestError, StreamInterruptedError
from dealquest.llm import AnswerStream, SpendBudget, TextDelta
from dealquest.testing import Cut, Hang, Step, answer_events, answer_json

from .conftest import CHAT, CLAUDE, Dialect, bench, chat_delta


async def drain(stream: AnswerStream) -> None:
    async for event in stream:
        assert isinstance(event, TextDelta)


async def test_a_broken_stream_is_settled_by_its_generation() -> None:
    """The estimate of a cut stream is corrected once; asking again changes nothing."""
    budget = SpendBudget(Decimal(1))
    made = bench(
        CHAT,
        answer_events(chat_delta("Hel"), chat_delta("lo")),
        answer_json({"data": {"id": "gen-1", "total_cost": 0.0007}}),
        budget=budget,
    )
    with pytest.raises(StreamInterruptedError):
        await drain(made.router.stream("Hi"))
    worst = budget.state.spent_usd
    assert [(estimate.generation, estimate.usd) for estimate in budget.estimates] == [("gen-1", worst)]
    assert await made.router.settle_estimates() == 1
    assert (budget.state.spent_usd, budget.estimates) == (Decimal("0.0007"), ())
    assert made.wire.requests[-1].url.endswith("/generation?id=gen-1")
    assert await made.router.settle_estimates() == 0


@pytest.mark.parametrize("answer", [answer_json({"error": {"code": 404}}, status=404), answer_json({"data": {}}), Step(before=(Cut(),))])
async def test_an_estimate_stays_while_nobody_knows(answer: Step) -> None:
    """A provider that cannot say yet, or cannot be reached, leaves the worst case booked."""
    budget = SpendBudget(Decimal(1))
    made = bench(CHAT, answer_events(chat_delta("Hel")), answer, budget=budget)
    with pytest.raises(StreamInterruptedError):
        await drain(made.router.stream("Hi"))
    worst = budget.state.spent_usd
    assert await made.router.settle_estimates() == 0
    assert (budget.state.spent_usd, len(budget.estimates)) == (worst, 1)


@pytest.mark.parametrize("dialect", [CHAT, CLAUDE], ids=lambda dialect: dialect.name)
async def test_n2_a_partition_of_a_minute_heals_by_itself(dialect: Dialect) -> None:
    """While the peer hangs every call ends in its deadline or faster; after the minute the next probe succeeds."""
    is_cut_off = True

    def peer(_: object) -> Step:
        return Step(before=(Hang(),)) if is_cut_off else dialect.whole()

    made = bench(dialect, peer, repeat=True)
    began = made.clock.monotonic()
    while made.clock.monotonic() - began < 60.0:
        started = made.clock.monotonic()
        with pytest.raises(DealQuestError):
            await made.router.complete("Hi", deadline_s=10.0)
        assert made.clock.monotonic() - started <= 10.1
        await made.clock.sleep(1.0)
    is_cut_off = False
    await made.clock.sleep(30.0)
    assert (await made.router.complete("Hi", deadline_s=10.0)).text
    assert made.wire.open == 0
