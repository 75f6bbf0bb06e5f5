"""How far two raters agree: weighted kappa, Krippendorff's alpha, Gwet's AC2, each with an interval. Pure.

Points are put into levels of ten for kappa and AC2. Kappa collapses where nearly all points are equal; AC2 does not, so both
are shown. Intervals draw whole clusters again. No library under a permissive licence has alpha and AC2; they stand here
with published worked examples as tests.
Source: Krippendorff, Computing Krippendorff's alpha-reliability (2011); Gwet, Handbook of
Inter-Rater Reliability, 4th edition, chapter 4; read 2026-11-22.
"""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from .stats import FEWEST_CLUSTERS, LEVEL, Estimate

LEVELS = 11
RESAMPLES = 999

Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float]


@attrs.frozen(kw_only=True)
class Agreement:
    """How far a judge and the labels agree.

    Attributes:
        kappa: Cohen's, quadratic weights.
        alpha: Krippendorff's, interval distance.
        ac2: Gwet's, quadratic weights.
        exact: Share of answers in the same level of ten points.
        bias: Mean of judge minus label, in points.
        distance: Mean distance, in points.
    """

    kappa: Estimate
    alpha: Estimate
    ac2: Estimate
    exact: Estimate
    bias: Estimate
    distance: Estimate


def measure_agreement(judged: Sequence[float], labels: Sequence[float], clusters: Sequence[str], *, seed: int = 0) -> Agreement:
    """Compare a judge's points with labels of the same answers.

    Args:
        judged: Points of 0 to 100.
        labels: The same.
        clusters: Answers of one cluster are drawn together.
        seed: Of the bootstrap.
    """
    one, other = np.asarray(judged, dtype=float), np.asarray(labels, dtype=float)
    measures: dict[str, Measure] = {
        "kappa": weighted_kappa,
        "alpha": lambda a, b: krippendorff_alpha(np.stack([a, b])),
        "ac2": gwet_ac2,
        "exact": lambda a, b: float(np.mean(levels(a) == levels(b))),
        "bias": lambda a, b: float(np.mean(a - b)),
        "distance": lambda a, b: float(np.mean(np.abs(a - b))),
    }
    return Agreement(**{name: _with_interval(measure, one, other, clusters, seed=seed) for name, measure in measures.items()})


def levels(points: Floats) -> NDArray[np.int64]:
    """Points of 0 to 100 as levels 0 to 10."""
    return np.clip(np.rint(points / 10), 0, LEVELS - 1).astype(np.int64)


def weighted_kappa(judged: Floats, labels: Floats) -> float:
    """Cohen's kappa with quadratic weights over levels of ten points, in closed form; NaN where it is not defined.

    The form that libraries have counts a table anew in each of a bootstrap's thousand draws.
    """
    one, other = levels(judged).astype(np.float64), levels(labels).astype(np.float64)
    expected = float(one.var() + other.var() + (one.mean() - other.mean()) ** 2)
    return float("nan") if expected == 0 else 1 - float(np.mean((one - other) ** 2)) / expected


def krippendorff_alpha(ratings: Floats) -> float:
    """Krippendorff's alpha with interval distance; raters by row, NaN where a rating is missing.

    NaN where all ratings are equal: nothing can then be told apart.
    """
    counts = np.sum(~np.isnan(ratings), axis=0)
    pairable, sizes = ratings[:, counts >= 2], counts[counts >= 2]
    if not sizes.size:
        return float("nan")
    values = pairable[~np.isnan(pairable)]
    # The mean squared distance of all pairs of n values is 2 n / (n - 1) times their variance.
    observed = float(np.sum(2 * sizes**2 / (sizes - 1) * np.nanvar(pairable, axis=0))) / len(values)
    expected = 2 * len(values) * float(np.var(values)) / (len(values) - 1)
    return float("nan") if expected == 0 else 1 - observed / expected


def gwet_ac2(judged: Floats, labels: Floats, *, categories: int = LEVELS) -> float:
    """Gwet's AC2 for two raters with quadratic weights over levels of ten points."""
    return ac2_of_levels(levels(judged), levels(labels), categories=categories)


def ac2_of_levels(one: NDArray[np.int64], other: NDArray[np.int64], *, categories: int) -> float:
    """Gwet's AC2 for two raters with quadratic weights; levels from 0 to `categories` - 1."""
    span = np.arange(categories)
    weights = 1 - ((span[:, None] - span[None, :]) / (categories - 1)) ** 2
    observed = float(np.mean(weights[one, other]))
    share = (np.bincount(one, minlength=categories) + np.bincount(other, minlength=categories)) / (2 * len(one))
    chance = float(weights.sum()) / (categories * (categories - 1)) * float(np.sum(share * (1 - share)))
    return (observed - chance) / (1 - chance)


def _with_interval(measure: Measure, one: Floats, other: Floats, clusters: Sequence[str], *, seed: int) -> Estimate:
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)] if len(one) else []
    facts: dict[str, Any] = {"n": len(one), "clusters": len(members)}
    if len(members) < FEWEST_CLUSTERS:
        return Estimate(value=None, note=f"{len(members)} clusters, two are the least", **facts)
    value = measure(one, other)
    if np.isnan(value):
        return Estimate(value=None, note="all points are equal", **facts)

    def of_drawn(chosen: NDArray[np.int64]) -> float:
        rows = np.concatenate([members[int(place)] for place in chosen])
        return measure(one[rows], other[rows])

    drawn = scipy_stats.bootstrap(
        (np.arange(len(members)),),
        of_drawn,
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    # A draw in which all points are equal says nothing and is left out.
    told = drawn.bootstrap_distribution[~np.isnan(drawn.bootstrap_distribution)]
    low, high = np.quantile(told, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return Estimate(value=value, low=float(low), high=float(high), se=float(told.std(ddof=1)), **facts)
