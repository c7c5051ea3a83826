"""A part of a resampled grid is what scipy gives for the whole."""

import numpy as np
import pytest
from scipy import ndimage

from vfx_edge.inference.resize import Box, Resize, new_shape, separate_axis

BOX: Box = (slice(3, 19), slice(0, 11), slice(14, 30))


def whole(values: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """What scikit-image's resize does without smoothing, edges clipped to the input's range."""
    zoom = [a / b for a, b in zip(shape, values.shape, strict=True)]
    out = ndimage.zoom(values, zoom, order=order, mode="nearest", grid_mode=True)
    return np.asarray(np.clip(out, values.min(), values.max()))


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("mm", [(1.5, 1.0, 0.8), (2.9, 2.0, 2.1)], ids=["finer", "coarser"])
def test_any_part_equals_the_same_part_of_the_whole(order: int, mm: tuple[float, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(40, 50, 60))
    old_mm = (2.0, 1.5, 1.5)
    resize = Resize((40, 50, 60), new_shape(values.shape, old_mm, mm), order, None)
    assert resize.new == tuple(
        round(n * o / m) for n, o, m in zip(values.shape, old_mm, mm, strict=True)
    )
    at = resize.source(BOX)
    limits = np.array([values.min(), values.max()])
    part = resize.part(values[at], at, BOX, limits)
    np.testing.assert_allclose(part, whole(values, resize.new, order)[BOX], atol=1e-9)


def test_thick_slices_are_resampled_one_by_one() -> None:
    """In the plane by splines, each cut off at its own range; across, the nearest plane."""
    values = np.random.default_rng(0).normal(size=(40, 12, 60)) * np.arange(1, 13)[:, None]
    old_mm, mm = (1.0, 6.0, 1.0), (1.4, 4.0, 1.2)
    assert separate_axis(old_mm, mm) == 1
    resize = Resize((40, 12, 60), new_shape(values.shape, old_mm, mm), 3, 1)
    planes = [whole(values[:, i], (resize.new[0], resize.new[2]), 3) for i in range(12)]
    nearest = np.floor((np.arange(resize.new[1]) + 0.5) * 12 / resize.new[1]).astype(int)
    expected = np.stack([planes[i] for i in nearest], 1)
    at = resize.source(BOX)
    limits = np.stack([values.min((0, 2)), values.max((0, 2))])
    np.testing.assert_allclose(resize.part(values[at], at, BOX, limits), expected[BOX], atol=1e-9)


@pytest.mark.parametrize(
    ("old_mm", "mm", "axis"),
    [((3.0, 0.9, 0.9), (1.0, 1.0, 1.0), 0), ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
     ((1.0, 1.0, 1.0), (1.5, 1.5, 5.0), 2), ((4.0, 4.0, 1.0), (1.0, 1.0, 1.0), None),
     ((5.0, 1.0, 1.0), (1.0, 5.0, 1.0), 0)],
)  # fmt: skip
def test_which_slices_are_thick(
    old_mm: tuple[float, ...], mm: tuple[float, ...], axis: int | None
) -> None:
    assert separate_axis(old_mm, mm) == axis
