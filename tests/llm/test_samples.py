"""Every documented shape of both dialects, as recorded samples: read as documented, in any chunking, and never with a crash."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest.llm import Completion, Tool, chat_wire, claude_wire, user
from dealquest.llm.failures import Failure, judge_answer
from dealquest.llm.messages import Ask
from dealquest.wire import SseDecoder

from .conftest import KEY

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
FOLDER = Path(__file__).parent.parent / "samples" / "llm"
CODECS = {"chat": chat_wire, "claude": claude_wire}
SAMPLES = [(dialect, json.loads(line)) for dialect in CODECS for line in (FOLDER / f"{dialect}.jsonl").read_text().splitlines()]


@attrs.frozen
class Note:
    text: str = ""


ASK = Ask(messages=(user("Hi"),), tools=(Tool(name="note", description="Take a note.", arguments=Note),))


def read(dialect: str, sample: dict[str, Any], chunks: list[bytes]) -> tuple[Completion | Failure, str]:
    """What the codec makes of a sample, and the text of a stream so far."""
    headers = tuple(sample["headers"].items())
    if sample["status"] != 200:
        return judge_answer(sample["status"], headers, b"".join(chunks), now=NOW), ""
    codec = CODECS[dialect]
    if not sample["stream"]:
        return codec.decode(headers, b"".join(chunks), ASK, now=NOW), ""
    stream, sse = codec.open_stream(headers, ASK, now=NOW), SseDecoder()
    for chunk in chunks:
        for event in sse.feed(chunk):
            if stream.failure is None and not stream.finished:
                stream.feed(event)
    return (stream.failure or stream.completion()), stream.text


@pytest.mark.parametrize(("dialect", "sample"), SAMPLES, ids=[f"{dialect}: {sample['name']}" for dialect, sample in SAMPLES])
def test_every_documented_shape_is_read(dialect: str, sample: dict[str, Any]) -> None:
    """The sample gives the expected answer or failure, whole and byte by byte."""
    body, expect = sample["body"].encode(), sample["expect"]
    for chunks in ([body], [body[i : i + 1] for i in range(len(body))]):
        found, partial = read(dialect, sample, chunks)
        if isinstance(found, Failure):
            seen: dict[str, Any] = {"code": found.error.code, "verdict": found.verdict, "hint": found.hint_s, "partial": partial}
            seen["successors"] = list(found.successors)
            assert KEY not in str(found.error)
        else:
            seen = {
                "text": found.text,
                "finish": found.finish,
                "cost": None if found.cost_usd is None else str(found.cost_usd),
                "input": found.usage.input_tokens,
                "output": found.usage.output_tokens,
                "cached": found.usage.cached_tokens,
                "written": found.usage.cache_write_tokens,
                "reasoning_tokens": found.usage.reasoning_tokens,
                "model": found.model,
                "thought": found.reasoning_text,
                "kept": list(found.reasoning),
                "citations": [citation.url for citation in found.citations],
                "tools": [call.name for call in found.tool_calls],
                "arguments": found.tool_calls[0].arguments if found.tool_calls else None,
            }
        assert {name: seen[name] for name in expect} == expect


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def spoil(value: Any, path: list[int], replacement: Any) -> Any:
    """The same JSON with one value, found by walking `path`, replaced."""
    if isinstance(value, dict) and value and path:
        key = sorted(value)[path[0] % len(value)]
        return {**value, key: spoil(value[key], path[1:], replacement)}
    if isinstance(value, list) and value and path:
        index = path[0] % len(value)
        return [*value[:index], spoil(value[index], path[1:], replacement), *value[index + 1 :]]
    return replacement


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.lists(st.integers(0, 20), max_size=7), JSON)
def test_u3_a_wrong_type_anywhere_never_crashes(picked: tuple[str, dict[str, Any]], path: list[int], junk: Any) -> None:
    """Whatever a peer puts in place of any value, the outcome is an answer or a judged failure."""
    dialect, sample = picked
    if sample["stream"]:
        lines = sample["body"].split("\n\n")
        index = (path[0] if path else 0) % len(lines)
        head, mark, data = lines[index].partition("data: ")
        if mark and data.startswith("{"):
            lines[index] = head + mark + json.dumps(spoil(json.loads(data), path[1:], junk))
        body = "\n\n".join(lines)
        reader, sse = CODECS[dialect].open_stream((), ASK, now=NOW), SseDecoder()
        for event in sse.feed(body.encode()):
            if reader.failure is None and not reader.finished:
                reader.feed(event)
        assert reader.failure is None or isinstance(reader.failure, Failure)
        assert reader.usage.total_tokens >= 0
        return
    body = json.dumps(spoil(json.loads(sample["body"]), path, junk))
    found, _ = read(dialect, sample, [body.encode()])
    assert isinstance(found, Completion | Failure)
    assert isinstance(found, Failure) or found.cost_usd is None or found.cost_usd >= Decimal(0)


@given(st.sampled_from(["chat", "claude"]), st.binary(max_size=200))
def test_u3_no_bytes_crash_the_readers(dialect: str, body: bytes) -> None:
    """Any bytes at all end in a judged failure or an answer."""
    assert isinstance(CODECS[dialect].decode((), body, ASK, now=NOW), Completion | Failure)
    assert isinstance(judge_answer(500, (), body, now=NOW), Failure)
