"""How alike two masks are, where the answer is known."""

import numpy as np
import pytest

from vfx_edge.evaluation.overlap import Likeness, dice, label_dice, likeness


def ball(radius_mm: float, shift_mm: float = 0.0) -> np.ndarray:
    """(z, y, x) at 1.0, 0.75 and 0.75 mm."""
    z, y, x = np.meshgrid(
        np.arange(-40, 41) * 1.0, np.arange(-54, 55) * 0.75, np.arange(-54, 55) * 0.75,
        indexing="ij",
    )  # fmt: skip
    return np.asarray((z - shift_mm) ** 2 + y**2 + x**2 <= radius_mm**2)


SPACING = (1.0, 0.75, 0.75)


def test_surfaces_of_one_ball_within_another() -> None:
    alike = likeness(ball(25), ball(20), SPACING)
    assert alike.dice == pytest.approx(2 * 20**3 / (20**3 + 25**3), abs=0.01)
    assert alike.mean_mm == pytest.approx(5.0, abs=0.2)
    assert alike.hausdorff95_mm == pytest.approx(5.0, abs=0.6)


def test_surfaces_of_two_shifted_balls() -> None:
    """A point of the one at angle t lies |sqrt(r² + d² - 2 r d cos t) - r| from the other."""
    radius, shift = 22.0, 6.0
    cosine = np.linspace(-1, 1, 4001)  # a sphere's area is even in it
    gaps = np.abs(np.sqrt(radius**2 + shift**2 - 2 * radius * shift * cosine) - radius)
    alike = likeness(ball(radius), ball(radius, shift), SPACING)
    assert alike.mean_mm == pytest.approx(gaps.mean(), abs=0.25)
    assert alike.hausdorff95_mm == pytest.approx(np.quantile(gaps, 0.95), abs=0.5)
    assert alike.hausdorff_mm == pytest.approx(shift, abs=0.1)


def test_an_empty_mask_has_no_surface() -> None:
    full = ball(10)
    empty = np.zeros_like(full)
    assert likeness(full, empty, SPACING) == Likeness(0, None, None, None)
    assert likeness(empty, empty, SPACING) == Likeness(1, None, None, None)
    assert (dice(full, empty), dice(empty, empty)) == (0.0, 1.0)


def test_dice_of_labels_that_are_called_otherwise() -> None:
    mine, true = np.zeros((2, 30), np.uint8), np.zeros((2, 30), np.uint8)
    mine[0, :10], true[0, 5:15] = 20, 21
    assert label_dice(mine, true, [(20, 21), (20, 20)]) == [0.5, 0.0]
