"""What a scorer is and what it gives: points from 0 to 100 with their parts. Values, and functions as scorers."""

import inspect
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import attrs

from dealquest.coach import ScoreCard
from dealquest.errors import InputError
from dealquest.values import JsonObject

from .cases import Case, digest
from .journal_lines import Part
from .metering import Meter
from .subjects import Answer, source_of


@attrs.frozen(kw_only=True)
class Score:
    """Points for one answer.

    Attributes:
        points: 0 to 100.
        parts: One for each criterion.
        note: Why.
        facts: Anything else worth keeping; JSON.
    """

    points: float
    parts: tuple[Part, ...] = ()
    note: str = ""
    facts: Any = None

    def __attrs_post_init__(self) -> None:
        """Refuse what is no number of points; a mean would carry it on unseen."""
        if not (math.isfinite(self.points) and 0 <= self.points <= 100):
            raise InputError(
                f"a scorer gave {self.points!r}; points lie between 0 and 100 (a scorer of shares says scale=1)", code="evals.score.range"
            )


class Scorer(Protocol):
    """Anything that gives an answer points."""

    @property
    def name(self) -> str:
        """What tables call it; unique in a run."""
        ...

    @property
    def declaration(self) -> JsonObject:
        """What it is, for the manifest; a changed declaration is another scorer."""
        ...

    @property
    def judges(self) -> tuple[str, ...]:
        """One model for each call it makes for an answer; empty where it works offline."""
        ...

    @property
    def needs_scenario(self) -> bool:
        """Whether it can only score cases that come from a scenario pack."""
        ...

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:
        """Score an answer; ask models through `meter`, so that cost and limits are kept."""
        ...


GiveScore: TypeAlias = Callable[[Case, Answer], Any]
"""A function of case and answer, async or not, that returns a bool, points of 0 to 100, or a `Score`."""


@attrs.frozen(kw_only=True)
class FunctionScorer:
    """Any function of case and answer, async or not, that returns a bool, a number or a `Score`.

    Attributes:
        name: What tables call it.
        function: Called with the case and the `Answer`.
        scale: The number that means full points.
        version: Change it when the function changes in a way that its own source does not show.
    """

    name: str
    function: GiveScore = attrs.field(repr=False)
    scale: float = 100.0
    version: str = ""
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """Its name and the digest of its source."""
        source = digest(source_of(self.function))
        return {"kind": "function", "name": self.name, "scale": self.scale, "version": self.version, "source": source}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it brings what it needs
        """Call the function."""
        made = self.function(case, answer)
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, Score):
            return made
        if isinstance(made, bool):
            return Score(points=100.0 if made else 0.0)
        if isinstance(made, int | float):
            return Score(points=100.0 * made / self.scale)
        raise InputError(
            f"the scorer {self.name!r} gave {type(made).__name__}; it must give a bool, a number or a Score", code="evals.score.type"
        )


def scorer(function: GiveScore, *, name: str = "", scale: float = 100.0, version: str = "") -> FunctionScorer:
    """A function as a scorer; see `FunctionScorer`."""
    return FunctionScorer(name=name or str(getattr(function, "__name__", "scorer")), function=function, scale=scale, version=version)


def score_of_card(card: ScoreCard) -> Score:
    """The coach's score card as a score: the total is the sum of its criteria."""
    parts = tuple(
        Part(name=item.criterion, points=float(item.score), of=float(item.max), quote=item.quote, feedback=item.feedback)
        for item in card.criteria
    )
    facts = {"spread": list(card.spread)} if card.spread is not None else None
    return Score(points=float(card.total), parts=parts, note=card.note, facts=facts)
