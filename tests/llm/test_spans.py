"""Every call leaves a span where somebody traces, and none where nobody does."""

import pytest

from dealquest.errors import PeerRefusedError
from dealquest.testing import answer_json, capture_traces
from dealquest.tracing import names, trace

from .conftest import CHAT, COST, KEY, TEXT, bench


async def test_a_call_is_a_span_with_usage_and_cost() -> None:
    """Answers, streams and failures each close one span under the caller's, with tokens, cost and attempts."""
    refused = answer_json(CHAT.error(401, ""), status=401)
    made = bench(CHAT, answer_json({}, status=503), CHAT.whole(), CHAT.streamed(), CHAT.streamed(), refused)
    with capture_traces() as traces:
        async with trace("train"):
            await made.router.complete("Hi")
            _ = [event async for event in made.router.stream("Hi")]
            async for _event in made.router.stream("Hi"):
                break
            with pytest.raises(PeerRefusedError):
                await made.router.complete(f"Hi {KEY}")
    traces.assert_tree(("train", [(f"chat {CHAT.model}", [])] * 4))
    answered, streamed, left, failed = (span for span in traces.spans if span.span_name != "train")
    assert answered.attributes[names.ATTEMPTS] == 2
    assert answered.attributes[names.COST_AMOUNT] == str(COST)
    assert answered.output_data == streamed.output_data == TEXT
    assert [span.status for span in (answered, streamed, left, failed)] == ["ok", "ok", "ok", "error"]


async def test_nobody_traces_nothing_happens() -> None:
    """Without a tracer a call is the same call."""
    assert (await bench(CHAT, CHAT.whole()).router.complete("Hi")).text == TEXT
