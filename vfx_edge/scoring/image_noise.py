"""How noisy a CT is, by itself, and more noise of the same kind.

The level is the one that the standard deviation takes most often in small windows of soft tissue
(the "global noise level": Christianson et al., AJR 2015;205:W93); the grain is the noise power
spectrum of patches that hold nothing else (Siewerdsen et al., Med Phys 2002;29:2655).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from vfx_edge.image import Image

SOFT_HU = (0.0, 140.0)
"""Mean of a window that holds muscle or organs, with or without contrast medium."""
WINDOW_MM, LEAST_WINDOW = 7.0, 5
"""Edge of a window, and the fewest pixels that it has."""
MOST_SLICES = 40
LEAST_WINDOWS = 500
HIGHEST_HU, BIN_HU, SMOOTH_BINS = 150.0, 0.5, 3.0
PATCH, MOST_PATCHES, LEAST_PATCHES = 16, 300, 20
CALM = (0.5, 1.35)
"""A patch is noise alone where its deviation is within these shares of the level."""
PLAIN_GRAIN_MM = 0.7
"""Where too few patches are calm: the deviation of a Gaussian that white noise is blurred with, as
a standard kernel does."""
PAD = 16

Floats = NDArray[np.float32]
Response = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Spatial frequencies in 1/mm -> by what each is multiplied."""


@dataclass(frozen=True, eq=False)
class Noise:
    """level_hu: standard deviation in soft tissue. amplitude: per frequency of
    `frequency_per_mm`, in plane, relative. between: correlation of neighbouring slices, 0..1."""

    level_hu: float
    frequency_per_mm: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    between: float

    def response(self, per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """By what white noise is multiplied to have this grain."""
        return np.interp(per_mm, self.frequency_per_mm, self.amplitude)


def filtered(plane: Floats, spacing_yx_mm: tuple[float, float], response: Response) -> Floats:
    """One slice (y, x) through a filter that is the same in all directions."""
    size = tuple(fft.next_fast_len(n + 2 * PAD, real=True) for n in plane.shape)
    after = [n - edge - PAD for n, edge in zip(size, plane.shape, strict=True)]
    wide = np.pad(plane, [(PAD, right) for right in after], mode="symmetric")
    y = fft.fftfreq(size[0], spacing_yx_mm[0])[:, None]
    x = fft.rfftfreq(size[1], spacing_yx_mm[1])[None]
    spectrum = fft.rfft2(wide) * response(np.hypot(y, x)).astype(np.float32)
    out = fft.irfft2(spectrum, s=size)
    return np.asarray(out[PAD : PAD + plane.shape[0], PAD : PAD + plane.shape[1]], np.float32)


def noise_of(image: Image) -> Noise | None:
    """Of a CT in HU, axes (z, y, x); None where too little soft tissue is in view to tell."""
    at = _looked_at(image)
    window = _window(image)
    planes = [image.values[z].astype(np.float32) for z in at]
    spreads = [_spread(plane, window) for plane in planes]
    level = _most_frequent(np.concatenate([sd[_soft(mean)] for mean, sd in spreads]))
    if level is None:
        return None
    patches, next_ones = _calm_patches(image, at, level)
    spacing = float(image.spacing_zyx_mm[1:].mean())
    frequency, amplitude = _grain(patches, spacing)
    return Noise(level, frequency, amplitude, _correlation(patches, next_ones))


def more_noise(image: Image, noise: Noise, rng: np.random.Generator) -> Floats:
    """(z, y, x) HU: new noise of the same level, as `noise_of` measures it, and the same grain."""
    window, spacing = _window(image), _in_plane_mm(image)
    keep = np.float32(noise.between)
    fresh = np.float32(np.sqrt(1 - keep**2))
    out = np.empty(image.shape, np.float32)
    before: Floats | None = None
    for z in range(len(out)):
        white = rng.standard_normal(out.shape[1:], dtype=np.float32)
        grain = filtered(white, spacing, noise.response)
        before = grain if before is None else keep * before + fresh * grain
        out[z] = before
    middle = [_spread(out[z], window)[1] for z in _looked_at(image)]
    out *= np.float32(noise.level_hu / max(float(np.mean(middle)), 1e-6))
    return out


def _looked_at(image: Image) -> NDArray[np.int_]:
    count = image.shape[0]
    return np.unique(np.linspace(0, count - 1, min(count, MOST_SLICES)).round().astype(int))


def _in_plane_mm(image: Image) -> tuple[float, float]:
    _, y, x = image.spacing_zyx_mm
    return float(y), float(x)


def _window(image: Image) -> tuple[int, int]:
    y, x = (max(LEAST_WINDOW, round(WINDOW_MM / mm)) for mm in _in_plane_mm(image))
    return y, x


def _spread(plane: Floats, window: tuple[int, int]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the window about each pixel."""
    mean = ndimage.uniform_filter(plane, window)
    # about a typical tissue value: float32 keeps the difference of the two squares
    moved = plane - np.float32(50.0)
    square = ndimage.uniform_filter(moved * moved, window) - (mean - np.float32(50.0)) ** 2
    count = window[0] * window[1]
    return mean, np.sqrt(np.maximum(square, 0) * np.float32(count / (count - 1)))


def _soft(mean: Floats) -> NDArray[np.bool_]:
    return np.asarray((mean > SOFT_HU[0]) & (mean < SOFT_HU[1]))


def _most_frequent(spreads: Floats) -> float | None:
    """The mode, of a smoothed histogram: edges and vessels in a window only add a tail."""
    inside = spreads[(spreads > 0) & (spreads < HIGHEST_HU)]
    if len(inside) < LEAST_WINDOWS:
        return None
    counts, edges = np.histogram(inside, np.arange(0.0, HIGHEST_HU + BIN_HU, BIN_HU))
    best = int(ndimage.gaussian_filter1d(counts.astype(float), SMOOTH_BINS).argmax())
    return float(edges[best] + BIN_HU / 2)


def _calm_patches(image: Image, at: NDArray[np.int_], level: float) -> tuple[Floats, Floats]:
    """(n, PATCH, PATCH) HU less their tilted plane: patches that hold noise alone, and the same
    places one slice on."""
    here, there = [], []
    for z in at[at < image.shape[0] - 1]:
        for corner in _corners(image.values[z].astype(np.float32), level):
            cut = tuple(slice(c, c + PATCH) for c in corner)
            here.append(image.values[z][cut].astype(np.float32))
            there.append(image.values[z + 1][cut].astype(np.float32))
    if not here:
        return np.empty((0, PATCH, PATCH), np.float32), np.empty((0, PATCH, PATCH), np.float32)
    step = max(1, len(here) // MOST_PATCHES)
    return _levelled(np.stack(here[::step])), _levelled(np.stack(there[::step]))


def _corners(plane: Floats, level: float) -> list[tuple[int, int]]:
    """First pixels of the calm patches of one slice, side by side."""
    ny, nx = (n // PATCH for n in plane.shape)
    blocks = plane[: ny * PATCH, : nx * PATCH].reshape(ny, PATCH, nx, PATCH)
    mean, sd = blocks.mean((1, 3)), blocks.std((1, 3))
    calm = _soft(mean) & (sd > CALM[0] * level) & (sd < CALM[1] * level)
    return [(int(y) * PATCH, int(x) * PATCH) for y, x in np.argwhere(calm)]


def _levelled(patches: Floats) -> Floats:
    """Less the plane that fits each best."""
    line = np.linspace(-1, 1, PATCH)
    design = np.stack([np.ones((PATCH, PATCH)), *np.meshgrid(line, line)], -1).reshape(-1, 3)
    flat = patches.reshape(len(patches), -1).T
    fit = design @ np.linalg.lstsq(design, flat, rcond=None)[0]
    return np.asarray((flat - fit).T.reshape(patches.shape), np.float32)


def _grain(patches: Floats, spacing_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies in 1/mm and the root of the power there, the mean over all directions."""
    rings = np.arange(1, PATCH // 2 + 1)
    frequency = rings / (PATCH * spacing_mm)
    if len(patches) < LEAST_PATCHES:
        return frequency, np.exp(-2 * (np.pi * PLAIN_GRAIN_MM * frequency) ** 2)
    power = (np.abs(np.fft.fft2(patches)) ** 2).mean(0)
    steps = np.fft.fftfreq(PATCH) * PATCH
    ring = np.hypot(steps[:, None], steps[None]).round().astype(int)
    return frequency, np.sqrt([power[ring == r].mean() for r in rings])


def _correlation(here: Floats, there: Floats) -> float:
    """Of the noise in neighbouring slices, 0..0.95."""
    both = float(np.sqrt((here**2).sum() * (there**2).sum()))
    return float(np.clip((here * there).sum() / both, 0.0, 0.95)) if both > 0 else 0.0
