"""What fractures of two causes look like: drawn for one vertebra, and painted.

The signs are those of the study's table 1: lesions that destroy cortex, marrow or pedicle,
soft-tissue masses and a convex posterior border make a fracture malignant; sharp lines in thin
bone, a vacuum cleft or a sclerotic band under an endplate make it osteoporotic.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vfx_edge.phantom.canvas import Part
from vfx_edge.phantom.make import Phantom
from vfx_edge.phantom.spec import FractureKind, FractureSpec, LesionKind, LesionSpec
from vfx_edge.phantom.truth import LevelTruth

Rng = np.random.Generator


def random_lesion(level: str, rng: Rng) -> LesionSpec:
    """A lesion of `level`, mostly with another sign of malignancy; a small one has at least one."""
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


def random_fracture(level: str, rng: Rng) -> FractureSpec:
    """A fracture of `level`, of any kind, that loses 15 to 65 % of the height."""
    kind: FractureKind = get_args(FractureKind)[int(rng.integers(3))]
    loss, recent = float(rng.uniform(0.15, 0.65)), bool(rng.random() < 0.5)
    return FractureSpec(level, kind, loss, recent)


def paint_benign_signs(
    hu: NDArray[np.int16], phantom: Phantom, level: LevelTruth, rng: Rng
) -> None:
    """A vacuum or fluid cleft in every fourth body, a sclerotic band in every third; in place.

    hu: (z, y, x) of `phantom`.
    """
    from scipy import ndimage  # the command's help does without

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
