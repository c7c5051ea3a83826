"""Sets of classes that hold the true one with a stated probability.

Class-conditional (Mondrian) split conformal prediction: Vovk, Gammerman and Shafer 2005;
Angelopoulos and Bates 2023. A class is in the set where its probability is at least the class's
limit. For a new case that is exchangeable with those of its class here, the true class is in the
set with at least the coverage asked for, whatever the network is. That is over draws of these
cases, too: of any one calibration the coverage varies around it.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MARGIN = 1e-6
"""Limits are stated so much lower: an answer in 32 bits that equals one must not miss it."""


def least_cases(coverage: float) -> int:
    """Of a class, with which its limit can be set at all: 19 for 0.95."""
    return math.ceil(round(1 / (1 - coverage), 9)) - 1


def class_limit(p: ArrayLike, coverage: float) -> float | None:
    """The limit of one class. p: (n,), that class's probability in n independent cases of it.

    Of n + 1 cases each is as likely to be the new one, so it lies below the k-th smallest of the n
    with probability k / (n + 1) at most. None where there are fewer than `least_cases`.
    """
    values = np.sort(np.asarray(p, np.float64))
    below = math.floor(round((len(values) + 1) * (1 - coverage), 9))
    if below < 1:
        return None
    steps = math.floor(float(values[below - 1]) / _MARGIN) - 1
    return max(steps, 0) * _MARGIN


def one_per_patient(patients: Sequence[Hashable], seed: int = 0) -> NDArray[np.intp]:
    """(m,): numbers of rows, one drawn of each patient: those of one patient are not independent
    (subsampling once: Dunn, Wasserman and Ramdas 2023)."""
    rng = np.random.default_rng(seed)
    rows: dict[Hashable, list[int]] = {}
    for number, patient in enumerate(patients):
        rows.setdefault(patient, []).append(number)
    return np.array([own[rng.integers(len(own))] for own in rows.values()], np.intp)
