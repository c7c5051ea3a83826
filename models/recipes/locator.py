"""Recipe of the locator: spine or not, at 6 mm over the whole scan."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.segmenter import normalise
from models.recipes.train import dice_loss

PATCH = (64, 64, 64)
FACTOR = 4  # of the 1.5 mm cases: 6 mm
CHANNELS = (8, 16, 32, 64)
CLASSES = ("background", "vertebra", "sacrum")


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One augmented (input (1, z, y, x), target (z, y, x) int64)."""
    case = labelled.case
    assert case.hu is not None
    matrix = augment.random_matrix(rng, 9, 0.13, 0.07, flip=True)
    if rng.random() < 0.06:
        matrix[:, 2] *= float(rng.uniform(1.0, 2.4))
    middle = rng.uniform(0.1, 0.9, 3) * np.array(case.verse.shape)
    points = augment.sample_points(PATCH, middle, matrix, 0.7, rng)
    hu, verse = augment.take(
        [(case.hu, "bilinear", -1024.0), (case.verse.astype(np.int16), "nearest", 0.0)], points
    )
    verse = verse.round().long()
    target = torch.where(verse == 26, 2, (verse > 0).long())
    hu = augment.scanner(hu, verse > 0, rng)
    if rng.random() < 0.3:
        hu = augment.cut_field(hu, rng)
        target = torch.where(hu <= -1023, 0, target)
    return normalise(hu)[None], target


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    out = net(batch[0]).float()
    weight = torch.tensor([0.2, 1.0, 1.0])
    return F.cross_entropy(out, batch[1], weight=weight) + dice_loss(out, batch[1])
