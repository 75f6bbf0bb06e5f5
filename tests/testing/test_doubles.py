"""The doubles that ship keep their own promises."""

import time
from pathlib import Path

import anyio
import pytest

from dealquest.errors import InputError, PeerUnavailableError
from dealquest.testing import (
    Cut,
    Delay,
    FrozenClock,
    RecordingTransport,
    ReplayTransport,
    ScriptedTransport,
    Step,
    answer_events,
    answer_json,
    load_exchanges,
    save_exchanges,
)
from dealquest.values import Secret
from dealquest.wire import HttpRequest

KEY = "sk-canary-0123456789"


def ask(body: bytes = b"{}", url: str = "http://peer.invalid/x") -> HttpRequest:
    return HttpRequest(method="POST", url=url, headers=(("authorization", f"Bearer {KEY}"), ("x-note", KEY)), body=body)


async def test_sleepers_wake_in_order_and_take_no_time() -> None:
    """An hour of sleeping tasks passes at once, each waking at its own moment."""
    clock, woken = FrozenClock(), list[tuple[float, int]]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append((clock.monotonic(), seconds))
        await clock.sleep(seconds)
        woken.append((clock.monotonic(), seconds))

    started = time.monotonic()
    async with anyio.create_task_group() as group:
        for seconds in (3600, 5, 7):
            group.start_soon(sleeper, seconds)
    assert woken == [(5, 5), (7, 7), (10, 5), (14, 7), (3600, 3600), (7200, 3600)]
    assert time.monotonic() - started < 5
    assert (clock.now() - FrozenClock().now()).total_seconds() == 7200


async def test_a_limit_cuts_a_sleep_short() -> None:
    """A time limit ends the block at its moment, and only when it was reached."""
    clock = FrozenClock()
    with clock.limit(2.0) as limit:
        await clock.sleep(60)
    assert (limit.expired, clock.monotonic()) == (True, 2.0)
    with clock.limit(2.0) as limit:
        await clock.sleep(1)
    assert (limit.expired, clock.monotonic()) == (False, 3.0)
    with clock.limit(0) as limit:
        await clock.sleep(1)
    assert limit.expired
    await clock.sleep(10)
    assert clock.monotonic() == 13.0


async def test_limits_nest() -> None:
    """The inner limit ends the inner block alone."""
    clock = FrozenClock()
    with clock.limit(10) as outer:
        with clock.limit(3) as inner:
            await clock.sleep(5)
        await clock.sleep(5)
    assert (inner.expired, outer.expired, clock.monotonic()) == (True, False, 8.0)


async def test_a_script_plays_step_by_step() -> None:
    """Bodies, delays and breaks come in order, and requests are kept to look at."""
    clock = FrozenClock()
    wire = ScriptedTransport(Step(body=(b"a", Delay(3.0), b"b")), Step(body=(b"a", Cut())), timer=clock)
    assert (await wire.send(ask())).body == b"ab"
    assert clock.monotonic() == 3.0
    with pytest.raises(PeerUnavailableError):
        await wire.send(ask())
    assert [request.body for request in wire.requests] == [b"{}", b"{}"]
    assert wire.open == 0
    with pytest.raises(AssertionError, match="script is over"):
        await wire.send(ask())


async def test_g1_a_recording_holds_no_key(tmp_path: Path) -> None:
    """Keys are masked in headers, URLs, bodies and answers, also when split between chunks; the rest replays as it was."""
    echo = Step(headers=(("set-cookie", KEY),), body=(KEY[:5].encode(), KEY[5:].encode()))
    wire = ScriptedTransport(echo, answer_json({"fine": True}), answer_events({"n": 1}, {"n": 2}))
    recorder = RecordingTransport(wire, secrets=[Secret(KEY)])
    async with recorder.stream(ask(KEY.encode(), f"http://peer.invalid/x?key={KEY}")) as stream:
        assert await stream.read() == KEY.encode()
    assert (await recorder.send(ask(b"1"))).json() == {"fine": True}
    async with recorder.stream(ask(b"2")) as stream:
        chunks = [chunk async for chunk in stream.chunks()]
    path = tmp_path / "calls.jsonl"
    save_exchanges(path, recorder.exchanges)
    assert KEY not in path.read_text()
    replay = ReplayTransport(load_exchanges(path))
    async with replay.stream(ask(b"2")) as stream:
        assert [chunk async for chunk in stream.chunks()] == chunks
    assert (await replay.send(ask(b"1"))).json() == {"fine": True}
    with pytest.raises(InputError) as caught:
        replay.stream(ask(b"1"))
    assert caught.value.code == "testing.replay.unknown"


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    """Nonsense in the file is the caller's to mend."""
    (tmp_path / "x").write_text("{}\n")
    with pytest.raises(InputError) as caught:
        load_exchanges(tmp_path / "x")
    assert caught.value.code == "testing.replay.broken"
