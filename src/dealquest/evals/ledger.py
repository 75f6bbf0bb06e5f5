"""What a journal adds up to: the newest line about each thing. Filled while a run writes, or from the file."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from .journal import read_lines
from .journal_lines import AnswerLine, Call, CaseLine, CheckLine, EndLine, LabelLine, Line, ManifestLine, ScoreLine


class Ledger:
    """The state of a run.

    Attributes:
        manifest: How the run was made; the newest one.
        cases: By id, in order.
        answers: By key.
        scores: By (key, scorer).
        checks: By (scorer, case, variant).
        labels: By (key, who).
        end: How the last session ended; None when it was cut off.
        failed_answers: Keys of answers that could not be had; they are never scored.
        damaged: Lines that could not be read.
        spent_usd: Known cost of all calls, also of those whose result was replaced.
        unknown_costs: Calls whose cost nobody knows.
    """

    def __init__(self, lines: Iterable[Line | None] = ()) -> None:
        self.manifest: ManifestLine | None = None
        self.cases: dict[str, CaseLine] = {}
        self.answers: dict[str, AnswerLine] = {}
        self.scores: dict[tuple[str, str], ScoreLine] = {}
        self.checks: dict[tuple[str, str, str], CheckLine] = {}
        self.labels: dict[tuple[str, str], LabelLine] = {}
        self.end: EndLine | None = None
        self.failed_answers: set[str] = set()
        self.damaged = 0
        self.spent_usd = Decimal(0)
        self.unknown_costs = 0
        for line in lines:
            self.take(line)

    @classmethod
    def from_file(cls, path: Path) -> "Ledger":
        """Read a journal; see `read_lines`."""
        return cls(read_lines(path))

    def take(self, line: Line | None) -> None:
        """Add a line; a newer one about the same thing takes the older one's place."""
        match line:
            case AnswerLine():
                self.answers[line.key] = line
                (self.failed_answers.add if line.failure is not None else self.failed_answers.discard)(line.key)
                self._pay(line.calls)
            case ScoreLine():
                self.scores[line.key, line.scorer] = line
                self._pay(line.calls)
            case CheckLine():
                self.checks[line.scorer, line.case, line.variant] = line
                self._pay(line.calls)
            case LabelLine():
                self.labels[line.key, line.by] = line
            case CaseLine():
                self.cases[line.id] = line
            case ManifestLine():
                self.manifest, self.end = line, None
            case EndLine():
                self.end = line
            case None:
                self.damaged += 1

    @property
    def failed(self) -> int:
        """Answers, scores and checks that could not be had."""
        return sum(
            line.failure is not None for lines in (self.answers.values(), self.scores.values(), self.checks.values()) for line in lines
        )

    def _pay(self, calls: tuple[Call, ...]) -> None:
        for call in calls:
            if call.cost_usd is not None:
                self.spent_usd += call.cost_usd
            else:
                self.unknown_costs += 1
