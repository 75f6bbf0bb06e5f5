"""A run's results: tables, comparisons, failures, single cases, exports. Reads the ledger; asks nobody.

Everything that reckons loads its library when it is first asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from dealquest.errors import InputError, NotFoundError

from .casebook import CaseResult
from .journal_lines import AnswerLine, CheckLine, Failure, ManifestLine, ScoreLine
from .ledger import Ledger

if TYPE_CHECKING:
    from .judge_report import JudgeReport
    from .labelling import Labelling
    from .planning import Plan
    from .plots import Plots
    from .stats import Comparison, Estimate


@attrs.frozen(kw_only=True)
class SubjectRow:
    """One subject under one scorer.

    Attributes:
        subject: Its name.
        scorer: The scorer's name.
        points: The mean with its interval, and how many are missing.
        answers: Answers that were given.
        failed: Answers that could not be had.
        unscored: Answers without points from this scorer.
        left: Answers nobody has asked for yet.
        cost_usd: Known cost of its own calls.
        unknown_costs: Calls of its own whose cost nobody knows.
        p50_s: Median seconds an answer, with its interval.
        p95_s: What 95 of 100 answers stay below; no value below some 60 answers, which cannot tell.
    """

    subject: str
    scorer: str
    points: "Estimate"
    answers: int
    failed: int
    unscored: int
    left: int
    cost_usd: Decimal
    unknown_costs: int
    p50_s: "Estimate"
    p95_s: "Estimate"


@attrs.frozen(kw_only=True)
class FailedItem:
    """One answer or score that could not be had."""

    case: str
    subject: str
    repeat: int
    scorer: str
    failure: Failure


@attrs.frozen(kw_only=True)
class Gate:
    """Whether a run is good enough to go on; false when any reason stands against it."""

    reasons: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.reasons


class Run:
    """What a run found out. In a notebook it shows itself as a table.

    Args:
        ledger: Its lines.
        path: Its journal.
        plan: How it was planned, where it was run and not only read.
    """

    def __init__(self, ledger: Ledger, *, path: Path, plan: "Plan | None" = None) -> None:
        self._ledger = ledger
        self.path = path
        self.plan = plan

    @property
    def manifest(self) -> ManifestLine:
        """How it was made."""
        assert self._ledger.manifest is not None  # a journal without one is refused
        return self._ledger.manifest

    @property
    def ledger(self) -> Ledger:
        """The lines it rests on."""
        return self._ledger

    @property
    def subjects(self) -> tuple[str, ...]:
        """What was under test."""
        return tuple(self.manifest.subjects)

    @property
    def scorers(self) -> tuple[str, ...]:
        """Who gave points."""
        return tuple(self.manifest.scorers)

    @property
    def stopped(self) -> Failure | None:
        """Why the last session ended early; None when it did not."""
        end = self._ledger.end
        if end is None:
            return Failure(code="evals.run.cut_off", message="the last session was cut off; evals.resume() goes on", retryable=True)
        return end.stopped

    @property
    def size(self) -> int:
        """Answers that were planned."""
        return int(self.manifest.suite["cases"]) * len(self.subjects) * self.manifest.repeats

    @property
    def is_finished(self) -> bool:
        """Whether every answer was asked for."""
        return len(self._ledger.answers) >= self.size

    @property
    def cost_usd(self) -> Decimal:
        """Known cost of all sessions, judges and repeated calls included."""
        return self._ledger.spent_usd

    @property
    def models_served(self) -> Mapping[str, int]:
        """Who really answered, as the servers say → calls."""
        ledger = self._ledger
        lines: list[AnswerLine | ScoreLine | CheckLine] = [*ledger.answers.values(), *ledger.scores.values(), *ledger.checks.values()]
        return Counter(call.served for line in lines for call in line.calls if call.served)

    def table(self, scorer: str | None = None) -> list[SubjectRow]:
        """A row for each subject and scorer, best first.

        Raises:
            NotFoundError: `evals.scorer.unknown`.
        """
        chosen = self.scorers if scorer is None else (self._known_scorer(scorer),)
        rows = [self._row(subject, name) for name in chosen for subject in self.subjects]
        places = {name: place for place, name in enumerate(chosen)}
        return sorted(rows, key=lambda row: (places[row.scorer], -(row.points.value if row.points.value is not None else -1.0)))

    def compare(self, first: str, second: str, *, scorer: str | None = None) -> "Comparison":
        """Two subjects on the cases that both answered: paired, clustered by scenario.

        Args:
            first: A subject.
            second: Another one.
            scorer: By whose points; the first scorer's when left out.

        Raises:
            NotFoundError: `evals.subject.unknown`, `evals.scorer.unknown`.
        """
        from .stats import compare_paired  # noqa: PLC0415  # scipy loads when it is first needed

        name = self._known_scorer(scorer)
        one, other = self._case_means(self._known_subject(first), name), self._case_means(self._known_subject(second), name)
        both = [case for case in one if case in other]
        pairs = [(one[case], other[case]) for case in both]
        clusters = [self._cluster(case) for case in both]
        unpaired = len(one.keys() ^ other.keys())
        return compare_paired(first, second, pairs, clusters, unpaired=unpaired, seed=self.manifest.seed)

    def compare_all(self, *, scorer: str | None = None, method: str = "holm") -> "list[Comparison]":
        """Every pair of subjects, with p values adjusted for their number."""
        from .stats import adjust  # noqa: PLC0415  # see above

        return adjust([self.compare(one, other, scorer=scorer) for one, other in combinations(self.subjects, 2)], method=method)

    def corrected(self, subject: str, *, scorer: str | None = None, by: str | None = None) -> "Estimate":
        """A subject's mean, corrected by people's labels of a part of all answers.

        Args:
            subject: Whose mean.
            scorer: Whose points are corrected.
            by: Only this person's labels.
        """
        from .stats import correct_mean  # noqa: PLC0415  # see above

        name = self._known_scorer(scorer)
        scored = list(self._scored(self._known_subject(subject), name))
        everyone = self.label_pairs(scorer=name, by=by)
        # The judge's bias is learned from all labelled answers, whoever gave them.
        return correct_mean(
            [points for _, points in scored],
            [self._cluster(answer.case) for answer, _ in scored],
            [(label, points) for _, label, points in everyone],
            [self._cluster(answer.case) for answer, _, _ in everyone],
        )

    def label_pairs(self, *, scorer: str | None = None, by: str | None = None) -> list[tuple[AnswerLine, float, float]]:
        """Labelled answers as (answer, the people's mean points, the scorer's points)."""
        name = self._known_scorer(scorer)
        given: dict[str, list[float]] = defaultdict(list)
        for (key, who), label in self._ledger.labels.items():
            if by is None or who == by:
                given[key].append(label.points)
        pairs = []
        for key, points in given.items():
            answer, score = self._ledger.answers.get(key), self._ledger.scores.get((key, name))
            if answer is not None and score is not None and score.points is not None:
                pairs.append((answer, sum(points) / len(points), score.points))
        return pairs

    def judge_report(self, scorer: str | None = None) -> "JudgeReport":
        """How far a scorer can be trusted: agreement with the anchors and with people, bias, steadiness.

        Raises:
            NotFoundError: `evals.scorer.unknown`.
        """
        from .judge_report import make_report  # noqa: PLC0415  # see above

        return make_report(self, self._known_scorer(scorer))

    def failures(self) -> list[FailedItem]:
        """Every answer and score that could not be had, with the reason."""
        items = [
            FailedItem(case=line.case, subject=line.subject, repeat=line.repeat, scorer="", failure=line.failure)
            for line in self._ledger.answers.values()
            if line.failure is not None
        ]
        for line in self._ledger.scores.values():
            answer = self._ledger.answers.get(line.key)
            if line.failure is not None and answer is not None:
                found = FailedItem(case=answer.case, subject=answer.subject, repeat=answer.repeat, scorer=line.scorer, failure=line.failure)
                items.append(found)
        items.extend(
            FailedItem(case=check.case, subject="", repeat=0, scorer=check.scorer, failure=check.failure)
            for check in self._ledger.checks.values()
            if check.failure is not None
        )
        return items

    def case(self, case_id: str) -> CaseResult:
        """Everything about one case: what was answered, by whom, and how it was scored.

        Raises:
            NotFoundError: `evals.case.unknown`.
        """
        if case_id not in self._ledger.cases:
            raise NotFoundError(f"no case {case_id[:60]!r} in this run", code="evals.case.unknown")
        return CaseResult(
            case=self._ledger.cases[case_id],
            answers=tuple(line for line in self._ledger.answers.values() if line.case == case_id),
            scores=self._ledger.scores,
            labels=tuple(self._ledger.labels.values()),
        )

    def gate(
        self,
        *,
        min_score: float | None = None,
        scorer: str | None = None,
        surely: bool = False,
        max_drop: float | None = None,
        baseline: str | None = None,
        allow_failures: int = 0,
    ) -> Gate:
        """Whether the run is good enough, for a pipeline to stop on.

        Args:
            min_score: Points every subject's mean must reach.
            scorer: By whose points; the first scorer's when left out.
            surely: Whether the lower end of the interval must reach them.
            max_drop: How many points a subject may lie below `baseline`.
            baseline: A subject of this run.
            allow_failures: How many answers or scores may be missing.

        Raises:
            InputError: `evals.input.gate` when max_drop comes without a baseline.
        """
        reasons = []
        missing = len(self.failures())
        if missing > allow_failures:
            reasons.append(f"{missing} answers or scores failed, {allow_failures} are allowed")
        if not self.is_finished or self.stopped is not None:
            why = self.stopped.message if self.stopped is not None else "not every answer was asked for"
            reasons.append(f"the run is not finished: {why}")
        for row in self.table(self._known_scorer(scorer)) if min_score is not None else ():
            reached = row.points.low if surely else row.points.value
            if reached is None:
                reasons.append(f"{row.subject}: {row.points}")
            elif min_score is not None and reached < min_score - 1e-9:  # a mean of floats is not exact
                reasons.append(f"{row.subject}: {'surely ' if surely else ''}{reached:.1f} points, {min_score:g} are wanted")
        if max_drop is not None:
            if baseline is None:
                raise InputError("max_drop compares with a baseline: name one of the subjects", code="evals.input.gate")
            reasons += self._drops(baseline, max_drop, scorer)
        return Gate(reasons=tuple(reasons))

    def label(self, by: str, *, size: int | None = None, seed: int = 0, blind: bool = True) -> "Labelling":
        """Give points yourself; they go to the journal and correct the judge. See `Labelling`."""
        from .labelling import Labelling  # noqa: PLC0415  # few runs are labelled

        return Labelling(self, by=by, size=size, seed=seed, blind=blind)

    @property
    def plot(self) -> "Plots":
        """Pictures: call it for the overview, or one of its methods; needs matplotlib."""
        from .plots import Plots  # noqa: PLC0415  # matplotlib loads when it is first needed

        return Plots(self)

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat row for each answer and scorer; see `exporting`."""
        from .exporting import rows_of  # noqa: PLC0415  # few runs are exported

        return rows_of(self)

    def to_pandas(self) -> Any:
        """The rows as a pandas data frame."""
        from .exporting import to_pandas  # noqa: PLC0415  # pandas loads when it is first needed

        return to_pandas(self)

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as CSV; texts that a spreadsheet would run are defused."""
        from .exporting import write_csv  # noqa: PLC0415  # see above

        return write_csv(self, Path(path))

    def to_parquet(self, path: str | Path) -> Path:
        """Write the rows as Parquet."""
        from .exporting import write_parquet  # noqa: PLC0415  # see above

        return write_parquet(self, Path(path))

    def to_junit(self, path: str | Path, *, min_score: float | None = None, scorer: str | None = None) -> Path:
        """Write JUnit XML: a test for each case and subject; see `exporting`."""
        from .exporting import write_junit  # noqa: PLC0415  # see above

        return write_junit(self, Path(path), min_score=min_score, scorer=self._known_scorer(scorer))

    def scored(self, subject: str, scorer: str | None = None) -> Iterator[tuple[AnswerLine, float]]:
        """Answers of a subject with their points."""
        return self._scored(self._known_subject(subject), self._known_scorer(scorer))

    def cluster_of(self, case_id: str) -> str:
        """The cluster of a case."""
        return self._cluster(case_id)

    def __repr__(self) -> str:
        from .showing import as_text  # noqa: PLC0415  # a run in a script is never shown

        return as_text(self)

    def _repr_html_(self) -> str:
        from .showing import as_html  # noqa: PLC0415  # see above

        return as_html(self)

    def _repr_markdown_(self) -> str:
        from .showing import as_markdown  # noqa: PLC0415  # see above

        return as_markdown(self)

    def _drops(self, baseline: str, max_drop: float, scorer: str | None) -> list[str]:
        reasons = []
        for subject in self.subjects:
            if subject != self._known_subject(baseline):
                found = self.compare(subject, baseline, scorer=scorer).difference
                if found.value is None or found.value < -max_drop:
                    reasons.append(f"{subject} against {baseline}: {found} points, a drop of {max_drop:g} is allowed")
        return reasons

    def _row(self, subject: str, scorer: str) -> SubjectRow:
        from .stats import estimate_mean, estimate_quantile  # noqa: PLC0415  # see above

        answers = [line for line in self._ledger.answers.values() if line.subject == subject]
        good = [line for line in answers if line.failure is None]
        scored = list(self._scored(subject, scorer))
        planned = self.size // len(self.subjects)
        calls = [call for line in answers for call in line.calls]
        seconds = [line.elapsed_s for line in good]
        return SubjectRow(
            subject=subject,
            scorer=scorer,
            points=estimate_mean(
                [points for _, points in scored], [self._cluster(line.case) for line, _ in scored], missing=planned - len(scored)
            ),
            answers=len(good),
            failed=len(answers) - len(good),
            unscored=len(good) - len(scored),
            left=planned - len(answers),
            cost_usd=sum((call.cost_usd for call in calls if call.cost_usd is not None), Decimal(0)),
            unknown_costs=sum(call.cost_usd is None for call in calls),
            p50_s=estimate_quantile(seconds, 0.5),
            p95_s=estimate_quantile(seconds, 0.95),
        )

    def _scored(self, subject: str, scorer: str) -> Iterator[tuple[AnswerLine, float]]:
        for key, line in self._ledger.answers.items():
            score: ScoreLine | None = self._ledger.scores.get((key, scorer))
            if line.subject == subject and line.failure is None and score is not None and score.points is not None:
                yield line, score.points

    def _case_means(self, subject: str, scorer: str) -> dict[str, float]:
        given: dict[str, list[float]] = defaultdict(list)
        for line, points in self._scored(subject, scorer):
            given[line.case].append(points)
        return {case: sum(points) / len(points) for case, points in given.items()}

    def _cluster(self, case_id: str) -> str:
        case = self._ledger.cases.get(case_id)
        return (case.cluster if case is not None else "") or case_id

    def _known_subject(self, name: str) -> str:
        if name not in self.manifest.subjects:
            raise NotFoundError(f"no subject {name[:80]!r} in this run; there are {', '.join(self.subjects)}", code="evals.subject.unknown")
        return name

    def _known_scorer(self, name: str | None) -> str:
        if name is None:
            return self.scorers[0]
        if name not in self.manifest.scorers:
            raise NotFoundError(f"no scorer {name[:80]!r} in this run; there are {', '.join(self.scorers)}", code="evals.scorer.unknown")
        return name
