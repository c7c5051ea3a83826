"""What a department may have, drawn with a known truth, and the interval that is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from vfx_edge.evaluation.agreement import cohen_kappa, fleiss_kappa, icc
from vfx_edge.evaluation.intervals import Estimate, Method, bootstrap, proportion, share
from vfx_edge.evaluation.rates import Confusion, confusion
from vfx_edge.evaluation.roc import auc, auc_delong, delong_test

Rng = np.random.Generator
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
RESAMPLES = 1000  # half of what the program draws: it moves an interval's ends by little
VERTEBRAE = (0.55, 0.30, 0.15)  # a patient has 1, 2 or 3, so often
ALIKE = 0.3  # correlation of the answers to vertebrae of one patient
ORDER = ("osteoporotic", "uncertain", "malignant")


@dataclass(frozen=True)
class Setting:
    """draw makes data and asks for the interval; truth: what it should hold. used: whether the
    product shows this interval, else it stands there to be compared with."""

    figure: str
    cases: str
    method: str
    truth: float
    draw: Callable[[Rng], Estimate | None]
    used: bool = True

    @property
    def name(self) -> str:
        return f"{self.figure}, {self.cases}, {self.method}"


def settings() -> tuple[Setting, ...]:
    """Counts and figures like the study's, internal and external."""
    return (
        *(one for row in SHARES for one in _shares(*row)),
        *_clustered_shares(),
        *_balanced(49, 37, 0.94, 0.87),
        *_balanced(35, 30, 0.86, 0.67),
        *_areas(),
        *_kappas(),
        *_measures(),
    )


SHARES = (
    ("sensitivity 94 %", 49, 0.94),
    ("specificity 87 %", 37, 0.87),
    ("sensitivity 86 %", 35, 0.86),
    ("specificity 67 %", 30, 0.67),
    ("accuracy 85 %", 86, 0.85),
    ("share uncertain 23 %", 86, 0.23),
)


def _shares(figure: str, cases: int, truth: float) -> list[Setting]:
    def draw(method: Method, rng: Rng) -> Estimate | None:
        return proportion(int(rng.binomial(cases, truth)), cases, method)

    where = f"{cases} patients"
    return [
        Setting(figure, where, "Wilson", truth, partial(draw, "wilson")),
        Setting(figure, where, "Clopper-Pearson", truth, partial(draw, "clopper-pearson"), False),
    ]


def _owners(patients: int, rng: Rng) -> NDArray[np.intp]:
    """Whose vertebra each is (n,)."""
    return np.repeat(np.arange(patients), rng.choice((1, 2, 3), patients, p=VERTEBRAE))


def _answers(owners: NDArray[np.intp], likely: Floats, rng: Rng) -> Bools:
    """Whether each is answered so, as likely (n,) as is said, alike within a patient."""
    shared, own = rng.normal(size=owners.max() + 1)[owners], rng.normal(size=len(owners))
    return np.asarray(ndtr(ALIKE**0.5 * shared + (1 - ALIKE) ** 0.5 * own) < likely)


def _clustered_shares() -> list[Setting]:
    found = []
    for patients in (80, 40):
        figure, where, truth = "sensitivity 90 %", f"1 to 3 vertebrae of {patients} patients", 0.9

        def draw(interval: str, rng: Rng, patients: int = patients) -> Estimate | None:
            owners = _owners(patients, rng)
            hit = _answers(owners, np.full(len(owners), 0.9), rng)
            if interval == "BCa":
                return bootstrap(lambda n: float(hit[n].mean()), owners, resamples=RESAMPLES)
            return share(hit, owners if interval == "effective" else range(len(hit)))

        found += [
            Setting(figure, where, "Wilson, effective cases", truth, partial(draw, "effective")),
            Setting(figure, where, "BCa over patients", truth, partial(draw, "BCa")),
            Setting(figure, where, "Wilson, as if independent", truth, partial(draw, ""), False),
        ]
    return found


def _balanced_bca(called: Bools, truth: Bools, owners: NDArray[np.intp]) -> Estimate | None:
    codes = called * 2 + truth

    def statistic(drawn: NDArray[np.intp]) -> float | None:
        tn, fn, fp, tp = np.bincount(codes[drawn], minlength=4).tolist()
        return Confusion(tp, fp, tn, fn).balanced_accuracy

    return bootstrap(statistic, owners, resamples=RESAMPLES)


def _balanced(malignant: int, other: int, sensitivity: float, specificity: float) -> list[Setting]:
    truth = np.arange(malignant + other) < malignant
    likely = np.where(truth, sensitivity, 1 - specificity)
    figure = f"balanced accuracy {50 * (sensitivity + specificity):.0f} %"
    value, cases = (sensitivity + specificity) / 2, len(truth)

    def single(interval: str, rng: Rng) -> Estimate | None:
        called = rng.random(cases) < likely
        if interval == "BCa":
            return _balanced_bca(called, truth, np.arange(cases))
        return confusion(called, truth).balanced_accuracy_interval()

    def clustered(rng: Rng) -> Estimate | None:
        owners = _owners(cases, rng)
        return _balanced_bca(_answers(owners, likely[owners], rng), truth[owners], owners)

    where = f"{cases} patients"
    return [
        Setting(figure, where, "BCa over patients", value, partial(single, "BCa")),
        Setting(figure, where, "square-and-add", value, partial(single, "Wilson")),
        Setting(figure, f"1 to 3 vertebrae of {where}", "BCa over patients", value, clustered),
    ]


def _scores(truth: Bools, owners: NDArray[np.intp], area: float, rng: Rng) -> Floats:
    """Normal scores (n,) whose area under the curve is `area`, alike within a patient."""
    shared, own = rng.normal(size=owners.max() + 1)[owners], rng.normal(size=len(owners))
    noise = ALIKE**0.5 * shared + (1 - ALIKE) ** 0.5 * own
    return np.asarray(noise + truth * 2**0.5 * ndtri(area))


def _areas() -> list[Setting]:
    truth = np.arange(86) < 49
    found = [_difference(truth)]
    for area in (0.85, 0.95):

        def single(interval: str, rng: Rng, area: float = area) -> Estimate | None:
            p = _scores(truth, np.arange(86), area, rng)
            if interval == "DeLong":
                return auc_delong(p, truth)
            return bootstrap(lambda n: auc(p[n], truth[n]), range(86), resamples=RESAMPLES)

        def clustered(interval: str, rng: Rng, area: float = area) -> Estimate | None:
            owners = _owners(151, rng)
            so = (np.arange(151) < 86)[owners]
            p = _scores(so, owners, area, rng)
            if interval == "DeLong":
                return auc_delong(p, so, owners)
            return bootstrap(lambda n: auc(p[n], so[n]), owners, resamples=RESAMPLES)

        figure, many = f"rank AUC {area:g}", "1 to 3 vertebrae of 151 patients"
        found += [
            Setting(figure, "86 patients", "DeLong, logit scale", area, partial(single, "DeLong")),
            Setting(figure, "86 patients", "BCa over patients", area, partial(single, "BCa")),
            Setting(figure, many, "DeLong over patients", area, partial(clustered, "DeLong")),
            Setting(figure, many, "BCa over patients", area, partial(clustered, "BCa")),
        ]
    return found


def _difference(truth: Bools) -> Setting:
    def draw(rng: Rng) -> Estimate | None:
        shared, noise = rng.normal(size=len(truth)), rng.normal(size=(2, len(truth)))
        p = [
            0.5**0.5 * (shared + own) + truth * 2**0.5 * ndtri(area)
            for area, own in zip((0.85, 0.75), noise, strict=True)
        ]
        found = delong_test(p[0], p[1], truth)
        return found.difference if found else None

    return Setting("difference of two AUC, 0.10", "86 patients, read by both", "DeLong", 0.1, draw)


def _joint(right: tuple[float, float], malignant: float) -> Floats:
    """(3, 3) how often two readers give each pair of answers: each is right so often, unsure in
    half of what is left, whatever the other says."""
    given = np.zeros((3, 3))
    for truth, often in ((0, 1 - malignant), (2, malignant)):
        own = [np.where(np.arange(3) == truth, r, (1 - r) / 2) for r in right]
        given += often * np.outer(*own)
    return given


def _kappa_truth(given: Floats, weights: Floats) -> float:
    expected = float(given.sum(1) @ weights @ given.sum(0))
    return (float((weights * given).sum()) - expected) / (1 - expected)


def _kappas() -> list[Setting]:
    steps = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) / 2
    found = [_fleiss()]
    for cases, right in ((86, (0.8, 0.75)), (86, (0.95, 0.95)), (20, (0.8, 0.8))):
        given = _joint(right, 0.57)

        def draw(
            linear: bool, rng: Rng, cases: int = cases, given: Floats = given
        ) -> Estimate | None:
            picked = rng.choice(9, cases, p=given.ravel())
            one, other = (picked // 3).tolist(), (picked % 3).tolist()
            return cohen_kappa(one, other, "linear" if linear else None, (0, 1, 2))

        for linear, title in ((False, "Cohen's kappa"), (True, "kappa, linear weights")):
            truth = _kappa_truth(given, 1 - steps if linear else np.eye(3))
            figure, method = f"{title} {truth:.2f}", "Fisher's z, Student's t"
            found.append(Setting(figure, f"{cases} cases", method, truth, partial(draw, linear)))
    return [*found, _kappa_of_patients()]


def _kappa_of_patients() -> Setting:
    """In so many patients the readers say the same of all vertebrae."""
    given, where = _joint((0.8, 0.75), 0.57), "1 to 3 vertebrae of 86 patients"

    def draw(rng: Rng) -> Estimate | None:
        owners = _owners(86, rng)
        own, theirs = (rng.choice(9, n, p=given.ravel()) for n in (len(owners), 86))
        picked = np.where((rng.random(86) < ALIKE)[owners], theirs[owners], own)
        one, other = (picked // 3).tolist(), (picked % 3).tolist()
        return cohen_kappa(one, other, None, (0, 1, 2), patients=owners)

    truth = _kappa_truth(given, np.eye(3))
    method = "Fisher's z over patients, Student's t"
    return Setting(f"Cohen's kappa {truth:.2f}", where, method, truth, draw)


def _fleiss() -> Setting:
    right, malignant = 0.8, 0.57
    truth = _kappa_truth(_joint((right, right), malignant), np.eye(3))

    def draw(rng: Rng) -> Estimate | None:
        so = np.where(rng.random(86) < malignant, 2, 0)[:, None]
        other = (so + rng.integers(1, 3, (86, 3))) % 3
        return fleiss_kappa(
            np.where(rng.random((86, 3)) < right, so, other).tolist(), resamples=RESAMPLES
        )

    return Setting(
        f"Fleiss' kappa {truth:.2f}", "86 cases, 3 readers", "BCa over cases", truth, draw
    )


def _measures() -> list[Setting]:
    found = []
    for cases in (20, 86):

        def rated(kind: str, rng: Rng, cases: int = cases) -> Estimate | None:
            table = rng.normal(size=(cases, 1)) * 0.8 + rng.normal(size=(cases, 3)) * 0.5
            level = rng.normal(size=3) * (0.3 if kind == "ICC(2,1)" else 0.0)
            return icc(table + level, "ICC(2,1)" if kind == "ICC(2,1)" else "ICC(1,1)")

        for kind, levels in (("ICC(1,1)", 0.0), ("ICC(2,1)", 0.09)):
            truth, where = 0.64 / (0.64 + 0.25 + levels), f"{cases} cases, 3 readers"
            found.append(Setting(f"{kind} {truth:.2f}", where, "F", truth, partial(rated, kind)))
    return [*found, _icc_of_patients(), _deviation()]


def _icc_of_patients() -> Setting:
    """Vertebrae of one patient are alike, and so are the readers' errors in them."""

    def drawn(owners: NDArray[np.intp], readers: int, rng: Rng) -> Floats:
        shared, own = (rng.normal(size=(n, readers)) for n in (86, len(owners)))
        return np.asarray(ALIKE**0.5 * shared[owners] + (1 - ALIKE) ** 0.5 * own)

    def draw(rng: Rng) -> Estimate | None:
        owners = _owners(86, rng)
        table = 0.8 * drawn(owners, 1, rng) + 0.5 * drawn(owners, 2, rng)
        return icc(table, "ICC(2,1)", patients=owners)

    where, truth = "1 to 3 vertebrae of 86 patients, 2 readers", 0.64 / 0.89
    return Setting(f"ICC(2,1) {truth:.2f}", where, "jackknife over patients", truth, draw)


def _deviation() -> Setting:
    """Of pairs of measurements: vertebrae of one patient have noise of like size."""

    def draw(rng: Rng) -> Estimate | None:
        owners = _owners(86, rng)
        size = np.exp(rng.normal(size=86) * 0.2 - 0.04)[owners]  # mean square 1
        squares = (rng.normal(size=len(owners)) * size * 2**0.5) ** 2 / 2
        return bootstrap(lambda n: float(squares[n].mean() ** 0.5), owners, resamples=RESAMPLES)

    where = "pairs, 1 to 3 vertebrae of 86 patients"
    return Setting("within-subject SD 1 mm", where, "BCa over patients", 1.0, draw)
