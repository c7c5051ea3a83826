"""Recipe of the labeller: which level is the vertebra at the middle of this crop?

A crop of 250 mm shows ribs, lungs, pelvis or skull, whatever tells the level; one answer a
vertebra learns far faster than one a voxel.
"""

import numpy as np
import torch
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.segmenter import normalise

PATCH = (56, 32, 40)
FACTOR = 3  # of the 1.5 mm cases: 4.5 mm
BACKWARD_MM = 8.0  # the crop's middle lies behind the body's centre
SACRUM_VERSE, SACRUM_CLASS = 26, 25
CLASSES = (
    "background",
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "sacrum",
)
NEIGHBOUR_SHARE = 0.1  # of the target goes to each neighbouring level
OFF_MM = 22.0  # background crops lie at least this far from any vertebra's centre


class LevelNet(nn.Module):
    """(n, 1, 56, 32, 40) -> logits (n, classes). Batch norm: the crop's overall look counts."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        widths = (24, 48, 96, 160)
        layers: list[nn.Module] = []
        previous = 1
        for width in widths:
            for stride in (2, 1):
                layers += [
                    nn.Conv3d(previous, width, 3, stride, 1, bias=False),
                    nn.BatchNorm3d(width),
                    nn.ReLU(inplace=True),
                ]
                previous = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(160 * 4 * 2 * 3, 192),
            nn.ReLU(inplace=True),
            nn.Dropout(0.3),
            nn.Linear(192, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out


def _target(value: int) -> Tensor:
    """Soft target over the classes for a VerSe label (0: background)."""
    out = torch.zeros(len(CLASSES))
    at = SACRUM_CLASS if value == SACRUM_VERSE else value
    out[at] = 1.0
    if value:
        for near in (at - 1, at + 1):
            if 1 <= near <= SACRUM_CLASS:
                out[near] += NEIGHBOUR_SHARE
                out[at] -= NEIGHBOUR_SHARE
    return out


def _middle(labelled: Labelled, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A place (z, y, x) in voxels and its VerSe label, 0 for a place off the spine."""
    mm = labelled.case.spacing_mm
    taught = [v for v in labelled.centres if v <= 24 or v == SACRUM_VERSE]  # no T13, no L6
    if rng.random() < 0.08:
        near = labelled.centres[taught[int(rng.integers(len(taught)))]]
        place = near + rng.normal(0, [40, 40, 40]) / mm
        gaps = [np.linalg.norm(place - c) * mm for c in labelled.centres.values()]
        if min(gaps) > OFF_MM:
            return place, 0
    value = taught[int(rng.integers(len(taught)))]
    return labelled.centres[value] + rng.normal(0, 3.0, 3) / mm, value


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One augmented (input (1, z, y, x), target (classes,))."""
    case = labelled.case
    assert case.hu is not None
    matrix = augment.random_matrix(rng, 8, 0.10, 0.05, flip=True)
    if rng.random() < 0.06:  # stored slice distances that lie do occur: a squeezed patient
        matrix[:, 2] *= float(rng.uniform(1.0, 2.4))
    place, value = _middle(labelled, rng)
    middle = place + np.array([0, BACKWARD_MM / case.spacing_mm, 0])
    points = augment.sample_points(PATCH, middle, matrix, 0.0, rng)
    hu, bone = augment.take(
        [(case.hu, "bilinear", -1024.0), ((case.verse > 0), "nearest", 0.0)], points
    )
    hu = augment.scanner(hu, bone > 0.5, rng, case.spacing_mm)
    if rng.random() < 0.5:
        hu = _cut_ends(hu, rng)
    return normalise(hu)[None], _target(value)


def _cut_ends(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """A scan that ends above, below or beside the vertebra; the middle itself stays."""
    hu = hu.clone()
    axis = int(rng.choice([0, 0, 0, 1, 2]))
    n = hu.shape[axis]
    index: list[slice] = [slice(None)] * 3
    depth = int(rng.integers(1, int(0.4 * n)))
    index[axis] = slice(0, depth) if rng.random() < 0.5 else slice(n - depth, n)
    hu[tuple(index)] = -1024
    return hu


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, target = batch
    return nn.functional.cross_entropy(net(x).float(), target)
