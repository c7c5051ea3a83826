"""Axes, tiles and tapers between our arrays and a network's."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spine.nets import network, spec_of
from vfx_edge.inference.patches import (
    cut,
    from_network,
    our_shape,
    paste,
    run_patches,
    run_tiles,
    taper,
    tile_starts,
    to_network,
)

ORIENTATIONS = ["".join(letters) for axes in permutations(("SI", "PA", "LR"))
                for letters in product(*axes)]  # fmt: skip
TRANSPOSES = list(permutations(range(3)))
TOWARDS = {"S": (0, 1), "I": (0, -1), "P": (1, 1), "A": (1, -1), "L": (2, 1), "R": (2, -1)}
"""Letter -> (our axis, sign)."""


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_there_and_back(orientation: str) -> None:
    ours = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    for transpose in TRANSPOSES:
        spec = spec_of("finder", orientation=orientation, transpose=transpose)
        theirs = to_network(ours, spec.input)
        np.testing.assert_array_equal(from_network(theirs, spec.input), ours)
        np.testing.assert_array_equal(theirs[1], to_network(ours[1], spec.input))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_axis_grows_towards_its_letter(orientation: str) -> None:
    coordinates = np.indices((3, 4, 5)).astype(np.float32)
    for transpose in TRANSPOSES:
        spec = spec_of("finder", orientation=orientation, transpose=transpose)
        letters = [orientation[i] for i in transpose]
        for axis, letter in enumerate(letters):
            ours, sign = TOWARDS[letter]
            slopes = np.diff(to_network(coordinates[ours], spec.input), axis=axis)
            assert (slopes == sign).all(), (letters, axis)


def test_a_patch_has_the_shape_the_network_asks_for() -> None:
    spec = spec_of("finder", orientation="RSA", transpose=(1, 0, 2), patch_zyx=(6, 7, 8)).input
    patch = np.zeros(our_shape(spec), np.float32)
    assert patch.shape == (6, 8, 7)
    assert to_network(patch, spec).shape == (6, 7, 8)


def test_answers_come_back_in_our_axes() -> None:
    spec = spec_of("finder", orientation="LAI", transpose=(2, 0, 1), patch_zyx=(4, 5, 6))
    shape = (1, *our_shape(spec.input))
    patches = list(np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32))

    def echo(_: object, batch: np.ndarray) -> np.ndarray:
        assert batch.shape[1:] == (1, 4, 5, 6)
        return np.concatenate([batch] * 4, 1)

    got = run_patches(network(spec, echo), patches)
    np.testing.assert_array_equal(got[:, 3:], np.stack(patches))
    once = spec_of("classifier", orientation="LAI", transpose=(2, 0, 1), patch_zyx=(4, 5, 6))
    odds = np.array([[1, 0, 0]], np.float32)
    got = run_patches(network(once, lambda s, b: b.mean((2, 3, 4)) * odds), patches)
    wanted = [np.exp(patch.mean()) / (np.exp(patch.mean()) + 2) for patch in patches]
    np.testing.assert_allclose(got[:, 0], wanted, atol=1e-5)  # softmax of one answer a patch


@given(st.integers(1, 400), st.integers(4, 64), st.integers(0, 40))
def test_tiles_cover_everything_with_the_overlap_asked_for(
    length: int, patch: int, overlap: int
) -> None:
    starts = tile_starts(length, patch, overlap)
    assert starts == sorted(starts)
    assert starts[0] <= 0
    assert starts[-1] + patch >= length
    if length > patch:
        assert starts[0] == 0
        assert starts[-1] == length - patch
        gaps = np.diff(starts)
        assert (gaps > 0).all()
        assert (gaps <= patch - min(overlap, patch // 2)).all()
    else:
        left, right = -starts[0], starts[0] + patch - length
        assert 0 <= right - left <= 1


def test_cutting_fills_what_lies_outside() -> None:
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    np.testing.assert_array_equal(cut(array, (1, 1, 1), (2, 2, 2), -7), array[1:3, 1:3, 1:3])
    out = cut(array, (-1, 2, 4), (3, 4, 2), -7)
    np.testing.assert_array_equal(out[1:, :2, :1], array[:2, 2:, 4:])
    assert (out == -7).sum() == out.size - 4
    assert (cut(array, (9, 0, 0), (2, 2, 2), -7) == -7).all()


def test_overlapping_tiles_are_a_weighted_mean() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(20, 13, 9)).astype(np.float32)
    total, weight = np.zeros_like(truth), np.zeros_like(truth)
    shape = (8, 8, 8)
    window = taper(shape)
    assert window.min() > 0
    assert window.max() == 1
    np.testing.assert_array_equal(window, window[::-1, ::-1, ::-1])
    for start in product(*(tile_starts(n, 8, 3) for n in truth.shape)):
        paste(total, weight, cut(truth, start, shape, 99.0), start, window)
    assert weight.min() > 0
    np.testing.assert_allclose(total / weight, truth, atol=1e-4)


def test_tiles_of_a_scan_give_its_probabilities() -> None:
    """A network that echoes its input in one class: tiling must not be visible."""
    spec = spec_of("finder", orientation="AIL", patch_zyx=(8, 10, 12))
    hu = np.random.default_rng(2).uniform(-900, 1400, (25, 11, 20)).astype(np.float32)

    def echo(_: object, batch: np.ndarray) -> np.ndarray:
        return np.concatenate([batch, batch * 2, batch * 3, batch * 4], 1)

    size = our_shape(spec.input)
    assert size == (10, 8, 12)
    starts = list(product(*(tile_starts(n, s, 4) for n, s in zip(hu.shape, size, strict=True))))
    got = run_tiles(network(spec, echo), hu, starts, 2, -1024.0)
    np.testing.assert_allclose(got, 3 * spec.input.normalise(hu), atol=1e-4)


def test_tiles_that_disagree_blend_into_each_other() -> None:
    spec = spec_of("finder", patch_zyx=(16, 8, 8))

    def by_number(_: object, batch: np.ndarray) -> np.ndarray:
        own = np.arange(len(batch), dtype=np.float32)[:, None, None, None, None]
        return np.ones((1, 4, 16, 8, 8), np.float32) * own

    hu = np.zeros((24, 8, 8), np.float32)
    got = run_tiles(network(spec, by_number), hu, [(0, 0, 0), (8, 0, 0)], 0, -1024.0)
    line = got[:, 4, 4]
    assert (line[:8] == 0).all()
    assert (line[16:] == 1).all()
    steps = np.diff(line)
    assert (steps >= 0).all()
    assert steps.max() < 0.4


def test_where_no_tile_lies_nothing_is_likely() -> None:
    spec = spec_of("finder", patch_zyx=(8, 8, 8))
    hu = np.zeros((30, 8, 8), np.float32)
    sure = network(spec, lambda s, b: np.ones((len(b), 4, 8, 8, 8), np.float32))
    got = run_tiles(sure, hu, [(0, 0, 0)], 3, -1024.0)
    assert (got[:8] == 1).all()
    assert (got[8:] == 0).all()
