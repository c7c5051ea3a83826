"""Connected pieces of a mask, and what lies beside them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def largest_piece(mask: NDArray[np.bool_], weight: NDArray[Any] | None = None) -> NDArray[np.bool_]:
    """The connected piece (face to face) with the most voxels, or the largest sum of `weight`; of
    equals the first. Nothing where the mask is empty."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return np.asarray(mask, np.bool_)
    sizes = ndimage.sum_labels(mask if weight is None else weight, pieces, range(1, count + 1))
    return np.asarray(pieces == 1 + int(np.argmax(sizes)))


def grown(mask: NDArray[np.bool_], by: int = 1) -> NDArray[np.bool_]:
    """The mask (z, y, x) and all within `by` steps of it, face to face: as SciPy's dilation does
    it, several times faster."""
    for _ in range(by):
        out = mask.copy()
        for axis in range(mask.ndim):
            new, old = np.moveaxis(out, axis, 0), np.moveaxis(mask, axis, 0)
            new[1:] |= old[:-1]
            new[:-1] |= old[1:]
        mask = out
    return mask
