"""Recipe of the labeller: which level is the vertebra at the middle of this crop, and does it
carry a rib?

A close look at 2 mm sees what a reader counts by: the head of a rib at the body, the dens, the
sacrum below. A wider one, of lungs, kidneys and pelvis, was tried beside it and taken back: on CT
left out of training it named every third column one level off, and added nothing to the close one.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.nets import LevelNet, loaded
from vfx_edge.vocabulary import PLAIN, SACRUM

PATCH = (44, 44, 52)
SPACING_MM = 2.0
BACKWARD_MM = 8.0  # the crop's middle lies behind the body's centre
HU_LOW, HU_HIGH, HU_CENTRE, HU_SCALE = -300.0, 900.0, 200.0, 300.0
BONE_HU = 100
SACRUM_CLASS = 25
CLASSES = ("background", *(level.value for level in PLAIN), "sacrum")
RIB = range(8, 20)  # T1 to T12
SOFTNESS = 0.7  # levels; of the Gaussian about the right one
NO_BODY_SHARE = 0.03  # of the examples show no anatomy at all
OFF_MM = 20.0  # background crops lie at least this far from any vertebra's centre
WIDTHS = (16, 32, 64, 128)


def network(start: Path | None = None) -> LevelNet:
    """The last of its answers: carries a rib."""
    return loaded(LevelNet(len(CLASSES) + 1, WIDTHS), start)


def normalise(hu: Tensor) -> Tensor:
    return (hu.clamp(HU_LOW, HU_HIGH) - HU_CENTRE) / HU_SCALE


def _target(value: int) -> Tensor:
    """Soft target over the classes for a VerSe label (0: background), and whether it has a rib."""
    levels = torch.zeros(len(CLASSES))
    if value == 0:
        levels[0] = 1.0
    else:
        at = SACRUM_CLASS if value == SACRUM else value
        away = torch.arange(len(CLASSES)) - at
        levels = torch.exp(-0.5 * (away / SOFTNESS) ** 2)
        levels[0] = 0
    return torch.cat([levels / levels.sum(), torch.tensor([float(value in RIB)])])


def _middle(labelled: Labelled, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A place (z, y, x) in voxels and its VerSe label, 0 for a place off the spine."""
    mm = labelled.case.spacing_mm
    taught = [v for v in labelled.centres if v <= 24 or v == SACRUM]  # no T13, no L6
    value = taught[int(rng.integers(len(taught)))]
    if rng.random() < 0.06:
        place = labelled.centres[value] + rng.normal(0, [30, 35, 35]) / mm
        if min(np.linalg.norm(place - c) * mm for c in labelled.centres.values()) > OFF_MM:
            return place, 0
    return labelled.centres[value] + rng.normal(0, 2.0, 3) / mm, value


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One augmented (input (1, z, y, x), target (len(CLASSES) + 1,))."""
    if rng.random() < NO_BODY_SHARE:
        return normalise(_no_body(rng))[None], _target(0)
    case = labelled.case
    assert case.hu is not None
    matrix = augment.random_matrix(rng, 7, 0.10, 0.05, flip=True, tilt_degrees=12)
    if rng.random() < 0.05:  # stored slice distances that lie do occur: a squeezed patient
        matrix[:, int(rng.choice([1, 2]))] *= float(rng.uniform(1.0, 2.2))
    place, value = _middle(labelled, rng)
    middle = place + np.array([0, BACKWARD_MM / case.spacing_mm, 0])
    matrix *= SPACING_MM / case.spacing_mm
    points = augment.sample_points(PATCH, middle, matrix, 1.0, rng)
    hu, bone = augment.take([(case.hu, "bilinear", -1024.0), (case.verse, "nearest", 0.0)], points)
    outside = (hu < -1020) | _beyond(_field_ends(rng))
    hu = augment.scanner(hu, (bone > 0.5) & (hu > BONE_HU), rng, SPACING_MM)
    hu = torch.where(outside, torch.tensor(-1024.0), hu)
    return normalise(hu)[None], _target(value)


def _no_body(rng: np.random.Generator) -> Tensor:
    """HU (z, y, x) of a crop without anatomy: air, water or a smear of tissue, and noise."""
    hu = torch.full(PATCH, float(rng.choice([-1000.0, 0.0, rng.uniform(-200, 300)])))
    smear = augment.smooth_field(hu.shape, rng, int(rng.integers(2, 7)))
    hu = hu + float(rng.choice([0.0, rng.uniform(0, 250)])) * smear
    return hu + float(rng.uniform(0, 80)) * torch.randn(PATCH)


def _beyond(ends_mm: np.ndarray) -> Tensor:
    """(z, y, x) True beyond the field's ends, (axis, side) mm from the body's centre."""
    out = torch.zeros(PATCH, dtype=torch.bool)
    for axis, n in enumerate(PATCH):
        at = (np.arange(n) - (n - 1) / 2) * SPACING_MM + (BACKWARD_MM if axis == 1 else 0.0)
        there = torch.from_numpy((at < -ends_mm[axis, 0]) | (at > ends_mm[axis, 1]))
        out |= there.reshape([-1 if a == axis else 1 for a in range(3)])
    return out


def _field_ends(rng: np.random.Generator) -> np.ndarray:
    """(axis, side) mm from the body's centre to where the scan ends: often sideways, down to the
    spine, sometimes above and below."""
    ends = np.full((3, 2), np.inf)
    if rng.random() < 0.55:
        ends[2] = rng.uniform(22, 60, 2)
        if rng.random() < 0.6:
            ends[1] = rng.uniform(20, 60), rng.uniform(25, 75)
    if rng.random() < 0.4:
        for side in range(2):
            if rng.random() < 0.6:
                ends[0, side] = rng.uniform(8, 40)
    return ends


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross entropy of the level, and of the rib where there is a vertebra."""
    x, target = batch
    out = net(x).float()
    entropy = -(target[:, :-1] * out[:, :-1].log_softmax(1)).sum(1)
    known = (target[:, 0] < 1).float()
    rib = F.binary_cross_entropy_with_logits(out[:, -1], target[:, -1], reduction="none") * known
    mean: Tensor = entropy.mean() + rib.sum() / known.sum().clamp(min=1)
    return mean
