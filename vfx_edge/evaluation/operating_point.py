"""Where to call a fracture malignant, osteoporotic or uncertain: two cuts on p(malignant).

    point = choose(p, truth, Wanted(sensitivity=0.95, uncertain=0.2))
    point.threshold_malignant, point.threshold_osteoporotic, point.told.answered.sensitivity

Malignant from the high cut on, osteoporotic below the low one, uncertain between them: the grey
zone of Coste and Pouchot (Int J Epidemiol 2003). Sensitivity and specificity are of the cases that
are told apart, as Foreman et al. 2024 state them. Figures on the very cases that the cuts were
chosen on flatter: `held_out` chooses on other patients than it counts.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vfx_edge.evaluation.intervals import Estimate, proportion
from vfx_edge.evaluation.rates import Confusion, confusion

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_CUTS = 400
"""Of which all pairs are tried; more are thinned evenly."""
LEAST_GAP = 1e-6
"""Two answers that are nearer to each other are not told apart: no cut lies between them."""
SHARES = tuple(step / 20 for step in range(13))
"""Of uncertain ones, for `curve`: 0 to 60 %."""
FOLDS = 10
_EQUAL = 1e-12
"""Shares that differ by less are the same: what is left of 19 / 20 - 0.95."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of the cuts, each 0..1 or None. uncertain: at most this share."""

    sensitivity: float | None = None
    specificity: float | None = None
    uncertain: float | None = None

    def __bool__(self) -> bool:
        return (self.sensitivity, self.specificity, self.uncertain) != (None, None, None)

    def __str__(self) -> str:
        """ "sensitivity 0.95, at most 0.2 uncertain"."""
        named = (("sensitivity", self.sensitivity), ("specificity", self.specificity))
        words = [f"{name} {share:g}" for name, share in named if share is not None]
        if self.uncertain is not None:
            words.append(f"at most {self.uncertain:g} uncertain")
        return ", ".join(words)


@dataclass(frozen=True)
class Told:
    """Cases by what they are and what they were called. Positive is malignant."""

    answered: Confusion
    """Those told apart: sensitivity and specificity are theirs."""
    malignant_uncertain: int
    osteoporotic_uncertain: int

    @property
    def uncertain(self) -> int:
        return self.malignant_uncertain + self.osteoporotic_uncertain

    @property
    def cases(self) -> int:
        return self.answered.cases + self.uncertain

    @property
    def share_uncertain(self) -> Estimate | None:
        return proportion(self.uncertain, self.cases)


@dataclass(frozen=True)
class OperatingPoint:
    """The two cuts, low <= high, what they do on the cases they were chosen on, and whether that
    is what was wanted; where it is not, nothing comes nearer."""

    low: float
    high: float
    told: Told
    met: bool = True

    @property
    def threshold_malignant(self) -> float:
        """Malignant where p(malignant) is at least this."""
        return self.high

    @property
    def threshold_osteoporotic(self) -> float:
        """Else osteoporotic where p(osteoporotic) is at least this."""
        return 1 - self.low


def calls(p: ArrayLike, low: float, high: float) -> NDArray[np.int64]:
    """(n,) p(malignant) -> (n,): 1 malignant, 0 osteoporotic, -1 uncertain."""
    values = np.asarray(p, np.float64)
    return np.where(values >= high, 1, np.where(values < low, 0, -1))


def told(called: ArrayLike, truth: ArrayLike) -> Told:
    """called: (n,) as `calls` has them; truth: (n,) whether malignant."""
    given, malignant = np.asarray(called), np.asarray(truth, bool)
    answered = given >= 0
    return Told(
        confusion(given[answered] == 1, malignant[answered]),
        int((~answered & malignant).sum()),
        int((~answered & ~malignant).sum()),
    )


def cuts(p: ArrayLike) -> Floats:
    """(m,), ascending: one in each gap between answers, also below the lowest and above the
    highest where there is room; in few digits. A cut parts the answers as in 32 bits, too."""
    edges = np.unique(np.concatenate([[0.0], np.asarray(p, np.float64), [1.0]]))
    gaps = np.diff(edges)
    wide = gaps >= LEAST_GAP
    middle, gap = (edges[:-1] + edges[1:])[wide] / 2, gaps[wide]
    scale = 10 ** np.ceil(-np.log10(gap / 4))
    return np.asarray(np.rint(middle * scale) / scale)


def choose(p: ArrayLike, truth: ArrayLike, wanted: Wanted) -> OperatingPoint:
    """The cuts that do what is wanted on these cases, or come nearest to it.

    p: (n,) p(malignant); truth: (n,) whether malignant, some of both. Of a sensitivity alone the
    highest single cut that keeps it, of a specificity alone the lowest; of both a single cut if
    one keeps both, else the smallest grey zone that does. With a share uncertain, of all grey
    zones within it that keep the rest, the best balanced accuracy.
    """
    return _chosen(p, truth, [wanted])[0]


def curve(p: ArrayLike, truth: ArrayLike, shares: Sequence[float] = SHARES) -> list[OperatingPoint]:
    """For each share that may stay uncertain the cuts of the best balanced accuracy."""
    return _chosen(p, truth, [Wanted(uncertain=share) for share in shares])


def held_out(
    p: ArrayLike,
    truth: ArrayLike,
    patients: Sequence[Hashable],
    wanted: Sequence[Wanted],
    seed: int = 0,
) -> NDArray[np.int64] | None:
    """(wanted, n), as `calls`: each patient's cases by cuts that were chosen without that patient.

    What `choose` may be expected to do on new cases. None where a class has one patient only.
    """
    values, malignant = np.asarray(p, np.float64), np.asarray(truth, bool)
    called = np.empty((len(wanted), len(values)), np.int64)
    for left in _folds(malignant, patients, seed):
        rest = ~left
        if malignant[rest].all() or not malignant[rest].any():
            return None
        for number, point in enumerate(_chosen(values[rest], malignant[rest], wanted)):
            called[number, left] = calls(values[left], point.low, point.high)
    return called


def _folds(malignant: Bools, patients: Sequence[Hashable], seed: int) -> Iterator[Bools]:
    """(n,) each, whether left out: patients with and without a malignant case evenly spread."""
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    of_row = np.array([numbers[patient] for patient in patients], np.intp)
    has_malignant = np.zeros(len(numbers), bool)
    has_malignant[of_row[malignant]] = True
    mixed = np.random.default_rng(seed).permutation(len(numbers))
    order = mixed[np.argsort(has_malignant[mixed], kind="stable")]
    fold = np.empty(len(numbers), np.intp)
    fold[order] = np.arange(len(numbers)) % min(FOLDS, len(numbers))
    return (fold[of_row] == number for number in range(fold.max() + 1))


class _Choices(NamedTuple):
    """Operating points side by side, each array (k,): cuts, and malignant and osteoporotic cases
    by whether they are called so."""

    low: Floats
    high: Floats
    malignant: "_Called"
    osteoporotic: "_Called"

    @property
    def sensitivity(self) -> Floats:
        return _ratio(self.malignant)

    @property
    def specificity(self) -> Floats:
        return _ratio(self.osteoporotic)

    @property
    def balanced(self) -> Floats:
        return (self.sensitivity + self.specificity) / 2

    @property
    def uncertain(self) -> Floats:
        both = (self.malignant, self.osteoporotic)
        whole = sum(one.right[0] + one.wrong[0] + one.uncertain[0] for one in both)
        return np.asarray(sum(one.uncertain for one in both) / whole)

    def point(self, number: int, met: bool) -> OperatingPoint:
        own, other = (
            [int(count[number]) for count in one] for one in (self.malignant, self.osteoporotic)
        )
        answered = Confusion(own[0], other[1], other[0], own[1])
        counts = Told(answered, own[2], other[2])
        return OperatingPoint(float(self.low[number]), float(self.high[number]), counts, met)


class _Called(NamedTuple):
    """Numbers of cases of one class, (k,) each."""

    right: NDArray[np.intp]
    wrong: NDArray[np.intp]
    uncertain: NDArray[np.intp]


def _ratio(called: _Called) -> Floats:
    """Right of those told apart; -1 of none, so that nothing wanted is met by telling none."""
    whole = called.right + called.wrong
    return np.where(whole > 0, called.right / np.maximum(whole, 1), -1.0)


def _chosen(p: ArrayLike, truth: ArrayLike, wanted: Sequence[Wanted]) -> list[OperatingPoint]:
    """For each what `choose` says; the pairs of cuts are counted once."""
    one = _single(p, truth)
    pairs: list[_Choices] = []
    found = []
    for each in wanted:
        point = _by_one_cut(one, each)
        if point is None:
            pairs = pairs or [_pairs(p, truth)]
            point = _of_pairs(pairs[0], each)
        found.append(point)
    return found


def _by_one_cut(one: _Choices, wanted: Wanted) -> OperatingPoint | None:
    """None where a grey zone is to be looked for."""
    if wanted.uncertain is not None:
        return None
    if wanted.specificity is None:
        return _last(one, one.sensitivity, wanted.sensitivity or 0.0)
    if wanted.sensitivity is None:
        return _first(one, one.specificity, wanted.specificity)
    short = _shortfall(one, wanted)
    return _best(one, (-short, one.balanced), True) if (short <= 0).any() else None


def _single(p: ArrayLike, truth: ArrayLike) -> _Choices:
    """One cut each: nobody uncertain."""
    at = cuts(p)
    return _counted(at, at, p, truth)


def _pairs(p: ArrayLike, truth: ArrayLike) -> _Choices:
    at = cuts(p)
    if len(at) > MOST_CUTS:
        at = at[np.rint(np.linspace(0, len(at) - 1, MOST_CUTS)).astype(int)]
    low, high = np.triu_indices(len(at))
    return _counted(at[low], at[high], p, truth)


def _counted(low: Floats, high: Floats, p: ArrayLike, truth: ArrayLike) -> _Choices:
    values, malignant = np.asarray(p, np.float64), np.asarray(truth, bool)
    found = []
    for group in (np.sort(values[malignant]), np.sort(values[~malignant])):
        below = np.searchsorted(group, low, "left")
        above = len(group) - np.searchsorted(group, high, "left")
        found.append((below, above, len(group) - below - above))
    (missed, hit, unsure), (spared, alarmed, open_) = found
    return _Choices(low, high, _Called(hit, missed, unsure), _Called(spared, alarmed, open_))


def _last(choices: _Choices, share: Floats, wanted: float) -> OperatingPoint:
    """The last of the single cuts that keeps a share, which falls; else the first."""
    kept = np.flatnonzero(share >= wanted - _EQUAL)
    return choices.point(int(kept[-1]) if len(kept) else 0, len(kept) > 0)


def _first(choices: _Choices, share: Floats, wanted: float) -> OperatingPoint:
    """The first of the single cuts that keeps a share, which rises; else the last."""
    kept = np.flatnonzero(share >= wanted - _EQUAL)
    return choices.point(int(kept[0]) if len(kept) else len(share) - 1, len(kept) > 0)


def _of_pairs(pairs: _Choices, wanted: Wanted) -> OperatingPoint:
    """The best grey zone: nearest to what is wanted, then least uncertain; or, where a share
    uncertain was given, within it and of the best balanced accuracy."""
    short = _shortfall(pairs, wanted)
    if wanted.uncertain is None:
        return _best(pairs, (-short, -pairs.uncertain, pairs.balanced), bool(short.min() <= 0))
    within = pairs.uncertain <= wanted.uncertain + _EQUAL
    met = bool((short[within] <= 0).any())
    keys = (within.astype(float), -short, pairs.balanced, -pairs.uncertain)
    return _best(pairs, keys, met)


def _shortfall(choices: _Choices, wanted: Wanted) -> Floats:
    """By how much sensitivity and specificity together miss what is wanted; 0 where none does."""
    missing = np.zeros(len(choices.low))
    pairs = ((wanted.sensitivity, choices.sensitivity), (wanted.specificity, choices.specificity))
    for share, found in pairs:
        if share is not None:
            missing += np.clip(share - _EQUAL - found, 0, None)
    return missing


def _best(choices: _Choices, keys: Sequence[Floats], met: bool) -> OperatingPoint:
    """The largest by the first key, of equals by the second, and so on; of these the first."""
    left = np.arange(len(choices.low))
    for key in keys:
        own = key[left]
        left = left[own >= own.max() - _EQUAL]
    return choices.point(int(left[0]), met)
