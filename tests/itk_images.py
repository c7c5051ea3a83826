"""Images as SimpleITK reads them, in our terms: the second opinion of many tests."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray


def image_affine(image: sitk.Image) -> NDArray[np.float64]:
    """(4, 4): stored index (slowest axis first) -> LPS mm."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = (direction * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return affine
