"""Recipe of the labeller: where each vertebral body's centre is, and which level each voxel is.

Output channels: 0 centre heat map (sigmoid), 1.. classes by softmax: background, C1..L5, sacrum.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes import augment
from models.recipes.cases import Labelled
from models.recipes.segmenter import normalise

PATCH = (96, 64, 64)
FACTOR = 2  # of the 1.5 mm cases: 3 mm
CHANNELS = (8, 24, 48, 96, 128)
HEAT_SIGMA_MM = 5.0
SACRUM_VERSE, SACRUM_CLASS = 26, 25
CLASSES = (
    "background",
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "sacrum",
)
IGNORE = 255


def _classes(verse: Tensor) -> Tensor:
    """VerSe labels -> class numbers; transitional vertebrae (T13, L6) are not taught."""
    out = verse.clone()
    out[verse == SACRUM_VERSE] = SACRUM_CLASS
    out[(verse == 25) | (verse > SACRUM_VERSE)] = IGNORE
    return out


def heat(points: Tensor, centres: dict[int, np.ndarray], spacing_mm: float) -> Tensor:
    """(z, y, x) max of Gaussians about the bodies' centres, at `points` in source voxels."""
    places = [at for value, at in centres.items() if value != SACRUM_VERSE]
    if not places:
        return torch.zeros(points.shape[:3])
    at = torch.tensor(np.array(places), dtype=torch.float32)
    nearest = torch.cdist(points.reshape(-1, 3), at).amin(1).reshape(points.shape[:3])
    return torch.exp(-0.5 * (nearest * spacing_mm / HEAT_SIGMA_MM) ** 2)


def _middle(labelled: Labelled, rng: np.random.Generator) -> np.ndarray:
    shape = np.array(labelled.case.verse.shape)
    if rng.random() < 0.07:
        return np.asarray(rng.uniform(0, 1, 3) * shape)
    values = list(labelled.centres)
    at = labelled.centres[values[int(rng.integers(len(values)))]]
    return np.asarray(at + rng.normal(0, [45, 10, 10]) / labelled.case.spacing_mm + [0, 15 / 3, 0])


def _cut_ends(hu: Tensor, points: Tensor, rng: np.random.Generator, spacing_mm: float) -> Tensor:
    """A scan that begins or ends here: padding beyond a random height."""
    z = points[..., 0]
    low, high = float(z.min()), float(z.max())
    start, stop = low, high
    if rng.random() < 0.35:
        start = rng.uniform(low, low + 0.55 * (high - low))
    if rng.random() < 0.35:
        stop = rng.uniform(start + 0.25 * (high - low), high)
    return torch.where((z < start) | (z > stop), torch.tensor(-1024.0), hu)


def example(labelled: Labelled, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """One augmented (input (1, z, y, x), heat (z, y, x), classes (z, y, x) int64)."""
    case = labelled.case
    assert case.hu is not None
    matrix = augment.random_matrix(rng, 9, 0.12, 0.06, flip=True)
    if rng.random() < 0.06:  # stored slice distances that lie do occur: a squeezed patient
        matrix[:, 2] *= float(rng.uniform(1.0, 2.4))
    points = augment.sample_points(PATCH, _middle(labelled, rng), matrix, 1.2, rng)
    hu, verse = augment.take(
        [(case.hu, "bilinear", -1024.0), (case.verse.astype(np.int16), "nearest", 0.0)], points
    )
    classes = _classes(verse.round().long())
    warm = heat(points, labelled.centres, case.spacing_mm)
    hu = augment.scanner(hu, verse > 0, rng)
    hu = _cut_ends(hu, points, rng, case.spacing_mm)
    gone = hu <= -1023
    return normalise(hu)[None], torch.where(gone, 0.0, warm), torch.where(gone, 0, classes)


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    x, warm, classes = batch
    out = net(x).float()
    p = out[:, 0].sigmoid()
    centre = (((p - warm) ** 2) * (1 + 60 * warm)).mean() * 40
    weight = torch.ones(len(CLASSES))
    weight[0] = 0.08
    level = F.cross_entropy(out[:, 1:], classes, weight=weight, ignore_index=IGNORE)
    return centre + level
