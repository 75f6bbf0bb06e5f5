"""`dealquest eval`: run an evaluation, go on with one, read it, label it, export it; with exit codes for CI.

0: done, and good enough. 1: it could not be run. 2: run, and not good enough. 3: stopped early; `resume` goes on.
"""

import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import anyio
import attrs
from cyclopts import App, Parameter

from dealquest import evals
from dealquest.errors import InputError, NotFoundError

from .terminal import printable

NOT_GOOD_ENOUGH = 2
STOPPED = 3

app = App(name="eval", help="Evaluate models, prompts and judges.")


@attrs.frozen(kw_only=True)
class Bar:
    """What a finished run must reach, and where that is reported.

    Attributes:
        min_score: Points that every subject's mean must reach; below, the exit code is 2.
        surely: Let the lower end of the interval count.
        allow_failures: How many answers or scores may be missing.
        scorer: By whose points; the first scorer's when left out.
        junit: Write a report for CI here.
    """

    min_score: float | None = None
    surely: bool = False
    allow_failures: int = 0
    scorer: str | None = None
    junit: Path | None = None


_NO_BAR = Bar()
_Bar = Annotated[Bar, Parameter(name="*")]


@app.command
@app.default
def run(
    suite: str,
    *,
    model: Annotated[list[str] | None, Parameter(negative="")] = None,
    prompt: Annotated[list[Path] | None, Parameter(negative="")] = None,
    judge: Annotated[list[str] | None, Parameter(negative="")] = None,
    recorded: bool = False,
    coach: bool = False,
    repeats: int = 1,
    concurrency: int = 16,
    budget_usd: Decimal | None = None,
    judge_check: int = 12,
    sample: int | None = None,
    seed: int = 0,
    journal: Path | None = None,
    cache: Path | None = None,
    replay: bool = False,
    plan: bool = False,
    bar: _Bar = _NO_BAR,
) -> None:
    """Run an evaluation.

    Args:
        suite: A built-in track, category or language, or a .toml, .jsonl or .csv file.
        model: A model under test; repeat the option for more.
        prompt: A file with standing orders, tried with every model; repeat the option for more.
        judge: A judging model; several are a panel. Signals score offline in any case.
        recorded: Score the answers that stand in the suite.
        coach: Put the coach itself under test, on the suite's anchor answers.
        repeats: Answers a case and subject.
        concurrency: Tasks under way at one time.
        budget_usd: The most that may be spent, judges included.
        judge_check: On the anchors of how many scenarios each judge is checked.
        sample: Take so many cases by chance.
        seed: Of every choice by chance.
        journal: The run's file; a new one under runs/ when left out.
        cache: A folder that keeps models' answers.
        replay: Take answers from that folder only.
        plan: Say what would be done and what it may cost, and stop.
        bar: What it must reach.
    """
    cases = evals.anchors(suite) if coach else evals.load(suite)
    if sample is not None:
        cases = cases.sample(sample, seed=seed)
    subjects: list[Any] = ([evals.recorded()] if recorded else []) + ([evals.coach(judge[0] if judge else "")] if coach else [])
    what: dict[str, Any] = {
        "models": model or [],
        "prompts": {path.stem: _read(path) for path in prompt} if prompt else None,
        "subjects": subjects,
        "scorers": _scorers(cases, judge or [], coach=coach),
        "repeats": repeats,
        "judge_check": judge_check,
        "seed": seed,
    }
    if plan:
        print(evals.plan(cases, **what))
        return
    how: dict[str, Any] = {"concurrency": concurrency, "budget_usd": budget_usd, "journal": journal, "cache": cache, "replay": replay}
    done = _carry_out(lambda: evals.run(cases, **what, **how))
    _finish(done, bar)


@app.command
def resume(
    journal: Path,
    *,
    concurrency: int = 16,
    budget_usd: Decimal | None = None,
    cache: Path | None = None,
    bar: _Bar = _NO_BAR,
) -> None:
    """Go on with a run; what is finished is neither asked nor paid for again.

    Args:
        journal: The run's file.
        concurrency: Tasks under way at one time.
        budget_usd: The most that may be spent over all sessions.
        cache: A folder that keeps models' answers.
        bar: What it must reach.
    """
    done = _carry_out(lambda: evals.resume(journal, concurrency=concurrency, budget_usd=budget_usd, cache=cache))
    _finish(done, bar)


@app.command
def show(journal: Path, *, compare: bool = False, judges: bool = False, case: str | None = None) -> None:
    """Read a run, without the network.

    Args:
        journal: The run's file.
        compare: Every pair of subjects as well.
        judges: The judge reports as well.
        case: One case with all its answers, calls and points, instead of the table.
    """
    found = evals.read(journal)
    if case is not None:
        print(printable(str(found.case(case).trace)))
        return
    print(printable(str(found)))
    if compare:
        for comparison in found.compare_all():
            print(printable(f"\n{comparison}"))
    if judges:
        for scorer in _examined(found):
            print(printable(f"\n{found.judge_report(scorer)}"))


@app.command
def label(journal: Path, *, by: str, size: int | None = None, open_names: bool = False) -> None:
    """Give points by hand; they go to the journal and tell how far the judge can be trusted.

    Args:
        journal: The run's file.
        by: Your name.
        size: How many answers to go through.
        open_names: Show who answered.
    """
    from rich.console import Console

    from dealquest.evals import label_in_terminal

    console = Console(highlight=False)
    labelling = evals.read(journal).label(by, size=size, blind=not open_names)
    given = label_in_terminal(labelling, show=lambda text: console.print(printable(text), markup=False), ask=console.input)
    console.print(f"{given} answers got points by {by}, {len(labelling)} are left")


@app.command
def export(journal: Path, to: Path) -> None:
    """Write a run's rows as .csv or .parquet, or its pictures as .png, .pdf or .svg.

    Args:
        journal: The run's file.
        to: Where to; the ending decides.
    """
    found = evals.read(journal)
    match to.suffix.lower():
        case ".csv":
            found.to_csv(to)
        case ".parquet":
            found.to_parquet(to)
        case ".xml":
            found.to_junit(to)
        case ".png" | ".pdf" | ".svg":
            found.plot().savefig(to)
        case _:
            raise InputError(f"{to.name} tells no format: end it in .csv, .parquet, .xml, .png, .pdf or .svg", code="cli.eval.format")


def _scorers(suite: evals.Suite, judges: list[str], *, coach: bool) -> list[evals.Scorer]:
    """The judge first, because its points decide; then what can be had offline."""
    if coach:
        return [evals.closeness(), evals.card()]
    chosen: list[evals.Scorer] = []
    if judges:
        chosen.append(evals.rubric(judges[0]) if len(judges) == 1 else evals.panel(judges))
    if all(case.scenario is not None for case in suite):
        chosen.append(evals.signals())
    elif not chosen:
        chosen.append(evals.exact())
    return chosen


def _examined(found: evals.Run) -> list[str]:
    """Scorers that were checked on anchors, or that compare pairs."""
    checked = {line.scorer for line in found.ledger.checks.values()}
    return [name for name, facts in found.manifest.scorers.items() if name in checked or facts.get("kind") == "pairwise"]


def _carry_out(work: Callable[[], Awaitable[evals.Run]]) -> evals.Run:
    try:
        return anyio.run(work)
    except KeyboardInterrupt:
        left = evals.last()
        if left is not None:
            print(f"dealquest: interrupted; go on with: dealquest eval resume {left.path}", file=sys.stderr)
        raise


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise NotFoundError(f"the prompt {path.name} cannot be read as text: {exc}", code="cli.eval.prompt") from exc


def _finish(done: evals.Run, bar: Bar) -> None:
    print(printable(str(done)))
    for name in _examined(done):
        print(printable(f"\n{done.judge_report(name)}"))
    print(f"\njournal: {done.path}")
    if bar.junit is not None:
        done.to_junit(bar.junit, min_score=bar.min_score, scorer=bar.scorer)
    if done.stopped is not None:
        print(f"dealquest: stopped early: {done.stopped.message}", file=sys.stderr)
        sys.exit(STOPPED)
    gate = done.gate(min_score=bar.min_score, scorer=bar.scorer, surely=bar.surely, allow_failures=bar.allow_failures)
    # Without a mark to reach, a failure is shown and does not fail the command.
    if bar.min_score is not None and not gate:
        for reason in gate.reasons:
            print(f"dealquest: not good enough: {reason}", file=sys.stderr)
        sys.exit(NOT_GOOD_ENOUGH)
