"""The scorers that come with the house: rubric by a judge, panel, signals, exact, regex, schema.

The judge is the bot's own `ModelScorer`, so a number here means what it means to a user of the bot. Comparing two
answers is `pairs`.
"""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import attrs
import msgspec

from dealquest.coach import Criterion, ModelScorer, PanelScorer, Scenario, SignalScorer, Verdict
from dealquest.errors import InputError
from dealquest.values import JsonObject

from .cases import Case, digest
from .metering import Meter
from .scores import Score, score_of_card
from .subjects import Answer


def scenario_of(case: Case, answer: Answer) -> Scenario:
    """The scenario to score by; for a conversation its limits grow with the seller's turns.

    Raises:
        InputError: `evals.case.no_scenario`.
    """
    if case.scenario is None:
        raise InputError(
            f"the case {case.id!r} has no scenario: a rubric needs one (load a pack, or name it in a column `scenario`)",
            code="evals.case.no_scenario",
        )
    turns = sum(who == "seller" for who, _ in answer.turns)
    return case.scenario.for_turns(turns) if turns > 1 else case.scenario


def fence_for(*parts: str) -> Callable[[], str]:
    """The word that fences an answer in a prompt: it depends on the whole answer, so no answer can hold its own.

    It is the same from run to run, which lets the cache find a judge's verdict again.
    """
    return lambda: digest("fence", *parts)


@attrs.frozen(kw_only=True)
class RubricScorer:
    """A judging model and the scenario's rubric; quotes are checked against the answer, the total is computed.

    Attributes:
        judge: The judging model.
        name: What tables call it.
        language: Of the feedback; the scenario's where empty.
    """

    judge: str
    name: str = "rubric"
    language: str = ""
    needs_scenario: bool = True

    @property
    def judges(self) -> tuple[str, ...]:
        """One call; a verdict that has to be mended takes a second one."""
        return (self.judge,)

    @property
    def declaration(self) -> JsonObject:
        """The judge and the digest of the prompt it is given."""
        return {
            "kind": "rubric",
            "name": self.name,
            "judge": self.judge,
            "language": self.language,
            "prompt_digest": _judge_prompt_digest(),
        }

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:
        """Ask the judge once, and once more when its verdict does not hold."""
        scenario = scenario_of(case, answer)
        fence = fence_for(self.judge, scenario.id, answer.text)
        judge = ModelScorer(meter, model=self.judge, language=self.language, new_fence=fence)
        return score_of_card(await judge.score(scenario, answer.text))


@attrs.frozen(kw_only=True)
class PanelOfJudges:
    """Several judges; the verdict with the median total counts, and their spread is kept."""

    judges: tuple[str, ...]
    name: str = "panel"
    needs_scenario: bool = True

    @property
    def declaration(self) -> JsonObject:
        """The judges and the digest of the prompt they are given."""
        return {"kind": "panel", "name": self.name, "judges": list(self.judges), "prompt_digest": _judge_prompt_digest()}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:
        """Ask every judge at once."""
        scenario = scenario_of(case, answer)
        panel = PanelScorer(
            [ModelScorer(meter, model=judge, new_fence=fence_for(judge, scenario.id, answer.text)) for judge in self.judges]
        )
        return score_of_card(await panel.score(scenario, answer.text))


@attrs.frozen(kw_only=True)
class SignalsScorer:
    """The bot's offline scorer: what can be seen in an answer without a model."""

    name: str = "signals"
    judges: tuple[str, ...] = ()
    needs_scenario: bool = True

    @property
    def declaration(self) -> JsonObject:
        """Its name; the signals are part of the cases' digests."""
        return {"kind": "signals", "name": self.name}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Measure the signals of the rubric."""
        return score_of_card(await SignalScorer().score(scenario_of(case, answer), answer.text))


@attrs.frozen(kw_only=True)
class ExactScorer:
    """Full points when the answer is the case's reference, but for white space at its ends and, unless told, case."""

    name: str = "exact"
    ignore_case: bool = True
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """Name and whether case counts."""
        return {"kind": "exact", "name": self.name, "ignore_case": self.ignore_case}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Compare.

        Raises:
            InputError: `evals.case.no_reference`.
        """
        if case.reference is None:
            raise InputError(f"the case {case.id!r} has no reference to compare with", code="evals.case.no_reference")
        wanted, given = str(case.reference).strip(), answer.text.strip()
        same = wanted.casefold() == given.casefold() if self.ignore_case else wanted == given
        return Score(points=100.0 if same else 0.0)


@attrs.frozen(kw_only=True)
class RegexScorer:
    """Full points when a pattern is found in the answer (or, with `absent`, is not)."""

    pattern: str
    name: str = "regex"
    absent: bool = False
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """The pattern."""
        return {"kind": "regex", "name": self.name, "pattern": self.pattern, "absent": self.absent}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Search."""
        found = re.search(self.pattern, answer.text)
        quote = found.group()[:200] if found is not None else ""
        return Score(points=100.0 if (found is None) == self.absent else 0.0, note=quote)


@attrs.frozen(kw_only=True)
class SchemaScorer:
    """Full points when the answer is JSON of a class: an attrs class, a msgspec struct, or any type msgspec reads."""

    type: Any
    name: str = "schema"
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """The digest of the class's JSON Schema."""
        return {"kind": "schema", "name": self.name, "schema_digest": digest(msgspec.json.schema(self.type))}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Read the answer, or what the subject returned beside it."""
        try:
            if answer.text:
                msgspec.json.decode(answer.text, type=self.type)
            else:
                msgspec.convert(answer.data, self.type)
        except (msgspec.DecodeError, msgspec.ValidationError) as exc:
            return Score(points=0.0, note=str(exc)[:300])
        return Score(points=100.0)


def rubric(judge: str, *, name: str = "rubric", language: str = "") -> RubricScorer:
    """The bot's rubric scorer with a judging model; see `RubricScorer`."""
    return RubricScorer(judge=judge, name=name, language=language)


def panel(judges: Sequence[str], *, name: str = "panel") -> PanelOfJudges:
    """A panel of judging models, the median verdict of which counts.

    Raises:
        InputError: `evals.input.panel` for fewer than two judges.
    """
    if len(judges) < 2:
        raise InputError("a panel needs at least two judges; an odd number has a true middle", code="evals.input.panel")
    return PanelOfJudges(judges=tuple(judges), name=name)


def signals(*, name: str = "signals") -> SignalsScorer:
    """The bot's offline scorer; see `SignalsScorer`."""
    return SignalsScorer(name=name)


def exact(*, name: str = "exact", ignore_case: bool = True) -> ExactScorer:
    """Compare with the case's reference; see `ExactScorer`."""
    return ExactScorer(name=name, ignore_case=ignore_case)


def regex(pattern: str, *, name: str = "regex", absent: bool = False) -> RegexScorer:
    """Search for a pattern; see `RegexScorer`.

    Raises:
        InputError: `evals.input.regex` when it is no regular expression.
    """
    try:
        re.compile(pattern)
    except re.error as exc:
        raise InputError(f"no regular expression: {exc}", code="evals.input.regex") from exc
    return RegexScorer(pattern=pattern, name=name, absent=absent)


def schema(type_: Any, *, name: str = "schema") -> SchemaScorer:
    """Check that the answer is JSON of a class; see `SchemaScorer`."""
    return SchemaScorer(type=type_, name=name)


@lru_cache(maxsize=1)
def _judge_prompt_digest() -> str:
    # The file that holds the judge's prompt also holds the verdict's class; both count.
    return digest(inspect.getsource(sys.modules[Verdict.__module__]))


def reword(scenario: Scenario) -> Scenario:
    """The same scenario with its rubric in other words of the same meaning: a judge that changes its mind is not steady."""

    def other(criterion: Criterion) -> Criterion:
        return attrs.evolve(
            criterion,
            name=f"Criterion: {criterion.name}",
            description=f"The full points are for an answer of this kind. {criterion.description}",
        )

    return attrs.evolve(scenario, rubric=tuple(other(criterion) for criterion in scenario.rubric))


def reorder(scenario: Scenario) -> Scenario:
    """The same scenario with its criteria in reverse order: a judge should not mind."""
    return attrs.evolve(scenario, rubric=scenario.rubric[::-1])
