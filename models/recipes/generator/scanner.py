"""From an ideal picture at 1.5 mm to what a scanner would have shown of it."""

from dataclasses import dataclass, replace

import numpy as np

from models.recipes.generator.options import ComposeOptions
from vfx_edge.phantom.canvas import F32
from vfx_edge.phantom.scanner import Sampling, blur, scan
from vfx_edge.phantom.spec import PhantomSpec

Array = np.ndarray
AIR_HU = -1024


@dataclass(frozen=True)
class Scanner:
    """One acquisition: lengths in mm, noise in HU, sharpness -1 (smooth) to 1 (bone kernel)."""

    thickness_mm: float
    step_mm: float
    sharpness: float
    blur_mm: float
    noise_hu: float
    streaks_hu: float
    circle: bool


def draw_scanner(rng: np.random.Generator, options: ComposeOptions, circle: bool) -> Scanner:
    """A scanner and a protocol; thick slices are quieter, sharp kernels noisier."""
    thickness = float(rng.choice(options.thick_slice_mm))
    sharpness = float(np.clip(rng.normal(0.0, 0.5), -1, 1))
    low, high = np.log(options.noise_hu)
    # Most scans are quiet; sharp kernels are what is noisy.
    noise = float(np.exp(low + (high - low) * rng.beta(1.5, 2.5)) * (1 + 0.8 * max(sharpness, 0)))
    overlap = float(rng.choice([1.0, 0.8, 0.5], p=(0.7, 0.2, 0.1)))
    streaks = float(rng.uniform(10, 60)) if rng.random() < options.streak_rate else 0.0
    blur_mm = float(rng.uniform(0.3, 1.2)) * (1 - 0.6 * max(sharpness, 0))
    return Scanner(thickness, thickness * overlap, sharpness, blur_mm, noise, streaks, circle)


def _thick_slices(hu: F32, spacing_mm: float, scanner: Scanner) -> tuple[F32, Array]:
    """(slices averaged over their thickness, their places in voxels of `hu` along z)."""
    step = max(scanner.step_mm, spacing_mm)  # finer slices than the grid cannot be shown
    count = max(2, int((hu.shape[0] - 1) * spacing_mm / step) + 1)
    at = np.arange(count) * step / spacing_mm
    half = max(0.5 * scanner.thickness_mm / spacing_mm, 0.5)
    edges = np.arange(hu.shape[0])
    out = np.empty((count, *hu.shape[1:]), np.float32)
    for i, middle in enumerate(at):
        share = np.clip(np.minimum(edges + 0.5, middle + half), None, None) - np.maximum(
            edges - 0.5, middle - half
        )
        used = np.flatnonzero(share > 1e-6)
        weight = (share[used] / share[used].sum()).astype(np.float32)
        out[i] = np.tensordot(weight, hu[used], 1)
    return out, at


def _between(slices: Array, at: Array, count: int) -> Array:
    """Slices read back at every voxel along z, linearly, as a resampler would."""
    out = np.empty((count, *slices.shape[1:]), np.int16)
    for z in range(count):
        k = int(np.clip(np.searchsorted(at, z, side="right") - 1, 0, len(at) - 2))
        t = np.float32(np.clip((z - at[k]) / (at[k + 1] - at[k]), 0, 1))
        out[z] = np.rint((1 - t) * slices[k] + t * slices[k + 1])
    return out


def _add_streaks(hu: F32, strength_hu: float, spacing_mm: float, rng: np.random.Generator) -> None:
    """Streaks across the shoulders or hips: rows of noise, long from side to side."""
    for image in hu:
        path = np.clip(image + 900, 0, 1500).sum(1) * (spacing_mm / 1000)
        share = np.clip((path - np.median(path)) / 120.0, 0, 1.5).astype(np.float32)
        lines = np.convolve(rng.standard_normal(len(share)), [0.25, 0.5, 0.25], "same")
        image += np.float32(strength_hu) * (share * lines.astype(np.float32))[:, None]


def acquire(hu: F32, spec: PhantomSpec, scanner: Scanner, seed: int) -> Array:
    """Stored HU int16 (z, y, x) on the grid of the ideal picture `hu` (z, y, x), 1.5 mm."""
    rng = np.random.default_rng([seed, 7])
    slices, at = _thick_slices(hu, spec.spacing_mm, scanner)
    for image in slices:
        image[...] = blur(image, scanner.blur_mm / spec.spacing_mm)
    if scanner.streaks_hu:
        _add_streaks(slices, scanner.streaks_hu, spec.spacing_mm, rng)
    plan = replace(
        spec,
        noise_hu=scanner.noise_hu,
        sharpness=scanner.sharpness,
        slice_thickness_mm=None,
        circular_fov=scanner.circle,
    )
    stored = scan(slices, plan, Sampling(1, spec.spacing_mm), rng)
    return _between(stored, at, hu.shape[0])


def random_contrast(hu: F32, bone: Array, rng: np.random.Generator) -> None:
    """Tissue contrasts that no scanner shows, in place: shape alone must then tell.

    hu (z, y, x) float32, bone (z, y, x) bool. The order of air, fat, water and bone is kept, the
    steps between them are drawn anew.
    """
    knots = np.array([-1100, -950, -700, -150, -60, 20, 60, 120, 200, 320, 500, 900, 1600, 7000.0])
    steps = np.diff(knots) * np.exp(rng.normal(0, 0.5, len(knots) - 1))
    curve = np.concatenate([[0.0], np.cumsum(steps)])
    curve = curve - np.interp(30.0, knots, curve) + rng.uniform(-60, 90)
    curve = np.clip(curve, -1024, None)
    shift = np.float32(rng.uniform(-60, 260))
    for image, inside in zip(hu, bone, strict=True):
        image[...] = np.interp(image, knots, curve)
        image[inside] += shift
