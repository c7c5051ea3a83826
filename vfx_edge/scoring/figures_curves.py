"""Curves over p(malignant): ROC with the readers' points, reliability, decision curve."""

from dataclasses import asdict

import numpy as np

from vfx_edge.evaluation.calibration import brier, expected_error, recalibration, reliability
from vfx_edge.evaluation.decision import net_benefit
from vfx_edge.evaluation.roc import Curve, roc_curve
from vfx_edge.scoring.calls import Told, by_tier, forced, read_by
from vfx_edge.scoring.cases import Cases
from vfx_edge.scoring.shares import Json

MOST_POINTS = 400
THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
NO_P = "No case has a p(malignant)."
ONE_CLASS = "It takes cases of both classes with a p(malignant)."


def roc(cases: Cases) -> Json:
    """The curve of the cases with a p, and as points: the model forced to answer, the model by its
    tiers (fewer cases, so that the point may lie beside the curve), and the readers."""
    own = cases.where(cases.has_p)
    curve = roc_curve(own.p, own.truth) if len(own) else None
    points = [
        _point("forced", "forced", forced(cases)),
        _point("told apart", "told_apart", by_tier(cases)),
        *(_point(name, "reader", read_by(name, cases)) for name in cases.readers()),
    ]
    return {
        "n": len(own),
        "curve": [] if curve is None else _thinned(curve),
        "points": [point for point in points if point],
        "why": None if curve is not None else ONE_CLASS,
    }


def _thinned(curve: Curve) -> list[Json]:
    """MOST_POINTS of the curve's points at most, its ends among them. The first threshold, above
    all p, is null."""
    count = len(curve.thresholds)
    kept = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
    return [
        {
            "threshold": curve.thresholds[i] if np.isfinite(curve.thresholds[i]) else None,
            "false_positive_rate": curve.false_positive_rate[i],
            "true_positive_rate": curve.true_positive_rate[i],
        }
        for i in kept.tolist()
    ]


def _point(name: str, kind: str, told: Told) -> Json | None:
    table = told.table
    if table.sensitivity is None or table.specificity is None:
        return None
    return {
        "name": name, "kind": kind, "n": table.cases,
        "false_positive_rate": 1 - table.specificity.value,
        "true_positive_rate": table.sensitivity.value,
    }  # fmt: skip


def calibration(cases: Cases) -> Json:
    """Whether p(malignant) is true: bins of the reliability diagram, the gaps between them and the
    truth, the Brier score, and the line that would mend p."""
    own = cases.where(cases.has_p)
    if not len(own):
        return {"n": 0, "bins": [], "ece": None, "brier": None, "slope": None, "intercept": None,
                "intercept_at_slope_1": None,
                "why": NO_P}  # fmt: skip
    bins = reliability(own.p, own.truth)
    line = recalibration(own.p, own.truth)
    why = "No slope: it takes cases of both classes whose p overlap."
    return {
        "n": len(own),
        "bins": [asdict(one) for one in bins],
        "ece": expected_error(bins),
        "brier": brier(own.p, own.truth),
        "slope": line.slope if line else None,
        "intercept": line.intercept if line else None,
        "intercept_at_slope_1": line.in_the_large if line else None,
        "why": None if line else why,
    }


def decision_curve(cases: Cases) -> Json:
    """Net benefit per case of calling malignant from each threshold on, against calling all or
    none so, and of each reader's calls; a reader's uncertain call counts as malignant, as it leads
    to the MRI."""
    own = cases.where(cases.has_p)
    if not len(own):
        return {"n": 0, "points": [], "readers": {}, "why": NO_P}
    points = [asdict(one) for one in net_benefit(own.p, own.truth, THRESHOLDS)]
    readers = {name: _reader_benefit(name, own) for name in own.readers()}
    return {
        "n": len(own), "points": points,
        "readers": {name: of for name, of in readers.items() if of}, "why": None,
    }  # fmt: skip


def _reader_benefit(name: str, cases: Cases) -> Json | None:
    """Of the cases that the reader read: shares of all that were acted on, rightly and not."""
    told = read_by(name, cases)
    if not len(told.cases):
        return None
    acted, so = told.score > 0, told.cases.truth
    right, wrong = float((acted & so).mean()), float((acted & ~so).mean())
    values = [right - wrong * threshold / (1 - threshold) for threshold in THRESHOLDS]
    return {"n": len(told.cases), "net_benefit": values}
