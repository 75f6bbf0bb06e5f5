"""Score one answer: offline by signals, or by a model against the same rubric.

`Scorer` is the face the dialogue and the evaluations use. No attempt is counted, stored or charged here: a scorer
returns a card or raises, and whoever raises has charged nothing.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from dealquest.errors import InputError, PeerGarbledError

from .pack import Scenario
from .prose import clean_text
from .rubric_prompt import ScoringPrompt, Verdict, build_prompt, build_repair, card_of, check_verdict
from .scorecard import ScoreCard
from .signals import score_by_signals

MAX_ANSWER_CHARS = 8_000

T = TypeVar("T")


class Scorer(Protocol):
    """Anything that turns an answer into a score card."""

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """Score an answer.

        Raises:
            InputError: `coach.answer.empty`, `coach.answer.too_long`: nothing was asked of anybody.
            PeerGarbledError: `coach.verdict.invalid`: the model's verdict did not hold, not even mended.
            PeerError: The model could not be asked; see the codes of `dealquest.llm`.
        """
        ...


class Llm(Protocol):
    """The part of a model router that scoring needs; `dealquest.llm.Router` fits it."""

    async def complete(
        self,
        prompt: Sequence[Mapping[str, str]],
        *,
        output: type[T],
        model: str | None = None,
        system: str = "",
        temperature: float | None = None,
    ) -> T:
        """Ask for an object of a class; it comes back validated, or the call raises."""
        ...


class SignalScorer:
    """The offline scorer: needs no key, no network and no time."""

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """Score by the rubric's signals; see `Scorer.score`."""
        return score_by_signals(scenario, read_answer(answer))


class ModelScorer:
    """Scores by a model: one question, checks, at most one request to mend the verdict.

    Args:
        llm: Who is asked; it owns time limits, retries and spend.
        model: Whom to ask; the router's own choice when left out.
        language: Language of the feedback; the scenario's when left out.
        new_fence: Gives a new unguessable word for each call, which fences the answer in the prompt.
    """

    def __init__(
        self, llm: Llm, *, model: str | None = None, language: str = "", new_fence: Callable[[], str] = lambda: secrets.token_hex(12)
    ) -> None:
        self._llm = llm
        self._model = model
        self._language = language
        self._new_fence = new_fence

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """Score by a model; see `Scorer.score`."""
        text = read_answer(answer)
        prompt = build_prompt(scenario, text, fence=self._new_fence(), language=self._language)
        verdict = await self._ask(prompt)
        faults = check_verdict(verdict, scenario, text)
        if faults:
            verdict = await self._ask(build_repair(prompt, verdict, faults))
            faults = check_verdict(verdict, scenario, text)
        if faults:
            raise PeerGarbledError(
                f"the model's verdict on {scenario.id} did not hold, not even mended ({len(faults)} faults); nothing was counted: "
                "try again, or choose another model",
                code="coach.verdict.invalid",
                retryable=True,
            )
        wording = scenario.lexicon.wording
        note = wording["note_model"].format(model=self._model or wording["some_model"])
        return card_of(verdict, scenario, model=self._model or "", note=note)

    async def _ask(self, prompt: ScoringPrompt) -> Verdict:
        return await self._llm.complete(prompt.messages, output=Verdict, model=self._model, system=prompt.system, temperature=0.0)


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
