"""Nothing is written twice, nothing passing is given up, and an unknown fate is said (P2)."""

from typing import Any, Literal

import pytest

from dealquest.errors import ConflictError, DealQuestError, LimitError, PeerGarbledError, PeerUnavailableError, UnknownOutcomeError
from dealquest.storage import Postgrest
from dealquest.storage.postgrest.answers import read_error
from dealquest.storage.postgrest.retry import is_fate_known
from dealquest.testing import FrozenClock, ScriptedTransport, answer_bytes, answer_json, fail
from dealquest.wire import HttpResponse

UNREACHED = answer_json({"code": "PGRST000", "message": "no database"}, status=503)
ROLLED_BACK = answer_json({"code": "40001", "message": "serialization"}, status=500)
STALE = PeerGarbledError("The server broke off.", code="wire.garbled", retryable=True)
LIMITED = answer_bytes(b"Too many", status=429, content_type="text/plain")
GATEWAY = answer_bytes(b"<html>", status=502)
DONE = answer_json([{"id": 1}], status=201)
Verb = Literal["read", "insert", "upsert", "call", "keyed call", "update", "delete"]


def attempt(db: Postgrest, verb: Verb) -> Any:
    table = db.table("t")
    match verb:
        case "read":
            return table.select().all()
        case "insert":
            return table.insert({"id": 1}).all()
        case "upsert":
            return table.upsert({"id": 1}, on="id").all()
        case "call":
            return db.rpc("f").all()
        case "keyed call":
            return db.rpc("f", key="k").repeatable().all()
        case "update":
            return table.update({"a": 1}).where(id=1).all()
        case "delete":
            return table.delete().where(id=1).all()


async def run(verb: Verb, *script: Any) -> tuple[Any, ScriptedTransport, FrozenClock]:
    clock = FrozenClock()
    wire = ScriptedTransport(*script, timer=clock)
    try:
        return await attempt(Postgrest(wire, timer=clock), verb), wire, clock
    except DealQuestError as exc:
        return exc, wire, clock


@pytest.mark.parametrize("verb", ["read", "upsert", "keyed call"])
@pytest.mark.parametrize("trouble", [fail("wire.broken"), STALE, fail("wire.connect"), GATEWAY, UNREACHED, ROLLED_BACK])
async def test_p2_what_may_be_repeated_is_repeated(verb: Verb, trouble: Any) -> None:
    """Reads, and writes with a unique key, outlive a passing failure."""
    outcome, wire, _ = await run(verb, trouble, trouble, DONE)
    assert outcome == [{"id": 1}]
    assert len(wire.requests) == 3


@pytest.mark.parametrize("verb", ["insert", "call", "update", "delete"])
@pytest.mark.parametrize(
    "trouble", [fail("wire.connect"), UNREACHED, ROLLED_BACK, answer_bytes(b"Too many", status=429, content_type="text/plain")]
)
async def test_p2_a_write_that_certainly_did_nothing_is_sent_again(verb: Verb, trouble: Any) -> None:
    """Where nothing was sent, reached or kept, any write may be tried again."""
    outcome, wire, _ = await run(verb, trouble, DONE)
    assert outcome == [{"id": 1}]
    assert len(wire.requests) == 2


@pytest.mark.parametrize("verb", ["insert", "call", "update", "delete"])
@pytest.mark.parametrize(
    "trouble",
    [
        fail("wire.broken"),
        STALE,
        fail("wire.timeout"),
        GATEWAY,
        answer_bytes(b"", status=504),
        answer_json({"code": "57P01", "message": "terminating"}, status=500),
        answer_json({"code": "08006", "message": "gone"}, status=503),
        answer_json({"error": "INTERNAL", "message": "proxy gave up", "statusCode": 500}, status=500),
        answer_json({"code": "ERROR", "message": "some proxy"}, status=500),
    ],
)
async def test_p2_a_write_of_unknown_fate_is_said_and_never_repeated(verb: Verb, trouble: Any) -> None:
    """A write that may have been done is sent once, and its error says that its fate is unknown."""
    outcome, wire, _ = await run(verb, trouble)
    assert isinstance(outcome, UnknownOutcomeError)
    assert outcome.code == "storage.write.unknown_outcome"
    assert isinstance(outcome.__cause__, DealQuestError)
    assert len(wire.requests) == 1


async def test_p2_doubt_outlives_a_later_refusal() -> None:
    """A keyed write that broke off and is then refused may have been done the first time: its fate stays unknown."""
    outcome, _, _ = await run("upsert", fail("wire.broken"), answer_json({"code": "42501", "message": "no"}, status=403))
    assert isinstance(outcome, UnknownOutcomeError)
    refused, _, _ = await run("upsert", fail("wire.connect"), answer_json({"code": "23505", "message": "no"}, status=409))
    assert isinstance(refused, ConflictError)


async def test_a_refusal_is_final() -> None:
    """What will not change is not asked twice."""
    outcome, wire, _ = await run("read", answer_json({"code": "42P01", "message": "no"}, status=404))
    assert isinstance(outcome, DealQuestError)
    assert len(wire.requests) == 1


async def test_retry_after_is_kept() -> None:
    """A server that names a wait gets it, also in plain text; one beyond the deadline ends the call."""
    slow = answer_bytes(b"slow down", status=429, content_type="text/plain", headers=(("retry-after", "7"),))
    outcome, _, clock = await run("read", slow, DONE)
    assert outcome == [{"id": 1}]
    assert clock.slept[0] >= 7
    never = answer_bytes(b"slow down", status=429, content_type="text/plain", headers=(("retry-after", "3600"),))
    outcome, wire, clock = await run("insert", never)
    assert isinstance(outcome, LimitError)
    assert (outcome.code, outcome.retry_after_s, clock.slept, len(wire.requests)) == ("storage.rate_limited", 3600, [], 1)


async def test_retries_stop_after_three_attempts_and_share_a_budget() -> None:
    """One call is tried three times, and an outage does not multiply: the calls of a client share what they may repeat."""
    clock = FrozenClock()
    wire = ScriptedTransport(fail("wire.connect"), timer=clock, repeat=True)
    db = Postgrest(wire, timer=clock)
    for _ in range(20):
        with pytest.raises(PeerUnavailableError):
            await db.table("t").select().all()
    assert len(wire.requests) == 20 + 10


async def test_the_deadline_covers_every_attempt() -> None:
    """An attempt gets only the seconds that are left."""
    clock = FrozenClock()
    wire = ScriptedTransport(fail("wire.connect"), answer_json([]), timer=clock)
    await Postgrest(wire, timer=clock, timeout_s=5).table("t").select().all()
    assert wire.requests[0].timeout_s == 5
    assert wire.requests[1].timeout_s == pytest.approx(5 - sum(clock.slept))


@pytest.mark.parametrize("code", ["57014", "XX000", "58030", "40003", "PGRST001", "PGRST112", "08006"])
def test_a_timeout_of_a_statement_is_a_known_fate_and_a_broken_backend_is_not(code: str) -> None:
    """A cancelled statement was rolled back; a crash or a lost connection may come after the commit."""
    said = HttpResponse(status=500, body=b'{"code":"%s","message":"m"}' % code.encode())
    error = read_error(said, now=FrozenClock().now())
    assert error is not None
    assert is_fate_known(error) is (code == "57014")
