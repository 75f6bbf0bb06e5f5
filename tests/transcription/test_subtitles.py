"""A transcript as subtitles and as JSON."""

import re
from collections.abc import Callable
from decimal import Decimal

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.transcription import Transcript, Word, format_json, format_srt, format_vtt, split_cues
from dealquest.transcription.subtitles import MAX_CUE_CHARS, MAX_CUE_S

_CLOCK = r"\d{2,}:[0-5]\d:[0-5]\d"


def words_of(*texts: str, step: float = 0.5, speaker: str | None = None, start: float = 0.0) -> tuple[Word, ...]:
    return tuple(
        Word(text=text, start_s=start + at * step, end_s=start + (at + 1) * step - 0.1, speaker=speaker) for at, text in enumerate(texts)
    )


def test_cues_break_at_pauses_speakers_and_length() -> None:
    """A new speaker, a pause, a full line and six seconds each begin a cue."""
    words = (
        *words_of("Hello", "there.", speaker="A"),
        *words_of("Hi.", speaker="B", start=1.0),
        *words_of("After", "a", "pause.", speaker="B", start=5.0),
    )
    assert [cue.text for cue in split_cues(Transcript(text="x", words=words))] == ["Hello there.", "Hi.", "After a pause."]
    many = split_cues(Transcript(text="x", words=words_of(*["longish"] * 60, step=0.2)))
    assert all(len(cue.text) <= MAX_CUE_CHARS and cue.end_s - cue.start_s <= MAX_CUE_S for cue in many)
    assert len(many) > 4


def test_srt_names_speakers_and_wraps_lines() -> None:
    """SubRip counts from one, uses commas, and puts long cues on two lines."""
    words = words_of("We", "could", "start", "with", "a", "pilot", "of", "three", "seats", "next", "week.", step=0.4, speaker="A")
    assert format_srt(Transcript(text="x", words=words)) == (
        "1\n00:00:00,000 --> 00:00:04,300\nA: We could start with a pilot\nof three seats next week.\n"
    )


def test_vtt_escapes_what_would_be_markup() -> None:
    """A word cannot become a tag or end the cue."""
    text = format_vtt(Transcript(text="x", words=words_of("<b>", "-->", "a&b", speaker="A>\n")))
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> ")
    assert "<v A&gt;>&lt;b&gt; --&gt; a&amp;b" in text


def test_silence_makes_no_cue() -> None:
    """A transcript without speech is an empty, valid file."""
    silent = Transcript(text="", no_speech=True)
    assert (format_srt(silent), format_vtt(silent)) == ("", "WEBVTT\n")


def test_json_holds_every_field_exactly() -> None:
    """All fields are there, money as text, non-ASCII as it is."""
    transcript = Transcript(text="Привет", id="job-1", cost_usd=Decimal("0.000175"), words=words_of("Привет"))
    text = format_json(transcript)
    found = msgspec.json.decode(text)
    assert set(found) == {field.name for field in attrs.fields(Transcript)}
    assert (found["cost_usd"], found["text"], found["words"][0]["end_s"]) == ("0.000175", "Привет", pytest.approx(0.4))
    assert "Привет" in text


words_strategy = st.lists(
    st.builds(
        Word,
        text=st.text(min_size=1, max_size=20),
        start_s=st.floats(0, 40_000),
        end_s=st.floats(0, 40_000),
        speaker=st.one_of(st.none(), st.text(max_size=3)),
    ),
    max_size=20,
)


@given(words_strategy)
def test_any_words_make_valid_subtitles(words: list[Word]) -> None:
    """Whatever a peer heard, every cue has its number, its clock and no blank line inside."""
    transcript = Transcript(text="x", words=tuple(words))
    cues = split_cues(transcript)
    assert all(cue.start_s <= cue.end_s for cue in cues)
    lines = format_srt(transcript).split("\n")
    assert len([line for line in lines if re.fullmatch(f"{_CLOCK},\\d{{3}} --> {_CLOCK},\\d{{3}}", line)]) == len(cues)
    assert format_vtt(transcript).count(" --> ") == len(cues)


@pytest.mark.parametrize("write", [format_srt, format_vtt])
def test_a_label_cannot_end_a_cue(write: Callable[[Transcript], str]) -> None:
    """A line break in a speaker's label would begin a cue of its own."""
    text = write(Transcript(text="Hi.", words=words_of("Hi.", speaker="A\n\n9\n00:00:00,000 --> 00:00:09,000\nB")))
    assert len(re.findall(r"^\d\d:\d\d:\d\d", text, re.MULTILINE)) == 1
