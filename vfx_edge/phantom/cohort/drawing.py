"""Patients and their examinations, drawn; and the voxels of one examination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from vfx_edge.phantom.draw import DrawOptions, random_spec
from vfx_edge.phantom.make import Phantom, make_phantom
from vfx_edge.phantom.signs import Rng, paint_benign_signs, random_fracture, random_lesion
from vfx_edge.phantom.spec import FractureSpec, LesionSpec, PhantomSpec
from vfx_edge.vocabulary import T1_TO_L5, Level

DRAW = 1
"""Goes into every seed: another number gives other cohorts."""
SPLITS = ("train",) * 7 + ("validation",) * 2 + ("test",) * 2
"""Of every eleven patients: 18 % are held out, as in the study, and as many validate."""
CAUSES = {"osteoporotic": 0.45, "malignant": 0.45, "intact": 0.10}
"""Why a patient's vertebrae are as they are, and how often."""
AGE_YEARS = (69.0, 13.0)
"""Mean and standard deviation in the study."""
TWO_STUDIES = 0.12
"""Share of patients who were scanned twice."""
DENSITIES = {"osteoporotic": (0.25, 0.8), "malignant": (0.3, 1.1), "intact": (0.3, 1.2)}
LOSSES = (0.22, 0.65)
"""Of height: what is called a fracture is at least of Genant's grade 1."""
LESIONS_BESIDE = 0.25
"""Share of the unbroken vertebrae of a malignant patient that carry a lesion."""
JUNCTION = 0.85
"""Share of studies that show T12 or L1, as most do in which fractures are looked for."""
PIXEL_MM, ROWS, COLUMNS = 1.25, 120, 160


@dataclass(frozen=True)
class Scanner:
    """noise_hu as in `PhantomSpec`, here its median."""

    name: str
    noise_hu: float
    sharpness: float
    slice_mm: float


SCANNERS = (
    Scanner("Alder", 9.0, 0.0, 1.25),
    Scanner("Birch", 14.0, 0.4, 1.25),
    Scanner("Cedar", 11.0, -0.3, 2.5),
)


@dataclass(frozen=True)
class _Patient:
    name: str
    split: str
    cause: str
    sex: str
    age: int
    studies: int


@dataclass(frozen=True)
class CohortStudy:
    """One examination. labels: level -> osteoporotic, malignant, intact or intact_lesion, of every
    level that the spec names; each lies wholly in view."""

    number: int
    name: str
    patient: str
    split: str
    sex: str
    age: int
    scanner: str
    spec: PhantomSpec
    labels: Mapping[str, str]
    seed: int

    @property
    def contrast(self) -> bool:
        """Whether a contrast agent was given."""
        return self.spec.contrast != "none"

    def genant(self, level: str) -> int:
        """Grade 0..3 of the height that is lost (Genant et al. 1993: 20, 25 and 40 %)."""
        loss = next((f.loss for f in self.spec.fractures if f.level == level), 0.0)
        return sum(loss >= limit for limit in (0.20, 0.25, 0.40))

    def rng(self, purpose: int) -> Rng:
        """Random numbers of this study for one purpose; the same ones each time."""
        return np.random.default_rng([self.seed, DRAW, 1, self.number, purpose])


def draw_cohort(
    studies: int, seed: int, levels: tuple[str, str] = ("T1", "L5")
) -> tuple[CohortStudy, ...]:
    """`studies` examinations within `levels`. ValueError where they are fewer than three."""
    seen = tuple(v for v in T1_TO_L5 if Level(levels[0]) <= v <= Level(levels[1]))
    if len(seen) < 3:
        raise ValueError("a cohort needs three levels or more, from T1 to L5")
    if seed < 0:
        raise ValueError("seed must not be negative")
    return tuple(islice(_studies(seed, seen), studies))


def make_study(study: CohortStudy) -> tuple[npt.NDArray[np.int16], Phantom]:
    """(z, y, x) HU with the signs of the fractures' cause, and the phantom they were painted on."""
    phantom = make_phantom(study.spec)
    hu, rng = phantom.hu.copy(), study.rng(2)
    for level in phantom.truth.levels:
        if study.labels.get(level.level) == "osteoporotic":
            paint_benign_signs(hu, phantom, level, rng)
    return hu, phantom


def _studies(seed: int, seen: tuple[Level, ...]) -> Iterator[CohortStudy]:
    number = 0
    for patient in _patients(seed):
        for visit in range(patient.studies):
            yield _study(patient, visit, number, seed, seen)
            number += 1


def _patients(seed: int) -> Iterator[_Patient]:
    number = 0
    while True:
        order = np.random.default_rng([seed, DRAW, 2, number]).permutation(len(SPLITS))
        for place in order:
            rng = np.random.default_rng([seed, DRAW, 0, number])
            cause = str(rng.choice(list(CAUSES), p=list(CAUSES.values())))
            age = int(np.clip(rng.normal(*AGE_YEARS), 35, 98))
            sex = "FM"[int(rng.random() < 0.5)]
            yield _Patient(
                f"patient{number + 1:04d}", SPLITS[int(place)], cause, sex,
                age, 1 + int(rng.random() < TWO_STUDIES),
            )  # fmt: skip
            number += 1


def _study(
    patient: _Patient, visit: int, number: int, seed: int, seen: tuple[Level, ...]
) -> CohortStudy:
    rng = np.random.default_rng([seed, DRAW, 3, number])
    levels = [level.value for level in _window(seen, rng)]
    fractures, lesions, labels = _damage(patient.cause, levels, rng)
    scanner = SCANNERS[int(rng.integers(len(SCANNERS)))]
    spec = replace(
        _spec_of(patient, (levels[0], levels[-1]), rng),
        fractures=fractures,
        lesions=lesions,
        spacing_mm=scanner.slice_mm,
        slice_thickness_mm=scanner.slice_mm,
        sharpness=scanner.sharpness,
        noise_hu=round(scanner.noise_hu * float(np.exp(rng.normal(0, 0.2))), 2),
    )
    return CohortStudy(
        number, f"phantom{number + 1:04d}", patient.name, patient.split, patient.sex,
        patient.age + visit, scanner.name, spec, labels, seed,
    )  # fmt: skip


def _spec_of(patient: _Patient, view: tuple[str, str], rng: Rng) -> PhantomSpec:
    """Anatomy and field: a small one about the spine, its processes and the skin behind them."""
    options = DrawOptions(PIXEL_MM, PIXEL_MM, (ROWS, COLUMNS), None, view, 0.0, 0.0, 0.0, 0.0)
    drawn = random_spec(rng, options)
    woman = patient.sex == "F"
    aside, back = rng.normal((0.0, 14.0), (5.0, 3.0))
    return replace(
        drawn,
        scoliosis_deg=float(np.clip(drawn.scoliosis_deg, -15, 15)),
        stature=round(float(np.clip(drawn.stature * (0.97 if woman else 1.03), 0.85, 1.15)), 4),
        body_size=round(float(np.clip(drawn.body_size, 0.7, 1.4)), 3),
        bone_density=round(float(rng.uniform(*DENSITIES[patient.cause])), 3),
        margin_mm=(35.0, 35.0),
        fov_shift_mm=(round(float(aside), 2), round(float(back), 2)),
        circular_fov=False,
    )


def _window(seen: tuple[Level, ...], rng: Rng) -> tuple[Level, ...]:
    """Four to six neighbouring levels."""
    count = min(int(rng.integers(4, 7)), len(seen))
    starts = np.arange(len(seen) - count + 1)
    shown = [{Level.T12, Level.L1} & set(seen[at : at + count]) for at in starts]
    if any(shown) and rng.random() < JUNCTION:
        starts = starts[[bool(one) for one in shown]]
    at = int(rng.choice(starts))
    return seen[at : at + count]


def _damage(
    cause: str, levels: list[str], rng: Rng
) -> tuple[tuple[FractureSpec, ...], tuple[LesionSpec, ...], dict[str, str]]:
    """Fractures, lesions, and the label of each level."""
    labels = dict.fromkeys(levels, "intact")
    if cause == "intact":
        return (), (), labels
    count = 1 + int(rng.choice(3, p=(0.6, 0.3, 0.1)))
    for level in rng.choice(levels, size=count, replace=False):
        labels[str(level)] = cause
    for level in levels:
        if cause == "malignant" and labels[level] == "intact" and rng.random() < LESIONS_BESIDE:
            labels[level] = "intact_lesion"
    broken = [level for level in levels if labels[level] == cause]
    ill = [level for level in levels if labels[level] in ("malignant", "intact_lesion")]
    fractures = [
        replace(random_fracture(level, rng), loss=round(float(rng.uniform(*LOSSES)), 3))
        for level in broken
    ]
    return tuple(fractures), tuple(random_lesion(level, rng) for level in ill), labels
