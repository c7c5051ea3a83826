"""Random geometry and random scanners for training patches (torch, one patch at a time)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Rng = np.random.Generator


def random_matrix(
    rng: Rng,
    degrees: float,
    scale_sigma: float,
    axis_sigma: float,
    flip: bool,
    tilt_degrees: float | None = None,
) -> np.ndarray:
    """3x3 map from patch to source offsets (z, y, x): rotation, scale, left-right flip.

    tilt_degrees: spread of the rotation in the sagittal plane, where spines bend most.
    """
    tilt = degrees if tilt_degrees is None else tilt_degrees
    a, b, c = np.radians(rng.normal(0, [degrees, degrees, tilt]))
    rz = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    ry = np.array([[math.cos(b), 0, -math.sin(b)], [0, 1, 0], [math.sin(b), 0, math.cos(b)]])
    rx = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    scale = np.exp(rng.normal(0, scale_sigma) + rng.normal(0, axis_sigma, 3))
    if flip and rng.random() < 0.5:
        scale[2] *= -1
    return np.asarray(rz @ ry @ rx @ np.diag(scale))


def squeeze_sometimes(matrix: np.ndarray, rng: Rng) -> None:
    """Stored slice distances that are wrong do occur: a squeezed patient, in place."""
    if rng.random() < 0.06:
        matrix[:, 2] *= float(rng.uniform(1.0, 2.4))


def sample_points(
    size: tuple[int, int, int], centre: np.ndarray, matrix: np.ndarray, elastic: float, rng: Rng
) -> Tensor:
    """Source coordinates (z, y, x, 3) in voxels of a patch about `centre`."""
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    base = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    points = base @ torch.tensor(matrix.T, dtype=torch.float32) + torch.tensor(
        centre, dtype=torch.float32
    )
    if elastic > 0:
        coarse = torch.tensor(rng.normal(0, elastic, (1, 3, 6, 6, 6)), dtype=torch.float32)
        bend = F.interpolate(coarse, size=size, mode="trilinear", align_corners=True)[0]
        points = points + bend.permute(1, 2, 3, 0)
    return points


def box_about(points: Tensor, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of a volume of `shape` that `points` (z, y, x; the last axis) need."""
    low = [max(int(v) - 1, 0) for v in points.amin((0, 1, 2)).floor()]
    high = [int(v) + 2 for v in points.amax((0, 1, 2)).ceil()]
    return tuple(slice(a, max(min(b, n), a)) for a, b, n in zip(low, high, shape, strict=True))


def take(volumes: list[tuple[np.ndarray, str, float]], points: Tensor) -> list[Tensor]:
    """Sample (array, mode, value outside) at `points`; only the needed box is touched."""
    low = [int(v) for v in points.amin((0, 1, 2)).floor()]
    high = [int(v) + 2 for v in points.amax((0, 1, 2)).floor()]
    out = []
    for array, mode, outside in volumes:
        start = [max(v, 0) for v in low]
        stop = [min(v, n) for v, n in zip(high, array.shape, strict=True)]
        if any(b <= a for a, b in zip(start, stop, strict=True)):
            out.append(torch.full(points.shape[:3], outside))
            continue
        box = array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        tensor = torch.from_numpy(box.astype(np.float32) - outside)[None, None]
        extent = torch.tensor(box.shape, dtype=torch.float32)
        unit = (2 * (points - torch.tensor(start, dtype=torch.float32)) + 1) / extent - 1
        picked = F.grid_sample(tensor, unit.flip(-1)[None], mode=mode, align_corners=False)
        out.append(picked[0, 0] + outside)
    return out


def _thick_slices(hu: Tensor, factor: int) -> Tensor:
    n = hu.shape[0] // factor * factor
    thick = hu[:n].reshape(-1, factor, *hu.shape[1:]).mean(1)
    back = F.interpolate(thick[None, None], size=hu.shape, mode="trilinear", align_corners=False)
    return back[0, 0]


def _blur(hu: Tensor, sigma: float) -> Tensor:
    if sigma < 0.2:
        return hu
    t = torch.arange(-3, 4, dtype=torch.float32)
    k = torch.exp(-0.5 * (t / sigma) ** 2)
    k = k / k.sum()
    x = hu[None, None]
    for shape in ((7, 1, 1), (1, 7, 1), (1, 1, 7)):
        pad = [p for s in reversed(shape) for p in ((s // 2,) * 2)]
        x = F.conv3d(F.pad(x, pad, mode="replicate"), k.reshape(1, 1, *shape))
    return x[0, 0]


def smooth_field(size: torch.Size, rng: Rng, cells: int) -> Tensor:
    coarse = torch.tensor(rng.standard_normal((1, 1, cells, cells, cells)), dtype=torch.float32)
    return F.interpolate(coarse, size=size, mode="trilinear", align_corners=True)[0, 0]


def _sclerosis(hu: Tensor, bone: Tensor, rng: Rng) -> Tensor:
    """Dense spots in bone, as beside worn discs and at worn joints."""
    blob = smooth_field(hu.shape, rng, int(rng.integers(6, 14)))
    where = torch.sigmoid((blob - rng.uniform(0.6, 1.6)) * 8) * bone
    return hu + where * rng.uniform(100, 900)


def _contrast(hu: Tensor, bone: Tensor, rng: Rng) -> Tensor:
    """Enhance blobs of soft tissue as vessels, heart and kidneys are by contrast medium."""
    blob = smooth_field(hu.shape, rng, int(rng.integers(3, 8)))
    soft = (hu > 0) & (hu < 120) & ~bone
    where = torch.sigmoid((blob - rng.uniform(0.3, 1.0)) * 20) * soft
    return hu + where * rng.uniform(60, 380)


def scanner(hu: Tensor, bone: Tensor, rng: Rng, spacing_mm: float = 1.5) -> Tensor:
    """Another patient's density, another contrast phase, another kernel, dose and slice.

    hu, bone (z, y, x); bone bool. Slices reach 6 mm whatever the grid, and a coarser grid, being
    an average, carries less noise.
    """
    hu = hu.clone()
    fine = min(1.0, 1.5 / spacing_mm)
    if rng.random() < 0.7:
        marrow = bone & (hu > 0)
        hu[marrow] = hu[marrow] * float(rng.uniform(0.5, 1.6)) + float(rng.normal(0, 25))
    if rng.random() < 0.3:
        hu = _sclerosis(hu, bone, rng)
    if rng.random() < 0.45:
        hu = _contrast(hu, bone, rng)
    if rng.random() < 0.3:
        hu = hu + float(rng.uniform(5, 30)) * smooth_field(hu.shape, rng, 4)
    if rng.random() < 0.4 and (factor := round(rng.uniform(2.5, 6.5) / spacing_mm)) > 1:
        hu = _thick_slices(hu, factor)
    if rng.random() < 0.35:
        hu = _blur(hu, float(rng.uniform(0.3, 1.0)) * fine)
    elif rng.random() < 0.4:
        hu = hu + float(rng.uniform(0.3, 1.8)) * (hu - _blur(hu, 0.9))
    hu = hu + float(rng.normal(0, 10))
    noise = (
        torch.randn(hu.shape)
        * fine
        * float(rng.choice([rng.uniform(0, 25), rng.uniform(20, 120)], p=[0.75, 0.25]))
    )
    if rng.random() < 0.5:
        noise = _blur(noise, float(rng.uniform(0.3, 0.8))) * 1.6
    return hu + noise


def cut_field(hu: Tensor, rng: Rng) -> Tensor:
    """The end of the scan (or of the reconstructed field) inside the patch, as padding -1024."""
    hu = hu.clone()
    axis, n = int(rng.choice([0, 0, 0, 1, 2])), 0
    n = int(rng.integers(1, max(2, hu.shape[axis] // 3)))
    index = [slice(None)] * 3
    index[axis] = slice(0, n) if rng.random() < 0.5 else slice(hu.shape[axis] - n, None)
    hu[tuple(index)] = -1024
    return hu
