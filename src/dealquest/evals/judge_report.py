"""How far a judge can be trusted: against the pack's anchors, against people, and against itself.

Every run examines its judges on anchor answers that have agreed points. Here that is reckoned: agreement, three kinds of bias
(length, order of the criteria, family of models), and how often the verdict flips when the rubric says the same in other words.
"""

import html
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from statsmodels.regression.linear_model import OLS

from dealquest.coach import PASS_MARK

from .agreement import Agreement, measure_agreement
from .journal_lines import CheckLine
from .stats import DIFFERENCES, FEWEST_CLUSTERS, LEVEL, Estimate, estimate_mean, show

if TYPE_CHECKING:
    from .findings import Findings

_FEWEST_FOR_SLOPE = 4


@attrs.frozen(kw_only=True)
class Steadiness:
    """What a judge does when nothing that matters changes.

    Attributes:
        change: Mean change of points, with sign.
        moved: Mean size of the change.
        flips: Share of answers, in per cent, that change between passed and failed.
    """

    change: Estimate
    moved: Estimate
    flips: Estimate


@attrs.frozen(kw_only=True)
class JudgeReport:
    """One scorer's examination.

    Attributes:
        scorer: Its name.
        judges: The models behind it; empty for an offline scorer.
        anchors: Agreement with the points agreed for the anchors.
        people: Agreement with people's labels of this run's answers.
        order_kept: Share of scenarios, in per cent, in which weak < fair < strong holds.
        length: Points that a doubled length adds beyond what the label says.
        order: What reversing the rubric's criteria does.
        rewording: What saying the same in other words does.
        place: Pairwise only: share of comparisons, in per cent, in which the choice followed the place.
        family: Points that answers of the judge's own family of models get beyond what people or other scorers give them.
        family_note: What the family was measured against, or why it was not.
        failed: Anchors that the judge did not score.
        unquoted: Criteria with points and no words of the answer to show for them.
        corrected: Subject → mean corrected by people's labels.
    """

    scorer: str
    judges: tuple[str, ...]
    anchors: Agreement
    people: Agreement | None
    order_kept: Estimate
    length: Estimate
    order: Steadiness | None
    rewording: Steadiness | None
    place: Estimate | None
    family: Estimate
    family_note: str
    failed: int
    unquoted: int
    corrected: dict[str, Estimate]

    def rows(self) -> list[tuple[str, str]]:
        """What was measured and what came out, for people."""
        rows = [
            ("judged by", ", ".join(self.judges) or "signals, offline"),
            *_agreement_rows("anchors", self.anchors),
            ("anchors: weak < fair < strong, % of scenarios", str(self.order_kept)),
            ("anchors not scored", str(self.failed)),
            ("length: points for twice the words", str(self.length)),
            *_steadiness_rows("criteria in reverse order", self.order),
            *_steadiness_rows("rubric in other words", self.rewording),
            ("own family: extra points", str(self.family) if self.family.value is not None else self.family_note),
            ("criteria with points and no quote", str(self.unquoted)),
        ]
        if self.place is not None:
            rows.append(("pairs: the choice follows the place, %", str(self.place)))
        if self.people is not None:
            rows += _agreement_rows("people", self.people)
        return rows + [(f"mean corrected by people: {subject}", str(found)) for subject, found in self.corrected.items()]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows())
        return "\n".join([f"judge report: {self.scorer}", *(f"{name.ljust(width)}  {value}" for name, value in self.rows())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in self.rows())
        return f"<b>judge report: {html.escape(self.scorer)}</b><table>{rows}</table>"


def make_report(run: "Findings", scorer: str) -> JudgeReport:
    """Reckon one scorer's examination from a run."""
    checks = [line for line in run.ledger.checks.values() if line.scorer == scorer]
    plain = [line for line in checks if line.variant == "plain" and line.points is not None]
    declaration = run.manifest.scorers[scorer]
    judges = tuple(declaration.get("judges", ())) or tuple(filter(None, (declaration.get("judge"),)))
    seed = run.manifest.seed
    labelled = run.label_pairs(scorer=scorer)
    people = None
    if labelled:
        people = measure_agreement(
            [points for _, _, points in labelled],
            [label for _, label, _ in labelled],
            [run.cluster_of(answer.case) for answer, _, _ in labelled],
            seed=seed,
        )
    family, family_note = _measure_family(run, scorer, judges)
    parts = [part for line in plain for part in line.parts]
    return JudgeReport(
        scorer=scorer,
        judges=judges,
        anchors=measure_agreement(
            [_points(line) for line in plain], [line.label for line in plain], [_scenario(line) for line in plain], seed=seed
        ),
        people=people,
        order_kept=_measure_order_kept(plain),
        length=_measure_length(plain),
        order=_measure_steadiness(checks, "reordered"),
        rewording=_measure_steadiness(checks, "reworded"),
        place=_measure_place(run, scorer),
        family=family,
        family_note=family_note,
        failed=sum(line.points is None for line in checks),
        unquoted=sum(part.points > 0 and not part.quote for part in parts),
        corrected={subject: run.corrected(subject, scorer=scorer) for subject in run.subjects} if labelled else {},
    )


def _points(line: CheckLine) -> float:
    assert line.points is not None  # lines without points are left out before
    return line.points


def _scenario(line: CheckLine) -> str:
    return line.case.rsplit(".", 1)[0]


def _measure_order_kept(plain: list[CheckLine]) -> Estimate:
    by_scenario: dict[str, dict[str, float]] = defaultdict(dict)
    for line in plain:
        by_scenario[_scenario(line)][line.case.rsplit(".", 1)[1]] = _points(line)
    whole = {name: found for name, found in by_scenario.items() if len(found) == 3}
    kept = [100.0 * (found["weak"] < found["fair"] < found["strong"]) for found in whole.values()]
    return estimate_mean(kept, list(whole))


def _measure_length(plain: list[CheckLine]) -> Estimate:
    """The slope of judge minus label over the binary logarithm of the words, within scenarios' clusters."""
    groups = [_scenario(line) for line in plain]
    clusters = len(set(groups))
    excess = np.asarray([_points(line) - line.label for line in plain])
    words = np.asarray([float(max(1, line.words)) for line in plain])
    facts: dict[str, Any] = {"n": len(plain), "clusters": clusters}
    if clusters < max(FEWEST_CLUSTERS, _FEWEST_FOR_SLOPE) or np.ptp(words) == 0 or np.ptp(excess) == 0:
        return Estimate(value=None, note="answers of four scenarios at least, of different length", **facts)
    # The label itself stands beside the length: better anchors are longer, and that is no bias.
    columns = np.column_stack([np.ones(len(plain)), np.log2(words), [line.label for line in plain]])
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    fit = OLS(excess, columns).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    low, high = fit.conf_int(alpha=1 - LEVEL)[1]
    return Estimate(
        value=float(fit.params[1]), low=float(low), high=float(high), se=float(fit.bse[1]), p_value=float(fit.pvalues[1]), **facts
    )


def _measure_steadiness(checks: list[CheckLine], variant: str) -> Steadiness | None:
    plain = {line.case: line.points for line in checks if line.variant == "plain" and line.points is not None}
    pairs = [
        (_scenario(line), plain[line.case], line.points)
        for line in checks
        if line.variant == variant and line.points is not None and line.case in plain
    ]
    if not pairs:
        return None
    clusters = [cluster for cluster, _, _ in pairs]
    changes = [changed - before for _, before, changed in pairs]
    flips = [100.0 * ((before >= PASS_MARK) != (changed >= PASS_MARK)) for _, before, changed in pairs]
    return Steadiness(
        change=estimate_mean(changes, clusters, scale=DIFFERENCES),
        moved=estimate_mean([abs(change) for change in changes], clusters),
        flips=estimate_mean(flips, clusters),
    )


def _measure_place(run: "Findings", scorer: str) -> Estimate | None:
    told = [
        (line.key, 100.0 * bool(line.facts["flipped"]))
        for line in run.ledger.scores.values()
        if line.scorer == scorer and isinstance(line.facts, dict) and "flipped" in line.facts
    ]
    if not told:
        return None
    answers = run.ledger.answers
    return estimate_mean([flipped for _, flipped in told], [run.cluster_of(answers[key].case) for key, _ in told if key in answers])


def family_of(model: str) -> str:
    """Whose model it is, by its name.

    >>> family_of("openai/gpt-oss-120b"), family_of("~google/gemini-flash-latest"), family_of("claude-sonnet-4-6")
    ('openai', 'google', 'anthropic')
    """
    if "/" in model:
        return model.lstrip("~").split("/", 1)[0].lower()
    return "anthropic" if model.startswith("claude") else model.split("-", 1)[0].lower()


def _measure_family(run: "Findings", scorer: str, judges: tuple[str, ...]) -> tuple[Estimate, str]:
    """How much more than a yardstick gives does the judge give its own family, beyond what it gives the others?"""
    families = {family_of(judge) for judge in judges}
    own = {
        name for name, facts in run.manifest.subjects.items() if facts.get("kind") == "model" and family_of(str(facts["model"])) in families
    }
    if not judges:
        return Estimate(value=None), "an offline scorer has no family"
    if not own or own == set(run.subjects):
        return Estimate(value=None), "subjects of the judge's own family and of another one are needed"
    yardstick, name = _yardstick(run, scorer, families)
    if not yardstick:
        return Estimate(value=None), "people's labels, or a scorer of another family, are needed"
    excess: dict[str, dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    for subject in run.subjects:
        for answer, points in run.scored(subject, scorer):
            if answer.key in yardstick:
                excess[run.cluster_of(answer.case)][subject in own].append(points - yardstick[answer.key])
    paired = {
        cluster: float(np.mean(found[True]) - np.mean(found[False])) for cluster, found in excess.items() if found[True] and found[False]
    }
    return estimate_mean(list(paired.values()), list(paired), scale=DIFFERENCES), f"against {name}"


def _yardstick(run: "Findings", scorer: str, families: set[str]) -> tuple[dict[str, float], str]:
    labels = {answer.key: label for answer, label, _ in run.label_pairs(scorer=scorer)}
    if labels:
        return labels, "people's labels"
    for other, facts in run.manifest.scorers.items():
        judges = facts.get("judges") or [facts.get("judge", "")]
        if other != scorer and not families & {family_of(str(judge)) for judge in judges}:
            return {key: line.points for (key, name), line in run.ledger.scores.items() if name == other and line.points is not None}, other
    return {}, ""


def _agreement_rows(whom: str, found: Agreement) -> list[tuple[str, str]]:
    names = {
        "kappa": "weighted kappa",
        "ac2": "AC2",
        "alpha": "Krippendorff's alpha",
        "exact": "same level of ten points, share",
        "bias": "points too many",
        "distance": "distance in points",
    }
    return [(f"{whom}: {label}", show(getattr(found, name), 1 if name in {"bias", "distance"} else 2)) for name, label in names.items()]


def _steadiness_rows(what: str, found: Steadiness | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    return [
        (f"{what}: change of points", str(found.change)),
        (f"{what}: size of the change", str(found.moved)),
        (f"{what}: flips between passed and failed, %", str(found.flips)),
    ]
