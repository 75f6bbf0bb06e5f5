"""A run as a table: HTML that loads nothing and carries no script, Markdown, and text. Every outside text is escaped."""

import html
from collections import Counter
from collections.abc import Sequence

from .findings import Findings, SubjectRow
from .judge_report import make_report
from .stats import Estimate, show

_CELL = "padding:.15em .6em;text-align:right;border-bottom:1px solid rgba(128,128,128,.35)"
_LEFT = _CELL.replace("right", "left")
_HEADS = (
    "subject",
    "scorer",
    "points [95 % interval]",
    "n",
    "missing",
    "if missing were 0 … 100",
    "cost USD",
    "p50 s [95 % interval]",
    "p95 s [95 % interval]",
)


def as_html(run: Findings) -> str:
    """For a notebook; readable in light and dark, and in an export."""
    heads = "".join(f'<th style="{_LEFT if place < 2 else _CELL}">{head}</th>' for place, head in enumerate(_HEADS))
    rows = "".join(_html_row(row) for row in run.table())
    notes = "".join(f"<div>{html.escape(note)}</div>" for note in notes_of(run))
    return (
        f"<div><b>{html.escape(run.manifest.name)}</b> · {html.escape(_headline(run))}</div>"
        f'<table style="border-collapse:collapse"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{notes}'
    )


def as_markdown(run: Findings) -> str:
    """For exports that know no HTML."""
    lines = ["| " + " | ".join(_HEADS) + " |", "|" + " --- |" * len(_HEADS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells_of(row)) + " |" for row in run.table()]
    return "\n".join([f"**{run.manifest.name}** {_headline(run)}", "", *lines, "", *notes_of(run)])


def as_text(run: Findings) -> str:
    """For a terminal and a log."""
    table = [_HEADS, *(tuple(cells_of(row)) for row in run.table())]
    widths = [max(len(row[place]) for row in table) for place in range(len(_HEADS))]
    lines = [_align(row, widths) for row in table]
    return "\n".join([f"{run.manifest.name}: {_headline(run)}", *lines, *notes_of(run)])


def cells_of(row: SubjectRow) -> list[str]:
    """A row's cells as text, in the order of the heads."""
    points = row.points
    bounds = "" if points.bounds is None or not points.missing else f"{points.bounds[0]:.1f} … {points.bounds[1]:.1f}"
    unknown = f" + {row.unknown_costs} unknown" if row.unknown_costs else ""
    return [
        row.subject,
        row.scorer,
        str(points),
        str(points.n),
        str(points.missing),
        bounds,
        f"{row.cost_usd:.4f}{unknown}",
        _seconds(row.p50_s),
        _seconds(row.p95_s),
    ]


def _seconds(found: Estimate) -> str:
    return "" if found.value is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def notes_of(run: Findings) -> list[str]:
    """What else has to be said: failures by reason, what is left, damaged lines."""
    notes = []
    reasons = Counter((item.failure.code, "scoring" if item.scorer else "answering") for item in run.failures())
    for (code, when), count in reasons.most_common():
        notes.append(f"{count} x {code} while {when}: missing, not counted as zero")
    judged = [name for name, facts in run.manifest.scorers.items() if facts.get("judge") or facts.get("judges")]
    examined = {line.scorer for line in run.ledger.checks.values()}
    for name in judged:
        if name in examined:
            found = make_report(run, name).anchors
            kappa, bias = show(found.kappa, 2), show(found.bias, 1)
            notes.append(f"{name} against the anchors: weighted kappa {kappa}, points too many {bias}; more in judge_report({name!r})")
    if run.stopped is not None:
        notes.append(f"not finished: {run.stopped.message}")
    if run.ledger.damaged:
        notes.append(f"{run.ledger.damaged} lines of the journal could not be read")
    return notes


def _headline(run: Findings) -> str:
    suite = run.manifest.suite
    unknown = f" + {run.ledger.unknown_costs} calls of unknown cost" if run.ledger.unknown_costs else ""
    return (
        f"{suite['name']}: {suite['cases']} cases x {len(run.subjects)} subjects x {run.manifest.repeats} repeats, "
        f"{len(run.ledger.answers)} of {run.size} answers, {run.cost_usd:.4f} USD{unknown}"
    )


def _html_row(row: SubjectRow) -> str:
    cells = cells_of(row)
    shown = [html.escape(cell) for cell in cells]
    if row.points.low is not None and row.points.high is not None and row.points.value is not None:
        shown[2] += _bar(row.points.low, row.points.value, row.points.high)
    return "<tr>" + "".join(f'<td style="{_LEFT if place < 2 else _CELL}">{cell}</td>' for place, cell in enumerate(shown)) + "</tr>"


def _bar(low: float, value: float, high: float) -> str:
    """The interval on a scale of 0 to 100."""
    left, right, middle = (max(0.0, min(100.0, at)) for at in (low, high, value))
    return (
        ' <svg width="104" height="10" style="vertical-align:middle" role="img">'
        '<line x1="2" y1="5" x2="102" y2="5" stroke="currentColor" stroke-opacity=".25"/>'
        f'<line x1="{2 + left:.1f}" y1="5" x2="{2 + right:.1f}" y2="5" stroke="currentColor" stroke-width="3"/>'
        f'<circle cx="{2 + middle:.1f}" cy="5" r="3.5" fill="currentColor"/></svg>'
    )


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
