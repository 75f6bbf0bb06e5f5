"""The result of scoring one answer. A value: it is made in `signals` and `scoring`, and shown elsewhere."""

from typing import Literal, TypeAlias

import attrs

from .pack import Area

ScorerName: TypeAlias = Literal["signals", "model"]


@attrs.frozen(kw_only=True)
class CriterionScore:
    """The points of one criterion and their reason.

    Attributes:
        criterion: The criterion's id.
        name: Its name, for the seller.
        area: The part of selling it belongs to.
        score: Points given, 0 to `max`.
        max: The criterion's weight.
        feedback: Why.
        quote: The seller's own words that earned the points; empty where there are none.
        suggestion: What to do better; empty where nothing was missed.
    """

    criterion: str
    name: str
    area: Area
    score: int
    max: int
    feedback: str
    quote: str = ""
    suggestion: str = ""


@attrs.frozen(kw_only=True)
class ScoreCard:
    """A scored answer.

    Attributes:
        scenario_id: What was answered.
        scorer: `signals` is the offline scorer, `model` a language model.
        model: The model that was asked to judge; empty where the router chose.
        criteria: One score per criterion, in the rubric's order.
        strengths: What went well, best first.
        improvements: What to change, most points first.
        note: Who scored and how far to trust it, for the seller.
        spread: Lowest and highest total, where several judges scored.
    """

    scenario_id: str
    scorer: ScorerName
    model: str = ""
    criteria: tuple[CriterionScore, ...]
    strengths: tuple[str, ...] = ()
    improvements: tuple[str, ...] = ()
    note: str = ""
    spread: tuple[int, int] | None = None

    @property
    def total(self) -> int:
        """Points out of 100: always the sum of the criteria, never a number somebody claims."""
        return sum(criterion.score for criterion in self.criteria)

    @property
    def is_offline(self) -> bool:
        """Whether no model took part."""
        return self.scorer == "signals"
