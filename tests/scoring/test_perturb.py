"""Scans made anew: places hold, a shift is exact, noise is of the scan's own level and grain."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
from vfx_edge.scoring.image_noise import noise_of
from vfx_edge.scoring.perturb import (
    PERTURBATIONS,
    SHIFT_VOXELS,
    sharper,
    sharper_response,
    shifted,
    smoother,
    smoother_response,
    with_new_noise,
)
from vfx_edge.study import Scan, SeriesInfo

Floats = NDArray[np.float64]
SPACING = np.array([1.5, 0.8, 0.7])
TURNED = np.array([[0.02, -0.05, 1.0], [0.03, 1.0, 0.05], [1.0, 0.03, -0.02]])
SHAPE = (24, 120, 130)
BLOBS = [((10.0, 40.0, 70.0), 900.0), ((14.0, 70.0, 52.0), 400.0), ((8.0, 62.0, 90.0), -300.0)]
"""Place (z, y, x) and height in HU: alike from no two sides."""


def affine() -> NDArray[np.float64]:
    """An oblique one."""
    turned, _ = np.linalg.qr(TURNED)
    turned *= np.sign(np.diag(turned @ TURNED.T))
    made = np.eye(4)
    made[:3, :3] = turned * SPACING
    made[:3, 3] = (-80.0, -60.0, 300.0)
    return made


def ct(values: NDArray[np.generic]) -> Image:
    return Image(values, affine(), "CT", "HU")


def smooth_at(lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """An asymmetric picture whose value is known everywhere: blobs in soft tissue."""
    grid = ct(np.zeros(SHAPE, np.int16))
    value = np.full(len(lps_mm), 50.0)
    for centre, height in BLOBS:
        away = lps_mm - grid.to_lps(np.array([centre]))[0]
        value += height * np.exp(-0.5 * (away**2).sum(1) / 4.0**2)
    return value


def blobs() -> Image:
    places = ct(np.zeros(SHAPE, np.int16)).to_lps(np.argwhere(np.ones(SHAPE)))
    return ct(smooth_at(places).reshape(SHAPE).astype(np.float32))


def noisy(level: float, sigma: float, between: float = 0.0, seed: int = 5) -> Image:
    """Soft tissue with bone, air and fat in it, and noise of known level and grain."""
    tissue = np.full(SHAPE, 55.0, np.float32)
    tissue[:, 30:60, 40:80] = 700.0
    tissue[:, 80:100, :] = -100.0
    tissue[:, :12, :] = -1000.0
    white = np.random.default_rng(seed).standard_normal(SHAPE)
    grain = ndimage.gaussian_filter(white, (0, sigma, sigma))
    for z in range(1, len(grain)):
        grain[z] = between * grain[z - 1] + np.sqrt(1 - between**2) * grain[z]
    return ct(np.rint(tissue + level * grain / grain.std()).astype(np.int16))


def test_shifted_values_are_those_of_their_own_places() -> None:
    image = blobs()
    moved = shifted(image)
    places = moved.to_lps(np.argwhere(np.ones(SHAPE)))
    inner = np.zeros(SHAPE, bool)
    inner[4:-4, 4:-4, 4:-4] = True
    gap = np.abs(moved.values - smooth_at(places).reshape(SHAPE))[inner]
    assert gap.max() < 0.5  # of 900 HU
    # the values did move: left where they were, they would be wrong by far more
    assert np.abs(moved.values - image.values)[inner].max() > 50


def test_a_shift_moves_the_grid_and_not_the_patient() -> None:
    image = blobs()
    moved = shifted(image)
    assert np.allclose(moved.affine_zyx_to_lps[:, :3], image.affine_zyx_to_lps[:, :3])
    first = image.to_zyx(moved.to_lps(np.zeros((1, 3))))[0]
    assert first == pytest.approx(SHIFT_VOXELS)
    assert np.allclose(shifted(image, (0.0, 0.0, 0.0)).values, image.values, atol=0.01)


def test_a_shift_hardly_smooths() -> None:
    """Of a pattern at half of the finest frequency nine tenths and more are left, and it lies
    where it should: a linear interpolation leaves 0.72 of it."""
    x = np.arange(SHAPE[2])
    image = ct(np.broadcast_to((100 * np.cos(np.pi / 2 * x)).astype(np.float32), SHAPE).copy())
    moved = shifted(image, (0.0, 0.0, 0.5)).values[:, :, 10:-10]
    expected = 100 * np.cos(np.pi / 2 * (x + 0.5))[10:-10]
    assert np.abs(moved - expected).max() < 3


@pytest.mark.parametrize(("level", "sigma", "between"), [(12.0, 0.7, 0.0), (40.0, 1.2, 0.6)])
def test_the_noise_level_is_told_from_the_scan(level: float, sigma: float, between: float) -> None:
    noise = noise_of(noisy(level, sigma, between))
    assert noise is not None
    # a small window misses some of a coarse grain
    assert 0.82 * level < noise.level_hu < 1.05 * level
    assert noise.between == pytest.approx(between, abs=0.1)


@pytest.mark.parametrize(("level", "sigma", "between"), [(12.0, 0.7, 0.0), (40.0, 1.2, 0.6)])
def test_new_noise_is_of_the_scans_own_kind(level: float, sigma: float, between: float) -> None:
    image = noisy(level, sigma, between)
    one, other = with_new_noise(image, 1), with_new_noise(image, 2)
    assert one is not None
    assert other is not None
    added = one.values.astype(float) - image.values
    inner = added[:, 13:, :]  # air is cut off at its lowest value
    assert inner.mean() == pytest.approx(0, abs=0.05 * level)
    assert inner.std() == pytest.approx(level, rel=0.15)
    assert _lag(inner, 2) == pytest.approx(_lag(noisy(level, sigma, between).values, 2), abs=0.15)
    assert _lag(inner, 0) == pytest.approx(between, abs=0.1)
    both = np.corrcoef(inner.ravel(), (other.values.astype(float) - image.values)[:, 13:].ravel())
    assert abs(both[0, 1]) < 0.05
    again = with_new_noise(image, 1)
    assert again is not None
    assert np.array_equal(again.values, one.values)


def _lag(values: NDArray[np.generic], axis: int) -> float:
    """Correlation of neighbours along the axis, in a part that is soft tissue alone."""
    part = values[:, 102:, :].astype(float)
    part = part - part.mean()
    one, other = np.delete(part, -1, axis), np.delete(part, 0, axis)
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def test_without_soft_tissue_there_is_no_new_noise() -> None:
    assert noise_of(ct(np.full(SHAPE, -1000, np.int16))) is None
    assert with_new_noise(ct(np.full((3, 9, 9), 40, np.int16)), 1) is None


@pytest.mark.parametrize(
    ("made", "response"), [(smoother, smoother_response), (sharper, sharper_response)]
)
def test_kernels_do_what_they_state(
    made: Callable[[Image], Image], response: Callable[[Floats], Floats]
) -> None:
    """A wave in plane, of 2.75 line pairs a cm, is multiplied by the stated factor; the mean
    stays."""
    per_mm = 25 / (130 * 0.7)
    wave = 50 + 100 * np.cos(2 * np.pi * per_mm * (np.arange(SHAPE[2]) + 0.5) * 0.7)
    rows = np.broadcast_to(wave, SHAPE).astype(np.float32)
    rows[:, :10], rows[:, -10:] = -400, 500  # else what is sharper would be cut off
    middle = made(ct(rows)).values[:, 30:-30, 26:-26]
    factor = float(response(np.array([per_mm]))[0])
    assert middle.mean() == pytest.approx(wave[26:-26].mean(), abs=1)
    assert middle.std() / wave[26:-26].std() == pytest.approx(factor, rel=0.02)


def test_every_perturbation_keeps_type_range_and_facts() -> None:
    image = noisy(20.0, 0.8)
    series = SeriesInfo("1.2", "1.2.3", "CT", SHAPE[0], (0.7, 0.8, 1.5), "axial")
    scan = Scan(image, series, sources=(("a.dcm", "1.2.3.4"),), frame_of_reference="1.2.9")
    names = {one.name for one in PERTURBATIONS}
    for one in PERTURBATIONS:
        made = one.scan(scan)
        assert made is not None
        assert made.image.values.dtype == image.values.dtype
        assert made.image.values.min() >= image.values.min()
        assert made.image.values.max() <= image.values.max()
        assert not np.array_equal(made.image.values, image.values)
        assert made.series == series
        assert made.sources == ()
        assert one.against in {"as_scanned", *names}
