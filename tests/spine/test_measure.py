"""Heights of phantom bodies against the phantom's own."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from tests.spine.world import (
    ANOTHER_BODY,
    SCOLIOTIC,
    Floats,
    broken,
    lumbar,
    masks_of,
    thrice_broken,
)
from vfx_edge.phantom import Phantom
from vfx_edge.spine.measure import column_axes, depth_mm, measure_heights
from vfx_edge.study import Heights, Level, Vertebra, VertebraMask

UP = np.array([0.0, 0.0, 1.0])


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


SCANS: dict[str, tuple[dict[str, Any], int]] = {
    "1.5 mm": ({}, 1),
    "1 mm": ({"spacing_mm": 1.0}, 1),
    "2 mm": ({"spacing_mm": 1.0}, 2),
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


@pytest.mark.parametrize("loss", [0.25, 0.5])
@pytest.mark.parametrize(("level", "which"), [("T8", 0), ("T12", 1), ("L3", 1)])
def test_the_lost_height_is_measured_where_it_is_worst(level: str, which: int, loss: float) -> None:
    made = thrice_broken(loss)
    got = triple(measured(made)[level])[which]
    assert got == pytest.approx(made.truth.get(level).heights_mm[which], abs=2.0)


@cache
def one(level: str) -> VertebraMask:
    """A wedge and its intact neighbour below, seen finely and softened."""
    made = broken("L1:wedge:0.35", levels=("L1", "L2"), spacing_mm=0.75)
    (mask,) = (m for m in masks_of(made, 2) if m.vertebra.level.value == level)
    return mask


def turned_mask(mask: VertebraMask, turn: Floats) -> VertebraMask:
    """The same body turned (z, y, x) about its centre, in a box that holds it."""
    middle = (np.array(mask.vertebra.centroid_lps_mm) - mask.origin_lps_mm)[::-1] / mask.spacing_mm
    reach = 48  # voxels: the body with its arch, however it is turned
    offset = middle - turn.T @ np.full(3, reach)
    shape = (2 * reach + 1,) * 3
    body, arch = (
        ndimage.affine_transform(
            soft.astype(np.float32), turn.T, offset, output_shape=shape, order=1
        ).astype(np.float16)
        for soft in (mask.body, mask.arch)
    )
    x, y, z = (v - reach * mask.spacing_mm for v in mask.vertebra.centroid_lps_mm)
    return replace(mask, body=body, arch=arch, origin_lps_mm=(x, y, z))


def rotation(axis: tuple[int, int, int], degrees: float) -> Floats:
    """About (z, y, x)."""
    unit = np.array(axis) / np.linalg.norm(axis)
    return np.asarray(Rotation.from_rotvec(np.radians(degrees) * unit).as_matrix())


@pytest.mark.parametrize("level", ["L1", "L2"])
@pytest.mark.parametrize("degrees", [-30, 30])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)])
def test_heights_do_not_depend_on_how_the_body_lies(
    level: str, axis: tuple[int, int, int], degrees: float
) -> None:
    straight = measure_heights(one(level), UP)
    turn = rotation(axis, degrees)
    oblique = measure_heights(turned_mask(one(level), turn), turn[::-1, 0])
    assert straight is not None
    assert oblique is not None
    np.testing.assert_allclose(triple(oblique), triple(straight), atol=0.8)


@pytest.mark.parametrize("level", ["L1", "L2"])
def test_left_and_right_are_alike(level: str) -> None:
    mask = one(level)
    far = mask.origin_lps_mm[0] + (mask.body.shape[2] - 1) * mask.spacing_mm
    x, y, z = mask.vertebra.centroid_lps_mm
    mirrored = replace(
        mask,
        vertebra=replace(mask.vertebra, centroid_lps_mm=(-x, y, z)),
        body=mask.body[:, :, ::-1].copy(),
        arch=mask.arch[:, :, ::-1].copy(),
        origin_lps_mm=(-far, *mask.origin_lps_mm[1:]),
    )
    there, back = measure_heights(mask, UP), measure_heights(mirrored, UP)
    assert there is not None
    assert back is not None
    np.testing.assert_allclose(triple(back), triple(there), atol=0.3)


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


def with_lips(mask: VertebraMask, out: int, thick: int) -> VertebraMask:
    """Spurs of both front rims, reaching `out` voxels forward, `thick` high, hooked outwards."""
    body = mask.body.copy()
    body[8 : 8 + thick, 8 - out : 8, 8:-8] = 1
    body[-8 - thick : -8, 8 - out : 8, 8:-8] = 1
    body[5:8, 8 - out : 9, 8:-8] = 1
    body[-8:-5, 8 - out : 9, 8:-8] = 1
    return replace(mask, body=body)


def test_spurs_of_the_rim_are_no_height() -> None:
    heights = measure_heights(with_lips(block((24, 30, 40)), out=4, thick=4), UP)
    assert heights is not None
    np.testing.assert_allclose(triple(heights), 24, atol=0.5)


def test_wide_rims_do_not_tilt_the_body() -> None:
    """Where rims hold more columns than the waist, they once turned the frame by 35 degrees."""
    mask = block((24, 20, 22))
    body = mask.body.copy()
    body[8:11, :-8, 1:-1] = 1
    heights = measure_heights(replace(mask, body=body), UP)
    assert heights is not None
    np.testing.assert_allclose(triple(heights), 24, atol=0.5)


def test_a_vessel_drawn_along_in_front_is_no_wedge() -> None:
    mask = block((24, 30, 40))
    body = mask.body.copy()
    body[18:31, :8, 14:-14] = 1  # beside the upper half, across the middle plane
    heights = measure_heights(replace(mask, body=body), UP)
    assert heights is not None
    np.testing.assert_allclose(triple(heights), 24, atol=0.5)
    assert depth_mm(heights) == pytest.approx(30, abs=1.5)


@pytest.mark.parametrize("depth", [20, 30])
def test_depth_is_that_of_the_waist(depth: int) -> None:
    heights = measure_heights(with_lips(block((24, depth, 40)), out=4, thick=4), UP)
    assert heights is not None
    assert depth_mm(heights) == pytest.approx(depth, abs=1.5)


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
