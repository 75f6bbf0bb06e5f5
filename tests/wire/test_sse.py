"""Server-sent events: chunking never matters, and nothing is taken for an event that is none."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import LimitError
from dealquest.wire import SseDecoder, SseEvent

STREAM = (
    b"\xef\xbb\xbf: OPENROUTER PROCESSING\n\n"
    b'event: delta\ndata: {"text": "\xe2\x80\xa8 caf\xc3\xa9 \xc2\x85"}\n\n'
    b"data: one\r\ndata: two\r\n\r\n"
    b"id: 7\rdata:bare\r\r"
    b"event: lost\n\n"
    b"data\n\n"
    b"retry: 10\nunknown: x\ndata: [DONE]\n\n"
    b"data: never ended"
)
EVENTS = [
    SseEvent(event="delta", data='{"text": "\u2028 café \u0085"}'.encode()),
    SseEvent(data=b"one\ntwo"),
    SseEvent(data=b"bare", id="7"),
    SseEvent(data=b"", id="7"),
    SseEvent(data=b"[DONE]", id="7"),
]


def decode(chunks: list[bytes]) -> list[SseEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def test_a_whole_stream_is_read() -> None:
    """Comments, CR, LF, CRLF, a byte order mark, U+2028 and an unfinished event are read by the standard."""
    assert decode([STREAM]) == EVENTS


def test_u4_one_byte_at_a_time() -> None:
    """Split UTF-8 and split line ends change nothing."""
    assert decode([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


def test_u4_any_cut_in_two_changes_nothing() -> None:
    """Each single cut is tried, the one between CR and LF among them."""
    for at in range(len(STREAM) + 1):
        assert decode([STREAM[:at], STREAM[at:]]) == EVENTS


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12))
def test_chunking_never_matters(cuts: list[int]) -> None:
    """Wherever the stream is cut, the events are the same."""
    borders = [0, *sorted(cuts), len(STREAM)]
    assert decode([STREAM[a:b] for a, b in itertools.pairwise(borders)]) == EVENTS


@given(
    st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")), max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_what_is_encoded_is_decoded(payloads: list[bytes], ending: bytes) -> None:
    """Any payload without a line break passes through, with every line ending."""
    raw = b"".join(b"data: " + payload + ending + ending for payload in payloads)
    assert [event.data for event in decode([raw, b"\n"])] == payloads


@given(st.lists(st.binary(max_size=64), max_size=10))
def test_no_bytes_break_the_decoder(chunks: list[bytes]) -> None:
    """Whatever arrives, the decoder gives events and never raises below its limit."""
    assert all(isinstance(event, SseEvent) for event in decode(chunks))


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 1_100, b"x" * 1_100, b"data: " + b"x" * 600 + b"\ndata: " + b"y" * 600 + b"\n"])
def test_u4_an_endless_line_is_given_up(chunk: bytes) -> None:
    """An event that grows beyond the limit raises instead of filling the memory."""
    with pytest.raises(LimitError) as caught:
        SseDecoder(max_event_bytes=1_000).feed(chunk)
    assert caught.value.code == "wire.sse_too_large"


def test_many_events_do_not_add_up_to_one() -> None:
    """The limit counts one event, not the stream."""
    decoder = SseDecoder(max_event_bytes=1_000)
    assert sum(len(decoder.feed(b"data: " + b"x" * 500 + b"\n\n")) for _ in range(50)) == 50


def test_events_that_arrive_whole_are_read_like_any_other() -> None:
    """A chunk that is exactly one event keeps the type and id that lines before it set, for one event and for good."""
    chunks = [b"id: 5\nevent: delta\n", b"data: one\n\n", b"data: two\n\n", b"data: thr", b"ee\n\n", b"data: x\ndata: y\n\n"]
    expected = [
        SseEvent(data=b"one", event="delta", id="5"),
        SseEvent(data=b"two", id="5"),
        SseEvent(data=b"three", id="5"),
        SseEvent(data=b"x\ny", id="5"),
    ]
    assert decode(chunks) == expected
    assert decode([b"".join(chunks)]) == expected
    assert decode([b"data: a\n", b"data: b\n\n"]) == [SseEvent(data=b"a\nb")]
    assert decode([b"data: a\n\n", b"x", b"data: b\n\n", b"DATA: c\n\n"]) == [SseEvent(data=b"a")]
    assert decode([b"data: a\n\n", b"dat: b\n\n", b"data:  c\n\n", b"data: d\n\nd"]) == [
        SseEvent(data=b"a"),
        SseEvent(data=b" c"),
        SseEvent(data=b"d"),
    ]


@pytest.mark.parametrize(("over", "passes"), [(0, True), (1, False)])
def test_the_limit_is_exact(over: int, passes: bool) -> None:
    """An event of the largest size passes, one byte more does not, first on the stream or later."""
    for before in range(4):
        decoder = SseDecoder(max_event_bytes=50)
        for _ in range(before):
            decoder.feed(b"data: before\n\n")
        raw = b"data: " + b"x" * (50 + over) + b"\n\n"
        if passes:
            assert [found.data for found in decoder.feed(raw)] == [b"x" * 50]
            continue
        with pytest.raises(LimitError, match="larger than 50 bytes"):
            decoder.feed(raw)


def test_a_line_that_is_not_whole_counts_as_it_is_held() -> None:
    """Before its end is seen a line counts with its name, to the byte, in however many pieces it comes."""
    for pieces in ([b"x" * 10], [b"x" * 4, b"x" * 6]):
        decoder = SseDecoder(max_event_bytes=10)
        assert [decoder.feed(piece) for piece in pieces] == [[] for _ in pieces]
        with pytest.raises(LimitError):
            decoder.feed(b"x")


def test_a_byte_order_mark_counts_at_the_beginning_only() -> None:
    """Later it is part of a field's name, which nobody knows, even where only an empty line stands before it."""
    assert decode([b"\n\xef\xbb\xbfdata: a\n\n"]) == []
    assert decode([b"\xef\xbb\xbfdata: a\n\n", b"\xef\xbb\xbfdata: b\n\n", b"data: c\xef\xbb\xbf\n\n"]) == [
        SseEvent(data=b"a"),
        SseEvent(data=b"c\xef\xbb\xbf"),
    ]


def test_odd_ids_and_types_do_no_harm() -> None:
    """An id with NUL is ignored; bytes that are no UTF-8 are replaced."""
    assert decode([b"id: 1\nid: 2\x003\ndata: a\n\n", b"id: \xff\nevent: \xff\ndata: b\n\n"]) == [
        SseEvent(data=b"a", id="1"),
        SseEvent(data=b"b", id="\ufffd", event="\ufffd"),
    ]
