"""The fault table in both dialects: every scenario ends in a whole answer or in a typed error, in time (U3, P6 to P9)."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from dealquest.errors import (
    DealQuestError,
    LimitError,
    PeerGarbledError,
    PeerRefusedError,
    PeerUnavailableError,
    StreamInterruptedError,
)
from dealquest.llm import Done, Limits, TextDelta
from dealquest.testing import Cut, Delay, Hang, Step, answer_bytes, answer_events, answer_json, fail
from dealquest.testing.wire import Script

from .conftest import KEY, TEXT, Bench, Dialect, bench

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@attrs.frozen(kw_only=True)
class Fault:
    """One scenario: what the wire does, and what must come of it."""

    script: Callable[[Dialect], list[Script]]
    recovers: bool = False
    kind: type[DealQuestError] = DealQuestError
    code: str = ""
    requests: int | None = None
    deadline_s: float = 60.0
    over_in_s: float = 61.0


def once(step: Callable[[Dialect], Script]) -> Callable[[Dialect], list[Script]]:
    return lambda dialect: [step(dialect), dialect.whole()]


def always(step: Callable[[Dialect], Script]) -> Callable[[Dialect], list[Script]]:
    return lambda dialect: [step(dialect)] * 3


def failing(status: int, kind: str = "", *headers: tuple[str, str]) -> Callable[[Dialect], Script]:
    return lambda dialect: answer_json(dialect.error(status, kind), status=status, headers=headers)


def padded(dialect: Dialect) -> list[Script]:
    step = dialect.whole()
    return [Step(status=200, headers=step.headers, body=(b"   \n" * 50, *step.body))]


def empty(dialect: Dialect) -> Script:
    return answer_json({**dialect.unary(""), "choices": []} if dialect.name == "chat" else dialect.unary(""))


def choice_error(dialect: Dialect) -> Script:
    if dialect.name == "claude":
        return answer_json(dialect.error(529, "overloaded_error"))
    answer = dialect.unary("half")
    answer["choices"][0].update(finish_reason="error", error={"code": "server_error", "message": "it broke"})
    return answer_json(answer)


UNARY = {
    "429_with_retry_after": Fault(script=once(failing(429, "rate_limit_error", ("retry-after", "1"))), recovers=True, requests=2),
    "503_once": Fault(script=once(failing(503)), recovers=True, requests=2),
    "529_once": Fault(script=once(failing(529, "overloaded_error")), recovers=True, requests=2),
    "500_502_then_ok": Fault(script=lambda d: [failing(500)(d), failing(502)(d), d.whole()], recovers=True, requests=3),
    "reset_once": Fault(script=once(lambda _: fail("wire.broken")), recovers=True, requests=2),
    "connect_error_once": Fault(script=once(lambda _: fail("wire.connect")), recovers=True, requests=2),
    "402_is_final": Fault(script=always(failing(402, "billing_error")), kind=PeerRefusedError, code="llm.refused.credit", requests=1),
    "401_is_final": Fault(script=always(failing(401, "authentication_error")), kind=PeerRefusedError, code="llm.refused.key", requests=1),
    "403_is_final": Fault(
        script=always(failing(403, "permission_error")), kind=PeerRefusedError, code="llm.refused.permission", requests=1
    ),
    "400_is_final": Fault(
        script=always(failing(400, "invalid_request_error")), kind=PeerRefusedError, code="llm.refused.request", requests=1
    ),
    "html_502": Fault(
        script=always(lambda _: answer_bytes(HTML, status=502)), kind=PeerUnavailableError, code="llm.unavailable.server", requests=3
    ),
    "html_in_a_200": Fault(script=always(lambda _: answer_bytes(HTML)), kind=PeerGarbledError, code="llm.answer.garbled", requests=3),
    "wrong_content_type": Fault(
        script=lambda d: [answer_bytes(d.whole().body[0], content_type="text/plain")],  # type: ignore[arg-type]  # a whole body is bytes
        recovers=True,
        requests=1,
    ),
    "error_in_a_200": Fault(
        script=always(lambda d: answer_json(d.error(503, "overloaded_error"))),
        kind=PeerUnavailableError,
        code="llm.unavailable.server",
        requests=3,
    ),
    "error_in_a_200_once": Fault(script=once(lambda d: answer_json(d.error(503, "overloaded_error"))), recovers=True, requests=2),
    "choice_error_in_a_200": Fault(script=always(choice_error), kind=PeerUnavailableError, code="llm.unavailable.server", requests=3),
    "empty_choices": Fault(script=always(empty), kind=PeerGarbledError, code="llm.answer.empty", requests=3),
    "empty_once": Fault(script=once(empty), recovers=True, requests=2),
    "no_finish": Fault(script=always(lambda d: d.whole(finish=None)), kind=PeerGarbledError, code="llm.answer.unfinished", requests=3),
    "truncated_json": Fault(
        script=always(lambda d: answer_bytes(d.whole().body[0][:60], content_type="application/json")),  # type: ignore[index]  # bytes
        kind=PeerGarbledError,
        code="llm.answer.garbled",
        requests=3,
    ),
    "cut_by_length": Fault(
        script=lambda d: [d.whole(finish="length" if d.name == "chat" else "max_tokens")],
        kind=PeerGarbledError,
        code="llm.answer.truncated",
        requests=1,
    ),
    "refused": Fault(
        script=lambda d: [d.whole(finish="content_filter" if d.name == "chat" else "refusal")],
        kind=PeerRefusedError,
        code="llm.answer.refused",
        requests=1,
    ),
    "hang": Fault(script=always(lambda _: Step(before=(Hang(),))), kind=LimitError, code="llm.deadline", deadline_s=1.0, over_in_s=1.1),
    "slow_head": Fault(script=lambda d: [attrs.evolve(d.whole(), before=(Delay(5.0),))], recovers=True, requests=1),
    "drip": Fault(
        script=always(lambda _: Step(headers=(("content-type", "application/json"),), body=(b" ", Delay(0.3)) * 40)),
        kind=LimitError,
        code="llm.deadline",
        deadline_s=2.0,
        over_in_s=2.1,
    ),
    "retry_after_beyond_the_deadline": Fault(
        script=always(failing(429, "rate_limit_error", ("retry-after", "30"))),
        kind=PeerUnavailableError,
        code="llm.unavailable.rate_limited",
        deadline_s=2.0,
        over_in_s=0.1,
        requests=1,
    ),
    "huge_body": Fault(script=always(lambda _: answer_bytes(b"x" * 2_000)), kind=LimitError, code="wire.too_large", requests=1),
    "padded_json": Fault(script=padded, recovers=True, requests=1),
}


def limited(name: str) -> Limits:
    return Limits(max_answer_bytes=1_500) if name == "huge_body" else Limits()


@pytest.mark.parametrize("name", UNARY)
async def test_u3_unary(dialect: Dialect, name: str) -> None:
    """A whole answer where the fault passes, else the documented error; tries as tabled; never later than the deadline."""
    fault = UNARY[name]
    made = bench(dialect, *fault.script(dialect), limits=limited(name))
    if fault.recovers:
        answer = await made.router.complete("Hi", deadline_s=fault.deadline_s)
        assert (answer.text, answer.finish) == (TEXT, "stop")
        assert [attempt.outcome == "ok" for attempt in answer.attempts] == [False] * (len(answer.attempts) - 1) + [True]
    else:
        with pytest.raises(fault.kind) as caught:
            await made.router.complete("Hi", deadline_s=fault.deadline_s)
        assert caught.value.code == fault.code
        assert KEY not in str(caught.value) + repr(caught.value)
    check(made, fault)


def check(made: Bench, fault: Fault) -> None:
    assert made.clock.monotonic() <= fault.over_in_s
    assert fault.requests is None or len(made.wire.requests) == fault.requests
    assert made.wire.open == 0
    assert made.router.state.free_slots == Limits().max_concurrent


async def listen(made: Bench, deadline_s: float) -> tuple[str, Any]:
    """The text that was streamed and the last event."""
    text, last = "", None
    async for event in made.router.stream("Hi", deadline_s=deadline_s):
        last = event
        if isinstance(event, TextDelta):
            text += event.text
    return text, last


def with_events(build: Callable[[Dialect], list[Any]]) -> Callable[[Dialect], list[Script]]:
    return lambda dialect: [answer_events(*build(dialect))]


def split_bytes(dialect: Dialect) -> list[Script]:
    whole = b"".join(step for step in dialect.streamed().body if isinstance(step, bytes))
    return [Step(headers=(("content-type", "text/event-stream"),), body=[whole[i : i + 1] for i in range(len(whole))])]


def with_crlf(dialect: Dialect) -> list[Script]:
    step = dialect.streamed()
    body = [piece.replace(b"\n", b"\r\n") if isinstance(piece, bytes) else piece for piece in step.body]
    return [Step(headers=step.headers, body=body)]


def stream_error(dialect: Dialect) -> Any:
    if dialect.name == "chat":
        return {
            "error": {"code": "server_error", "message": "it broke"},
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        }
    return dialect.error(529, "overloaded_error")


KEEP_ALIVES = (b": OPENROUTER PROCESSING\n\n", Delay(0.5)) * 200
STREAMED = {
    "plain": Fault(script=lambda d: [d.streamed()], recovers=True, requests=1),
    "keep_alives": Fault(
        script=with_events(lambda d: [*KEEP_ALIVES[:8], *d.deltas(), *KEEP_ALIVES[:8], *d.ending()]), recovers=True, requests=1
    ),
    "crlf": Fault(script=with_crlf, recovers=True, requests=1),
    "one_byte_writes_split_utf8": Fault(script=split_bytes, recovers=True, requests=1),
    "unknown_events": Fault(script=with_events(lambda d: [{"type": "novelty"}, *d.deltas(), "[]", *d.ending()]), recovers=True, requests=1),
    "ignores_stream": Fault(script=lambda d: [d.whole()], recovers=True, requests=1),
    "error_first_once": Fault(script=lambda d: [answer_events(stream_error(d)), d.streamed()], recovers=True, requests=2),
    "error_first_always": Fault(
        script=lambda d: [answer_events(stream_error(d))] * 3, kind=PeerUnavailableError, code="llm.unavailable.server", requests=3
    ),
    "json_error_in_a_200_once": Fault(
        script=lambda d: [answer_json(d.error(503, "overloaded_error")), d.streamed()], recovers=True, requests=2
    ),
    "html_in_a_200": Fault(script=always(lambda _: answer_bytes(HTML)), kind=PeerGarbledError, code="llm.answer.garbled", requests=3),
    "503_once": Fault(script=lambda d: [failing(503)(d), d.streamed()], recovers=True, requests=2),
    "429_with_date": Fault(
        script=lambda d: [failing(429, "rate_limit_error", ("retry-after", "Sun, 22 Nov 2026 12:00:03 GMT"))(d), d.streamed()],
        recovers=True,
        requests=2,
    ),
    "reset_before_content_once": Fault(script=lambda d: [answer_events(Cut()), d.streamed()], recovers=True, requests=2),
    "empty_stream_once": Fault(script=lambda d: [answer_events(*d.ending()), d.streamed()], recovers=True, requests=2),
    "nothing_at_all": Fault(
        script=lambda _: [answer_events(b": hello\n\n")] * 3, kind=PeerGarbledError, code="llm.answer.empty", requests=3
    ),
    "error_mid_stream": Fault(
        script=with_events(lambda d: [*d.deltas(), stream_error(d)]), kind=StreamInterruptedError, code="llm.stream.interrupted", requests=1
    ),
    "cut_mid_stream": Fault(
        script=with_events(lambda d: [*d.deltas(), Cut()]), kind=StreamInterruptedError, code="llm.stream.interrupted", requests=1
    ),
    "clean_end_without_finish": Fault(
        script=with_events(lambda d: d.deltas()), kind=StreamInterruptedError, code="llm.stream.interrupted", requests=1
    ),
    "done_marker_without_finish": Fault(
        script=with_events(lambda d: [*d.deltas(), "[DONE]"]), kind=StreamInterruptedError, code="llm.stream.interrupted", requests=1
    ),
    "garbled_mid_stream": Fault(
        script=with_events(lambda d: [*d.deltas(), "{not json"]), kind=StreamInterruptedError, code="llm.stream.interrupted", requests=1
    ),
    "stall_mid_stream": Fault(
        script=with_events(lambda d: [*d.deltas(), Hang()]), kind=StreamInterruptedError, code="llm.stream.interrupted", over_in_s=20.1
    ),
    "keep_alives_for_ever_mid_stream": Fault(
        script=with_events(lambda d: [*d.deltas(), *KEEP_ALIVES]),
        kind=StreamInterruptedError,
        code="llm.stream.interrupted",
        over_in_s=20.6,
    ),
    "keep_alives_for_ever": Fault(
        script=lambda _: [answer_events(*KEEP_ALIVES)] * 3, kind=LimitError, code="llm.deadline", deadline_s=2.0, over_in_s=2.1
    ),
    "hang": Fault(script=always(lambda _: Step(before=(Hang(),))), kind=LimitError, code="llm.deadline", deadline_s=1.0, over_in_s=1.1),
    "drips_beyond_the_deadline": Fault(
        script=with_events(lambda d: [*d.deltas(), *(piece for _ in range(50) for piece in (d.deltas()[-1], Delay(0.3)))]),
        kind=StreamInterruptedError,
        code="llm.stream.interrupted",
        deadline_s=2.0,
        over_in_s=2.1,
    ),
    "16_mb_line": Fault(
        script=with_events(lambda d: [*d.deltas(), *([b"x" * 1_000_000] * 16)]), kind=StreamInterruptedError, code="llm.stream.interrupted"
    ),
    "after_the_finish_it_hangs": Fault(
        script=with_events(lambda d: [*d.deltas(), *d.ending(), Hang()]), recovers=True, requests=1, over_in_s=1.0
    ),
}


@pytest.mark.parametrize("name", STREAMED)
async def test_u3_streamed(dialect: Dialect, name: str) -> None:
    """A stream ends with `Done` after its own end marker, else with a typed error that keeps what came."""
    fault = STREAMED[name]
    made = bench(dialect, *fault.script(dialect))
    if fault.recovers:
        text, last = await listen(made, fault.deadline_s)
        assert text == TEXT
        assert isinstance(last, Done)
        assert (last.completion.text, last.completion.finish, last.completion.usage.output_tokens) == (TEXT, "stop", 5)
    else:
        with pytest.raises(fault.kind) as caught:
            await listen(made, fault.deadline_s)
        assert caught.value.code == fault.code
        assert KEY not in str(caught.value) + repr(caught.value)
        if isinstance(caught.value, StreamInterruptedError):
            assert caught.value.received.startswith("Hello")
            assert caught.value.request_id in {"gen-1", "msg_1"}
    check(made, fault)


HINTS = {
    "0": (0.5, 1.0),
    "-1": (0.5, 1.0),
    "1000000000": (0.0, 0.0),
    "soon": (0.5, 1.0),
    "Sun, 22 Nov 2026 12:00:02 GMT": (2.0, 2.45),
    "2": (2.0, 2.45),
}


@pytest.mark.parametrize("hint", HINTS)
async def test_u3_p7_retry_after_in_every_form(dialect: Dialect, hint: str) -> None:
    """A sensible hint is kept to the moment, nonsense means our own wait, and one beyond the deadline ends the call at once."""
    made = bench(dialect, failing(429, "rate_limit_error", ("retry-after", hint))(dialect), dialect.whole())
    least, most = HINTS[hint]
    if most:
        assert (await made.router.complete("Hi")).text == TEXT
    else:
        with pytest.raises(PeerUnavailableError) as caught:
            await made.router.complete("Hi")
        assert caught.value.retry_after_s == 1e9
    assert least <= made.clock.monotonic() <= most + 0.01


async def test_u3_p7_retry_after_ms(dialect: Dialect) -> None:
    """`retry-after-ms` counts before `retry-after`."""
    made = bench(dialect, failing(503, "", ("retry-after-ms", "1500"), ("retry-after", "9"))(dialect), dialect.whole())
    assert (await made.router.complete("Hi")).text == TEXT
    assert 1.5 <= made.clock.monotonic() <= 1.91
