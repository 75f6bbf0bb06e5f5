"""Score an answer offline: measure each criterion's observable signals and quote what earned the points.

A baseline, not a judge of meaning. Pure: the same answer always gets the same card, and no input makes it raise.

Rules, so that writing for the scorer does not pay:
1. Only prose counts: keyword lists, passages copied from the scenario, the rubric or the ideal answer,
   and sentences addressed to the scorer earn nothing.
2. A sentence carries a limited number of signals, by its length.
3. Guards (words to avoid, limits) only take away: an empty answer earns nothing by what it does not say.
4. Answers that are too long, repeat themselves or are mostly copied lose a share of everything.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache

import attrs

from .pack import Criterion, Lexicon, Scenario, Signal
from .prose import (
    MAX_PROSE_WORDS,
    Sentence,
    clean_text,
    contains,
    find_figures,
    find_phrases,
    is_copied,
    runs_of,
    split_sentences,
    split_words,
)
from .scorecard import CriterionScore, ScoreCard

MAX_READ_CHARS = 12_000
MAX_QUOTE_CHARS = 240

_FEW_WORDS = 20
_MOST_SIGNALS = 3
_MOST_FRAGMENTS = 0.4
_LEAST_SMALL_WORDS = 0.28
_LEAST_DISTINCT = 0.42
_STEP_WITHOUT_TIME = 0.25
_SUBSTANCE = 0.75


def score_by_signals(scenario: Scenario, answer: str) -> ScoreCard:
    """Score an answer by the signals of the scenario's rubric.

    Args:
        scenario: What was answered.
        answer: Any text; what lies beyond `MAX_READ_CHARS` is not read and the length counts against it.
    """
    reading = _read(scenario, answer)
    findings = [
        _Finding(criterion=criterion, parts=[_MEASURES[signal.kind](signal, reading) for signal in criterion.signals])
        for criterion in scenario.rubric
    ]
    substance = _substance_of(findings)
    factor, remarks = _plausibility(reading, scenario)
    wording = scenario.lexicon.wording
    criteria = tuple(_score_criterion(finding, substance=substance, factor=factor, wording=wording) for finding in findings)
    lost = sorted((score for score in criteria if score.suggestion), key=lambda score: score.score - score.max)
    won = sorted((score for score in criteria if score.score >= 0.8 * score.max), key=lambda score: -score.max)
    return ScoreCard(
        scenario_id=scenario.id,
        scorer="signals",
        criteria=criteria,
        strengths=tuple(wording["strength"].format(name=score.name) for score in won[:3]),
        improvements=(*remarks, *(score.suggestion for score in lost[:3])),
        note=wording["note"],
    )


@attrs.frozen(kw_only=True)
class _Reading:
    """An answer, read once.

    Attributes:
        sentences: All of them, in order.
        usable: The places of those that may earn something.
        room: Place → how many more signals the sentence can carry.
        said: Stems of the content words the persona used last.
        known_figures: Quantities that the scenario itself names.
    """

    sentences: tuple[Sentence, ...]
    usable: tuple[int, ...]
    room: Counter[int]
    said: frozenset[str]
    known_figures: frozenset[str]
    words: int
    max_words: int
    copied_words: int
    addressed: bool
    lexicon: Lexicon


@attrs.frozen
class _Part:
    """How far one signal was seen: 0 to 1 for a sign, the share kept for a guard."""

    signal: Signal
    share: float
    quote: str = ""


@attrs.frozen(kw_only=True)
class _Finding:
    criterion: Criterion
    parts: list[_Part]

    @property
    def has_signs(self) -> bool:
        return any(not part.signal.is_guard for part in self.parts)

    @property
    def earned(self) -> float:
        """The share that the signs earn, before guards."""
        signs = [part for part in self.parts if not part.signal.is_guard]
        need = self.criterion.need or sum(part.signal.points for part in signs)
        return min(1.0, sum(part.share * part.signal.points for part in signs) / need) if need else 0.0

    @property
    def kept(self) -> float:
        """The share that the guards leave."""
        share = 1.0
        for part in self.parts:
            if part.signal.is_guard:
                share *= 1 - (1 - part.share) * part.signal.penalty / 100
        return share


def _read(scenario: Scenario, answer: str) -> _Reading:
    lexicon = scenario.lexicon
    text = clean_text(answer[: 2 * MAX_READ_CHARS])[:MAX_READ_CHARS]
    sentences = split_sentences(text, lexicon)
    source = _source_of(scenario)
    copied = {place for place, sentence in enumerate(sentences) if is_copied(sentence, source)}
    addressed = {
        place for place, sentence in enumerate(sentences) if contains(lexicon.phrases["to_the_scorer"], sentence.plain, lexicon.endings)
    }
    usable = tuple(place for place, sentence in enumerate(sentences) if sentence.is_prose and place not in copied | addressed)
    words = sum(len(sentence.words) for sentence in sentences)
    # Unread text still counts as length, at an average of six characters a word.
    words += max(0, len(answer) - 2 * MAX_READ_CHARS) // 6
    return _Reading(
        sentences=sentences,
        usable=usable,
        room=Counter({place: max(2, min(_MOST_SIGNALS, len(sentences[place].words) // 4)) for place in usable}),
        said=_stems(split_words(scenario.opening), lexicon),
        known_figures=find_figures(split_words(f"{scenario.situation} {scenario.opening}"), lexicon),
        words=words,
        max_words=scenario.max_words,
        copied_words=sum(len(sentences[place].words) for place in copied),
        addressed=bool(addressed),
        lexicon=lexicon,
    )


@lru_cache(maxsize=256)
def _source_of(scenario: Scenario) -> frozenset[tuple[str, ...]]:
    """What a seller can copy: everything the coach shows before or after the answer."""
    persona = scenario.persona
    texts = [scenario.situation, scenario.opening, scenario.ideal, persona.background, persona.context, *scenario.mistakes]
    for criterion in scenario.rubric:
        texts += [criterion.description, criterion.suggestion, *(signal.label for signal in criterion.signals)]
    return runs_of(texts)


def _stems(words: tuple[str, ...], lexicon: Lexicon) -> frozenset[str]:
    small = lexicon.phrases["small_word"]
    return frozenset(word[:5] for word in words if (len(word) > 3 or word.isdigit()) and word not in small)


def _claim(reading: _Reading, places: list[int]) -> str | None:
    """Take room in the sentence that has most of it; None where every one is full."""
    place = max(places, key=lambda candidate: (reading.room[candidate], -candidate), default=None)
    if place is None or reading.room[place] < 1:
        return None
    reading.room[place] -= 1
    quote = reading.sentences[place].text
    return quote if len(quote) <= MAX_QUOTE_CHARS else quote[:MAX_QUOTE_CHARS].rsplit(" ", 1)[0]


def _sign(signal: Signal, reading: _Reading, places: list[int], share: float) -> _Part:
    quote = _claim(reading, places) if share else None
    return _Part(signal, 0.0) if quote is None else _Part(signal, share, quote)


def _places(signal: Signal, reading: _Reading) -> list[int]:
    return [place for place in reading.usable if not signal.within or place < signal.within]


def _measure_says(signal: Signal, reading: _Reading) -> _Part:
    found = {
        place: find_phrases(signal.phrases, reading.sentences[place].plain, reading.lexicon.endings) for place in _places(signal, reading)
    }
    distinct = frozenset[str]().union(*found.values())
    return _sign(signal, reading, [place for place in found if found[place]], min(1.0, len(distinct) / signal.least))


def _measure_question(signal: Signal, reading: _Reading) -> _Part:
    places = []
    for place in _places(signal, reading):
        sentence = reading.sentences[place]
        is_open = not signal.open or contains(reading.lexicon.phrases["open_question"], sentence.plain, reading.lexicon.endings)
        if sentence.is_question and is_open and (not signal.phrases or contains(signal.phrases, sentence.plain, reading.lexicon.endings)):
            places.append(place)
    return _sign(signal, reading, places, min(1.0, len(places) / signal.least))


def _measure_question_first(signal: Signal, reading: _Reading) -> _Part:
    for place in reading.usable:
        sentence = reading.sentences[place]
        if sentence.is_question:
            return _sign(signal, reading, [place], 1.0)
        if contains(reading.lexicon.phrases["pitch"], sentence.plain, reading.lexicon.endings):
            break
    return _Part(signal, 0.0)


def _measure_number(signal: Signal, reading: _Reading) -> _Part:
    places = []
    for place in reading.usable:
        sentence = reading.sentences[place]
        figures = find_figures(sentence.words, reading.lexicon) - (reading.known_figures if signal.new else frozenset())
        if figures and (not signal.phrases or contains(signal.phrases, sentence.plain, reading.lexicon.endings)):
            places.append(place)
    return _sign(signal, reading, places, 1.0 if places else 0.0)


def _measure_next_step(signal: Signal, reading: _Reading) -> _Part:
    phrases = reading.lexicon.phrases
    steps = [
        place
        for place in reading.usable
        if contains(signal.phrases or phrases["step"], reading.sentences[place].plain, reading.lexicon.endings)
    ]
    timed = [place for place in steps if contains(phrases["time"], reading.sentences[place].plain, reading.lexicon.endings)]
    return _sign(signal, reading, timed or steps, 1.0 if timed else _STEP_WITHOUT_TIME if steps else 0.0)


def _measure_echo(signal: Signal, reading: _Reading) -> _Part:
    found = {place: reading.said & _stems(reading.sentences[place].words, reading.lexicon) for place in reading.usable}
    distinct = frozenset[str]().union(*found.values())
    return _sign(signal, reading, [place for place in found if found[place]], min(1.0, len(distinct) / signal.least))


def _measure_avoid(signal: Signal, reading: _Reading) -> _Part:
    for place, sentence in enumerate(reading.sentences):
        if signal.within and place >= signal.within:
            break
        if contains(signal.phrases, sentence.plain, reading.lexicon.endings) and not contains(
            signal.unless, sentence.plain, reading.lexicon.endings
        ):
            return _Part(signal, 0.0, sentence.text[:MAX_QUOTE_CHARS])
    return _Part(signal, 1.0)


def _measure_words(signal: Signal, reading: _Reading) -> _Part:
    most = signal.most or reading.max_words
    if reading.words > most:
        return _Part(signal, max(0.0, 1 - 2 * (reading.words - most) / most))
    return _Part(signal, min(1.0, reading.words / signal.least))


def _measure_question_limit(signal: Signal, reading: _Reading) -> _Part:
    asked = sum(sentence.is_question for sentence in reading.sentences)
    return _Part(signal, 1.0 if asked <= signal.most else 0.0)


_MEASURES: Mapping[str, Callable[[Signal, _Reading], _Part]] = {
    "says": _measure_says,
    "question": _measure_question,
    "question_first": _measure_question_first,
    "number": _measure_number,
    "next_step": _measure_next_step,
    "echo": _measure_echo,
    "avoid": _measure_avoid,
    "words": _measure_words,
    "question_limit": _measure_question_limit,
}


def _substance_of(findings: list[_Finding]) -> float:
    """How much the criteria with signs earned: criteria made of guards alone follow it."""
    signs = [finding for finding in findings if finding.has_signs]
    possible = sum(finding.criterion.weight for finding in signs)
    earned = sum(finding.earned * finding.kept * finding.criterion.weight for finding in signs)
    return min(1.0, earned / possible / _SUBSTANCE) if possible else 0.0


def _plausibility(reading: _Reading, scenario: Scenario) -> tuple[float, list[str]]:
    """The share of all points that an answer of this shape can have, and why."""
    words = reading.words
    if not words:
        return 0.0, [scenario.lexicon.wording["remark_empty"]]
    counts = Counter(word for sentence in reading.sentences for word in sentence.words)
    small = sum(counts[word] for word in scenario.lexicon.phrases["small_word"]) / max(1, counts.total())
    distinct = len(counts) / max(1, min(counts.total(), 150))
    limit = 1.5 * scenario.max_words
    # Pieces of up to five words, such as keywords with full stops between them; a run-on heap of words is one piece.
    pieces = sum(len(sentence.words) for sentence in reading.sentences if not 5 < len(sentence.words) <= MAX_PROSE_WORDS) / words
    whole = sum(len(reading.sentences[place].words) > 4 for place in reading.usable)
    checks = {
        "remark_short": min(1.0, words / _FEW_WORDS),
        "remark_long": min(1.0, (limit / words) ** 2),
        "remark_keywords": min(1.0, small / _LEAST_SMALL_WORDS),
        "remark_fragments": 1.0 if pieces <= _MOST_FRAGMENTS else ((1 - pieces) / (1 - _MOST_FRAGMENTS)) ** 2,
        "remark_single": 0.5 if whole < 2 else 1.0,
        "remark_repeats": min(1.0, distinct / _LEAST_DISTINCT),
        "remark_copied": 1.0 if reading.copied_words <= 0.3 * words else 0.5 * (1 - reading.copied_words / words),
        "remark_addressed": 0.5 if reading.addressed else 1.0,
    }
    factor = 1.0
    for share in checks.values():
        factor *= share
    return factor, [scenario.lexicon.wording[key] for key, share in checks.items() if share < 1]


def _score_criterion(finding: _Finding, *, substance: float, factor: float, wording: Mapping[str, str]) -> CriterionScore:
    criterion = finding.criterion
    share = (finding.earned if finding.has_signs else substance) * finding.kept
    score = round(criterion.weight * share * factor)
    signs = [part for part in finding.parts if not part.signal.is_guard]
    lines = {
        "found": [part.signal.label for part in signs if part.share >= 1],
        "partly": [part.signal.label for part in signs if 0 < part.share < 1],
        "missing": [part.signal.label for part in signs if not part.share] if share < 1 else [],
        "lost": [part.signal.label for part in finding.parts if part.signal.is_guard and part.share < 1],
    }
    best = max(signs, key=lambda part: part.share * part.signal.points, default=None)
    return CriterionScore(
        criterion=criterion.id,
        name=criterion.name,
        area=criterion.area,
        score=score,
        max=criterion.weight,
        feedback=" ".join(wording[key].format(labels="; ".join(labels)) for key, labels in lines.items() if labels),
        quote=best.quote if best is not None and score else "",
        suggestion="" if score >= 0.9 * criterion.weight else criterion.suggestion,
    )
