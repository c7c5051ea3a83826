"""Heights of phantom bodies against the phantom's own."""

from dataclasses import replace

import numpy as np
import pytest

from tests.stages.world import ANOTHER_BODY, SCOLIOTIC, Floats, lumbar, masks_of, thrice_broken
from vfx_edge.phantom import Phantom
from vfx_edge.stages.measure import column_axes, measure_heights
from vfx_edge.study import Heights, Level, Vertebra, VertebraMask


def triple(heights: Heights) -> tuple[float, float, float]:
    return heights.anterior_mm, heights.middle_mm, heights.posterior_mm


def measured(made: Phantom, shrink: int = 1) -> dict[str, Heights]:
    """Heights of all bodies wholly in view."""
    masks = masks_of(made, shrink)
    out = {}
    for mask, axis in zip(masks, column_axes(masks), strict=True):
        if not mask.touches_edge:
            heights = measure_heights(mask, axis)
            assert heights is not None, mask.vertebra.level
            out[mask.vertebra.level.value] = heights
    return out


def errors(made: Phantom, got: dict[str, Heights]) -> Floats:
    """(n, 3) mm."""
    return np.array([np.subtract(triple(h), made.truth.get(k).heights_mm) for k, h in got.items()])


SCANS = {
    "1.5 mm": ({}, 1),
    "1 mm": ({"spacing_mm": 1.0}, 1),
    "soft rims": ({"spacing_mm": 0.75, "levels": ("L1", "L2")}, 2),
    "scoliotic": (SCOLIOTIC, 1),
    "another body": (ANOTHER_BODY, 1),
}


@pytest.mark.parametrize("scan", SCANS)
def test_heights_of_intact_bodies(scan: str) -> None:
    values, shrink = SCANS[scan]
    made = lumbar(**values)
    off = errors(made, measured(made, shrink))
    assert len(off) >= 2
    assert np.abs(off).mean() <= 1.0, off
    assert np.abs(off).max() <= 3.0, off


@pytest.mark.parametrize(("level", "which"), [("T8", 0), ("T12", 1), ("L3", 1)])
def test_the_lost_height_is_measured_where_it_is_worst(level: str, which: int) -> None:
    made = thrice_broken(0.35)
    got = triple(measured(made)[level])[which]
    assert got == pytest.approx(made.truth.get(level).heights_mm[which], abs=2.0)


def test_landmarks_span_the_heights_from_front_to_back() -> None:
    made = lumbar()
    for level, heights in measured(made).items():
        pairs = np.array(heights.landmarks_lps_mm)
        assert pairs.shape == (3, 2, 3)
        spans = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1)
        np.testing.assert_allclose(spans, triple(heights), atol=1.0)
        truth = made.truth.get(level)
        middles = pairs.mean(1) - np.array(truth.centroid_lps_mm)
        assert (np.diff(middles @ np.array(truth.back_lps)) > 6).all()
        assert ((pairs[:, 0] - pairs[:, 1]) @ np.array(truth.up_lps) > 0).all()
        # in the middle of the body's width
        left = np.cross(truth.back_lps, truth.up_lps)
        assert np.abs(middles @ left).max() < 3


def test_a_wrong_first_guess_of_the_axis_is_put_right() -> None:
    made = lumbar(spacing_mm=1.0)
    (mask,) = (m for m in masks_of(made) if m.vertebra.level == Level.L2)
    truth = made.truth.get("L2")
    up, back = np.array(truth.up_lps), np.array(truth.back_lps)
    for degrees in (-15, 15):
        turn = np.radians(degrees)
        heights = measure_heights(mask, np.cos(turn) * up + np.sin(turn) * back)
        assert heights is not None
        np.testing.assert_allclose(triple(heights), truth.heights_mm, atol=2.0)


def block(shape: tuple[int, int, int], spacing_mm: float = 1.0) -> VertebraMask:
    """A box of bone in air."""
    body = np.pad(np.ones(shape, np.float16), 8)
    centre = (np.array(body.shape) - 1)[::-1] / 2 * spacing_mm
    vertebra = Vertebra(Level.L1, (float(centre[0]), float(centre[1]), float(centre[2])), 1.0)
    return VertebraMask(vertebra, body, np.zeros_like(body), (0.0, 0.0, 0.0), spacing_mm)


UP = np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize("height", [18, 25])
def test_a_box_is_as_high_as_it_is(height: int) -> None:
    heights = measure_heights(block((height, 30, 40)), UP)
    assert heights is not None
    np.testing.assert_allclose(triple(heights), height, atol=0.2)


def test_half_a_voxel_counts() -> None:
    """The rim's probability places an endplate between two voxels."""
    mask = block((20, 30, 40))
    body = mask.body.copy()
    body[7, 8:-8, 8:-8] = 0.4  # one half is crossed 1/6 voxel beyond the last full one
    lower = measure_heights(replace(mask, body=body), UP)
    body = body.copy()
    body[7, 8:-8, 8:-8] = 0.9  # most of a voxel more
    higher = measure_heights(replace(mask, body=body), UP)
    assert lower is not None
    assert higher is not None
    assert 0.5 < higher.middle_mm - lower.middle_mm < 0.9


@pytest.mark.parametrize("shape", [(25, 4, 40), (0, 30, 40)])
def test_what_cannot_be_read_has_no_heights(shape: tuple[int, int, int]) -> None:
    assert measure_heights(block(shape), UP) is None


def test_axes_follow_the_column() -> None:
    made = lumbar(**SCOLIOTIC)
    masks = masks_of(made)
    for mask, axis in zip(masks, column_axes(masks), strict=True):
        assert np.linalg.norm(axis) == pytest.approx(1)
        assert axis @ np.array(made.truth.get(mask.vertebra.level.value).up_lps) > 0.96
    assert column_axes([]) == []
    np.testing.assert_array_equal(column_axes(masks[:1]), [UP])
