"""The weights of network and tabular answers, and how good each is on patients left out."""

from dataclasses import dataclass

import numpy as np

from models.recipes.tabular.fit import SEED, Bools, Floats, folds
from models.recipes.tabular.stacking import Weights, stacked
from models.recipes.tabular.table import Answered
from vfx_edge.evaluation.roc import Difference, auc_delong, delong_test

TIMES = 5
"""How often the patients are divided anew: one division alone may be lucky."""


@dataclass(frozen=True, eq=False)
class Fused:
    """weights: of all cases. p: (n,) p(malignant) by weights that saw no vertebra of the patient,
    the median over several divisions, NaN where there is none. ranks: (n,) the same as
    `Weights.ranks`, by which areas are computed."""

    cases: Answered
    weights: Weights
    p: Floats
    ranks: Floats

    @property
    def held(self) -> Bools:
        """(n,) the cases that have such an answer."""
        return np.isfinite(self.p)

    @property
    def against_network(self) -> Difference | None:
        """The areas under both ROC curves, fusion first (DeLong over patients)."""
        held = self.held
        patients = np.array(self.cases.patients)[held]
        network = self.cases.log_odds[held, 0]
        return delong_test(self.ranks[held], network, self.cases.malignant[held], patients)


def fuse(cases: Answered) -> Fused:
    """Calibrated stacking."""
    both, truth, patients = cases.log_odds, cases.malignant, np.array(cases.patients)
    told = np.full((TIMES, 2, len(truth)), np.nan)
    for time in range(TIMES):
        for learn, held in folds(truth, cases.patients, SEED + time):
            weights = stacked(both[learn], truth[learn], patients[learn].tolist())
            odds = weights.log_odds(both[held])
            told[time, :, held] = np.stack([1 / (1 + np.exp(-odds)), weights.ranks(both[held])], 1)
    p, ranks = np.median(told, axis=0)
    return Fused(cases, stacked(both, truth, cases.patients), p, ranks)


def area(p: Floats, malignant: Bools, patients: tuple[str, ...]) -> str:
    """ "AUC 0.81 (0.72–0.88)", of the cases that have an answer. p: (n,), or ranks."""
    held = np.isfinite(p)
    found = auc_delong(p[held], malignant[held], np.array(patients)[held])
    if found is None:
        return "no AUC: a cause is missing"
    if found.low is None or found.high is None:
        return f"AUC {found.value:.3f}"
    return f"AUC {found.value:.3f} ({found.low:.3f}–{found.high:.3f})"
