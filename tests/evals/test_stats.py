"""Statistics: equal to reference values of the libraries and to published worked examples; no number without its interval."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.inter_rater import cohens_kappa

from dealquest.errors import InputError
from dealquest.evals import agreement, power, stats

RNG = np.random.default_rng(5)
POINTS = list(RNG.normal(65, 15, 60).clip(0, 100))
CLUSTERS = [f"s{place // 5}" for place in range(60)]


def test_a_mean_of_single_clusters_is_a_robust_t_interval() -> None:
    """With a case a cluster the interval is scipy's t interval of the mean."""
    found = stats.estimate_mean(POINTS, [str(place) for place in range(60)])
    expected = scipy_stats.ttest_1samp(POINTS, 0.0).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(POINTS), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_clustered_error_is_the_sandwich_written_out() -> None:
    """The standard error equals the textbook sum over clusters, with the small-sample factor, to 1e-9."""
    found = stats.estimate_mean(POINTS, CLUSTERS)
    residuals = np.asarray(POINTS) - np.mean(POINTS)
    sums = [residuals[[cluster == name for cluster in CLUSTERS]].sum() for name in dict.fromkeys(CLUSTERS)]
    groups, n = len(sums), len(POINTS)
    variance = sum(total**2 for total in sums) / n**2 * groups / (groups - 1)
    assert found.se == pytest.approx(math.sqrt(variance), rel=1e-9)
    reach = scipy_stats.t.ppf(0.975, groups - 1) * math.sqrt(variance)
    assert found.high == pytest.approx(np.mean(POINTS) + reach, rel=1e-9)
    assert (found.n, found.clusters) == (60, 12)


def test_clusters_widen_the_interval_of_values_that_belong_together() -> None:
    """Five equal answers to a scenario are one observation, not five."""
    clustered = [point for point in POINTS[:12] for _ in range(5)]
    together = stats.estimate_mean(clustered, CLUSTERS)
    apart = stats.estimate_mean(clustered, [str(place) for place in range(60)])
    assert together.se is not None
    assert apart.se is not None
    assert together.se > 2 * apart.se


@pytest.mark.parametrize("values", [[], [70.0], [70.0, 80.0, 90.0]])
def test_one_cluster_has_no_interval_and_no_number(values: list[float]) -> None:
    """Nothing is shown where nothing can be said."""
    found = stats.estimate_mean(values, ["only"] * len(values))
    assert found.value is None
    assert "no interval" in str(found)


def test_equal_values_still_have_a_width() -> None:
    """Twelve scenarios with full points do not prove a mean of 100: the exact binomial limit is shown."""
    found = stats.estimate_mean([100.0] * 12, [str(place) for place in range(12)])
    assert found.high == 100.0
    assert found.low == pytest.approx(100 * scipy_stats.binomtest(12, 12).proportion_ci(0.95, "exact").low)


def test_missing_values_are_bounded_and_never_dropped_in_silence() -> None:
    """The mean of what is there comes with where it would lie had all the missing failed or excelled."""
    found = stats.estimate_mean([50.0, 70.0], ["a", "b"], missing=2)
    assert found.bounds == (30.0, 80.0)
    assert found.missing == 2


def test_the_bootstrap_draws_whole_clusters() -> None:
    """With a case a cluster it is scipy's BCa interval; with real clusters it is near the clustered t interval."""
    single = stats.bootstrap_mean(POINTS, [f"{place:03}" for place in range(60)], seed=3)
    expected = scipy_stats.bootstrap((POINTS,), np.mean, n_resamples=2000, rng=np.random.default_rng(3)).confidence_interval
    assert (single.low, single.high) == pytest.approx((expected.low, expected.high), abs=0.4)
    drawn, reckoned = stats.bootstrap_mean(POINTS, CLUSTERS), stats.estimate_mean(POINTS, CLUSTERS)
    assert (drawn.low, drawn.high) == pytest.approx((reckoned.low, reckoned.high), abs=1.5)
    with pytest.raises(InputError):
        stats.bootstrap_mean([1.0, 2.0], ["a", "a"])


def test_a_paired_comparison_is_the_paired_t_test() -> None:
    """Difference, interval and p equal scipy's where each case is a cluster."""
    other = [point - 3 + noise for point, noise in zip(POINTS, RNG.normal(0, 6, 60), strict=True)]
    found = stats.compare_paired("a", "b", list(zip(POINTS, other, strict=True)), [str(place) for place in range(60)])
    expected = scipy_stats.ttest_rel(POINTS, other)
    assert found.difference.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert found.p_wilcoxon == pytest.approx(scipy_stats.wilcoxon(POINTS, other).pvalue, rel=1e-6)
    assert found.p_permutation is not None
    assert found.p_permutation < 0.01


def test_pairing_sees_what_an_unpaired_test_does_not() -> None:
    """The same data, the same small difference: only the paired test tells it from noise."""
    other = [point - 2 for point in POINTS[:-1]] + [POINTS[-1] - 2.5]
    found = stats.compare_paired("a", "b", list(zip(POINTS, other, strict=True)), CLUSTERS)
    assert found.difference.p_value is not None
    assert found.difference.p_value < 0.001
    assert scipy_stats.ttest_ind(POINTS, other).pvalue > 0.3
    assert "smallest difference" in str(found)


def test_many_comparisons_are_corrected() -> None:
    """Holm's example: 0.01, 0.04, 0.03 become 0.03, 0.06, 0.06."""
    made = [
        stats.Comparison(first="a", second=str(p), difference=stats.Estimate(value=1.0, low=0.0, high=2.0, p_value=p))
        for p in (0.01, 0.04, 0.03)
    ]
    assert [found.p_adjusted for found in stats.adjust(made)] == pytest.approx([0.03, 0.06, 0.06])
    assert {found.comparisons for found in stats.adjust(made)} == {3}
    assert stats.adjust([]) == []


def test_power_equals_published_tables() -> None:
    """Cohen's table for a paired t test: d = 0.5 at 80 % power needs 34 pairs, d = 0.2 needs 199."""
    assert power.find_needed(5.0, sd=10.0) == 34
    assert power.find_needed(2.0, sd=10.0) == 199
    smallest = power.find_smallest_difference(34, sd=10.0)
    assert smallest is not None
    assert 4.9 < smallest <= 5.0
    assert power.find_smallest_difference(1, sd=10.0) is None
    with pytest.raises(InputError):
        power.find_needed(0.0, sd=10.0)


def test_weighted_kappa_equals_its_definition() -> None:
    """Quadratic weights: one minus the ratio of observed to expected squared distance of levels, and what statsmodels makes of it."""
    one, other = np.asarray(POINTS), np.clip(np.asarray(POINTS) + RNG.normal(0, 12, 60), 0, 100)
    a, b = agreement.levels(one).astype(float), agreement.levels(other).astype(float)
    expected = np.mean((a[:, None] - b[None, :]) ** 2)
    assert agreement.weighted_kappa(one, other) == pytest.approx(1 - np.mean((a - b) ** 2) / expected, abs=1e-9)
    table = np.zeros((agreement.LEVELS, agreement.LEVELS))
    np.add.at(table, (agreement.levels(one), agreement.levels(other)), 1)
    assert agreement.weighted_kappa(one, other) == pytest.approx(cohens_kappa(table, wt="quadratic", return_results=False), abs=1e-9)


def test_krippendorffs_alpha_equals_his_worked_example() -> None:
    """Krippendorff (2011), four observers, twelve units, missing values, interval data: 0.849."""
    nan = np.nan
    ratings = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    assert agreement.krippendorff_alpha(ratings) == pytest.approx(0.849, abs=0.0005)


def test_ac_equals_gwets_worked_example() -> None:
    """Gwet's two raters and two categories (118, 5, 2, 0): raw agreement 0.944, AC1 0.9408, kappa -0.0234.

    With two categories quadratic weights are the identity, and AC2 is AC1.
    """
    table = {(0, 0): 118, (0, 1): 5, (1, 0): 2, (1, 1): 0}
    one = np.concatenate([np.full(count, a) for (a, _), count in table.items()]).astype(np.int64)
    other = np.concatenate([np.full(count, b) for (_, b), count in table.items()]).astype(np.int64)
    assert agreement.ac2_of_levels(one, other, categories=2) == pytest.approx(0.9408, abs=0.0005)
    assert agreement.weighted_kappa(one * 100.0, other * 100.0) == pytest.approx(-0.0234, abs=0.0005)


def test_agreement_has_intervals_and_says_where_it_cannot() -> None:
    """Each measure lies in its own interval; equal points everywhere have no kappa."""
    labels = [min(100.0, max(0.0, point + noise)) for point, noise in zip(POINTS, RNG.normal(4, 8, 60), strict=True)]
    found = agreement.measure_agreement(POINTS, labels, CLUSTERS)
    for measure in (found.kappa, found.alpha, found.ac2, found.exact, found.bias, found.distance):
        assert measure.value is not None
        assert measure.low is not None
        assert measure.high is not None
        assert measure.low <= measure.value <= measure.high
    flat = agreement.measure_agreement([100.0] * 6, [100.0] * 6, list("aabbcc"))
    assert (flat.kappa.value, flat.kappa.note) == (None, "all points are equal")
    assert flat.ac2.value == 1.0
    assert agreement.measure_agreement([1.0], [2.0], ["a"]).kappa.value is None


def test_labels_correct_a_judge_that_is_too_kind() -> None:
    """A judge five points too kind is brought back to the truth, with an interval that holds it."""
    truth = RNG.normal(68, 14, 300).clip(5, 90)
    judged = truth + 5 + RNG.normal(0, 3, 300)
    clusters = [str(place) for place in range(300)]
    found = stats.correct_mean(list(judged), clusters, list(zip(truth[:60], judged[:60], strict=True)), clusters[:60])
    assert found.low is not None
    assert found.high is not None
    assert found.low < truth.mean() < found.high
    assert found.high < judged.mean()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abcd")), min_size=2, max_size=20))
def test_an_interval_holds_its_mean_and_stays_on_the_scale(values: list[tuple[float, str]]) -> None:
    """Whatever the points are, low <= mean <= high within 0 to 100, or there is no number at all."""
    found = stats.estimate_mean([value for value, _ in values], [cluster for _, cluster in values])
    if found.value is None:
        assert found.clusters < 2
        return
    assert found.low is not None
    assert found.high is not None
    assert -1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 100 + 1e-9


def test_a_quantile_has_the_interval_of_order_statistics() -> None:
    """Of 100 values the median lies between the 40th and the 61st with 95 %; twelve values say nothing of the slow end."""
    found = stats.estimate_quantile([float(value) for value in range(1, 101)], 0.5)
    assert (found.value, found.low, found.high, found.n) == (50.0, 40.0, 61.0, 100)
    assert stats.estimate_quantile([float(value) for value in range(12)], 0.95).value is None
    assert stats.estimate_quantile([], 0.5).value is None


def test_the_interval_of_a_quantile_covers_as_often_as_it_says() -> None:
    """Over many samples the true median lies inside about 95 of 100 times."""
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(400):
        found = stats.estimate_quantile(list(rng.exponential(size=60)), 0.5)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= np.log(2) <= found.high
    assert inside / 400 > 0.93
