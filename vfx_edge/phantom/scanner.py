"""From an ideal picture to what a scanner would have stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vfx_edge.phantom.canvas import F32, F64
from vfx_edge.phantom.metal import streak_slice
from vfx_edge.phantom.spec import PhantomSpec

HU_RANGE = (-1024, 3071)
I16 = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Sampling:
    """``factor`` rendered slices (odd) of ``step_mm`` stand for each stored one."""

    factor: int
    step_mm: float


def sampling(spacing_mm: float, pixel_mm: float) -> Sampling:
    """Render thick slices finely, or their partial volume would be wrong."""
    factor = int(np.ceil(spacing_mm / (1.7 * pixel_mm)))
    factor += 1 - factor % 2
    return Sampling(factor, spacing_mm / factor)


def gaussian_kernel(sigma_px: float) -> F64:
    """Normalised odd-length kernel; a single 1 when the blur is negligible."""
    if sigma_px < 0.25:
        return np.ones(1)
    reach = int(np.ceil(3 * sigma_px))
    at = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (at / sigma_px) ** 2)
    return np.asarray(kernel / kernel.sum())


def _filter_line(image: F32, kernel: F64, axis: int) -> F32:
    """Convolve a (y,x) image along one axis, edges repeated."""
    reach = len(kernel) // 2
    if reach == 0:
        return image
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach, reach)
    wide = np.pad(image, pad, mode="edge")
    out = np.zeros_like(image)
    size = image.shape[axis]
    for i, weight in enumerate(kernel):
        cut = [slice(None), slice(None)]
        cut[axis] = slice(i, i + size)
        out += np.float32(weight) * wide[cut[0], cut[1]]
    return out


def blur(image: F32, sigma_px: float) -> F32:
    """Gaussian blur of one (y,x) slice."""
    kernel = gaussian_kernel(sigma_px)
    return _filter_line(_filter_line(image, kernel, 0), kernel, 1)


def slice_weights(thickness_mm: float, step_mm: float) -> F64:
    """Share of each rendered slice in a stored one (box profile), odd length."""
    reach = int(np.ceil(max(thickness_mm / step_mm - 1, 0) / 2))
    at = np.arange(-reach, reach + 1) * step_mm
    inside = np.minimum(at + step_mm / 2, thickness_mm / 2) - np.maximum(
        at - step_mm / 2, -thickness_mm / 2
    )
    inside = np.clip(inside, 0, None)
    return np.asarray(inside / inside.sum())


def _merge(fine: F32, index: int, factor: int, weights: F64) -> F32:
    centre, reach = index * factor + factor // 2, len(weights) // 2
    out = np.zeros(fine.shape[1:], np.float32)
    for k, weight in enumerate(weights):
        at = min(max(centre + k - reach, 0), fine.shape[0] - 1)
        out += np.float32(weight) * fine[at]
    return out


def _kernel_response(image: F32, spec: PhantomSpec) -> F32:
    """Point spread in plane: soft kernels blur, bone kernels overshoot."""
    sigma = 0.55 - 0.27 * spec.sharpness
    out = blur(image, sigma / spec.pixel_mm)
    if spec.sharpness > 0.15:
        out = out + np.float32(0.7 * spec.sharpness) * (out - blur(out, 1.0 / spec.pixel_mm))
    return out


def _noise_grain(shape: tuple[int, int], spec: PhantomSpec, rng: np.random.Generator) -> F32:
    """Unit-deviation noise with the kernel's grain."""
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = blur(white, (0.75 - 0.4 * spec.sharpness) / spec.pixel_mm)
    # Reconstruction suppresses the lowest frequencies, the more the sharper.
    grain = grain - np.float32(0.75) * blur(grain, 2.2 / spec.pixel_mm)
    return np.asarray(grain / max(float(grain.std()), 1e-3), dtype=np.float32)


def _starvation(hu: F32, pixel_mm: float) -> tuple[float, F32]:
    """Noise growth from absorption: overall factor and sideways excess per row (ny,1)."""
    path = np.clip(hu + 1000, 0, 2500).sum(axis=1, keepdims=True) * np.float32(pixel_mm / 1000)
    overall = float(np.exp(0.5 * 0.017 * (np.percentile(path, 85) - 300.0)))
    rows = np.clip(np.exp(0.5 * 0.019 * (path - 360.0)) - 0.6, 0, 4)
    return float(np.clip(overall, 0.4, 2.5)), np.asarray(rows, dtype=np.float32)


def _add_noise(hu: F32, grain: F32, spec: PhantomSpec) -> None:
    """Add grain, and sideways streaks where much bone lies in a row's path."""
    overall, rows = _starvation(hu, spec.pixel_mm)
    streak = 3.0 * gaussian_kernel(9.0 / spec.pixel_mm)
    hu += np.float32(spec.noise_hu) * (
        np.float32(overall) * grain + _filter_line(grain, streak, 1) * rows
    )


def scan(fine: F32, spec: PhantomSpec, steps: Sampling, rng: np.random.Generator) -> I16:
    """Stored HU int16 (z,y,x) from the rendered picture (z*factor,y,x)."""
    count = fine.shape[0] // steps.factor
    thickness = spec.slice_thickness_mm or spec.spacing_mm
    weights = slice_weights(thickness, steps.step_mm)
    shape = (fine.shape[1], fine.shape[2])
    keep = float(np.clip(1 - spec.spacing_mm / thickness, 0, 0.8))
    grain = _noise_grain(shape, spec, rng)
    outside = _outside_fov(shape) if spec.circular_fov else None
    out = np.empty((count, *shape), np.int16)
    for i in range(count):
        hu = _kernel_response(_merge(fine, i, steps.factor, weights), spec)
        streak_slice(hu, spec.pixel_mm, rng)
        if spec.noise_hu > 0:
            grain *= np.float32(keep)
            grain += np.float32(np.sqrt(1 - keep**2)) * _noise_grain(shape, spec, rng)
            _add_noise(hu, grain, spec)
        np.rint(hu, out=hu)
        out[i] = np.clip(hu, *HU_RANGE)
        if outside is not None:
            out[i][outside] = HU_RANGE[0]
    return out


def _outside_fov(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    y = (np.arange(shape[0]) - (shape[0] - 1) / 2)[:, None]
    x = (np.arange(shape[1]) - (shape[1] - 1) / 2)[None, :]
    return np.asarray(np.hypot(y, x) > max(shape) / 2)
