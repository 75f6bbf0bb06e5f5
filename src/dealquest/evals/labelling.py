"""Give points by hand: a small view for notebook and terminal that writes to the run's own journal.

A team labels a part of the answers; the judge report then says how far the judge agrees with people, and means are corrected.
By default the person sees neither who answered nor what the judge said.
"""

import html
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from dealquest.coach import Criterion, load_pack
from dealquest.errors import DealQuestError, InputError
from dealquest.values import Clock, SystemClock

from .journal import Journal
from .journal_lines import AnswerLine, LabelLine, Part

if TYPE_CHECKING:
    from .findings import Findings


@attrs.frozen(kw_only=True)
class LabelItem:
    """One answer to give points to.

    Attributes:
        key: Which one.
        situation: What was asked.
        answer: What was answered.
        subject: Who answered; empty in a blind view.
        rubric: The criteria to judge by; empty where the case has no scenario.
    """

    key: str
    situation: str
    answer: str
    subject: str
    rubric: tuple[Criterion, ...]


class Labelling:
    """Answers that wait for a person's points, in an order by chance.

    Show it in a cell to see the next answer; `give` points and show it again.

    Args:
        run: Whose answers.
        by: Who gives points.
        size: How many answers; all of them when left out.
        seed: Of their order.
        blind: Whether the subject's name is hidden.
        clock: Where time comes from.
    """

    def __init__(
        self, run: "Findings", *, by: str, size: int | None = None, seed: int = 0, blind: bool = True, clock: Clock | None = None
    ) -> None:
        if not by.strip():
            raise InputError("labels need a name: who gives the points?", code="evals.label.by")
        self._run = run
        self._by = by
        self._blind = blind
        self._clock = clock or SystemClock()
        answers = [line for line in run.ledger.answers.values() if line.failure is None]
        random.Random(seed).shuffle(answers)  # noqa: S311  # an order, no secret
        self._queue: list[AnswerLine] = [line for line in answers[:size] if (line.key, by) not in run.ledger.labels]
        self._total = len(answers[:size])

    def __len__(self) -> int:
        """How many are left."""
        return len(self._queue)

    @property
    def current(self) -> LabelItem | None:
        """The answer that is shown; None when all have points."""
        if not self._queue:
            return None
        line = self._queue[0]
        case = self._run.ledger.cases.get(line.case)
        text = "\n".join(f"{who}: {words}" for who, words in line.turns) or line.text
        return LabelItem(
            key=line.key,
            situation=case.input if case is not None else "",
            answer=text,
            subject="" if self._blind else line.subject,
            rubric=self._rubric_of(line.case),
        )

    def give(self, points: float | Mapping[str, float], *, note: str = "") -> "Labelling":
        """Write the points of the answer that is shown, and go on to the next.

        Args:
            points: 0 to 100, or points for each criterion, which are added up.
            note: Why, for those who read the labels.

        Raises:
            InputError: `evals.label.points` when they are none; `evals.label.done` when nothing is left.
            ConflictError: `evals.journal.busy` while a run writes to the journal.
        """
        item = self.current
        if item is None:
            raise InputError("every answer has its points already", code="evals.label.done")
        parts = _parts(points, item.rubric) if isinstance(points, Mapping) else ()
        total = sum(part.points for part in parts) if isinstance(points, Mapping) else points
        if not 0 <= total <= 100:
            raise InputError(f"points lie between 0 and 100, these are {total!r}", code="evals.label.points")
        line = LabelLine(key=item.key, by=self._by, points=float(total), parts=parts, note=note, at=self._clock.now())
        with Journal(self._run.path) as journal:
            journal.write(line)
        self._run.ledger.take(line)
        self._queue.pop(0)
        return self

    def skip(self) -> "Labelling":
        """Put the answer that is shown at the end."""
        self._queue.append(self._queue.pop(0))
        return self

    def _rubric_of(self, case_id: str) -> tuple[Criterion, ...]:
        case = self._run.ledger.cases.get(case_id)
        if case is None or not case.scenario:
            return ()
        try:
            pack = load_pack(str(self._run.manifest.suite.get("pack")) or "en")
            return pack.scenario(case.scenario).rubric
        except DealQuestError:
            return ()  # the pack has moved: points for the whole answer can still be given

    def __repr__(self) -> str:
        item = self.current
        if item is None:
            return f"all {self._total} answers have points by {self._by}"
        who = f" by {item.subject}" if item.subject else ""
        lines = [f"{self._total - len(self)} of {self._total} done", item.situation, f"answer{who}:", item.answer, *_rubric_lines(item)]
        return "\n\n".join(lines)

    def _repr_html_(self) -> str:
        item = self.current
        if item is None:
            return f"<p>{html.escape(repr(self))}</p>"
        who = f" by {item.subject}" if item.subject else ""
        box = "border:1px solid currentColor;padding:.6em;white-space:pre-wrap;max-width:50em"
        rubric = "".join(f"<li>{html.escape(line)}</li>" for line in _rubric_lines(item))
        return (
            f"<p>{self._total - len(self)} of {self._total} done</p>"
            f'<div style="white-space:pre-wrap;max-width:50em">{html.escape(item.situation)}</div>'
            f'<p><b>answer{html.escape(who)}</b></p><div style="{box}">{html.escape(item.answer)}</div>'
            f"<ul>{rubric}</ul><p>then <code>labelling.give(points)</code>, or <code>give({{criterion: points}})</code></p>"
        )


def label_in_terminal(labelling: Labelling, *, show: Callable[[str], None], ask: Callable[[str], str]) -> int:
    """Go through a labelling line by line.

    Args:
        labelling: What waits.
        show: Shows a text.
        ask: Shows a prompt and returns the person's line; `s` skips, `q` or an end of input leaves.

    Returns:
        How many answers got points.
    """
    given = 0
    while len(labelling):
        show(repr(labelling))
        try:
            said = ask("points 0 to 100, s to skip, q to leave: ").strip().lower()
        except EOFError:
            break
        if said == "q":
            break
        if said == "s":
            labelling.skip()
            continue
        try:
            labelling.give(float(said))
        except ValueError:
            show(f"{said!r} is no number")
        except InputError as exc:
            show(exc.message)
        else:
            given += 1
    return given


def _parts(points: Mapping[str, float], rubric: tuple[Criterion, ...]) -> tuple[Part, ...]:
    weights = {criterion.id: criterion.weight for criterion in rubric}
    wrong = sorted(set(points) ^ set(weights))
    if wrong:
        raise InputError(f"points are given for each criterion once: {', '.join(weights)}; look at {wrong[0]!r}", code="evals.label.points")
    too_many = [name for name, given in points.items() if not 0 <= given <= weights[name]]
    if too_many:
        name = too_many[0]
        raise InputError(f"{name!r} has 0 to {weights[name]} points, not {points[name]!r}", code="evals.label.points")
    return tuple(Part(name=name, points=float(given), of=float(weights[name])) for name, given in points.items())


def _rubric_lines(item: LabelItem) -> list[str]:
    return [f"{criterion.id} ({criterion.weight}): {criterion.name}. {criterion.description}" for criterion in item.rubric]
