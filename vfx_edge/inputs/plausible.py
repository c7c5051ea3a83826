"""Whether a volume's numbers can be Hounsfield units at all."""

import numpy as np
from numpy.typing import NDArray

FEW_VALUES = 256
NO_FAT_HU = -50
"""Every body holds fat (-100 HU), and nearly every field of view air."""
NO_TISSUE_HU = -500


def no_hounsfield(sample: NDArray[np.int16]) -> str | None:
    """Why the numbers are a mask's, nothing at all, or lack their intercept; None: they are HU."""
    lowest, highest = int(sample.min()), int(sample.max())
    if lowest == highest:
        return f"every voxel is {lowest}"
    span = f"its numbers run from {lowest} to {highest}"
    if lowest >= NO_FAT_HU:
        few = len(np.unique(sample)) <= FEW_VALUES
        return f"{span}: {'a mask or an overlay' if few else 'the rescale intercept is missing'}"
    return f"{span}: nothing but air" if highest < NO_TISSUE_HU else None
