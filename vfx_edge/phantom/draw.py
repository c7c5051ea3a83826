"""Random examinations for training: what a department's archive might hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from vfx_edge.phantom.levels import column_levels
from vfx_edge.phantom.spec import (
    Arms,
    Contrast,
    FractureKind,
    FractureSpec,
    LesionKind,
    LesionSpec,
    PhantomSpec,
)

# First and last level in view, and how often such a scan turns up.
_SCANS: tuple[tuple[str, str, float], ...] = (
    ("C7", "L2", 0.22),
    ("T1", "L5", 0.24),
    ("T10", "L5", 0.20),
    ("T8", "L5", 0.08),
    ("T3", "T12", 0.06),
    ("L1", "L5", 0.08),
    ("C2", "T4", 0.04),
    ("C1", "L5", 0.04),
    ("T11", "L3", 0.04),
)
# Fractures cluster at the thoracolumbar junction and mid-thoracic spine.
_FRAGILE = {"T6": 1.5, "T7": 2.0, "T8": 2.0, "T11": 2.0, "T12": 3.5, "L1": 4.0, "L2": 2.0}


@dataclass(frozen=True)
class DrawOptions:
    """Limits of :func:`random_spec`; lengths in mm, ``fixed_grid`` leaves the
    field of view as given instead of drawing one."""

    pixel_mm: float = 1.5
    spacing_mm: float = 1.5
    matrix: tuple[int, int] = (256, 256)
    slices: int | None = None
    levels: tuple[str, str] | None = None
    fracture_rate: float = 0.45
    lesion_rate: float = 0.25
    metal_rate: float = 0.04
    transition_rate: float = 0.12
    randomness: float = 1.0


def _counts(rng: np.random.Generator, options: DrawOptions) -> tuple[int, int]:
    if rng.random() >= options.transition_rate:
        return 12, 5
    pairs = ((12, 6), (12, 4), (11, 5), (13, 5), (13, 4), (11, 6))
    return pairs[int(rng.choice(len(pairs), p=(0.4, 0.2, 0.15, 0.15, 0.05, 0.05)))]


def _view(
    rng: np.random.Generator, present: Sequence[str], options: DrawOptions
) -> tuple[str, str]:
    if options.levels is not None:
        return options.levels
    share = np.array([scan[2] for scan in _SCANS])
    first, last, _ = _SCANS[int(rng.choice(len(_SCANS), p=share / share.sum()))]
    at = present.index(first) if first in present else 0
    to = present.index(last) if last in present else len(present) - 1
    at = int(np.clip(at + rng.integers(-1, 2), 0, len(present) - 2))
    to = int(np.clip(to + rng.integers(-1, 2), at + 1, len(present) - 1))
    return present[at], present[to]


def _fractures(
    rng: np.random.Generator, seen: Sequence[str], rate: float
) -> tuple[FractureSpec, ...]:
    usable = [v for v in seen if not v.startswith("C")]
    if rng.random() >= rate or not usable:
        return ()
    weight = np.array([_FRAGILE.get(v, 1.0) for v in usable])
    count = min(len(usable), 1 + int(rng.geometric(0.6) - 1))
    chosen = rng.choice(len(usable), size=count, replace=False, p=weight / weight.sum())
    made = []
    for i in chosen:
        kind = get_args(FractureKind)[int(rng.choice(3, p=(0.55, 0.27, 0.18)))]
        loss = float(np.clip(0.12 + rng.gamma(2.0, 0.11), 0.12, 0.75))
        made.append(FractureSpec(usable[int(i)], kind, round(loss, 3), bool(rng.random() < 0.5)))
    return tuple(made)


def _lesions(rng: np.random.Generator, seen: Sequence[str], rate: float) -> tuple[LesionSpec, ...]:
    usable = [v for v in seen if v not in ("C1", "C2")]
    if rng.random() >= rate or not usable:
        return ()
    count = min(len(usable), int(rng.choice([1, 2, 3, 5, 8], p=(0.5, 0.2, 0.12, 0.1, 0.08))))
    chosen = rng.choice(len(usable), size=count, replace=False)
    # Deposits of one patient mostly look alike.
    kind = get_args(LesionKind)[int(rng.choice(3, p=(0.5, 0.25, 0.25)))]
    made = []
    for i in chosen:
        cortex = bool(rng.random() < 0.6) and kind != "sclerotic"
        made.append(
            LesionSpec(
                usable[int(i)],
                kind,
                round(float(rng.uniform(0.08, 1.0)), 3),
                cortex,
                bool(rng.random() < 0.3),
                cortex and bool(rng.random() < 0.4),
                bool(rng.random() < 0.35),
            )
        )
    return tuple(made)


def _metal(rng: np.random.Generator, seen: Sequence[str], rate: float) -> tuple[str, ...]:
    usable = [v for v in seen if v[0] in "TL"]
    if rng.random() >= rate or len(usable) < 2:
        return ()
    count = min(len(usable), int(rng.integers(2, 5)))
    start = int(rng.integers(0, len(usable) - count + 1))
    return tuple(usable[start : start + count])


def random_spec(rng: np.random.Generator, options: DrawOptions | None = None) -> PhantomSpec:
    """Draw one training example with domain randomisation."""
    opt = options or DrawOptions()
    counts = _counts(rng, opt)
    present = column_levels(*counts)
    view = _view(rng, present, opt)
    seen = present[present.index(view[0]) : present.index(view[1]) + 1]
    age = float(rng.beta(2.2, 1.4))
    curve = 12.0 if rng.random() < 0.25 else 3.0
    return PhantomSpec(
        levels=view,
        slices=opt.slices,
        spacing_mm=opt.spacing_mm,
        pixel_mm=opt.pixel_mm,
        matrix=opt.matrix,
        fractures=_fractures(rng, seen, opt.fracture_rate),
        lesions=_lesions(rng, seen, opt.lesion_rate),
        thoracic_count=counts[0],
        lumbar_count=counts[1],
        scoliosis_deg=round(float(np.clip(rng.normal(0, curve), -45, 45)), 2),
        kyphosis_scale=round(float(np.clip(rng.normal(0.95 + 0.35 * age, 0.22), 0.4, 1.9)), 3),
        lordosis_scale=round(float(np.clip(rng.normal(1.0, 0.22), 0.4, 1.6)), 3),
        stature=round(float(np.clip(rng.normal(1.0, 0.065), 0.82, 1.18)), 4),
        body_size=round(float(np.clip(rng.normal(1.05, 0.22), 0.6, 1.8)), 3),
        bone_density=round(float(np.clip(rng.normal(1.05 - 0.55 * age, 0.14), 0.25, 1.3)), 3),
        degeneration=round(float(np.clip(rng.normal(age, 0.25) - 0.2, 0, 1)), 3),
        contrast=get_args(Contrast)[int(rng.choice(3, p=(0.4, 0.2, 0.4)))],
        arms=get_args(Arms)[int(rng.random() < 0.2)],
        metal=_metal(rng, seen, opt.metal_rate),
        **_acquisition(rng, opt),
    )


def _acquisition(rng: np.random.Generator, opt: DrawOptions) -> dict[str, Any]:
    """Scanner side of a draw."""
    slices_mm = [0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0]
    native = float(rng.choice(slices_mm, p=(0.1, 0.2, 0.15, 0.15, 0.12, 0.08, 0.1, 0.1)))
    small = rng.random() < 0.12
    shift = rng.normal(0, 12.0, 2)
    return {
        "noise_hu": round(float(np.exp(rng.normal(np.log(11.0), 0.6))), 2),
        "slice_thickness_mm": max(native, opt.spacing_mm),
        "sharpness": round(float(np.clip(rng.normal(0.05, 0.5), -1, 1)), 3),
        "margin_mm": (round(float(rng.uniform(-14, 35)), 2), round(float(rng.uniform(-14, 45)), 2)),
        "fov_shift_mm": (round(float(shift[0]), 2), round(float(shift[1]), 2)),
        "circular_fov": bool(small),
        "randomness": opt.randomness,
        "seed": int(rng.integers(0, 2**31 - 1)),
    }
