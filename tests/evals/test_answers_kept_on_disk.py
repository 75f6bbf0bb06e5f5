"""Answers that a cache keeps: asked for once, free of charge the second time, and never in a replay."""

from pathlib import Path

import msgspec
import pytest

from dealquest.errors import InputError
from dealquest.evals import CachedTransport
from dealquest.evals.caching import noting_hits
from dealquest.testing import ScriptedTransport, answer_bytes, answer_json
from dealquest.wire import HttpRequest

ASK = HttpRequest(method="POST", url="https://models.test/v1/chat", body=b'{"model":"m"}')


@pytest.mark.parametrize(
    ("body", "again"),
    [
        ({"text": "yes", "usage": {"cost": 0.5, "tokens": 3}}, {"text": "yes", "usage": {"cost": 0, "tokens": 3}}),
        ({"text": "yes", "usage": {"tokens": 3}}, {"text": "yes", "usage": {"tokens": 3}}),
        (["no object"], ["no object"]),
    ],
)
async def test_a_kept_answer_is_free(tmp_path: Path, body: object, again: object) -> None:
    """The second time it comes from the folder with its price taken off, also without its transport."""
    inner = ScriptedTransport(answer_json(body))
    cache = CachedTransport(inner, tmp_path)
    assert msgspec.json.decode((await cache.send(ASK)).body) == body
    assert msgspec.json.decode((await cache.send(ASK)).body) == again
    replay = CachedTransport(None, tmp_path, mode="replay")
    with noting_hits() as hits:
        assert msgspec.json.decode((await replay.send(ASK)).body) == again
    assert (cache.hits, cache.misses, replay.hits, len(hits), len(inner.requests)) == (1, 1, 1, 1, 1)


async def test_only_good_answers_are_kept(tmp_path: Path) -> None:
    """A refusal is handed on and asked for again; `refresh` asks although there is an answer."""
    inner = ScriptedTransport(answer_json({}, status=503), answer_bytes(b"1"), answer_bytes(b"2"))
    cache = CachedTransport(inner, tmp_path)
    assert [(await cache.send(ASK)).status for _ in range(2)] == [503, 200]
    assert (await CachedTransport(inner, tmp_path, mode="refresh").send(ASK)).body == b"2"
    assert (await cache.send(ASK)).body == b"2"


async def test_streams_pass_by(tmp_path: Path) -> None:
    """A stream comes from the transport itself and leaves nothing in the folder."""
    cache = CachedTransport(ScriptedTransport(answer_bytes(b"one two")), tmp_path)
    async with cache.stream(ASK) as answer:
        assert b"".join([part async for part in answer.chunks()]) == b"one two"
    with pytest.raises(InputError):
        await CachedTransport(None, tmp_path, mode="replay").send(ASK)


async def test_a_replay_asks_nobody(tmp_path: Path) -> None:
    """What was not recorded is refused, whole or streamed; without a transport only a replay makes sense."""
    inner = ScriptedTransport()
    replay = CachedTransport(inner, tmp_path, mode="replay")
    with pytest.raises(InputError) as whole:
        await replay.send(ASK)
    with pytest.raises(InputError) as streamed:
        replay.stream(ASK)
    assert {whole.value.code, streamed.value.code} == {"evals.replay.missing"}
    assert inner.requests == []
    with pytest.raises(InputError) as caught:
        CachedTransport(None, tmp_path)
    assert caught.value.code == "evals.input.cache"
