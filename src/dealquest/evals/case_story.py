"""One case of a run, read as a story: the question, each answer, each call, each point and its reason."""

import html
from collections.abc import Mapping

import attrs

from .journal_lines import AnswerLine, Call, CaseLine, LabelLine, ScoreLine


@attrs.frozen(kw_only=True)
class CaseTrace:
    """Lines of a story, indented by depth; shown as text or as HTML without anything loaded from outside."""

    lines: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return "\n".join("  " * depth + text.replace("\n", "\n" + "  " * depth) for depth, text in self.lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(
            f'<div style="margin-left:{1.5 * depth}em;white-space:pre-wrap">{html.escape(text)}</div>' for depth, text in self.lines
        )


@attrs.frozen(kw_only=True)
class CaseResult:
    """One case with everything that happened to it.

    Attributes:
        case: As the journal keeps it.
        answers: Of every subject and repetition.
    """

    case: CaseLine
    answers: tuple[AnswerLine, ...]
    scores: Mapping[tuple[str, str], ScoreLine] = attrs.field(repr=False)
    labels: tuple[LabelLine, ...] = attrs.field(repr=False)

    def scores_of(self, answer: AnswerLine) -> list[ScoreLine]:
        """What the scorers gave for an answer."""
        return [line for (key, _), line in self.scores.items() if key == answer.key]

    @property
    def trace(self) -> CaseTrace:
        """The story, from question to points."""
        lines: list[tuple[int, str]] = [(0, f"case {self.case.id}"), (1, self.case.input)]
        for answer in self.answers:
            lines += self._tell_answer(answer)
        return CaseTrace(lines=tuple(lines))

    def __str__(self) -> str:
        return str(self.trace)

    def _repr_html_(self) -> str:
        return self.trace._repr_html_()  # the notebook's own protocol

    def _tell_answer(self, answer: AnswerLine) -> list[tuple[int, str]]:
        head = f"{answer.subject}, repeat {answer.repeat}, {answer.elapsed_s:.2f} s"
        lines = [(0, head + (f", trace {answer.trace}" if answer.trace else ""))]
        lines += [(1, tell_call(call)) for call in answer.calls]
        if answer.failure is not None:
            lines.append((1, f"failed ({answer.failure.code}): {answer.failure.message}"))
        lines += [(1, f"{who}: {text}") for who, text in answer.turns]
        if answer.text and not answer.turns:
            lines.append((1, answer.text))
        for score in self.scores_of(answer):
            lines += _tell_score(score)
        lines += [(1, f"label by {label.by}: {label.points:g}  {label.note}".rstrip()) for label in self.labels if label.key == answer.key]
        return lines


def _tell_score(score: ScoreLine) -> list[tuple[int, str]]:
    if score.failure is not None:
        return [(1, f"{score.scorer}: failed ({score.failure.code}): {score.failure.message}")]
    lines = [(1, f"{score.scorer}: {score.points:g} points")]
    for part in score.parts:
        quote = f"  “{part.quote}”" if part.quote else ""
        lines.append((2, f"{part.name} {part.points:g}/{part.of:g} {part.feedback}{quote}"))
    lines += [(2, tell_call(call)) for call in score.calls]
    return lines


def tell_call(call: Call) -> str:
    """One call of a model in a line."""
    served = f" (served by {call.served})" if call.served and call.served != call.model else ""
    cost = "cost unknown" if call.cost_usd is None else f"{call.cost_usd} USD"
    ended = f", {call.error}" if call.error else ""
    times = f", {call.attempts} attempts" if call.attempts > 1 else ""
    return f"▸ {call.model}{served}: {call.input_tokens} + {call.output_tokens} tokens, {cost}, {call.elapsed_s:.2f} s{times}{ended}"
