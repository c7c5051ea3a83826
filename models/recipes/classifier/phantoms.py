"""Crops about phantom vertebrae: osteoporotic fractures, malignant ones, and intact vertebrae, with
the signs of `vfx_edge/phantom/signs.py`."""

from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.files import replacing
from vfx_edge.phantom import (
    DrawOptions,
    LevelTruth,
    Part,
    PhantomSpec,
    make_phantom,
    paint_benign_signs,
    random_fracture,
    random_lesion,
    random_spec,
)
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
        fractures=() if kind is Kind.INTACT else tuple(random_fracture(v, rng) for v in broken),
        lesions=tuple(random_lesion(v, rng) for v in levels) if malignant else (),
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
