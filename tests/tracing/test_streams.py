"""What a span keeps of a stream: its count, and under `content` the end of its text, whatever flows through."""

from collections.abc import AsyncIterator, Iterator

import pytest

from dealquest.testing import CapturedTraces
from dealquest.tracing import traced_span
from dealquest.tracing.decorator import TAIL_CHARS


@traced_span("words", capture="content")
def words(*parts: object) -> Iterator[object]:
    yield from parts


@traced_span("slow words", capture="content")
async def slow_words(*parts: object) -> AsyncIterator[object]:
    for part in parts:
        yield part


@traced_span("quiet", capture="shapes")
def quiet(*parts: object) -> Iterator[object]:
    yield from parts


def test_the_end_of_a_text_stream_is_kept(captured_traces: CapturedTraces) -> None:
    """A stream far beyond the limit leaves its last characters, in order, and nothing more."""
    parts = [f"{number:05} " for number in range(5_000)]
    assert list(words(*parts)) == parts
    assert captured_traces.span("words").output_data == "".join(parts)[-TAIL_CHARS:]


async def test_async_streams_and_other_items(captured_traces: CapturedTraces) -> None:
    """Only texts are kept; empty ones and other items pass and are counted."""
    parts = ["Hel", "", 7, b"x", "lo"] + [""] * 1_000
    assert [part async for part in slow_words(*parts)] == parts
    span = captured_traces.span("slow words")
    assert span.output_data == "Hello"
    assert span.attributes["dealquest.stream.items"] == len(parts)


def test_without_content_nothing_of_a_stream_is_kept(captured_traces: CapturedTraces) -> None:
    """Under `shapes`, the default of a tracer, a stream leaves its count alone."""
    list(quiet("secret words"))
    assert captured_traces.span("quiet").output_data is None


@pytest.mark.parametrize("size", [1, TAIL_CHARS, TAIL_CHARS + 1, 3 * TAIL_CHARS])
def test_one_huge_item_is_cut_too(captured_traces: CapturedTraces, size: int) -> None:
    """The limit holds for a single item of any size."""
    list(words("x" * size))
    kept = captured_traces.span("words").output_data
    assert isinstance(kept, str)
    assert len(kept) == min(size, TAIL_CHARS)
