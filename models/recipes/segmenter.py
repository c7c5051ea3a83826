"""Recipe of the segmenter: body and arch of ONE vertebra in a patch about its centroid.

Input: HU and a guide (+1 Gaussian on the wanted vertebra's body, -1 on its neighbours'),
so the network knows which of the vertebrae in view is meant.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage as ndi
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.nets import UNet3D, each_alone, loaded
from models.recipes.shapes import ARCH, BODY, Case
from models.recipes.train import soft_dice_loss

PATCH = (56, 72, 64)  # deep rather than tall: the spinous process of L4 ends 77 mm behind its body
SPACING_MM = 1.5
CHANNELS = (16, 32, 64, 128)
BACKWARD_MM = 20.0  # the patch centre lies behind the body's centroid: the arch must fit too
GUIDE_SIGMA_MM = 6.0
HU_CENTRE, HU_SCALE = 250.0, 500.0
ENDPLATE_REACH, ENDPLATE_WEIGHT = 3, 3.0  # voxels up and down; times as much
ROUGH = (1, 26)  # C1 and S1 have no true masks


def network(start: Path | None = None) -> UNet3D:
    return loaded(UNet3D(2, 3, CHANNELS), start)


def body_centres(case: Case) -> dict[int, np.ndarray]:
    """VerSe label -> centroid of the body (z, y, x) in voxels; only bodies worth the name."""
    bodies = np.where(case.part == BODY, case.verse, 0)
    values = [int(v) for v in np.unique(bodies) if v and (bodies == v).sum() > 300]
    found = ndi.center_of_mass(np.ones_like(bodies), bodies, values)
    return {v: np.array(c) for v, c in zip(values, found, strict=True)}


def normalise(hu: Tensor) -> Tensor:
    return (hu.clamp(-1000, 1500) - HU_CENTRE) / HU_SCALE


def guide(
    points: Tensor, wanted: np.ndarray, others: list[np.ndarray], spacing_mm: float
) -> Tensor:
    """(z, y, x) map of +1 and -1 Gaussians at `points` (source voxel coordinates)."""

    def bump(at: np.ndarray) -> Tensor:
        d2 = ((points - torch.tensor(at.copy(), dtype=torch.float32)) ** 2).sum(-1) * spacing_mm**2
        return torch.exp(-0.5 * d2 / GUIDE_SIGMA_MM**2)

    out = bump(wanted)
    for other in others:
        out = out - bump(other)
    return out


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One augmented (input (2, z, y, x), target (3, z, y, x): share of background, body, arch)."""
    case = labelled.case
    assert case.hu is not None
    centres = {v: c for v, c in labelled.centres.items() if v not in ROUGH}
    value = int(rng.choice(list(centres)))
    matrix = augment.random_matrix(rng, 11, 0.12, 0.06, flip=True, tilt_degrees=18)
    augment.squeeze_sometimes(matrix, rng)
    mm = case.spacing_mm
    wanted = centres[value] + rng.normal(0, rng.choice([1.5, 3.5]) / mm, 3)
    middle = wanted + np.array([0, BACKWARD_MM / mm, 0]) + rng.normal(0, 3.0 / mm, 3)
    points = augment.sample_points(PATCH, middle, matrix, 1.5, rng)
    hu, bone, body, arch = _sampled(case, value, points)
    # the two neighbours, as labelling would give them: with an error, sometimes missing
    order = sorted(centres, key=lambda v: -centres[v][0])
    i = order.index(value)
    others = [
        centres[v] + rng.normal(0, 2.5 / mm, 3)
        for v in order[max(i - 1, 0) : i] + order[i + 1 : i + 2]
        if rng.random() > 0.12
    ]
    parts = torch.stack([body, arch])
    hu = augment.scanner(hu, bone > 0.5, rng)
    if rng.random() < 0.12:
        hu = augment.cut_field(hu, rng)
        parts = torch.where(hu <= -1023, 0.0, parts)
    target = torch.cat([1 - parts.sum(0, keepdim=True), parts]).clamp(0, 1)
    return torch.stack([normalise(hu), guide(points, wanted, others, mm)]), target


def _sampled(case: Case, value: int, points: Tensor) -> list[Tensor]:
    """HU, share of any bone, and of body and arch of the vertebra `value`, each at `points`."""
    assert case.hu is not None
    box = augment.box_about(points, case.hu.shape)
    if case.soft is None:
        whose = case.verse[box] * np.uint8(4) + case.part[box]
        share = 255 * (whose > 0).astype(np.uint8)
    else:
        share, whose = case.soft[(slice(None), *box)]
    maps = [share, *(np.where(whose == value * 4 + part, share, 0) for part in (BODY, ARCH))]
    start = torch.tensor([float(side.start) for side in box])
    hu, *found = augment.take(
        [(case.hu[box], "bilinear", -1024.0), *((m, "bilinear", 0.0) for m in maps)],
        points - start,
    )
    return [hu, *(m / 255 for m in found)]


def _endplate_weight(target: Tensor) -> Tensor:
    """(n, z, y, x) weights of the voxels: what lies next to an endplate, on either side, counts
    more. Heights are read there, and a sunken endplate is a small part of a patch."""
    body = target[:, 1:2]
    size, pad = (2 * ENDPLATE_REACH + 1, 1, 1), (ENDPLATE_REACH, 0, 0)
    above_or_below = F.max_pool3d(body, size, 1, pad) > F.avg_pool3d(body, size, 1, pad) + 0.1
    return 1 + (ENDPLATE_WEIGHT - 1) * above_or_below[:, 0].float()


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross entropy, all classes alike (rare ones favoured would be drawn too large), and Dice."""
    out, target = each_alone(net, batch[0]), batch[1]
    weight = _endplate_weight(target)
    entropy = F.cross_entropy(out.float(), target, reduction="none")
    return (entropy * weight).sum() / weight.sum() + soft_dice_loss(out, target)
