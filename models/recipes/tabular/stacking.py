"""The weights of two readers: logistic regression on both log odds, neither counted below nothing.

Weights that can't be negative are Breiman's (Stacked Regressions, 1996) and van der Laan's (Super
Learner, 2007): without them a stack learns from chance that a reader speaks for the contrary. The
weight of the numbers is besides drawn towards nothing, which is the network alone, by what chance
alone would make of it: a reader that tells nothing is left out, as with a lasso.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.recipes.tabular.fit import Bools, Floats

NOISE = 1.0
"""How many standard errors of its slope the weight of the numbers must overcome."""
_FLAT = 1e-4
"""Ridge on both weights: without it they have no end where the readers are never wrong."""


@dataclass(frozen=True)
class Weights:
    """Of the log odds of network and tabular network, at least 0, and what is added to them."""

    network: float
    tabular: float
    constant: float

    def log_odds(self, both: Floats) -> Floats:
        """both: (n, 2) -> (n,) ln(p(malignant) / p(osteoporotic))."""
        found: Floats = both @ np.array([self.network, self.tabular]) + self.constant
        return found

    def ranks(self, both: Floats) -> Floats:
        """(n,) in the order of `log_odds`, on the network's own scale. Answers of several weights
        are pooled by it: their own constants differ by chance, and would move whole folds."""
        if self.network + self.tabular == 0:
            return np.asarray(both[:, 0])
        share = self.tabular / (self.network + self.tabular)
        found: Floats = both @ np.array([1 - share, share])
        return found

    def pipeline(self) -> Any:
        """As scikit-learn's, to be exported."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        model = LogisticRegression()
        model.classes_ = np.array([False, True])
        model.coef_ = np.array([[self.network, self.tabular]])
        model.intercept_ = np.array([self.constant])
        model.n_features_in_ = 2
        return make_pipeline(model)


def stacked(both: Floats, malignant: Bools, patients: Sequence[str]) -> Weights:
    """both: (n, 2) log odds of network and tabular network. Both causes must be among them."""
    alone = _fitted(both * [1, 0], malignant, 0.0)
    return _fitted(both, malignant, NOISE * _noise(both, malignant, patients, alone))


def _fitted(both: Floats, malignant: Bools, price: float) -> Weights:
    """The least mean log loss, `price` for each unit of the second weight added."""
    from scipy.optimize import minimize

    middle = both.mean(0)
    both = both - middle  # what is the same of all tells nothing

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = both @ weights[:2] + weights[2]
        off = _p(odds) - malignant
        value = np.logaddexp(0, np.where(malignant, -odds, odds)).mean()
        value += price * weights[1] + _FLAT / 2 * (weights[:2] ** 2).sum()
        slope = np.array([*(off @ both) / len(off), off.mean()])
        slope[:2] += _FLAT * weights[:2]
        slope[1] += price
        return float(value), slope

    bounds = [(0, None), (0, None), (None, None)]
    found = minimize(loss, [1.0, 0.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B")
    constant = found.x[2] - middle @ found.x[:2]
    return Weights(float(found.x[0]), float(found.x[1]), float(constant))


def _noise(both: Floats, malignant: Bools, patients: Sequence[str], alone: Weights) -> float:
    """Standard error, over patients, of the loss's slope in the second weight where it is 0 (the
    efficient score's, as the other two were fitted)."""
    p = _p(alone.log_odds(both))
    root = np.sqrt(p * (1 - p))[:, None]
    fitted = np.stack([both[:, 0], np.ones(len(p))], 1)
    known = np.linalg.lstsq(fitted * root, both[:, 1:] * root, rcond=None)[0]
    own = (malignant - p) * (both[:, 1] - (fitted @ known)[:, 0])
    whose = np.unique(np.array(patients), return_inverse=True)[1]
    return float(np.sqrt((np.bincount(whose, own) ** 2).sum()) / len(own))


def _p(odds: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(odds), float)
