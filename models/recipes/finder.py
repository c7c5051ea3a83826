"""Recipe of the finder: the centre of every vertebral body along the spine, at 2 mm.

Starts from the segmenter's weights, which know a body from an arch already; body and arch of all
vertebrae are taught along with the centres, because a centre is half way between two endplates.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.nets import UNet3D, each_alone
from models.recipes.segmenter import normalise
from models.recipes.train import dice_loss
from vfx_edge.vocabulary import SACRUM

PATCH = (64, 48, 48)
SPACING_MM = 2.0
CHANNELS = (16, 32, 64, 128)
CLASSES = ("centre", "background", "body", "arch")
HEAT_SIGMA_MM = 4.0


def network(start: Path | None = None) -> UNet3D:
    """A finder, with a finder's or a segmenter's weights where their shapes agree."""
    net = UNet3D(1, len(CLASSES), CHANNELS)
    if start is not None:
        known = torch.load(start, weights_only=True)
        own = net.state_dict()
        known["down.0.0.weight"] = known["down.0.0.weight"][:, :1]  # HU without the guide
        own.update({k: v for k, v in known.items() if v.shape == own[k].shape})
        net.load_state_dict(own)
    return net


def heat(points: Tensor, labelled: Labelled) -> Tensor:
    """(z, y, x) Gaussian of the distance to the nearest body's centre, at `points`."""
    places = [at for value, at in labelled.centres.items() if value not in (1, SACRUM)]
    at = torch.tensor(np.array(places), dtype=torch.float32)
    nearest = torch.cdist(points.reshape(-1, 3), at).amin(1).reshape(points.shape[:3])
    return torch.exp(-0.5 * (nearest * labelled.case.spacing_mm / HEAT_SIGMA_MM) ** 2)


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """One augmented (input (1, z, y, x), heat (z, y, x), parts (z, y, x) int64)."""
    case = labelled.case
    assert case.hu is not None
    matrix = augment.random_matrix(rng, 10, 0.12, 0.06, flip=True) * SPACING_MM / case.spacing_mm
    augment.squeeze_sometimes(matrix, rng)
    values = list(labelled.centres)
    at = labelled.centres[values[int(rng.integers(len(values)))]]
    middle = at + rng.normal([0, 12, 0], [25, 8, 8]) / case.spacing_mm
    points = augment.sample_points(PATCH, middle, matrix, 1.2, rng)
    hu, part, verse = augment.take(
        [
            (case.hu, "bilinear", -1024.0),
            (case.part, "nearest", 0.0),
            (case.verse, "nearest", 0.0),
        ],
        points,
    )
    parts = torch.where(verse == SACRUM, 0, part.round().long())
    warm = heat(points, labelled)
    hu = augment.scanner(hu, verse > 0, rng, SPACING_MM)
    if rng.random() < 0.3:
        hu = augment.cut_field(hu, rng)
        warm = torch.where(hu <= -1023, 0.0, warm)
        parts = torch.where(hu <= -1023, 0, parts)
    return normalise(hu)[None], warm, parts


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Centres, and parts. Discs are few voxels but what separates one body from the next: what lies
    within a few voxels of a body counts most."""
    x, warm, parts = batch
    out = each_alone(net, x).float()
    near = F.max_pool3d((parts == 1)[:, None].float(), 7, 1, 3)[:, 0]
    weight = 0.05 + 2 * near + 3 * warm
    pointwise = F.binary_cross_entropy_with_logits(out[:, 0], warm, reduction="none")
    centre = (pointwise * weight).sum() / weight.sum()
    between = 0.3 + near * (2.0 * (parts == 0) + 0.7 * (parts == 1)) + 0.5 * (parts == 2)
    seen = (F.cross_entropy(out[:, 1:], parts, reduction="none") * between).sum() / between.sum()
    return 3 * centre + seen + dice_loss(out[:, 1:], parts)
