"""How good a trained network's answers are, with 95 % intervals over patients."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.evaluation.classification import Answers, Bools
from vfx_edge.evaluation.intervals import Estimate, bootstrap, share
from vfx_edge.evaluation.rates import mean_of_shares
from vfx_edge.evaluation.roc import auc_delong

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answered(Answers):
    """n crops: besides what they are called and are, (n,) each: p of the second class, and whose
    crop it is."""

    p: Floats
    patients: NDArray[np.str_]

    def taken(self, rows: NDArray[np.intp]) -> Answers:
        """Those of some rows, without what is known besides."""
        return Answers(self.positive[rows], self.negative[rows], self.truth[rows])


def by_thresholds(
    p: Floats, truth: Bools, patients: NDArray[np.str_], positive_from: float, negative_from: float
) -> Answered:
    """As `spine.classify.decide` has it: positive first, then negative from 1 - p on."""
    positive = p >= positive_from
    return Answered(positive, ~positive & (1 - p >= negative_from), truth, p, patients)


def scores(answers: Answered) -> dict[str, Any]:
    """Counts and figures, ready for JSON. The shares are of those that were told apart; the area
    under the ROC curve is of all, by ranks, and is None where a class is missing."""
    found: dict[str, Any] = {
        "crops": len(answers.p),
        "patients": len(np.unique(answers.patients)),
        "positive": int(answers.truth.sum()),
        "told": int(answers.answered.sum()),
        "confusion": asdict(answers.confusion),
    }
    found |= {name: _shown(share) for name, share in _shares(answers).items()}
    found["balanced_accuracy"] = _shown(_balanced(answers))
    area = auc_delong(answers.p, answers.truth, answers.patients) if len(answers.p) else None
    return {**found, "auc": _shown(area)}


def _shares(answers: Answered) -> dict[str, Estimate | None]:
    """A patient's vertebrae are alike, and count as fewer in the intervals."""
    told, truth, positive = answers.answered, answers.truth, answers.positive
    right = positive == truth
    among = {"accuracy": told, "sensitivity": told & truth, "specificity": told & ~truth,
             "ppv": positive, "npv": answers.negative}  # fmt: skip
    return {name: share(right[of], answers.patients[of]) for name, of in among.items()}


def _balanced(answers: Answered) -> Estimate | None:
    """Over patients; by square-and-add where all of them are alike."""
    shares = _shares(answers)
    plain = mean_of_shares(shares["sensitivity"], shares["specificity"])
    if plain is None:
        return None
    found = bootstrap(
        lambda rows: answers.taken(rows).confusion.balanced_accuracy, answers.patients
    )
    return plain if found is None or found.low is None else found


def _shown(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high, "method": found.method}
