"""Read an answer as prose: clean text, sentences, words, phrases, copied passages.

Pure and language-neutral; the words of a language come from a pack's lexicon. It judges nothing.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import attrs

from .pack import Lexicon

COPY_RUN = 5
COPIED_SHARE = 0.6
MIN_PROSE_WORDS = 3
MAX_PROSE_WORDS = 55
MAX_BREATH_WORDS = 26

_QUOTE_MARKS = str.maketrans({"‘": "'", "’": "'", "‛": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})  # noqa: RUF001  # the marks themselves
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―", "-"))  # noqa: RUF001  # the dashes themselves
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
_THOUSANDS = re.compile(r"(?<=\d)[, ](?=\d{3}(?!\d))")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_BREATH = re.compile(r"[^\w\s'’%€$-]+")  # noqa: RUF001  # the typographic apostrophe itself


@attrs.frozen(kw_only=True)
class Sentence:
    """One sentence of an answer.

    Attributes:
        text: As written, without control characters.
        words: Lower case, without punctuation.
        is_question: Ends with a question mark or opens like a question.
        is_prose: Reads like a sentence and not like a list of keywords.
    """

    text: str
    words: tuple[str, ...]
    is_question: bool
    is_prose: bool

    @property
    def plain(self) -> str:
        """The words, joined by single spaces."""
        return " ".join(self.words)


def clean_text(text: str) -> str:
    r"""Drop control, format and unassigned characters; keep line breaks; fold compatible forms.

    >>> clean_text("what\x00 is\u200b it\r\nworth")
    'what is it\nworth'
    """
    folded = unicodedata.normalize("NFKC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    return "".join(char for char in folded if char == "\n" or unicodedata.category(char)[0] != "C").strip()


def fold(text: str) -> str:
    r"""Make two spellings of one passage equal: case, white space, typographic quotes and dashes.

    >>> fold("It\u2019s  \u201cfine\u201d")
    'it\'s "fine"'
    """
    return " ".join(clean_text(text).translate(_QUOTE_MARKS).translate(_DASHES).casefold().split())


def split_words(text: str) -> tuple[str, ...]:
    """The words in lower case; a hyphen separates, a number stays whole.

    >>> split_words("Don't follow-up at 9:30, Ines: 24,000!")
    ("don't", 'follow', 'up', 'at', '9:30', 'ines', '24000')
    """
    return tuple(_WORD.findall(_THOUSANDS.sub("", fold(text))))


def split_sentences(text: str, lexicon: Lexicon) -> tuple[Sentence, ...]:
    """Cut a text into sentences at `.`, `!`, `?` and line breaks."""
    sentences = []
    for part in _SENTENCE_END.split(clean_text(text)):
        piece = part.strip()
        words = split_words(piece)
        if not words:
            continue
        plain = " ".join(words)
        is_question = piece.rstrip("\"')] ").endswith("?") or opens_with(lexicon.phrases["question_opening"], plain, lexicon.endings)
        sentences.append(Sentence(text=piece, words=words, is_question=is_question, is_prose=_is_prose(piece, words, lexicon)))
    return tuple(sentences)


def find_figures(words: tuple[str, ...], lexicon: Lexicon) -> frozenset[str]:
    """The quantities named, in digits or in words; times and durations are none."""
    plain = " ".join(words)
    for group in ("time", "duration"):
        plain = _pattern(lexicon.phrases[group], lexicon.endings).sub("", plain)
    digits = {word for word in plain.split() if word[0].isdigit()}
    return frozenset(digits | find_phrases(lexicon.phrases["number"], plain, lexicon.endings))


def find_phrases(phrases: tuple[str, ...], plain: str, endings: tuple[str, ...]) -> frozenset[str]:
    """The matched passages, each once.

    Args:
        phrases: Words take common endings; `word*` takes any; `..` stands for up to four words.
        plain: Words joined by single spaces.
        endings: Endings that a word may take in this language.

    >>> sorted(find_phrases(("cost", "what .. happens"), "what then happens to costs", ("s",)))
    ['costs', 'what then happens']
    """
    if not phrases:
        return frozenset()
    return frozenset(match.group() for match in _pattern(phrases, endings).finditer(plain))


def contains(phrases: tuple[str, ...], plain: str, endings: tuple[str, ...]) -> bool:
    """Whether any of the phrases occurs."""
    return bool(phrases) and _pattern(phrases, endings).search(plain) is not None


def opens_with(phrases: tuple[str, ...], plain: str, endings: tuple[str, ...]) -> bool:
    """Whether the text begins with one of the phrases."""
    return bool(phrases) and _pattern(phrases, endings).match(plain) is not None


def runs_of(texts: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Every run of `COPY_RUN` words in the texts, to recognise copies."""
    runs: set[tuple[str, ...]] = set()
    for text in texts:
        runs.update(_runs(split_words(text)))
    return frozenset(runs)


def is_copied(sentence: Sentence, source: frozenset[tuple[str, ...]]) -> bool:
    """Whether most of a sentence stands word for word in the source; short sentences never count."""
    runs = _runs(sentence.words)
    return bool(runs) and sum(run in source for run in runs) >= COPIED_SHARE * len(runs)


def _runs(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [words[start : start + COPY_RUN] for start in range(len(words) - COPY_RUN + 1)]


def _is_prose(text: str, words: tuple[str, ...], lexicon: Lexicon) -> bool:
    if not MIN_PROSE_WORDS <= len(words) <= MAX_PROSE_WORDS:
        return False
    # Nobody speaks longer than this without a comma; a bag of phrases does.
    if any(len(breath.split()) > MAX_BREATH_WORDS for breath in _BREATH.split(text)):
        return False
    small = sum(word in _word_set(lexicon.phrases["small_word"]) for word in words)
    separators = text.count(",") + text.count(";") + text.count("/") + text.count("|")
    # An opening such as "Hello, Ines," may be all commas; a long sentence may not.
    return small >= 0.2 * len(words) and separators <= 2 + 0.12 * len(words)


@lru_cache(maxsize=64)
def _word_set(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(words)


@lru_cache(maxsize=4096)
def _pattern(phrases: tuple[str, ...], endings: tuple[str, ...]) -> re.Pattern[str]:
    # Longest first, so that a match is as telling as it can be.
    ordered = sorted(phrases, key=len, reverse=True)
    ending = f"(?:{'|'.join(re.escape(ending) for ending in endings)})?"
    return re.compile(r"(?<!\S)(?:" + "|".join(_phrase_pattern(phrase, ending) for phrase in ordered) + r")(?!\S)")


def _phrase_pattern(phrase: str, ending: str) -> str:
    pattern = ""
    for part in phrase.split():
        if part == "..":
            pattern += r"(?: \S+){0,4}?"
            continue
        pattern += " " if pattern else ""
        pattern += re.escape(part[:-1]) + r"\S*" if part.endswith("*") else re.escape(part) + ending
    return pattern
