"""Subtitles of words that fit no line."""

from dealquest.transcription import Transcript, Word
from dealquest.transcription.subtitles import format_srt, split_cues


def test_a_word_longer_than_a_line_stays_whole() -> None:
    """Where there is no blank to break at, the line is left as it is; two lines are made where there is one."""
    long = "a" * 60
    srt = format_srt(Transcript(text=long, words=(Word(text=long, start_s=0, end_s=1),), duration_s=1.0))
    assert long in srt.splitlines()
    two = f"{'b' * 30} {'c' * 30}"
    words = tuple(Word(text=text, start_s=place, end_s=place + 1) for place, text in enumerate(two.split()))
    assert {"b" * 30, "c" * 30} <= set(format_srt(Transcript(text=two, words=words, duration_s=2.0)).splitlines())


def test_words_of_blanks_are_silence() -> None:
    """Nothing that can be seen makes no cue; the last words of a sound always have one."""
    blank = Word(text="  ", start_s=0, end_s=1)
    assert split_cues(Transcript(text="", words=(blank,), duration_s=1.0)) == ()
    words = (Word(text="One.", start_s=0, end_s=1), blank, Word(text="Two.", start_s=9, end_s=10))
    assert [cue.text for cue in split_cues(Transcript(text="One. Two.", words=words, duration_s=10.0))] == ["One.", "Two."]
