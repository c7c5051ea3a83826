"""Logistic regression on features, with answers to patients that were left out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.manifest.roles import FeatureSpec

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]
FOLDS = 5
SEED = 1


def pipeline(strength: float = 1.0) -> Any:
    """Features scaled to a spread of one, then logistic regression. strength: scikit-learn's C; the
    smaller, the nearer to zero the weights are kept."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def usual(values: Floats) -> Floats:
    """(features,) medians of what is known; 0 where nothing is."""
    known = np.isfinite(values)
    return np.array(
        [np.median(values[so, i]) if so.any() else 0.0 for i, so in enumerate(known.T)], float
    )


def completed(values: Floats, by: Floats) -> NDArray[np.float32]:
    """(n, features) with `by` where a value is not known, in the network's 32 bits."""
    return np.where(np.isfinite(values), values, by[None]).astype(np.float32)


def fitted(values: Floats, malignant: Bools, strength: float = 1.0) -> tuple[Any, Floats]:
    """The pipeline, and what stands for missing values."""
    by = usual(values)
    return pipeline(strength).fit(completed(values, by), malignant), by


def left_out(
    values: Floats, malignant: Bools, patients: Sequence[str], strength: float = 1.0
) -> Floats:
    """(n,) p(malignant), each by a model that saw no vertebra of its patient: medians, too, are of
    the others."""
    p = np.full(len(malignant), np.nan)
    for learn, held in folds(malignant, patients):
        model, by = fitted(values[learn], malignant[learn], strength)
        p[held] = model.predict_proba(completed(values[held], by))[:, 1]
    return p


def folds(
    malignant: Bools, patients: Sequence[str], seed: int = SEED
) -> Iterator[tuple[Indices, Indices]]:
    """What is learnt from and what is left out, whole patients; without folds that hold all of a
    cause, whose cases stay without an answer."""
    from sklearn.model_selection import StratifiedGroupKFold

    many = min(FOLDS, len(set(patients)))
    split = StratifiedGroupKFold(many, shuffle=True, random_state=seed)
    for learn, held in split.split(malignant[:, None], malignant, np.array(patients)):
        if len(set(malignant[learn].tolist())) == 2:
            yield learn, held


def feature_specs(names: Sequence[str], by: Floats) -> tuple[FeatureSpec, ...]:
    """For the manifest."""
    return tuple(
        FeatureSpec(name=name, usual=float(f"{value:.7g}"))
        for name, value in zip(names, by.tolist(), strict=True)
    )
