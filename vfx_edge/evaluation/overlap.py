"""How alike two masks are: overlap, and distances between their surfaces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Bool = NDArray[np.bool_]
MOST_LABELS = 32


@dataclass(frozen=True)
class Likeness:
    """Dice 0..1; mean, 95 % and plain Hausdorff distance between the surfaces in mm, both ways;
    None where one of the masks is empty."""

    dice: float
    mean_mm: float | None
    hausdorff95_mm: float | None
    hausdorff_mm: float | None


def dice(one: Bool, other: Bool) -> float:
    """Twice the shared volume over the sum of both, 0..1. Two empty masks are the same: 1."""
    return _dice(int((one & other).sum()), int(one.sum()), int(other.sum()))


def _dice(shared: int, one: int, other: int) -> float:
    return 2 * shared / (one + other) if one + other else 1.0


def label_dice(
    one: NDArray[np.uint8], other: NDArray[np.uint8], pairs: Sequence[tuple[int, int]]
) -> list[float]:
    """Dice of label a in `one` and label b in `other`, for each pair (a, b).

    Labels are below MOST_LABELS.
    """
    bone = (one > 0) | (other > 0)
    joint = one[bone].astype(np.int64) * MOST_LABELS + other[bone]
    table = np.bincount(joint, minlength=MOST_LABELS**2).reshape(MOST_LABELS, MOST_LABELS)
    sizes, other_sizes = table.sum(1), table.sum(0)
    return [_dice(int(table[a, b]), int(sizes[a]), int(other_sizes[b])) for a, b in pairs]


def likeness(one: Bool, other: Bool, spacing_zyx_mm: tuple[float, ...]) -> Likeness:
    """Two masks (z, y, x) on one grid.

    A surface is the mask's voxels with a face outside of it. The Hausdorff distance is the larger
    one of the two directions' greatest distances, that of 95 % the larger one of their 95th
    percentiles.
    """
    if not (one.any() and other.any()):
        return Likeness(dice(one, other), None, None, None)
    box = ndimage.find_objects((one | other).astype(np.uint8))[0]
    shells = [_surface(np.pad(mask[box], 1)) for mask in (one, other)]
    there, back = (
        ndimage.distance_transform_edt(~shells[1 - i], sampling=spacing_zyx_mm)[shells[i]]
        for i in range(2)
    )
    nearly, farthest = (
        max(float(np.quantile(gaps, share)) for gaps in (there, back)) for share in (0.95, 1.0)
    )
    mean = float(np.concatenate([there, back]).mean())
    return Likeness(dice(one, other), mean, nearly, farthest)


def _surface(mask: Bool) -> Bool:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))
