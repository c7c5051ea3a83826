"""Stacks whose slices continue each other, and stacks that something happened to."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spine.world import phantom
from vfx_edge.image import Image
from vfx_edge.image.slices import coarse_stack, continuity, slices_per_measured, stretch
from vfx_edge.phantom import PhantomSpec

Slices = NDArray[np.int16]
MADE = phantom(
    PhantomSpec(levels=("T10", "L3"), spacing_mm=4.0, pixel_mm=3.0, matrix=(110, 120),
                scoliosis_deg=12.0, randomness=1.0, seed=4)
)  # fmt: skip


def as_image(values: Slices, axis: int = 0, finer: float = 1.0) -> Image:
    """The phantom's slices changed, stacked along `axis` of the array."""
    affine = MADE.affine_zyx_to_lps.copy()
    affine[:3, 0] /= finer
    order = [0, 1, 2]
    order.insert(axis, order.pop(0))
    return Image(
        np.ascontiguousarray(np.moveaxis(values, 0, axis)), affine[:, [*order, 3]], "CT", "HU"
    )


def pairs_swapped(values: Slices) -> Slices:
    return values[np.arange(len(values) // 2 * 2).reshape(-1, 2)[:, ::-1].ravel()]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_sound_stack_continues_and_was_measured(axis: int) -> None:
    image = as_image(MADE.hu, axis)
    found = continuity(coarse_stack(image, axis))
    assert (found.seams, found.disorder) == ((), False)
    assert slices_per_measured(image, axis) == 1


def test_swapped_halves_leave_one_seam_where_they_meet() -> None:
    half = len(MADE.hu) // 2
    found = continuity(coarse_stack(as_image(np.roll(MADE.hu, -half, axis=0)), 0))
    assert found.seams == (len(MADE.hu) - half - 1,)


def test_slices_of_another_body_leave_a_seam() -> None:
    two = MADE.hu.copy()
    two[20:] = two[20:, ::-1, ::-1]
    assert continuity(coarse_stack(as_image(two), 0)).seams == (19,)


@pytest.mark.parametrize(
    "change", [pairs_swapped, lambda v: v[np.random.default_rng(2).permutation(len(v))]]
)
def test_slices_in_no_order_are_told(change: Callable[[Slices], Slices]) -> None:
    assert continuity(coarse_stack(as_image(change(MADE.hu)), 0)).disorder


def test_an_empty_end_is_no_seam() -> None:
    air = np.full((12, *MADE.hu.shape[1:]), -1000, np.int16)
    assert continuity(coarse_stack(as_image(np.concatenate([MADE.hu, air])), 0)).seams == ()


@pytest.mark.parametrize("times", [2, 3])
def test_copies_and_means_are_counted(times: int) -> None:
    copies = np.repeat(MADE.hu, times, axis=0)
    assert slices_per_measured(as_image(copies, finer=times), 0) == times
    share = np.linspace(0, 1, times, endpoint=False)[:, None, None, None]
    low, high = MADE.hu[None, :-1].astype(float), MADE.hu[None, 1:]
    means = np.moveaxis(low + (high - low) * share, 0, 1).reshape(-1, *MADE.hu.shape[1:])
    assert slices_per_measured(as_image(np.rint(means).astype(np.int16), finer=times), 0) == times


def test_half_the_distance_makes_a_body_change_faster() -> None:
    true = stretch(coarse_stack(as_image(MADE.hu), 0))
    half = stretch(coarse_stack(as_image(MADE.hu, finer=2), 0))
    assert true is not None
    assert half is not None
    assert half > 1.2 * true
