"""How many cases a difference needs, and which difference a number of cases can show; by statsmodels. Pure."""

import math

from statsmodels.stats.power import TTestPower

from dealquest.errors import InputError

ALPHA = 0.05
FEWEST = 2


def find_smallest_difference(clusters: int, *, sd: float, power: float = 0.8, alpha: float = ALPHA) -> float | None:
    """The smallest paired difference that is seen with this power, two-sided.

    Args:
        clusters: Independent pairs.
        sd: Standard deviation of their differences, in points.
        power: The chance to see it.
        alpha: The chance to see one that is not there.

    Returns:
        Points; None for fewer than two clusters.
    """
    if clusters < FEWEST:
        return None
    if sd <= 0:
        return 0.0
    return float(TTestPower().solve_power(nobs=clusters, alpha=alpha, power=power, alternative="two-sided")) * sd


def find_needed(difference: float, *, sd: float, power: float = 0.8, alpha: float = ALPHA) -> int:
    """Independent pairs needed to see a difference with this power, two-sided; arguments as above.

    Raises:
        InputError: `evals.stats.difference` unless the difference is above zero.
    """
    if difference <= 0:
        raise InputError("a difference to look for is above zero points", code="evals.stats.difference")
    if sd <= 0 or difference / sd > 10:
        return FEWEST
    return math.ceil(float(TTestPower().solve_power(effect_size=difference / sd, alpha=alpha, power=power, alternative="two-sided")))
