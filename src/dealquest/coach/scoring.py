"""Score one answer: offline by signals, or by a model against the same rubric.

`Scorer` is the face the dialogue and the evaluations use. No attempt is counted, stored or charged here.
"""

from typing import Protocol

from dealquest.errors import InputError

from .pack import Scenario
from .prose import clean_text
from .scorecard import ScoreCard
from .signals import score_by_signals

MAX_ANSWER_CHARS = 8_000


class Scorer(Protocol):
    """Anything that turns an answer into a score card."""

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """Score an answer.

        Raises:
            InputError: `coach.answer.empty`, `coach.answer.too_long`: nothing was asked of anybody.
            PeerGarbledError: `coach.verdict.invalid`: the model's verdict did not hold, not even mended.
        """
        ...


class SignalScorer:
    """The offline scorer: needs no key, no network and no time."""

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """Score by the rubric's signals; see `Scorer.score`."""
        return score_by_signals(scenario, read_answer(answer))


def read_answer(text: str) -> str:
    """Clean an answer and refuse what cannot be scored.

    Raises:
        InputError: `coach.answer.empty` or `coach.answer.too_long`.
    """
    if len(text) > MAX_ANSWER_CHARS:
        raise InputError(
            f"the answer has {len(text)} characters and at most {MAX_ANSWER_CHARS} are scored: say it shorter, as you would to a buyer",
            code="coach.answer.too_long",
        )
    cleaned = clean_text(text)
    if not cleaned:
        raise InputError("the answer is empty: write or say what you would tell the buyer", code="coach.answer.empty")
    return cleaned
