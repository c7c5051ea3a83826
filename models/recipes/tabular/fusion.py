"""The weights of network and tabular answers, and how good each is on patients left out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.recipes.tabular.fit import Bools, Floats, fitted, left_out
from models.recipes.tabular.table import Answered
from vfx_edge.evaluation.roc import Difference, auc_delong, delong_test

FREE = 100.0
"""scikit-learn's C: two weights need no rein."""


@dataclass(frozen=True, eq=False)
class Fused:
    """model: fitted on all cases. p: (n,) p(malignant) by models that saw no vertebra of the
    patient, NaN where none could be fitted."""

    cases: Answered
    model: Any
    p: Floats

    @property
    def held(self) -> Bools:
        """(n,) the cases that have such an answer."""
        return np.isfinite(self.p)

    @property
    def against_network(self) -> Difference | None:
        """The areas under both ROC curves, fusion first (DeLong over patients)."""
        held = self.held
        patients = np.array(self.cases.patients)[held]
        network, truth = self.cases.network[held], self.cases.malignant[held]
        return delong_test(self.p[held], network, truth, patients)


def fuse(cases: Answered) -> Fused:
    """Calibrated stacking: logistic regression on both log odds."""
    rows, truth = cases.log_odds, cases.malignant
    model, _ = fitted(rows, truth, FREE)
    return Fused(cases, model, left_out(rows, truth, cases.patients, FREE))


def area(p: Floats, malignant: Bools, patients: tuple[str, ...]) -> str:
    """ "AUC 0.81 (0.72–0.88)", of the cases that have an answer."""
    held = np.isfinite(p)
    found = auc_delong(p[held], malignant[held], np.array(patients)[held])
    if found is None:
        return "no AUC: a cause is missing"
    if found.low is None or found.high is None:
        return f"AUC {found.value:.3f}"
    return f"AUC {found.value:.3f} ({found.low:.3f}–{found.high:.3f})"
