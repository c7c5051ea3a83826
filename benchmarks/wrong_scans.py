"""Scans that cannot be right, made from a sound one: in memory, as the reader would hand them on.

Each is what a file says after one thing in it went wrong. A mirror image, which nobody can tell who
has the voxels alone, is here too, and the sound scan itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.image import Image
from vfx_edge.image.image import AIR_HU
from vfx_edge.spine.slice_distance import SLICE_AXIS
from vfx_edge.study import Scan

Values = NDArray[Any]
Make = Callable[[Scan], Scan]
HIGHEST_HU = 3071
SOUND, MIRRORED = "sound", "left-right"


@dataclass(frozen=True)
class Wrong:
    """One way to be wrong. told: whether it can be told at all."""

    name: str
    what: str
    make: Make
    told: bool = True


def _with(scan: Scan, values: Values | None = None, affine: Values | None = None) -> Scan:
    image = scan.image
    if values is None:
        values = image.values
    whole = np.clip(np.rint(values), AIR_HU, HIGHEST_HU).astype(np.int16)
    placed = image.affine_zyx_to_lps.copy() if affine is None else affine
    changed = Image(np.ascontiguousarray(whole), placed, image.modality, image.unit)
    return replace(scan, image=changed, sources=())


def _hu(change: Callable[[Values], Values]) -> Make:
    return lambda scan: _with(scan, change(scan.image.values.astype(np.float32)))


def _spaced(*factors: float) -> Make:
    """factors: of the distances along z, y, x."""

    def make(scan: Scan) -> Scan:
        affine = scan.image.affine_zyx_to_lps.copy()
        affine[:3, :3] *= factors
        return _with(scan, affine=affine)

    return make


def _voxels(change: Callable[[Values], Values]) -> Make:
    return lambda scan: _with(scan, change(scan.image.values))


def _slices(change: Callable[[Values], Values], finer: int = 1) -> Make:
    """finer: so many slices in place of one."""

    def make(scan: Scan) -> Scan:
        axis = SLICE_AXIS.get(scan.series.orientation, 0)
        affine = scan.image.affine_zyx_to_lps.copy()
        affine[:3, axis] /= finer
        changed = change(np.moveaxis(scan.image.values, axis, 0))
        return _with(scan, np.moveaxis(changed, 0, axis), affine)

    return make


def _like_mr(hu: Values) -> Values:
    noise = np.random.default_rng(0).normal(0, 30, hu.shape)
    bright = np.select([hu < -300, hu < -20, hu < 150], [0, 900, 400], 150)
    return np.asarray(np.clip(bright + noise, 0, None))


def _between(slices: Values) -> Values:
    out = np.repeat(slices[:-1].astype(np.float32), 2, axis=0)
    out[1::2] = (slices[:-1].astype(np.float32) + slices[1:]) / 2
    return out


def _pairs_swapped(slices: Values) -> Values:
    order = np.arange(len(slices) // 2 * 2).reshape(-1, 2)[:, ::-1].ravel()
    return slices[order]


def _two_swapped(slices: Values) -> Values:
    order = np.arange(len(slices))
    a, b = len(order) // 3, 2 * len(order) // 3
    order[[a, b]] = order[[b, a]]
    return slices[order]


def _halves_swapped(slices: Values) -> Values:
    return np.roll(slices, len(slices) // 2, axis=0)


def _block_twice(slices: Values) -> Values:
    block = len(slices) // 5
    out = slices.copy()
    out[3 * block : 4 * block] = out[2 * block : 3 * block]
    return out


def _other_patient(slices: Values) -> Values:
    """The lower half is mirrored, moved and larger, as another patient's would be."""
    half = len(slices) // 2
    other = np.roll(slices[half:][::-1, :, ::-1], slices.shape[1] // 10, axis=1)
    return np.concatenate([other[: len(slices) - half], slices[half:]])


def _in_no_order(slices: Values) -> Values:
    return slices[np.random.default_rng(1).permutation(len(slices))]


def _water(values: Values) -> Values:
    """A bottle of water in air."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in values.shape)]
    noise = np.random.default_rng(0).normal(0, 10, values.shape)
    return np.where(y**2 + x**2 + 0 * z < 0.4, 0, -1000) + noise


def _limb(values: Values) -> Values:
    """A cylinder of muscle with fat about it, and one shaft of bone."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in values.shape)]
    across = np.hypot(y, x) + 0 * z
    noise = np.random.default_rng(0).normal(0, 10, values.shape)
    return (
        np.select(
            [across < 0.05, across < 0.09, across < 0.3, across < 0.4], [-80, 1200, 50, -100], -1000
        )
        + noise
    )


def _air(values: Values) -> Values:
    return -1000 + np.random.default_rng(0).normal(0, 10, values.shape)


_WAYS: dict[str, tuple[str, Make]] = {
    SOUND: ("nothing", lambda scan: scan),
    "hu+1024": ("all numbers 1024 HU too high: no intercept", _hu(lambda h: h + 1024)),
    "hu-1024": ("all numbers 1024 HU too low: the intercept twice", _hu(lambda h: h - 1024)),
    "hu+200": ("all numbers 200 HU too high", _hu(lambda h: h + 200)),
    "hu-200": ("all numbers 200 HU too low", _hu(lambda h: h - 200)),
    "slope x2": ("a rescale slope of 2 for 1", _hu(lambda h: (h + 1024) * 2 - 1024)),
    "slope x0.5": ("a rescale slope of 0.5 for 1", _hu(lambda h: (h + 1024) / 2 - 1024)),
    "inverted": ("black is white", _hu(lambda h: -h)),
    "MR": ("magnetic resonance that says it is CT", _hu(_like_mr)),
    "pixels x0.5": ("pixels at half their size", _spaced(1, 0.5, 0.5)),
    "pixels x2": ("pixels at twice their size", _spaced(1, 2, 2)),
    "slices x0.5": ("slices at half their distance", _spaced(0.5, 1, 1)),
    "slices x2": ("slices at twice their distance", _spaced(2, 1, 1)),
    "all x0.5": ("a body at half its size", _spaced(0.5, 0.5, 0.5)),
    "all x2": ("a body at twice its size", _spaced(2, 2, 2)),
    "columns x0.5": ("columns at half their distance", _spaced(1, 1, 0.5)),
    "rows x0.5": ("rows at half their distance", _spaced(1, 0.5, 1)),
    "head-feet": ("head and feet swapped", _voxels(lambda v: v[::-1])),
    "head-feet, left-right": (
        "head and feet, left and right swapped",
        _voxels(lambda v: v[::-1, :, ::-1]),
    ),
    "front-back": ("front and back swapped", _voxels(lambda v: v[:, ::-1])),
    "prone for supine": (
        "front and back, left and right swapped: prone for supine",
        _voxels(lambda v: v[:, ::-1, ::-1]),
    ),
    "head-feet, front-back": (
        "head and feet, front and back swapped",
        _voxels(lambda v: v[::-1, ::-1]),
    ),
    "rows for columns": ("rows taken for columns", _voxels(lambda v: v.transpose(0, 2, 1))),
    MIRRORED: ("left and right swapped", _voxels(lambda v: v[:, :, ::-1])),
    "copies": (
        "each slice stored twice, at half the distance",
        _slices(lambda v: np.repeat(v, 2, axis=0), finer=2),
    ),
    "means": ("the mean of two slices stored between them", _slices(_between, finer=2)),
    "halves swapped": ("two halves in the wrong order", _slices(_halves_swapped)),
    "pairs swapped": ("each two neighbouring slices swapped", _slices(_pairs_swapped)),
    "two swapped": ("two far slices swapped", _slices(_two_swapped)),
    "block twice": ("a fifth of the slices in place of the next", _slices(_block_twice)),
    "two patients": ("the lower half is another patient's", _slices(_other_patient)),
    "no order": ("slices in no order", _slices(_in_no_order)),
    "water": ("a bottle of water", _voxels(_water)),
    "limb": ("a thigh", _voxels(_limb)),
    "air": ("an empty table", _voxels(_air)),
}
WRONG = tuple(
    Wrong(name, what, make, told=name not in (SOUND, MIRRORED))
    for name, (what, make) in _WAYS.items()
)
