"""The first line of a journal: what a number needs so that it can be made again."""

import platform
from datetime import datetime
from pathlib import Path

import dealquest
from dealquest.llm import find_price

from .journal_lines import CaseLine, ManifestLine
from .planning import Plan

PRICES_READ = "2026-11-22"
_PACKAGES = ("msgspec", "httpx", "aiohttp", "numpy", "scipy", "statsmodels", "pandas")


def make_manifest(plan: Plan, *, name: str, now: datetime) -> ManifestLine:
    """Describe a plan and the machine it runs on."""
    suite = plan.suite
    prices = {model: price for model in plan.calls if (price := find_price(model)) is not None}
    return ManifestLine(
        name=name,
        started_at=now,
        suite={"name": suite.name, "source": suite.source, "pack": suite.pack, "cases": len(suite), "digest": suite.digest},
        subjects={subject.name: dict(subject.declaration) for subject in plan.subjects},
        scorers={scorer.name: dict(scorer.declaration) for scorer in plan.scorers},
        repeats=plan.repeats,
        seed=plan.seed,
        judge_check=plan.judge_check,
        versions=_versions(),
        prices={
            "read": PRICES_READ,
            **{model: {"input": str(price.input), "output": str(price.output)} for model, price in prices.items()},
        },
        git=find_commit(Path.cwd()),
        digest=plan.digest,
    )


def case_lines(plan: Plan) -> list[CaseLine]:
    """The cases as a journal keeps them."""
    return [
        CaseLine(
            id=case.id,
            input=case.input,
            reference=case.reference,
            cluster=case.cluster,
            scenario=case.scenario.id if case.scenario is not None else "",
            language=case.scenario.language if case.scenario is not None else "",
            answer=case.answer,
            tags=dict(case.tags),
            digest=case.digest,
        )
        for case in plan.suite
    ]


def find_commit(folder: Path) -> str:
    """The commit that a working folder stands on; empty where there is none."""
    for place in (folder, *folder.parents):
        git = place / ".git"
        try:
            if git.is_file():  # a worktree points to its own folder
                git = (place / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
            if not git.is_dir():
                continue
            head = (git / "HEAD").read_text(encoding="utf-8").strip()
            if not head.startswith("ref: "):
                return head
            common = git / "commondir"
            home = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else git
            return (home / head.removeprefix("ref: ")).read_text(encoding="utf-8").strip()
        except OSError:
            return ""
    return ""


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # slow, and needed when a run begins

    found = {"dealquest": dealquest.__version__, "python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
