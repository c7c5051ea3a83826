"""How many cases a confidence interval of a wanted width takes."""

from collections.abc import Callable

from vfx_edge.evaluation.intervals import CONFIDENCE, two_sided

MOST = 10**9


def cases_for(share: float, half_width: float, confidence: float = CONFIDENCE) -> int:
    """Fewest cases with which Wilson's interval about `share` (0..1) is at most `half_width` (0..1)
    wide to either side, half its whole width. For sensitivity these are malignant cases, for
    specificity the others. Raises ValueError for what is no share, or a width of 0."""
    if not (0 <= share <= 1 and half_width > 0):
        raise ValueError("a share from 0 to 1 and a half width above 0 are needed")
    z = two_sided(confidence)
    return _fewest(lambda n: _wilson_half(share, n, z) <= half_width)


def _wilson_half(share: float, cases: int, z: float) -> float:
    spread = share * (1 - share) / cases + z**2 / (4 * cases**2)
    return float(z * spread**0.5 / (1 + z**2 / cases))


def cases_for_auc(
    area: float,
    half_width: float,
    negatives_per_positive: float = 1.0,
    confidence: float = CONFIDENCE,
) -> tuple[int, int]:
    """Fewest (positive, negative) cases with which the interval of an area under the ROC curve is
    ± `half_width`, by the standard error of Hanley and McNeil 1982."""
    if not (0 < area < 1 and half_width > 0 and negatives_per_positive > 0):
        raise ValueError("an area between 0 and 1 and a half width above 0 are needed")
    z = two_sided(confidence)

    def negatives(positives: int) -> int:
        return max(round(positives * negatives_per_positive), 1)

    positives = _fewest(lambda n: z * hanley_mcneil(area, n, negatives(n)) <= half_width)
    return positives, negatives(positives)


def hanley_mcneil(area: float, positives: int, negatives: int) -> float:
    """Standard error of an area under the ROC curve, from the area alone (Hanley and McNeil 1982,
    scores of exponential distribution)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return float((spread / (positives * negatives)) ** 0.5)


def _fewest(enough: Callable[[int], bool]) -> int:
    """The least n ≥ 1 from which on it is enough."""
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            raise ValueError("so narrow an interval takes more cases than there are")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
