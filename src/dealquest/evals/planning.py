"""The plan of a run: every sample expanded and named before the first call, with calls, cost and what it can show."""

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Literal, TypeAlias

import attrs

from dealquest.errors import InputError
from dealquest.llm import find_price

from .cases import Case, Suite, digest
from .loading import Source, anchors_of, load
from .scorers import signals
from .scores import GiveScore, Scorer, scorer
from .subjects import AsyncAnswer, ModelSubject, Subject, subject

Variant: TypeAlias = Literal["plain", "reordered", "reworded"]

JUDGE_CHECK = 12
_OUTPUT_TOKENS = 300
_JUDGE_PROMPT_CHARS = 4_000
_CHARS_PER_TOKEN = 4


@attrs.frozen(kw_only=True)
class Sample:
    """One answer to be given: a case, a subject, a repetition; `key` names the three by their content."""

    key: str
    case: Case
    subject: int
    repeat: int


@attrs.frozen(kw_only=True)
class Check:
    """One anchor answer to be scored by a judge; `label` is what its authors agreed on."""

    scorer: int
    case: Case
    variant: Variant
    label: float


@attrs.frozen(kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        suite: The cases.
        subjects: What is under test.
        scorers: Who gives points.
        repeats: Answers a case and subject.
        judge_check: On the anchors of how many scenarios each judge is checked.
        seed: Of every choice by chance.
    """

    suite: Suite
    subjects: tuple[Subject, ...] = attrs.field(repr=False)
    scorers: tuple[Scorer, ...] = attrs.field(repr=False)
    repeats: int = 1
    judge_check: int = JUDGE_CHECK
    seed: int = 0

    @cached_property
    def digest(self) -> str:
        """The name of everything that decides what the numbers mean."""
        return digest(
            self.suite.digest,
            [subject.declaration for subject in self.subjects],
            [scorer.declaration for scorer in self.scorers],
            self.repeats,
            self.judge_check,
            self.seed,
        )

    def samples(self) -> Iterator[Sample]:
        """Every sample, subjects side by side, so that a run that is stopped early compares like with like."""
        names = [digest(subject.declaration) for subject in self.subjects]
        for repeat in range(self.repeats):
            for case in self.suite:
                case_digest = case.digest
                for place, name in enumerate(names):
                    yield Sample(key=digest(case_digest, name, repeat), case=case, subject=place, repeat=repeat)

    def checks(self) -> Iterator[Check]:
        """The judges' own examination: anchors, some of them with the rubric reordered and reworded."""
        scenarios = {case.scenario.id: case.scenario for case in self.suite if case.scenario is not None}
        if not scenarios or not self.judge_check:
            return
        part = Suite(name="", cases=tuple(Case(id=name, input="", scenario=scenario) for name, scenario in scenarios.items()))
        chosen = [case.scenario for case in part.sample(self.judge_check, seed=self.seed) if case.scenario is not None]
        for place, found in enumerate(self.scorers):
            if not found.needs_scenario:
                continue
            for scenario in chosen:
                for case in anchors_of(scenario):
                    label = float(str(case.reference))
                    yield Check(scorer=place, case=case, variant="plain", label=label)
                    if found.judges and case.tags["anchor"] == "fair":
                        yield Check(scorer=place, case=case, variant="reordered", label=label)
                        yield Check(scorer=place, case=case, variant="reworded", label=label)

    @property
    def size(self) -> int:
        """Samples to be answered."""
        return len(self.suite) * len(self.subjects) * self.repeats

    @property
    def calls(self) -> Mapping[str, int]:
        """Model → calls, repairs and retries left out."""
        counted: Counter[str] = Counter()
        answers = len(self.suite) * self.repeats
        for found in self.subjects:
            counted.update({model: answers * times for model, times in Counter(found.models).items()})
        for judging in self.scorers:
            counted.update({model: self.size * times for model, times in Counter(judging.judges).items()})
        for check in self.checks():
            counted.update(self.scorers[check.scorer].judges)
        return counted

    @property
    def expected_usd(self) -> Decimal | None:
        """What these calls may cost, by our price table and the length of the cases; None when a price is not known."""
        prices = {model: find_price(model) for model in self.calls}
        if any(price is None for price in prices.values()):
            return None
        mean_chars = sum(len(case.input) for case in self.suite) / max(1, len(self.suite))
        judging = {model for scorer in self.scorers for model in scorer.judges}
        total = Decimal(0)
        for model, count in self.calls.items():
            price = prices[model]
            assert price is not None
            chars = mean_chars + (_JUDGE_PROMPT_CHARS if model in judging else 1_000)
            tokens = Decimal(round(chars / _CHARS_PER_TOKEN))
            output = _OUTPUT_TOKENS * (2 if model in judging else 1)
            total += count * (tokens * price.input + output * price.output) / 1_000_000
        return total

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models whose price our table does not hold."""
        return tuple(sorted(model for model in self.calls if find_price(model) is None))

    def smallest_difference(self, *, power: float = 0.8, paired_sd: float = 12.0) -> float | None:
        """The difference in points between two subjects that this run can be expected to see.

        Args:
            power: The chance to see it.
            paired_sd: How much the difference varies from cluster to cluster, in points.

        Returns:
            None for a single cluster, which shows nothing.
        """
        from .power import find_smallest_difference  # noqa: PLC0415  # scipy loads when it is first needed

        return find_smallest_difference(len({case.cluster for case in self.suite}), sd=paired_sd, power=power)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return "".join(f"<div>{html.escape(line)}</div>" for line in self._lines())

    def _lines(self) -> list[str]:
        calls = ", ".join(f"{count} x {model}" for model, count in self.calls.items()) or "none"
        cost = self.expected_usd
        money = f"not known (no price for {', '.join(self.unpriced)})" if cost is None else f"about {cost:.2f} USD"
        smallest = self.smallest_difference()
        seen = (
            "one cluster shows no difference" if smallest is None else f"about {smallest:.1f} points (80 % power, paired sd of 12 points)"
        )
        return [
            f"{self.suite.name}: {len(self.suite)} cases x {len(self.subjects)} subjects x {self.repeats} repeats = {self.size} answers",
            f"calls: {calls}",
            f"expected cost: {money}",
            f"smallest difference it can see: {seen}",
        ]


def plan(
    suite: Source,
    *,
    models: Sequence[str] = (),
    prompts: Mapping[str, str] | None = None,
    subjects: Sequence[Subject | AsyncAnswer] = (),
    scorers: Sequence[Scorer | GiveScore] | None = None,
    repeats: int = 1,
    judge_check: int = JUDGE_CHECK,
    seed: int = 0,
) -> Plan:
    """Expand a run without starting it.

    Args:
        suite: What `load` takes.
        models: Models that play the seller, each with each prompt.
        prompts: Name → standing orders; the house's own when left out.
        subjects: Further subjects, or async functions of a case.
        scorers: Who gives points; `signals()` when left out. Plain functions of case and answer are taken too.
        repeats: Answers a case and subject.
        judge_check: On the anchors of how many scenarios each judge is checked; 0 checks none.
        seed: Of every choice by chance.

    Raises:
        InputError: `evals.input.subject`, `evals.input.scorer`, `evals.input.repeats`, `evals.case.no_scenario`, and those of `load`.
    """
    found = load(suite)
    chosen: list[Subject] = []
    for model in models:
        chosen += [ModelSubject(model=model)] if not prompts else _with_prompts(model, prompts)
    chosen += [as_subject(given) for given in subjects]
    if not chosen:
        raise InputError(
            "nothing is under test: give models=[...] or subjects=[...], on the command line --model, --recorded or --coach",
            code="evals.input.subject",
        )
    scoring: tuple[Scorer, ...] = (signals(),) if scorers is None else tuple(as_scorer(given) for given in scorers)
    if not scoring:
        raise InputError("nobody gives points: give scorers=[...]", code="evals.input.scorer")
    _refuse_doubles([given.name for given in chosen], "subjects", "evals.input.subject")
    _refuse_doubles([given.name for given in scoring], "scorers", "evals.input.scorer")
    if repeats < 1 or judge_check < 0:
        raise InputError("repeats begins at 1 and judge_check at 0", code="evals.input.repeats")
    bare = [case.id for case in found if case.scenario is None]
    wanting = [scorer.name for scorer in scoring if scorer.needs_scenario]
    if bare and wanting:
        raise InputError(
            f"{len(bare)} of {len(found)} cases have no scenario, which {', '.join(wanting)} needs: {', '.join(bare[:5])}; "
            "name it in a column `scenario`, or choose other scorers",
            code="evals.case.no_scenario",
        )
    return Plan(suite=found, subjects=tuple(chosen), scorers=scoring, repeats=repeats, judge_check=judge_check, seed=seed)


def _with_prompts(model: str, prompts: Mapping[str, str]) -> list[Subject]:
    return [ModelSubject(model=model, prompt=text, prompt_name=name) for name, text in prompts.items()]


def as_subject(given: Subject | AsyncAnswer) -> Subject:
    """A subject as it is, or a function as one."""
    # A subject declares what it is; everything else must be an async function, which `subject` checks.
    return given if hasattr(given, "declaration") else subject(given)  # type: ignore[return-value]  # told apart by the attribute


def as_scorer(given: Scorer | GiveScore) -> Scorer:
    """A scorer as it is, or a function as one."""
    return given if hasattr(given, "declaration") else scorer(given)  # type: ignore[return-value]  # as above


def _refuse_doubles(names: Sequence[str], what: str, code: str) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InputError(f"two {what} are called {twice[0]!r}: give each a name of its own", code=code)
