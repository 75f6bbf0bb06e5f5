"""What a run found out, reckoned from its ledger: means, comparisons, failures, single cases. Asks nobody.

Everything that reckons loads its library when it is first asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from dealquest.errors import NotFoundError

from .case_story import CaseResult
from .journal_lines import AnswerLine, CheckLine, Failure, ManifestLine, ScoreLine
from .ledger import Ledger

if TYPE_CHECKING:
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


class Findings:
    """What stands in a run's journal, and what follows from it.

    Args:
        ledger: The lines.
        path: The journal.
    """

    def __init__(self, ledger: Ledger, *, path: Path) -> None:
        self.ledger = ledger
        self.path = path

    @property
    def manifest(self) -> ManifestLine:
        """How it was made."""
        assert self.ledger.manifest is not None  # a journal without one is refused
        return self.ledger.manifest

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
        end = self.ledger.end
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
        return len(self.ledger.answers) >= self.size

    @property
    def cost_usd(self) -> Decimal:
        """Known cost of all sessions, judges and repeated calls included."""
        return self.ledger.spent_usd

    @property
    def models_served(self) -> Mapping[str, int]:
        """Who really answered, as the servers say → calls."""
        ledger = self.ledger
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
        one, other = self._case_means(first, name), self._case_means(second, name)
        both = [case for case in one if case in other]
        pairs = [(one[case], other[case]) for case in both]
        clusters = [self.cluster_of(case) for case in both]
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
        scored = self.scored(subject, name)
        everyone = self.label_pairs(scorer=name, by=by)
        # The judge's bias is learned from all labelled answers, whoever gave them.
        return correct_mean(
            [points for _, points in scored],
            [self.cluster_of(answer.case) for answer, _ in scored],
            [(label, points) for _, label, points in everyone],
            [self.cluster_of(answer.case) for answer, _, _ in everyone],
        )

    def label_pairs(self, *, scorer: str | None = None, by: str | None = None) -> list[tuple[AnswerLine, float, float]]:
        """Labelled answers as (answer, the people's mean points, the scorer's points)."""
        name = self._known_scorer(scorer)
        given: dict[str, list[float]] = defaultdict(list)
        for (key, who), label in self.ledger.labels.items():
            if by is None or who == by:
                given[key].append(label.points)
        pairs = []
        for key, points in given.items():
            answer, score = self.ledger.answers.get(key), self.ledger.scores.get((key, name))
            if answer is not None and score is not None and score.points is not None:
                pairs.append((answer, sum(points) / len(points), score.points))
        return pairs

    def failures(self) -> list[FailedItem]:
        """Every answer and score that could not be had, with the reason."""
        items = [
            FailedItem(case=line.case, subject=line.subject, repeat=line.repeat, scorer="", failure=line.failure)
            for line in self.ledger.answers.values()
            if line.failure is not None
        ]
        for line in self.ledger.scores.values():
            answer = self.ledger.answers.get(line.key)
            if line.failure is not None and answer is not None:
                found = FailedItem(case=answer.case, subject=answer.subject, repeat=answer.repeat, scorer=line.scorer, failure=line.failure)
                items.append(found)
        items.extend(
            FailedItem(case=check.case, subject="", repeat=0, scorer=check.scorer, failure=check.failure)
            for check in self.ledger.checks.values()
            if check.failure is not None
        )
        return items

    def case(self, case_id: str) -> CaseResult:
        """Everything about one case: what was answered, by whom, and how it was scored.

        Raises:
            NotFoundError: `evals.case.unknown`.
        """
        if case_id not in self.ledger.cases:
            raise NotFoundError(f"no case {case_id[:60]!r} in this run", code="evals.case.unknown")
        return CaseResult(
            case=self.ledger.cases[case_id],
            answers=tuple(line for line in self.ledger.answers.values() if line.case == case_id),
            scores=self.ledger.scores,
            labels=tuple(self.ledger.labels.values()),
        )

    def scored(self, subject: str, scorer: str | None = None) -> list[tuple[AnswerLine, float]]:
        """Answers of a subject with their points.

        Raises:
            NotFoundError: `evals.subject.unknown`, `evals.scorer.unknown`.
        """
        subject, name = self._known_subject(subject), self._known_scorer(scorer)
        found = []
        for key, line in self.ledger.answers.items():
            score = self.ledger.scores.get((key, name))
            if line.subject == subject and line.failure is None and score is not None and score.points is not None:
                found.append((line, score.points))
        return found

    def cluster_of(self, case_id: str) -> str:
        """The cluster of a case."""
        case = self.ledger.cases.get(case_id)
        return (case.cluster if case is not None else "") or case_id

    def _row(self, subject: str, scorer: str) -> SubjectRow:
        from .stats import estimate_mean, estimate_quantile  # noqa: PLC0415  # see above

        answers = [line for line in self.ledger.answers.values() if line.subject == subject]
        good = [line for line in answers if line.failure is None]
        scored = self.scored(subject, scorer)
        planned = self.size // len(self.subjects)
        calls = [call for line in answers for call in line.calls]
        seconds = [line.elapsed_s for line in good]
        return SubjectRow(
            subject=subject,
            scorer=scorer,
            points=estimate_mean(
                [points for _, points in scored], [self.cluster_of(line.case) for line, _ in scored], missing=planned - len(scored)
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

    def _case_means(self, subject: str, scorer: str) -> dict[str, float]:
        given: dict[str, list[float]] = defaultdict(list)
        for line, points in self.scored(subject, scorer):
            given[line.case].append(points)
        return {case: sum(points) / len(points) for case, points in given.items()}

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
