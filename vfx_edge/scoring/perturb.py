"""A scan made anew, as another scan of the same patient minutes later could have been: other
noise, another place of the voxels, another kernel.

What they can't stand in for: another position or breath, another dose, contrast medium or scanner.
Two real scans differ by all of it, so what is measured with these is the least that must be
expected.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.scoring.image_noise import Response, filtered, more_noise, noise_of
from vfx_edge.study import Scan

AS_SCANNED = "as_scanned"
SHIFT_VOXELS = (0.37, -0.29, 0.43)
"""z, y, x. Near half a voxel, where most changes, and not alike in any two axes."""
SMOOTHER_MM = 0.6
SHARPER_MM, SHARPER_BY = 0.8, 0.8
_SPLINE = 5

Floats = NDArray[np.float32]
Change = Callable[[Image], Floats | None]


@dataclass(frozen=True)
class Perturbation:
    """One way to make a scan anew. against: what its answers are compared with, by name. words:
    what was done, for people. made: Image -> the new one; None where it can't be done."""

    name: str
    words: str
    made: Callable[[Image], Image | None]
    against: str = AS_SCANNED

    def scan(self, scan: Scan) -> Scan | None:
        """The scan made anew: its voxels are no longer those of its files, so it names none.
        None where too little of it is known to do so."""
        image = self.made(scan.image)
        return None if image is None else replace(scan, image=image, sources=())


def with_new_noise(image: Image, seed: int) -> Image | None:
    """Noise of the scan's own level and grain is added: it then has √2 times the noise, as at half
    the dose. Two such, with other seeds, differ as two scans at half the dose do. None where the
    noise can't be told."""
    noise = noise_of(image)
    if noise is None:
        return None
    return _with_values(image, image.values + more_noise(image, noise, np.random.default_rng(seed)))


def shifted(image: Image, voxels_zyx: tuple[float, float, float] = SHIFT_VOXELS) -> Image:
    """The voxels lie elsewhere by a part of their edge, the patient does not: values are read from
    a spline of fifth order (of all splines up to there the one that smooths least), and the affine
    moves along."""
    values = image.values.astype(np.float32)
    for axis, part in enumerate(voxels_zyx):
        if values.shape[axis] > 1:
            values = _along(values, axis, part)
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, 3] = image.to_lps(np.array([voxels_zyx]))[0]
    return _with_values(image, values, affine)


def smoother(image: Image) -> Image:
    """As with a softer kernel: in plane, frequency f (1/mm) is multiplied by exp(-2 (π σ f)²), a
    Gaussian of σ = SMOOTHER_MM: by 0.41 at 3.5 line pairs a cm."""
    return _through(image, smoother_response)


def sharper(image: Image) -> Image:
    """As with a harder kernel: frequency f is multiplied by 1 + a (1 - exp(-2 (π σ f)²)) with
    a = SHARPER_BY, σ = SHARPER_MM: by 1.6 at 3.5 line pairs a cm, and noise grows with it."""
    return _through(image, sharper_response)


def smoother_response(per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factor at each frequency."""
    return np.asarray(np.exp(-2 * (np.pi * SMOOTHER_MM * per_mm) ** 2))


def sharper_response(per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factor at each frequency."""
    return np.asarray(1 + SHARPER_BY * (1 - np.exp(-2 * (np.pi * SHARPER_MM * per_mm) ** 2)))


def _through(image: Image, response: Response) -> Image:
    _, y, x = (float(mm) for mm in image.spacing_zyx_mm)
    values = [filtered(plane.astype(np.float32), (y, x), response) for plane in image.values]
    return _with_values(image, np.stack(values))


def _along(values: Floats, axis: int, part: float) -> Floats:
    """The values at i + part, for each index i along the axis."""
    spline = ndimage.spline_filter1d(values, _SPLINE, axis, np.float32, "mirror")
    offsets = np.arange(-3, 4)
    weights = _b_spline(np.asarray(part - offsets, np.float64))
    return np.asarray(ndimage.correlate1d(spline, weights, axis, np.float32, "mirror"))


def _b_spline(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cardinal B-spline of fifth order at these distances from its middle."""
    from scipy.interpolate import BSpline

    knots = np.arange(-(_SPLINE + 1) / 2, (_SPLINE + 1) / 2 + 1)
    heights = BSpline.basis_element(knots, extrapolate=False)(at)
    return np.asarray(np.nan_to_num(heights))


def _with_values(image: Image, values: Floats, affine: NDArray[np.float64] | None = None) -> Image:
    """In the range and type of the scan's own values: what a filter adds at the rim of the field,
    where air meets padding, is cut off."""
    dtype = image.values.dtype
    values = np.clip(values, image.values.min(), image.values.max())
    if dtype.kind != "f":
        values = np.rint(values)
    affine = image.affine_zyx_to_lps.copy() if affine is None else affine
    return replace(image, values=values.astype(dtype), affine_zyx_to_lps=affine)


PERTURBATIONS = (
    Perturbation(
        "noise",
        "noise of the scan's own level and grain added",
        lambda image: with_new_noise(image, 1),
    ),
    Perturbation(
        "noise_again",
        "two different noises added, as in two scans at half the dose",
        lambda image: with_new_noise(image, 2),
        against="noise",
    ),
    Perturbation("shift", "voxels shifted by 0.3 to 0.4 of their edges", shifted),
    Perturbation("smoother", f"softer kernel: blurred in plane with {SMOOTHER_MM} mm", smoother),
    Perturbation("sharper", f"harder kernel: fine detail raised by {SHARPER_BY:.0%}", sharper),
)


@dataclass(frozen=True)
class MovedOutline(Perturbation):
    """The scan as it is; radiomics are taken within another outline (`radiomics.features.moved`).
    seed: of the field that moves it."""

    seed: int = 1


OUTLINE = MovedOutline(
    "outline", "the outline drawn again, 0.5 mm off at random, on the same scan", lambda i: i
)
"""Radiomics alone feel it."""


class NoiseUnknown(InputError):
    """The noise of a scan can't be told, so no other of its kind can be made."""

    def __init__(self) -> None:
        super().__init__(
            "the scan shows too little soft tissue to tell its noise: leave the perturbations "
            "noise and noise_again out, or take a scan with a larger field."
        )


def perturbed(scan: Scan, name: str) -> Scan:
    """The scan made anew in the way of this name. NoiseUnknown."""
    how = next(one for one in (*PERTURBATIONS, OUTLINE) if one.name == name)
    made = how.scan(scan)
    if made is None:
        raise NoiseUnknown
    return made
