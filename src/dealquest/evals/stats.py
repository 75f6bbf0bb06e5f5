"""Means, differences and their intervals, by numpy, scipy and statsmodels. Pure; loaded when first needed.

Rules
1. Cases of one cluster (a scenario) are not independent: standard errors are clustered, t with clusters - 1 degrees of freedom.
2. Repetitions of a case are averaged before two subjects are compared, and a comparison is paired by case.
3. No interval, no number: with fewer than two clusters an estimate has no value that may be shown.
4. What is missing stays missing and is counted; `bounds` says where the mean would lie had it all failed, or all excelled.
Source: statsmodels OLS `cov_type="cluster"`, scipy.stats bootstrap and permutation_test documentation, read 2026-11-22.
"""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from dealquest.errors import InputError

from .power import find_needed, find_smallest_difference

LEVEL = 0.95
RESAMPLES = 2_000
FEWEST_CLUSTERS = 2
POINTS = (0.0, 100.0)
DIFFERENCES = (-100.0, 100.0)

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Estimate:
    """A number and how sure it is.

    Attributes:
        value: The estimate; None where no interval can be had, so that it is never shown bare.
        low: Lower end of the 95 % interval.
        high: Upper end.
        se: Standard error.
        n: Values that went in.
        clusters: Clusters they come from.
        missing: Values that could not be had.
        bounds: Where the value lies if all missing ones were 0, and if all were 100.
        p_value: Of the hypothesis that the value is zero, for differences.
        note: Why there is no value.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    n: int = 0
    clusters: int = 0
    missing: int = 0
    bounds: tuple[float, float] | None = None
    p_value: float | None = None
    note: str = ""

    def __str__(self) -> str:
        return show(self, 1)


def show(found: Estimate, digits: int) -> str:
    """A number with its interval, or why there is none."""
    if found.value is None or found.low is None or found.high is None:
        return f"no interval ({found.note})"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def estimate_mean(
    values: Sequence[float], clusters: Sequence[str], *, missing: int = 0, scale: tuple[float, float] = POINTS, level: float = LEVEL
) -> Estimate:
    """A mean with a standard error clustered by scenario.

    Args:
        values: Points.
        clusters: The cluster of each.
        missing: How many more there should have been.
        scale: The lowest and the highest value there can be; an interval does not leave it.
        level: Of the interval.
    """
    n, distinct = len(values), len(set(clusters))
    bounds = None
    if n + missing:
        total = float(np.sum(values)) if n else 0.0
        bounds = (total / (n + missing), (total + 100.0 * missing) / (n + missing))
    facts: dict[str, Any] = {"n": n, "clusters": distinct, "missing": missing, "bounds": bounds}
    if distinct < FEWEST_CLUSTERS:
        return Estimate(value=None, note=f"{distinct} cluster{'' if distinct == 1 else 's'}, two are the least", **facts)
    data = np.asarray(values, dtype=float)
    if np.ptp(data) == 0.0:
        return _without_variation(float(data[0]), distinct, scale, facts, level)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    fit = OLS(data, np.ones((n, 1))).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    low, high = np.clip(fit.conf_int(alpha=1 - level)[0], *scale)
    return Estimate(
        value=float(data.mean()),
        low=float(low),
        high=float(high),
        se=float(fit.bse[0]),
        p_value=float(fit.pvalues[0]),
        **facts,
    )


def estimate_quantile(values: Sequence[float], share: float, *, level: float = LEVEL) -> Estimate:
    """What a share of all values stays at or below, with the interval that order statistics give whatever the distribution.

    Args:
        values: Seconds, for example.
        share: 0.5 for the median, 0.95 for the slow end.
        level: Of the interval.
    """
    ordered, n = sorted(values), len(values)
    tail = (1 - level) / 2
    lowest, highest = int(scipy_stats.binom.ppf(tail, n, share)) if n else 0, int(scipy_stats.binom.ppf(1 - tail, n, share)) + 1 if n else 1
    if lowest < 1 or highest > n:
        return Estimate(value=None, n=n, note=f"{n} values are too few for it")
    place = int(np.ceil(share * n))
    return Estimate(value=ordered[place - 1], low=ordered[lowest - 1], high=ordered[highest - 1], n=n)


def _without_variation(value: float, clusters: int, scale: tuple[float, float], facts: dict[str, Any], level: float) -> Estimate:
    """All values are equal: the variance is zero, but that proves little of the clusters that were not seen.

    The exact binomial limit says how large a share of all clusters may differ although none of these did; they may differ by
    the whole scale.
    """
    share = float(scipy_stats.binomtest(0, clusters).proportion_ci(level, method="exact").high)
    low, high = value - share * (value - scale[0]), value + share * (scale[1] - value)
    p_value = 1.0 if value == 0 else min(1.0, 2.0 * 0.5**clusters)
    return Estimate(value=value, low=low, high=high, se=0.0, p_value=p_value, note="all values are equal", **facts)


def bootstrap_mean(
    values: Sequence[float], clusters: Sequence[str], *, seed: int = 0, level: float = LEVEL, resamples: int = RESAMPLES
) -> Estimate:
    """A mean with a bootstrap interval (BCa) that draws whole clusters.

    Raises:
        InputError: `evals.stats.too_few` for fewer than two clusters.
    """
    data = np.asarray(values, dtype=float)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums, counts = np.bincount(groups, weights=data), np.bincount(groups).astype(float)
    if len(sums) < FEWEST_CLUSTERS:
        raise InputError("a bootstrap needs values of two clusters at least", code="evals.stats.too_few")
    value = float(data.mean())
    facts: dict[str, Any] = {"n": len(data), "clusters": len(sums)}
    if np.ptp(sums / counts) == 0.0:
        return Estimate(value=value, low=value, high=value, se=0.0, **facts)

    def ratio(total: Floats, count: Floats, axis: int = -1) -> Any:
        return total.sum(axis=axis) / count.sum(axis=axis)

    drawn = scipy_stats.bootstrap(
        (sums, counts), ratio, paired=True, vectorized=True, n_resamples=resamples, confidence_level=level, rng=np.random.default_rng(seed)
    )
    interval = drawn.confidence_interval
    return Estimate(value=value, low=float(interval.low), high=float(interval.high), se=float(drawn.standard_error), **facts)


@attrs.frozen(kw_only=True)
class Comparison:
    """Two subjects on the same cases: first minus second, in points.

    Attributes:
        first: A subject.
        second: Another one.
        difference: Paired mean difference, clustered.
        p_permutation: Two-sided, by exchanging the subjects within clusters; needs no normality.
        p_wilcoxon: Two-sided, on the clusters' mean differences.
        p_adjusted: By Holm over all comparisons made together.
        comparisons: How many were made together.
        sd: Of the clusters' mean differences, in points.
        unpaired: Cases that only one of the two answered; they are not part of the difference.
        bootstrap: The same difference with a bootstrap interval.
    """

    first: str
    second: str
    difference: Estimate
    p_permutation: float | None = None
    p_wilcoxon: float | None = None
    p_adjusted: float | None = None
    comparisons: int = 1
    sd: float = 0.0
    unpaired: int = 0
    bootstrap: Estimate | None = None

    def needed(self, points: float, *, power: float = 0.8) -> int:
        """Clusters needed to see a difference of so many points, at the variation seen here.

        Raises:
            InputError: `evals.stats.difference` unless points is above zero.
        """
        return find_needed(points, sd=self.sd, power=power)

    def smallest(self, *, power: float = 0.8) -> float | None:
        """The smallest difference that as many clusters as here can be expected to see, in points."""
        return find_smallest_difference(self.difference.clusters, sd=self.sd, power=power)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """What it says, in sentences for people."""
        found = self.difference
        unit = f"{found.n} cases in {found.clusters} clusters"
        if found.value is None:
            return [f"{self.first} minus {self.second}: {found}; {unit}"]
        p = f"p = {found.p_value:.3g}" if found.p_value is not None else ""
        p += (
            ""
            if self.p_adjusted is None or self.comparisons == 1
            else f", {self.p_adjusted:.3g} adjusted over {self.comparisons} comparisons"
        )
        others = [
            f"{name} p = {value:.3g}"
            for name, value in (("permutation", self.p_permutation), ("Wilcoxon", self.p_wilcoxon))
            if value is not None
        ]
        smallest = self.smallest()
        lines = [f"{self.first} minus {self.second}: {found} points, {p}; {unit}"]
        if self.bootstrap is not None and self.bootstrap.low is not None:
            lines.append(f"bootstrap interval [{self.bootstrap.low:.1f}, {self.bootstrap.high:.1f}]; {'; '.join(others)}")
        if smallest is not None:
            lines.append(f"smallest difference these cases can show: {smallest:.1f} points; to see 2 points: {self.needed(2.0)} clusters")
        if self.unpaired:
            lines.append(f"{self.unpaired} cases were answered by one of the two only and are left out")
        return lines

    def _repr_html_(self) -> str:
        import html  # noqa: PLC0415  # only for a notebook

        return "".join(f"<div>{html.escape(line)}</div>" for line in self.lines())


def compare_paired(
    first: str,
    second: str,
    pairs: Sequence[tuple[float, float]],
    clusters: Sequence[str],
    *,
    unpaired: int = 0,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two subjects case by case.

    Args:
        first: A subject's name.
        second: Another one's.
        pairs: The points of both for each case that both answered.
        clusters: The cluster of each case.
        unpaired: Cases that are left out.
        seed: Of bootstrap and permutation.
        resamples: Of both.
    """
    differences = [one - other for one, other in pairs]
    difference = estimate_mean(differences, clusters, scale=DIFFERENCES)
    difference = attrs.evolve(difference, bounds=None)
    if difference.value is None:
        return Comparison(first=first, second=second, difference=difference, unpaired=unpaired)
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    means = np.bincount(groups, weights=np.asarray(differences)) / np.bincount(groups)
    sd = float(means.std(ddof=1))
    is_flat = bool(np.all(means == 0.0))
    permutation = scipy_stats.permutation_test(
        (means, np.zeros_like(means)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        n_resamples=resamples,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    # The rank test is exact for few clusters without ties, else scipy takes the normal approximation.
    wilcoxon = 1.0 if is_flat else float(scipy_stats.wilcoxon(means).pvalue)
    return Comparison(
        first=first,
        second=second,
        difference=difference,
        p_permutation=float(permutation.pvalue),
        p_wilcoxon=wilcoxon,
        sd=sd,
        unpaired=unpaired,
        bootstrap=bootstrap_mean(differences, clusters, seed=seed, resamples=resamples),
    )


def adjust(comparisons: Sequence[Comparison], *, method: str = "holm") -> list[Comparison]:
    """The same comparisons with p values corrected for their number; `holm`, `fdr_bh` or another method of statsmodels."""
    tested = [found for found in comparisons if found.difference.p_value is not None]
    if not tested:
        return list(comparisons)
    corrected = multipletests([found.difference.p_value for found in tested], method=method)[1]
    by_id = {id(found): float(p) for found, p in zip(tested, corrected, strict=True)}
    return [attrs.evolve(found, p_adjusted=by_id.get(id(found)), comparisons=len(tested)) for found in comparisons]


def correct_mean(
    judged: Sequence[float],
    clusters: Sequence[str],
    labelled: Sequence[tuple[float, float]],
    labelled_clusters: Sequence[str],
    *,
    level: float = LEVEL,
) -> Estimate:
    """A judge's mean, corrected by people's labels of a part (prediction-powered mean).

    The judge's mean over everything, plus the mean of label minus judge over what was labelled; the two variances add.

    Args:
        judged: The judge's points for all answers.
        clusters: Their clusters.
        labelled: (label, judge's points) of the labelled answers.
        labelled_clusters: Their clusters.
        level: Of the interval.
    Source: Angelopoulos et al., Prediction-powered inference, Science 382 (2023), eq. for the mean; read 2026-11-22.
    """
    everything = estimate_mean(judged, clusters)
    bias = estimate_mean([label - points for label, points in labelled], labelled_clusters, scale=DIFFERENCES)
    if everything.value is None or bias.value is None or everything.se is None or bias.se is None:
        return Estimate(value=None, n=len(labelled), clusters=bias.clusters, note="labels of two clusters at least")
    value = everything.value + bias.value
    se = float(np.hypot(everything.se, bias.se))
    reach = float(scipy_stats.t.ppf(0.5 + level / 2, df=max(1, bias.clusters - 1))) * se
    low, high = np.clip([value - reach, value + reach], *POINTS)
    return Estimate(value=value, low=float(low), high=float(high), se=se, n=len(labelled), clusters=bias.clusters)
