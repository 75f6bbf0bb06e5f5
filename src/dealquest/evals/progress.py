"""Show how far a run is: one line in a terminal, one changing line in a notebook, plain lines in a log.

At most four updates a second; nothing here can fail a run's numbers, and nothing is loaded from outside.
"""

import html
import sys
from decimal import Decimal
from typing import Any, Literal, Protocol, TextIO, TypeAlias

import attrs

EVERY_S = 0.25
LOG_EVERY_S = 15.0

Where: TypeAlias = Literal["auto", "terminal", "notebook", "log", "none"]


@attrs.frozen(kw_only=True)
class Standing:
    """How far a run is.

    Attributes:
        done: Tasks that are finished, those of earlier sessions included.
        total: All tasks.
        fresh: Tasks finished in this session.
        failed: Answers and scores that could not be had.
        spent_usd: Known cost.
        elapsed_s: Seconds of this session.
    """

    done: int
    total: int
    fresh: int
    failed: int
    spent_usd: Decimal
    elapsed_s: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.fresh / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this rate; None while it is not known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        left = "" if self.left_s is None or self.done >= self.total else f" · {show_duration(self.left_s)} left"
        failed = f" · {self.failed} failed" if self.failed else ""
        share = f"{100 * self.done / self.total:.0f} %" if self.total else "done"
        return f"{self.done}/{self.total} ({share}) · {self.rate:.1f}/s · {self.spent_usd:.4f} USD{failed}{left}"


class Progress(Protocol):
    """Whoever is told."""

    def update(self, standing: Standing) -> None:
        """How far it is now; called after every task."""
        ...

    def close(self, standing: Standing) -> None:
        """The session is over, or was interrupted."""
        ...


class NoProgress:
    """Shows nothing."""

    def update(self, standing: Standing) -> None:
        """Ignored."""

    def close(self, standing: Standing) -> None:
        """Ignored."""


class LineProgress:
    """A line that is written over in a terminal, or one line now and then in a log.

    Args:
        out: Where to.
        live: Whether the line may be written over.
    """

    def __init__(self, out: TextIO, *, live: bool) -> None:
        self._out = out
        self._live = live
        self._shown_at = 0.0

    def update(self, standing: Standing) -> None:
        """Write, if it is time."""
        if standing.elapsed_s - self._shown_at >= (EVERY_S if self._live else LOG_EVERY_S):
            self._shown_at = standing.elapsed_s
            self._write(standing, end="" if self._live else "\n")

    def close(self, standing: Standing) -> None:
        """Write the last state and leave the line."""
        self._write(standing, end="\n")

    def _write(self, standing: Standing, *, end: str) -> None:
        self._out.write(f"\r\x1b[2K{standing}{end}" if self._live else f"{standing}{end}")
        self._out.flush()


class NotebookProgress:
    """A line in the cell's output that changes in place; it needs no widget and stays in an exported notebook."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = 0.0

    def update(self, standing: Standing) -> None:
        """Show, if it is time."""
        if standing.elapsed_s - self._shown_at >= EVERY_S:
            self._shown_at = standing.elapsed_s
            self._show(standing)

    def close(self, standing: Standing) -> None:
        """Show the last state."""
        self._show(standing)

    def _show(self, standing: Standing) -> None:
        from IPython.display import HTML, display  # noqa: PLC0415  # there is IPython wherever this class is chosen

        share = 100 * standing.done / standing.total if standing.total else 100
        bar = (
            '<div style="border:1px solid currentColor;width:20em;height:.6em;display:inline-block;margin-right:1em">'
            f'<div style="background:currentColor;height:100%;width:{share:.1f}%"></div></div>'
        )
        shown = HTML(  # type: ignore[no-untyped-call]  # IPython's own
            f"<div>{bar}{html.escape(str(standing))}</div>"
        )
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]  # as above
        else:
            self._handle.update(shown)


def choose_progress(where: Where | Progress = "auto") -> Progress:
    """The way to show progress that fits the place this runs in."""
    if not isinstance(where, str):
        return where
    if where == "none":
        return NoProgress()
    if where == "notebook" or (where == "auto" and is_notebook()):
        return NotebookProgress()
    return LineProgress(sys.stderr, live=where == "terminal" or (where == "auto" and sys.stderr.isatty()))


def is_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def show_duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> show_duration(7), show_duration(75), show_duration(7260)
    ('7 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
