"""Whether a volume's numbers can be Hounsfield units at all."""

import numpy as np
from numpy.typing import NDArray

FEW_VALUES = 256
LABELS_TO = 255
"""A mask's numbers are small whole ones; a CT painted from a mask reaches bone."""
NO_FAT_HU = -50
"""Every body holds fat (-100 HU), and nearly every field of view air."""
NO_TISSUE_HU = -500
SHIFTED_TISSUE = (900, 1200)
"""Where water and muscle lie when the usual intercept of -1024 is left out."""
SHIFTED_SHARE = 0.1


def no_hounsfield(sample: NDArray[np.int16]) -> str | None:
    """Why the numbers are a mask's, nothing at all, or lack their intercept; None: they are HU."""
    lowest, highest = int(sample.min()), int(sample.max())
    if lowest == highest:
        return f"every voxel is {lowest}"
    span = f"its numbers run from {lowest} to {highest}"
    if lowest >= NO_FAT_HU:
        if highest <= LABELS_TO and len(np.unique(sample)) <= FEW_VALUES:
            return f"{span}: a mask or an overlay"
        shifted = (sample > SHIFTED_TISSUE[0]) & (sample < SHIFTED_TISSUE[1])
        if shifted.mean() > SHIFTED_SHARE:
            return f"{span}: the rescale intercept is missing"
    return f"{span}: nothing but air" if highest < NO_TISSUE_HU else None
