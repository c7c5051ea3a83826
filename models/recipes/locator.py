"""Recipe of the locator: where the spine runs, at 6 mm over the whole scan.

Levels are taught as an auxiliary task; what is shipped is the sum of their probabilities.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.labeller import CLASSES, SACRUM_CLASS
from models.recipes.nets import UNet3D, each_alone, loaded
from models.recipes.segmenter import normalise
from models.recipes.train import dice_loss
from vfx_edge.vocabulary import SACRUM

PATCH = (64, 48, 48)
FACTOR = 4  # of the 1.5 mm cases: 6 mm
CHANNELS = (8, 24, 48, 96, 128)

IGNORE = 255


def network(start: Path | None = None) -> UNet3D:
    return loaded(UNet3D(1, len(CLASSES), CHANNELS), start)


def classes_of(verse: Tensor) -> Tensor:
    """VerSe labels -> class numbers; transitional vertebrae (T13, L6) are not taught."""
    out = verse.clone()
    out[verse == SACRUM] = SACRUM_CLASS
    out[(verse == 25) | (verse > SACRUM)] = IGNORE
    return out


def _middle(labelled: Labelled, rng: np.random.Generator) -> np.ndarray:
    """Mostly about a vertebra, so that levels are learned; else anywhere."""
    if rng.random() < 0.25:
        return np.asarray(rng.uniform(0.1, 0.9, 3) * np.array(labelled.case.verse.shape))
    values = list(labelled.centres)
    at = labelled.centres[values[int(rng.integers(len(values)))]]
    return np.asarray(at + rng.normal(0, [75, 45, 45]) / labelled.case.spacing_mm)


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One augmented (input (1, z, y, x), classes (z, y, x) int64)."""
    case = labelled.case
    assert case.hu is not None
    matrix = augment.random_matrix(rng, 9, 0.11, 0.06, flip=True)
    augment.squeeze_sometimes(matrix, rng)
    points = augment.sample_points(PATCH, _middle(labelled, rng), matrix, 0.7, rng)
    hu, verse = augment.take(
        [(case.hu, "bilinear", -1024.0), (case.verse.astype(np.int16), "nearest", 0.0)], points
    )
    classes = classes_of(verse.round().long())
    hu = augment.scanner(hu, verse > 0, rng, case.spacing_mm)
    if rng.random() < 0.4:
        hu = augment.cut_field(hu, rng)
        classes = torch.where(hu <= -1023, 0, classes)
    return normalise(hu)[None], classes


def level_loss(out: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of the levels; a neighbouring level is half a mistake.

    Background counts where it touches bone: discs and joints tell vertebrae apart.
    """
    log = out.log_softmax(1)
    known = classes != IGNORE
    bone = (classes > 0) & known
    near = F.max_pool3d(bone[:, None].float(), 5, 1, 2)[:, 0] > 0
    weight = torch.where(bone, 1.0, torch.where(near, 0.5, 0.04)) * known
    safe = torch.where(known, classes, 0)

    def nll(wanted: Tensor) -> Tensor:
        return -log.gather(1, wanted[:, None])[:, 0]

    above, below = (safe - 1).clamp(1), (safe + 1).clamp(max=SACRUM_CLASS)
    soft = 0.7 * nll(safe) + 0.15 * nll(above) + 0.15 * nll(below)
    every = torch.where(bone, soft, nll(safe))
    return (every * weight).sum() / weight.sum().clamp(min=1)


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, classes = batch
    out = each_alone(net, x).float()
    spine = torch.stack([out[:, 0], out[:, 1:].logsumexp(1)], 1)
    return level_loss(out, classes) + 0.5 * dice_loss(spine, (classes > 0).long())
