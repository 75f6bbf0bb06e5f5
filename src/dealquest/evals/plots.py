"""Pictures of a run, by matplotlib: readable in print, in grey and for colour-blind eyes. Every point comes with its interval.

Colours are those of Okabe and Ito, told apart by markers as well. Figures are returned, never shown: a notebook shows what a
cell returns, a script saves it.
Source: Okabe and Ito, Color Universal Design (2008), read 2026-11-22.
"""

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .exporting import missing_extra
from .stats import Estimate, estimate_mean

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ModuleNotFoundError as absent:
    raise missing_extra("matplotlib") from absent

if TYPE_CHECKING:
    from .findings import Findings

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HEIGHT = 0.45
_SCREEN_DPI = 100


class Picture(Figure):
    """A figure that a notebook shows by itself, whatever backend is set."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=_SCREEN_DPI)
        return drawn.getvalue()


class Plots:
    """The pictures of one run; call it for the overview.

    Args:
        run: Whose.
    """

    def __init__(self, run: "Findings") -> None:
        self._run = run

    def __call__(self, *, scorer: str | None = None) -> Picture:
        """Points by subject, cost against points, latency, and points by scenario, on one sheet."""
        figure = Picture(figsize=(11, 8), layout="constrained")
        axes = figure.subplots(2, 2)
        self._draw_scores(axes[0][0], scorer)
        self._draw_cost(axes[0][1], scorer)
        self._draw_latency(axes[1][0])
        self._draw_heat(axes[1][1], scorer)
        return figure

    def scores(self, *, scorer: str | None = None) -> Picture:
        """Mean points by subject with 95 % intervals."""
        return self._single(lambda axes: self._draw_scores(axes, scorer), height=1.6 + _HEIGHT * len(self._run.subjects))

    def cost_quality(self, *, scorer: str | None = None) -> Picture:
        """Cost of an answer against points, with the line of those that nobody beats in both."""
        return self._single(lambda axes: self._draw_cost(axes, scorer))

    def heat(self, *, scorer: str | None = None) -> Picture:
        """Points by scenario and subject."""
        clusters = len({case.cluster for case in self._run.ledger.cases.values()})
        return self._single(lambda axes: self._draw_heat(axes, scorer), height=2.0 + 0.28 * clusters)

    def latency(self) -> Picture:
        """How many answers took at most how long."""
        return self._single(self._draw_latency)

    def agreement(self, *, scorer: str | None = None) -> Picture:
        """A judge's points against the agreed points of anchors, and against people's labels."""
        return self._single(lambda axes: self._draw_agreement(axes, scorer or self._run.scorers[0]), height=5.0)

    def _single(self, draw: Callable[[Axes], None], *, height: float = 4.0) -> Picture:
        figure = Picture(figsize=(7, height), layout="constrained")
        draw(figure.subplots())
        return figure

    def _draw_scores(self, axes: Axes, scorer: str | None) -> None:
        rows = [row for row in self._run.table(scorer or self._run.scorers[0]) if row.points.value is not None][::-1]
        for place, row in enumerate(rows):
            _draw_interval(axes, row.points, place, self._style(row.subject))
        axes.set_yticks(range(len(rows)), [row.subject for row in rows])
        axes.set_xlim(0, 100)
        axes.set_ylim(-0.6, max(0.6, len(rows) - 0.4))
        axes.set_xlabel(f"points by {scorer or self._run.scorers[0]}, mean and 95 % interval")
        _tidy(axes)

    def _draw_cost(self, axes: Axes, scorer: str | None) -> None:
        told: list[tuple[float, float]] = []
        for row in self._run.table(scorer or self._run.scorers[0]):
            found = row.points
            if found.value is None or found.low is None or found.high is None or row.unknown_costs or not row.answers:
                continue
            cost = 1000 * float(row.cost_usd) / row.answers
            colour, marker = self._style(row.subject)
            reach = [[found.value - found.low], [found.high - found.value]]
            axes.errorbar(cost, found.value, yerr=reach, fmt=marker, color=colour, capsize=3, label=row.subject)
            told.append((cost, found.value))
        edge = efficient(told)
        axes.plot([cost for cost, _ in edge], [value for _, value in edge], color="0.5", linestyle="--", linewidth=1, zorder=0)
        axes.set_xlabel("USD for 1,000 answers")
        axes.set_ylabel("points, mean and 95 % interval")
        if told:
            axes.legend(fontsize="small", frameon=False)
        _tidy(axes)

    def _draw_heat(self, axes: Axes, scorer: str | None) -> None:
        name = scorer or self._run.scorers[0]
        clusters = list(dict.fromkeys(self._run.cluster_of(case) for case in self._run.ledger.cases))
        grid = np.full((len(clusters), len(self._run.subjects)), np.nan)
        for column, subject in enumerate(self._run.subjects):
            by_cluster: dict[str, list[float]] = defaultdict(list)
            for answer, points in self._run.scored(subject, name):
                by_cluster[self._run.cluster_of(answer.case)].append(points)
            for row, cluster in enumerate(clusters):
                if by_cluster[cluster]:
                    grid[row, column] = float(np.mean(by_cluster[cluster]))
        shown = axes.imshow(np.ma.masked_invalid(grid), cmap="cividis", vmin=0, vmax=100, aspect="auto")
        axes.set_yticks(range(len(clusters)), clusters, fontsize="small")
        axes.set_xticks(range(len(self._run.subjects)), self._run.subjects, fontsize="small", rotation=20, ha="right")
        axes.figure.colorbar(shown, ax=axes, label=f"points by {name}")

    def _draw_latency(self, axes: Axes) -> None:
        for subject in self._run.subjects:
            seconds = sorted(line.elapsed_s for line in self._run.ledger.answers.values() if line.subject == subject and not line.failure)
            if seconds:
                share = np.arange(1, len(seconds) + 1) / len(seconds) * 100
                colour, marker = self._style(subject)
                every = max(1, len(seconds) // 8)
                axes.step(seconds, share, where="post", color=colour, marker=marker, markevery=every, markersize=4, label=subject)
        axes.set_xlabel("seconds an answer")
        axes.set_ylabel("% of answers that took at most this long")
        axes.set_ylim(0, 102)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", frameon=False)
        _tidy(axes)

    def _draw_agreement(self, axes: Axes, scorer: str) -> None:
        axes.plot([0, 100], [0, 100], color="0.6", linestyle="--", linewidth=1)
        checks = [
            line
            for line in self._run.ledger.checks.values()
            if line.scorer == scorer and line.variant == "plain" and line.points is not None
        ]
        pairs = {
            "anchors": [(line.label, line.points, line.case.rsplit(".", 1)[0]) for line in checks if line.points is not None],
            "people": [(label, points, answer.case) for answer, label, points in self._run.label_pairs(scorer=scorer)],
        }
        for place, (name, found) in enumerate(pairs.items()):
            if found:
                bias = estimate_mean(
                    [points - label for label, points, _ in found], [cluster for *_, cluster in found], scale=(-100.0, 100.0)
                )
                axes.scatter(
                    [label for label, _, _ in found],
                    [points for _, points, _ in found],
                    color=COLOURS[place],
                    marker=MARKERS[place],
                    alpha=0.75,
                    label=f"{name}, n = {len(found)}, points too many: {bias}",
                )
        axes.set_xlabel("agreed points")
        axes.set_ylabel(f"points by {scorer}")
        axes.set_xlim(-2, 102)
        axes.set_ylim(-2, 102)
        if any(pairs.values()):
            axes.legend(fontsize="small", frameon=False, loc="upper left")
        _tidy(axes)

    def _style(self, subject: str) -> tuple[str, str]:
        place = self._run.subjects.index(subject)
        return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def efficient(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those (cost, value) pairs that no other pair beats in both, by rising cost.

    >>> efficient([(1.0, 50.0), (2.0, 40.0), (3.0, 70.0)])
    [(1.0, 50.0), (3.0, 70.0)]
    """
    edge: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not edge or value > edge[-1][1]:
            edge.append((cost, value))
    return edge


def _draw_interval(axes: Axes, found: Estimate, place: int, style: tuple[str, str]) -> None:
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    colour, marker = style
    axes.plot([found.low, found.high], [place, place], color=colour, linewidth=2)
    axes.plot(found.value, place, marker=marker, color=colour, markersize=7)
    axes.annotate(f"{found.value:.1f}", (found.value, place), textcoords="offset points", xytext=(0, 7), ha="center", fontsize="small")


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.25)
