"""How good is an async function: cases, scorers, runs that survive a kill, honest statistics, pictures.

    suite = evals.load("foundations")
    run = await evals.run(suite, models=["openai/gpt-oss-120b"], scorers=[evals.rubric(judge="..."), evals.signals()])

Each name is loaded when it is first asked for; numpy, scipy, pandas and matplotlib when something is first reckoned or drawn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .caching import CachedTransport
    from .case_story import CaseResult, CaseTrace
    from .cases import Case, Suite
    from .coaching import card, closeness, coach
    from .dask_executor import DaskExecutor
    from .findings import FailedItem, Findings, SubjectRow
    from .judge_report import JudgeReport
    from .labelling import Labelling, label_in_terminal
    from .loading import anchors, load
    from .metering import Meter, ModelLimit
    from .pairs import pairwise
    from .performing import Executor, LocalExecutor
    from .planning import Plan, plan
    from .progress import Progress, Standing
    from .results import Gate, Run
    from .role_plays import buyer_persona, role_play
    from .running import last, read, resume, resume_sync, run, run_sync
    from .scorers import exact, panel, regex, rubric, schema, signals
    from .scores import Score, Scorer, scorer
    from .stats import Comparison, Estimate
    from .subjects import Answer, ModelSubject, Subject, recorded, subject

_HOMES = {
    "caching": ("CachedTransport",),
    "case_story": ("CaseResult", "CaseTrace"),
    "cases": ("Case", "Suite"),
    "coaching": ("card", "closeness", "coach"),
    "dask_executor": ("DaskExecutor",),
    "findings": ("FailedItem", "Findings", "SubjectRow"),
    "judge_report": ("JudgeReport",),
    "labelling": ("Labelling", "label_in_terminal"),
    "loading": ("anchors", "load"),
    "metering": ("Meter", "ModelLimit"),
    "pairs": ("pairwise",),
    "performing": ("Executor", "LocalExecutor"),
    "planning": ("Plan", "plan"),
    "progress": ("Progress", "Standing"),
    "results": ("Gate", "Run"),
    "role_plays": ("buyer_persona", "role_play"),
    "running": ("last", "read", "resume", "resume_sync", "run", "run_sync"),
    "scorers": ("exact", "panel", "regex", "rubric", "schema", "signals"),
    "scores": ("Score", "Scorer", "scorer"),
    "stats": ("Comparison", "Estimate"),
    "subjects": ("Answer", "ModelSubject", "Subject", "recorded", "subject"),
}

__all__ = [
    "Answer",
    "CachedTransport",
    "Case",
    "CaseResult",
    "CaseTrace",
    "Comparison",
    "DaskExecutor",
    "Estimate",
    "Executor",
    "FailedItem",
    "Findings",
    "Gate",
    "JudgeReport",
    "Labelling",
    "LocalExecutor",
    "Meter",
    "ModelLimit",
    "ModelSubject",
    "Plan",
    "Progress",
    "Run",
    "Score",
    "Scorer",
    "Standing",
    "Subject",
    "SubjectRow",
    "Suite",
    "anchors",
    "buyer_persona",
    "card",
    "closeness",
    "coach",
    "exact",
    "label_in_terminal",
    "last",
    "load",
    "pairwise",
    "panel",
    "plan",
    "read",
    "recorded",
    "regex",
    "resume",
    "resume_sync",
    "role_play",
    "rubric",
    "run",
    "run_sync",
    "schema",
    "scorer",
    "signals",
    "subject",
]


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(import_module(f".{home}", __name__), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
