"""A journal back to a plan, and the proof that a plan still is the journal's own."""

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from dealquest.coach import Scenario, load_pack
from dealquest.errors import ConflictError, DealQuestError, InputError

from .cases import Case, Suite
from .journal_lines import CaseLine, ManifestLine
from .ledger import Ledger
from .loading import Source
from .planning import Plan, as_scorer, as_subject, plan
from .scores import GiveScore, Scorer
from .subjects import AsyncAnswer, Subject

# Kind → where its class stands; loaded when a journal names it, for the coach brings its whole dialogue along.
_SCORERS: Mapping[str, tuple[str, str]] = {
    "rubric": ("scorers", "RubricScorer"),
    "panel": ("scorers", "PanelOfJudges"),
    "signals": ("scorers", "SignalsScorer"),
    "exact": ("scorers", "ExactScorer"),
    "regex": ("scorers", "RegexScorer"),
    "pairwise": ("pairs", "PairwiseScorer"),
    "buyer_persona": ("role_plays", "BuyerPersona"),
    "card": ("coaching", "CardScorer"),
    "closeness": ("coaching", "ClosenessScorer"),
}
_SUBJECTS: Mapping[str, tuple[str, str]] = {
    "model": ("subjects", "ModelSubject"),
    "recorded": ("subjects", "RecordedSubject"),
    "role_play": ("role_plays", "RolePlay"),
    "coach": ("coaching", "CoachSubject"),
}


def rebuild_plan(
    ledger: Ledger, *, suite: Source | None, subjects: Sequence[Subject | AsyncAnswer], scorers: Sequence[Scorer | GiveScore]
) -> Plan:
    """The plan of a journal; see `resume`."""
    manifest = ledger.manifest
    assert manifest is not None  # read_lines refuses a journal without one
    given_subjects = {found.name: found for found in map(as_subject, subjects)}
    given_scorers = {found.name: found for found in map(as_scorer, scorers)}
    rebuilt = plan(
        suite if suite is not None else _rebuild_suite(manifest, ledger.cases),
        subjects=[given_subjects.get(name) or _rebuild(name, facts, _SUBJECTS, "subject") for name, facts in manifest.subjects.items()],
        scorers=[given_scorers.get(name) or _rebuild(name, facts, _SCORERS, "scorer") for name, facts in manifest.scorers.items()],
        repeats=manifest.repeats,
        judge_check=manifest.judge_check,
        seed=manifest.seed,
    )
    check_same(ledger, rebuilt)
    return rebuilt


def check_same(ledger: Ledger, planned: Plan) -> None:
    """Refuse to mix two plans in one journal.

    Raises:
        ConflictError: `evals.resume.changed`.
    """
    manifest = ledger.manifest
    if manifest is None or manifest.digest == planned.digest:
        return
    changed = []
    if manifest.suite.get("digest") != planned.suite.digest:
        changed.append("the suite")
    was = {"subject": manifest.subjects, "scorer": manifest.scorers}
    now = {
        "subject": {found.name: dict(found.declaration) for found in planned.subjects},
        "scorer": {found.name: dict(found.declaration) for found in planned.scorers},
    }
    for kind, before in was.items():
        names = sorted({*before, *now[kind]})
        changed += [f"the {kind} {name!r}" for name in names if before.get(name) != now[kind].get(name)]
    raise ConflictError(
        f"the journal belongs to another plan; changed since: {', '.join(changed) or 'repeats, seed or judge_check'}. "
        "Give this run a journal of its own, or restore what changed",
        code="evals.resume.changed",
    )


def _rebuild(name: str, facts: Mapping[str, Any], kinds: Mapping[str, tuple[str, str]], what: str) -> Any:
    place = kinds.get(str(facts.get("kind")))
    # Answers to look up or to compare with, and functions, are named by their digest only.
    if place is None or {"answers", "against", "function"} & set(facts):
        raise InputError(
            f"the {what} {name!r} cannot be rebuilt from the journal: give it again with {what}s=[...]", code="evals.resume.missing"
        )
    module, made = place
    make = getattr(import_module(f".{module}", __package__), made)
    fields = inspect.signature(make).parameters
    wanted = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key in fields}
    return make(**wanted)


def _rebuild_suite(manifest: ManifestLine, lines: Mapping[str, CaseLine]) -> Suite:
    pack = str(manifest.suite.get("pack", ""))
    scenarios: dict[str, Scenario] = {}
    if any(line.scenario for line in lines.values()):
        try:
            scenarios = {scenario.id: scenario for scenario in load_pack(pack or "en").scenarios}
        except DealQuestError as exc:
            raise InputError(
                f"the scenario pack of this journal cannot be loaded ({exc.message}): give the suite again with suite=",
                code="evals.resume.missing",
            ) from exc
    cases = []
    for line in lines.values():
        if line.scenario and line.scenario not in scenarios:
            raise InputError(
                f"the scenario {line.scenario!r} of this journal is not in the pack: give the suite again with suite=",
                code="evals.resume.missing",
            )
        cases.append(
            Case(
                id=line.id,
                input=line.input,
                reference=line.reference,
                cluster=line.cluster or line.id,
                scenario=scenarios.get(line.scenario),
                answer=line.answer,
                tags=line.tags,
            )
        )
    return Suite(name=str(manifest.suite["name"]), cases=tuple(cases), source=str(manifest.suite.get("source", "")), pack=pack)
