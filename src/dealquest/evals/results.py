"""A run as people meet it: its table in a notebook, pictures, exports, a gate for pipelines, labels by hand.

Each way to look loads what it needs when it is first asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from dealquest.errors import InputError

from .findings import Findings
from .ledger import Ledger

if TYPE_CHECKING:
    from .judge_report import JudgeReport
    from .labelling import Labelling
    from .planning import Plan
    from .plots import Plots


@attrs.frozen(kw_only=True)
class Gate:
    """Whether a run is good enough to go on; false when any reason stands against it."""

    reasons: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.reasons


class Run(Findings):
    """What a run found out. In a notebook it shows itself as a table.

    Args:
        ledger: Its lines.
        path: Its journal.
        plan: How it was planned, where it was run and not only read.
    """

    def __init__(self, ledger: Ledger, *, path: Path, plan: "Plan | None" = None) -> None:
        super().__init__(ledger, path=path)
        self.plan = plan

    def judge_report(self, scorer: str | None = None) -> "JudgeReport":
        """How far a scorer can be trusted: agreement with the anchors and with people, bias, steadiness.

        Raises:
            NotFoundError: `evals.scorer.unknown`.
        """
        from .judge_report import make_report  # noqa: PLC0415  # numpy loads when it is first needed

        return make_report(self, self._known_scorer(scorer))

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
