"""Resampling: what lies at a place in the patient is found at this place, whatever the scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.spine.world import AXIAL, Floats, affine_of, places, turned, volume_of
from vfx_edge.image import Image
from vfx_edge.image.grids import (
    Grid,
    bounds_lps_mm,
    coarse_copy,
    grid_about,
    grid_covering,
    inside_scan,
    sample,
)
from vfx_edge.image.image import AIR_HU

SLOPE = np.array([3.0, -5.0, 7.0])  # HU per mm to the left, back and head
CENTRE = (12.5, -140.25, 310.0)
OBLIQUE = turned((17.0, -9.0, 5.0))


def ramp_at(lps: Floats) -> Floats:
    return np.asarray((lps - np.array(CENTRE)) @ SLOPE)


def ramp(spacing: tuple[float, ...], shape: tuple[int, ...], directions: Floats = AXIAL) -> Image:
    affine = affine_of(spacing, CENTRE, shape, directions)
    return volume_of(ramp_at(places(affine, shape)), affine)


def grid_points(grid: Grid) -> Floats:
    index = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)
    return grid.to_lps(index.astype(np.float64)).reshape(*grid.shape, 3)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE, turned((0, 90, 0))],
                         ids=["axial", "oblique", "sagittal"])  # fmt: skip
@pytest.mark.parametrize(
    ("spacing", "shape", "wanted_mm"),
    [
        ((2.5, 0.8, 0.8), (36, 110, 112), 1.5),  # up along z, nearly twice down in the plane
        ((4.25, 0.7, 0.7), (24, 130, 128), 4.5),  # blocks of 1, 6 and 6 voxels
        ((1.0, 1.0, 1.0), (90, 91, 92), 6.0),
        ((3.0, 3.0, 3.0), (30, 30, 30), 1.0),
    ],
)
def test_a_ramp_is_read_exactly(
    spacing: tuple[float, ...], shape: tuple[int, ...], wanted_mm: float, directions: Floats,
    order: int,
) -> None:  # fmt: skip
    volume = ramp(spacing, shape, directions)
    grid = grid_about((13.1, -139.0, 308.7), (7, 9, 8), wanted_mm)
    if wanted_mm > 4:  # the same extent in fewer voxels
        grid = grid_about((13.1, -139.0, 308.7), (5, 6, 7), wanted_mm)
    points = grid_points(grid)
    deep = inside_scan(volume, points, 14.0)  # splines ring at the scan's end
    assert deep.any()
    if order == 1:
        deep = np.ones(grid.shape, bool)
        assert inside_scan(volume, points, max(spacing) + wanted_mm).all()
    error = sample(volume, grid, order) - ramp_at(points)
    assert np.abs(error[deep]).max() < 0.6  # whole numbers are stored


def test_a_place_reads_the_same_from_every_grid() -> None:
    volume = ramp((1.5, 0.7, 0.7), (60, 120, 120))
    wide = sample(volume, grid_about(CENTRE, (13, 13, 13), 4.5))
    narrow = sample(volume, grid_about(CENTRE, (7, 5, 9), 4.5))
    np.testing.assert_allclose(wide[3:10, 4:9, 2:11], narrow, atol=0.6)


def test_going_coarser_averages_instead_of_skipping() -> None:
    affine = affine_of((1.0, 1.0, 1.0), (0, 0, 0), (60, 60, 60))
    stripes = (np.indices((60, 60, 60)).sum(0) % 2) * 2000 - 1000
    coarse = sample(volume_of(stripes, affine), grid_about((0, 0, 0), (6, 6, 6), 6.0))
    np.testing.assert_allclose(coarse, 0, atol=60)


@pytest.mark.parametrize("wanted_mm", [1.0, 1.5, 4.5, 6.0])
@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_air_outside_and_only_outside(directions: Floats, wanted_mm: float) -> None:
    affine = affine_of((2.0, 1.0, 1.0), CENTRE, (31, 61, 59), directions)
    volume = volume_of(np.full((31, 61, 59), 400), affine)
    grid = grid_about(CENTRE, (int(150 / wanted_mm),) * 3, wanted_mm)
    hu, points = sample(volume, grid), grid_points(grid)
    rim = wanted_mm / 2 + 1.0  # where voxels of both kinds are blended
    assert (hu[inside_scan(volume, points, rim)] == 400).all()
    assert (hu[~inside_scan(volume, points, -rim)] == AIR_HU).all()
    assert hu.min() >= AIR_HU
    assert hu.max() <= 400


def test_a_grid_off_the_scan_is_air() -> None:
    volume = ramp((2.0, 2.0, 2.0), (20, 20, 20))
    assert (sample(volume, grid_about((500, 0, 0), (4, 4, 4), 1.5)) == AIR_HU).all()


@pytest.mark.parametrize("directions", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_the_covering_grid_covers(directions: Floats) -> None:
    volume = ramp((4.0, 1.1, 0.9), (20, 50, 60), directions)
    grid = grid_covering(volume, 6.0)
    low, high = bounds_lps_mm(volume)
    np.testing.assert_allclose(grid.origin_lps_mm, low)
    last = grid.to_lps(np.array(grid.shape, dtype=float) - 1)
    assert (last <= high + 1e-6).all()
    assert (last > high - 6.0).all()


def test_grid_there_and_back() -> None:
    grid = grid_about(CENTRE, (8, 10, 12), 1.5)
    np.testing.assert_allclose(grid.to_lps(np.array([[3.5, 4.5, 5.5]])), [CENTRE])
    points = np.random.default_rng(0).normal(size=(20, 3)) * 50
    np.testing.assert_allclose(grid.to_lps(grid.to_zyx(points)), points)


def lopsided(at: Floats, place: tuple[float, ...]) -> Floats:
    """A large dense ball at `place` and a small faint one to its left, back and head."""
    out = np.zeros(at.shape[:-1])
    for way, height, width in (((0, 0, 0), 1000, 5), ((6, 4, 9), 500, 3)):
        far = ((at - np.array(place) - np.array(way)) ** 2).sum(-1)
        out += height * np.exp(-0.5 * far / width**2)
    return out


angles = st.floats(-180, 180)
edges = st.sampled_from([1.0, 1.7, 3.0])


@examples(40)
@given(
    degrees=st.tuples(angles, angles, angles),
    spacing=st.tuples(edges, edges, edges),
    wanted_mm=st.sampled_from([1.5, 2.0, 4.5]),
    place=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_a_lopsided_blob_is_found_where_it_is(
    degrees: tuple[float, float, float], spacing: tuple[float, float, float], wanted_mm: float,
    place: tuple[float, float, float],
) -> None:  # fmt: skip
    shape = tuple(int(84 / s) for s in spacing)
    affine = affine_of(spacing, (0, 0, 0), shape, turned(degrees))
    grid = grid_about((0, 0, 0), (int(44 / wanted_mm),) * 3, wanted_mm)
    got = sample(volume_of(lopsided(places(affine, shape), place), affine), grid)
    points = grid_points(grid)
    wanted = lopsided(points, place)
    found = (points * got[..., None]).sum((0, 1, 2)) / got.sum()
    true = (points * wanted[..., None]).sum((0, 1, 2)) / wanted.sum()
    assert np.linalg.norm(found - true) < 0.3
    # a mirrored or turned picture may have the same middle, but not the same voxels
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("dtype", "modality", "unit", "scale"),
    [(np.int16, "CT", "HU", 1.0), (np.int16, "MR", "1", 30.0), (np.float32, "NM", "1", 1e-3)],
)
def test_any_modality_is_averaged_in_its_own_numbers(
    dtype: type[np.generic], modality: str, unit: str, scale: float
) -> None:
    """Large numbers do not overflow where blocks are added up, small ones do not vanish."""
    shape = (48, 48, 48)
    affine = affine_of((1.0, 1.0, 1.0), CENTRE, shape)
    values = (ramp_at(places(affine, shape)) + 500) * scale
    image = Image(values.astype(dtype), affine, modality, unit)
    grid = grid_about(CENTRE, (4, 4, 4), 6.0)
    wanted = (ramp_at(grid_points(grid)) + 500) * scale
    np.testing.assert_allclose(sample(image, grid), wanted, atol=scale)
    copy = coarse_copy(image, grid)
    assert copy.values.dtype == np.dtype(dtype)
    assert (copy.modality, copy.unit) == (modality, unit)
    np.testing.assert_allclose(copy.values, wanted, atol=2 * scale)
