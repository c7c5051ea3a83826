"""Crops about phantom vertebrae: osteoporotic fractures, malignant ones, and intact vertebrae.

The signs are those of the paper's table 1: lesions that destroy cortex, marrow or pedicle,
soft-tissue masses and a convex posterior border make a fracture malignant; sharp lines in thin
bone, a vacuum cleft or a sclerotic band under an endplate make it osteoporotic.
"""

from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.files import replacing
from vfx_edge.phantom import (
    DrawOptions,
    FractureSpec,
    LesionSpec,
    LevelTruth,
    Part,
    Phantom,
    PhantomSpec,
    make_phantom,
    random_spec,
)
from vfx_edge.phantom.spec import FractureKind, LesionKind
from vfx_edge.vocabulary import T1_TO_L5, Level

STORED = 84  # edge of stored crops in mm: room to rotate and shift a crop of 64
DRAW = 6  # goes into every seed: another number gives other phantoms
MIDDLES = ("T3", "T5", "T7", "T9", "T11", "T12", "L1", "L2", "L3", "L4")  # of three levels
Rng = np.random.Generator
Crop = tuple[NDArray[np.int16], NDArray[np.bool_]]  # HU and bone, both (84, 84, 84) at 1 mm


class Kind(IntEnum):
    """Why a vertebra looks as it does; the first two are the network's classes."""

    OSTEOPOROTIC = 0
    MALIGNANT = 1
    INTACT = 2
    ELSEWHERE = 3
    """No vertebra at all: lung, abdomen, muscle, neck."""


def _lesion(level: str, rng: Rng) -> LesionSpec:
    """Mostly with another sign of malignancy; a small one has at least one."""
    kinds: tuple[LesionKind, ...] = ("lytic", "mixed", "sclerotic")
    kind = kinds[int(rng.choice(3, p=(0.45, 0.3, 0.25)))]
    cortex, pedicle, mass, convex = rng.random(4) < (0.7, 0.45, 0.5, 0.6)
    extent = float(rng.uniform(0.3, 1.0))
    return LesionSpec(
        level,
        kind,
        extent,
        destroys_cortex=bool(cortex) or extent < 0.5,
        destroys_pedicle=bool(pedicle),
        soft_tissue_mass=bool(mass),
        convex_posterior_border=bool(convex),
    )


def _fracture(level: str, rng: Rng) -> FractureSpec:
    kind: FractureKind = get_args(FractureKind)[int(rng.integers(3))]
    loss, recent = float(rng.uniform(0.15, 0.65)), bool(rng.random() < 0.5)
    return FractureSpec(level, kind, loss, recent)


def phantom_spec(kind: Kind, seed: int) -> PhantomSpec:
    """Three neighbouring vertebrae, all of one kind, in a patient and a scanner of their own."""
    kind = Kind.INTACT if kind is Kind.ELSEWHERE else kind
    rng = np.random.default_rng([seed, kind, DRAW])
    middle = T1_TO_L5.index(Level(MIDDLES[int(rng.integers(len(MIDDLES)))]))
    levels = [level.value for level in T1_TO_L5[middle - 1 : middle + 2]]
    view = levels[0], levels[-1]
    options = DrawOptions(1.0, 1.0, (256, 256), None, view, 0.0, 0.0, 0.0, 0.0)
    malignant = kind is Kind.MALIGNANT
    # The paper's approach 2: intact vertebrae with lesions teach as well as fractures.
    broken = [v for v in levels if not malignant or rng.random() < 0.8]
    thinnest, densest = ((0.25, 0.8), (0.3, 1.1), (0.3, 1.2))[kind]
    return replace(
        random_spec(rng, options),
        fractures=() if kind is Kind.INTACT else tuple(_fracture(v, rng) for v in broken),
        lesions=tuple(_lesion(v, rng) for v in levels) if malignant else (),
        bone_density=float(rng.uniform(thinnest, densest)),
        margin_mm=(25.0, 25.0),
    )


def crops(kind: Kind, seed: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """(n, 84, 84, 84) HU at 1 mm about each body, and bool bone of the same shape."""
    phantom = make_phantom(phantom_spec(kind, seed))
    rng = np.random.default_rng([seed, kind, DRAW, 1])
    bone = np.isin(phantom.parts, (Part.BODY, Part.POSTERIOR))
    if kind is Kind.ELSEWHERE:
        return _cut(phantom.hu, bone, _places_without_bone(bone, rng))
    hu = phantom.hu.copy()
    shown = [v for v in phantom.truth.levels if v.whole_in_view and _is_of(v, kind)]
    if kind is Kind.OSTEOPOROTIC:
        for level in shown:
            paint_benign_signs(hu, phantom, level, rng)
    inverse = np.linalg.inv(phantom.affine_zyx_to_lps)
    centres = np.array([v.centroid_lps_mm for v in shown]).reshape(-1, 3)
    return _cut(hu, bone, centres @ inverse[:3, :3].T + inverse[:3, 3])


def _cut(
    hu: NDArray[np.int16], bone: NDArray[np.bool_], centres: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Crops about `centres` (n, 3) in voxels (z, y, x)."""
    wide = np.pad(hu, STORED // 2, constant_values=-1024)
    inside = np.pad(bone, STORED // 2)
    boxes = [
        tuple(slice(int(a), int(a) + STORED) for a in at) for at in np.round(centres).astype(int)
    ]
    return np.array([wide[box] for box in boxes]), np.array([inside[box] for box in boxes])


def _places_without_bone(bone: NDArray[np.bool_], rng: Rng) -> NDArray[np.float64]:
    """Two places (n, 3), 25 mm or more from any vertebra, in the inner two thirds of the scan."""
    far = ndimage.distance_transform_edt(~bone[::4, ::4, ::4]) * 4 > 25
    n = np.array(far.shape)
    inner = np.argwhere(
        far[n[0] // 6 : -(n[0] // 6), n[1] // 6 : -(n[1] // 6), n[2] // 6 : -(n[2] // 6)]
    )
    return np.asarray((inner[rng.choice(len(inner), 2)] + n // 6) * 4.0)


def _is_of(level: LevelTruth, kind: Kind) -> bool:
    changed = bool(level.fracture or level.lesions)
    return changed != (kind is Kind.INTACT) and level.level in T1_TO_L5


def paint_benign_signs(
    hu: NDArray[np.int16], phantom: Phantom, level: LevelTruth, rng: Rng
) -> None:
    """A vacuum or fluid cleft in every fourth body, a sclerotic band in every third; in place."""
    body = (phantom.labels == level.label) & (phantom.parts == Part.BODY)
    if not body.any():
        return
    box = ndimage.find_objects(body.astype(np.uint8))[0]
    inside = ndimage.distance_transform_edt(np.pad(body[box], 1))[1:-1, 1:-1, 1:-1]
    index = np.argwhere(np.ones(inside.shape, bool)) + [s.start for s in box]
    lps = index @ phantom.affine_zyx_to_lps[:3, :3].T + phantom.affine_zyx_to_lps[:3, 3]
    away = lps - np.array(level.centroid_lps_mm)
    up = (away @ np.array(level.up_lps)).reshape(inside.shape)
    back = (away @ np.array(level.back_lps)).reshape(inside.shape)
    tall = max(level.heights_mm[1], 6.0)
    painted = hu[box].astype(np.float32)
    if rng.random() < 0.33:
        middle, width = rng.uniform(-0.4, 0.4) * tall, rng.uniform(1.5, 3.5)
        band = np.exp(-(((up - middle) / width) ** 2)) * np.clip(inside / 2, 0, 1)
        painted += rng.uniform(80, 350) * band
    if rng.random() < 0.25:
        middle, width = rng.uniform(-0.3, 0.3) * tall, rng.uniform(0.8, 2.0)
        depth, at = level.body_size_mm[1], rng.uniform(-0.3, 0.05)
        reach = np.exp(-(((back - at * depth) / (0.3 * depth)) ** 4))
        cleft = np.exp(-(((up - middle) / width) ** 4)) * reach * np.clip(inside / 2.5, 0, 1)
        filling = rng.uniform(-800, -150) if rng.random() < 0.7 else rng.uniform(-10, 30)
        painted += (filling - painted) * cleft
    hu[box] = np.clip(painted, -1024, 3071).astype(np.int16)


def write_crops(folder: Path, seeds: range) -> None:
    """crops_<seed>_<kind>.npz; those already there are kept, a running training picks new ones
    up."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for kind in Kind:
            path = folder / f"crops_{seed:05d}_{int(kind)}.npz"
            if path.exists():
                continue
            hu, bone = crops(kind, seed)
            with replacing(path) as temporary:
                np.savez_compressed(temporary, hu=hu, bone=bone)
