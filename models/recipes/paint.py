"""HU painted into vertebra masks that have no CT: domain randomisation (SynthSeg's manner).

The shapes are real, the tissue is drawn anew each time, so a network must learn the shape.
"""

from dataclasses import replace

import numpy as np
from scipy import ndimage as ndi

from models.recipes.shapes import BODY, Case

Array = np.ndarray


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, sigma_voxels: float) -> Array:
    """Unit-variance noise of a given correlation length, made on a coarse grid."""
    step = max(1.0, sigma_voxels)
    coarse = rng.standard_normal([int(np.ceil(n / step)) + 3 for n in shape]).astype(np.float32)
    zoomed = ndi.zoom(coarse, step, order=1)
    start = [
        int(rng.integers(0, max(1, z - n + 1))) for z, n in zip(zoomed.shape, shape, strict=True)
    ]
    out = zoomed[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
    return np.asarray(out / max(float(out.std()), 1e-6))


def pad_case(case: Case, margin: int) -> Case:
    widths = [(margin, margin)] * 3
    return replace(
        case,
        origin_lps_mm=case.origin_lps_mm - margin * case.spacing_mm,
        verse=np.pad(case.verse, widths),
        part=np.pad(case.part, widths),
        soft=None,  # tissue is painted voxel by voxel
    )


def _soft_tissue(case: Case, rng: np.random.Generator) -> Array:
    """Muscle and fat as thresholded noise; lung or gut gas in front and beside, sometimes."""
    shape = case.verse.shape
    muscle, fat = rng.uniform(20, 80), rng.uniform(-130, -60)
    mix = smooth_noise(shape, rng, rng.uniform(4, 14)) > rng.uniform(-0.3, 1.5)
    hu = np.where(mix, fat, muscle).astype(np.float32)
    hu += rng.uniform(3, 15) * smooth_noise(shape, rng, 3)
    middle = np.array([s / 2 for s in shape[1:]])
    if (case.part == BODY).any():
        middle = np.argwhere(case.part == BODY).mean(0)[1:]
    y, x = np.indices(shape[1:])
    side = np.abs(x - middle[1]) * case.spacing_mm + 8 * smooth_noise(shape, rng, 12)
    front = (middle[0] - y) * case.spacing_mm + 8 * smooth_noise(shape, rng, 12)
    if rng.random() < 0.6:  # lungs: beside the spine, reaching behind its front
        lung = (side > rng.uniform(24, 45)) & (front > rng.uniform(-45, 10))
        hu[lung] = rng.uniform(-900, -700) + 30 * smooth_noise(shape, rng, 2)[lung]
    if rng.random() < 0.7:  # a vessel in front, with or without contrast
        centre = np.array([rng.uniform(18, 40), rng.uniform(-25, 25)])
        tube = np.hypot(
            front - centre[0], x - middle[1] - centre[1] / case.spacing_mm
        ) < rng.uniform(6, 16)
        hu[tube] = rng.choice([rng.uniform(30, 60), rng.uniform(120, 450)])
    return hu


def _distractors(case: Case, rng: np.random.Generator, hu: Array) -> None:
    """Bone that is no vertebra: bent rods like ribs, leaving from near the spine."""
    shape = np.array(case.verse.shape)
    for _ in range(int(rng.integers(0, 9))):
        start = rng.uniform(0.1, 0.9, 3) * shape
        bend = rng.standard_normal(3) * 0.4
        way = np.array([rng.uniform(-0.6, 0.2), rng.uniform(-0.5, 0.6), rng.choice([-1, 1])])
        t = np.linspace(0, 60, 120)[:, None] / case.spacing_mm * 1.5
        path = start + way * t + bend * (t / 12) ** 2
        keep = ((path >= 0) & (path < shape - 1)).all(1)
        seed = np.ones(case.verse.shape, bool)
        seed[tuple(path[keep].astype(int).T)] = False
        distance = ndi.distance_transform_edt(seed) * case.spacing_mm if keep.any() else None
        if distance is None:
            continue
        radius = rng.uniform(3, 7)
        rod = (distance < radius) & (case.verse == 0)
        hu[rod] = np.where(
            distance[rod] > radius - 1.7, rng.uniform(300, 800), rng.uniform(50, 250)
        )


def paint(case: Case, rng: np.random.Generator) -> Case:
    """A Case with hu (z, y, x) int16 drawn for its mask."""
    shape = case.verse.shape
    hu = _soft_tissue(case, rng)
    bone = case.verse > 0
    filled = ndi.binary_closing(np.pad(bone, 8), iterations=5)[8:-8, 8:-8, 8:-8]
    gap = filled & ~bone  # discs, canal, joints
    hu[gap] = rng.uniform(20, 110) + 8 * smooth_noise(shape, rng, 2)[gap]
    _distractors(case, rng, hu)
    density = rng.uniform(40, 320)
    texture = rng.uniform(10, 60) * smooth_noise(shape, rng, 1.2) + rng.uniform(
        5, 40
    ) * smooth_noise(shape, rng, 4)
    depth = ndi.distance_transform_edt(np.pad(bone, 1))[1:-1, 1:-1, 1:-1] * case.spacing_mm
    for value in np.unique(case.verse[bone]):  # each vertebra a little denser or paler
        inside = case.verse == value
        hu[inside] = density * rng.uniform(0.8, 1.25) + texture[inside]
    arch = bone & (case.part != BODY)
    hu[arch] += rng.uniform(0, 200)
    shell_mm = rng.uniform(0.8, 2.2)
    shell = np.clip(1.0 - (depth - 0.5 * case.spacing_mm) / shell_mm, 0, 1)
    cortex = rng.uniform(150, 900)
    hu[bone] += (shell * cortex)[bone] * (0.7 + 0.3 * np.tanh(smooth_noise(shape, rng, 3)))[bone]
    hu = ndi.gaussian_filter(hu, rng.uniform(0.25, 0.7) * 1.5 / case.spacing_mm)
    return replace(case, hu=np.clip(hu, -1024, 3071).astype(np.int16))
