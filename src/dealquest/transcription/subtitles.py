"""A transcript as SubRip, WebVTT or JSON text. Pure formatting of what was heard.

Source: WebVTT (W3C, section 4), the SubRip layout, read 2026-11-22.
"""

from collections.abc import Iterator
from decimal import Decimal

import attrs
import msgspec

from .transcript import Transcript, Word

MAX_CUE_CHARS = 84  # two lines of 42, the usual limit for subtitles
MAX_CUE_S = 6.0
PAUSE_S = 1.0
_LINE_CHARS = 42
_FALLBACK_S = 3.0


@attrs.frozen(kw_only=True)
class Cue:
    """One subtitle: what stands on the screen and when."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None = None


def split_cues(transcript: Transcript) -> tuple[Cue, ...]:
    """Cut a transcript into cues: at a new speaker, a pause, a full line or six seconds.

    A transcript without words becomes one cue over its whole length; silence becomes none.
    """
    words = tuple(word for word in transcript.words if word.text.strip())
    if words:
        return tuple(_join(group) for group in _group(words))
    if not transcript.text:
        return ()
    return (Cue(start_s=0.0, end_s=transcript.duration_s or _FALLBACK_S, text=" ".join(transcript.text.split())),)


def format_srt(transcript: Transcript) -> str:
    """The transcript as SubRip.

    >>> words = (Word(text="Hello", start_s=0.5, end_s=0.9), Word(text="there.", start_s=1.0, end_s=1.5))
    >>> print(format_srt(Transcript(text="Hello there.", words=words)), end="")
    1
    00:00:00,500 --> 00:00:01,500
    Hello there.
    """
    cues = (
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{_lines(_named(cue))}\n"
        for number, cue in enumerate(split_cues(transcript), start=1)
    )
    return "\n".join(cues)


def format_vtt(transcript: Transcript) -> str:
    """The transcript as WebVTT; speakers become voice tags.

    >>> print(format_vtt(Transcript(text="a < b", duration_s=1.0)), end="")
    WEBVTT
    <BLANKLINE>
    00:00:00.000 --> 00:00:01.000
    a &lt; b
    """
    cues = (
        f"\n{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{_voice(cue)}{_escape(_lines(cue.text))}\n"
        for cue in split_cues(transcript)
    )
    return "WEBVTT\n" + "".join(cues)


def format_json(transcript: Transcript) -> str:
    """The transcript as indented JSON, all fields; money as text, so that no digit is lost."""
    plain = msgspec.to_builtins(attrs.asdict(transcript), builtin_types=(Decimal,))
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def _group(words: tuple[Word, ...]) -> Iterator[list[Word]]:
    """At least one word is given, so the last group is never empty."""
    group: list[Word] = []
    length = 0
    for word in words:
        if group and (
            word.speaker != group[0].speaker
            or word.start_s - group[-1].end_s > PAUSE_S
            or word.end_s - group[0].start_s > MAX_CUE_S
            or length + 1 + len(word.text) > MAX_CUE_CHARS
        ):
            yield group
            group, length = [], 0
        group.append(word)
        length += len(word.text) + 1
    yield group


def _join(words: list[Word]) -> Cue:
    # A line break inside a word or a label would end the cue early.
    text = " ".join(" ".join(word.text.split()) for word in words)
    speaker = " ".join(words[0].speaker.split()) if words[0].speaker else None
    return Cue(start_s=words[0].start_s, end_s=max(words[0].start_s, words[-1].end_s), text=text, speaker=speaker)


def _named(cue: Cue) -> str:
    return f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text


def _voice(cue: Cue) -> str:
    return f"<v {_escape(cue.speaker)}>" if cue.speaker else ""


def _lines(text: str) -> str:
    """Two lines of about equal length when one would be too long."""
    if len(text) <= _LINE_CHARS:
        return text
    middle = len(text) / 2
    blanks = [at for at, character in enumerate(text) if character == " "]
    if not blanks:
        return text
    at = min(blanks, key=lambda blank: abs(blank - middle))
    return f"{text[:at]}\n{text[at + 1 :]}"


def _clock(seconds: float, point: str) -> str:
    whole = max(0, round(seconds * 1000))
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
