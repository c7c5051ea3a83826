"""Connected pieces of a mask."""

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
