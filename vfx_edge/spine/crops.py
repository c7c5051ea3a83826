"""Crops about vertebrae for the networks that judge one at a time: classifier and detector."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image, Point
from vfx_edge.image.grids import FloatArray, Grid, grid_about, inside_scan, sample
from vfx_edge.inference.patches import from_voxel_to_middle_mm, our_shape, run_patches
from vfx_edge.inference.slices import averaged, run_slices
from vfx_edge.manifest import CropParameters, NetworkSpec
from vfx_edge.study import Measurement, Vertebra, VertebraMask
from vfx_edge.vocabulary import Reason

LEAST_BODY_MM = 10.0
"""Of a body that the scan's edge cuts; whole ones are at least 14 mm high, deep and wide."""
LEAST_OF_CROP = 0.5


def is_cut(vertebra: Vertebra, measured: Measurement) -> bool:
    """Whether the scan's edge cuts it; not one that loses a rim alone and has its heights."""
    edge = not vertebra.wholly_in_view or measured.reason == Reason.TRUNCATED
    return edge and measured.suspected_by_heights is None


def crop(image: Image, mask: VertebraMask, spec: NetworkSpec) -> FloatArray:
    """A network's input for one vertebra, (z, y, x), ready in numbers, our axes."""
    parameters = spec.parameters_of(CropParameters)
    grid = grid_of(mask, spec)
    order = 3 if spec.input.interpolation == "cubic" else 1
    hu = sample(image, grid, order, smooth=bool(parameters.smooth))
    wanted = covered(image, grid)
    if spec.input.mask == "vertebra":
        wanted &= near_vertebra(mask, grid, parameters.mask_margin_mm)
    if not wanted.any():
        return spec.input.normalise(np.full(grid.shape, image.outside))
    numbers = spec.input.normalise(hu)
    if spec.input.padding_hu == "mean":
        numbers[~wanted] = numbers[wanted].mean()
    else:
        numbers[~wanted] = spec.input.normalise(np.array(spec.input.padding_hu))
    return numbers


def crops_of(
    image: Image, about: Sequence[VertebraMask], masks: Sequence[VertebraMask], spec: NetworkSpec
) -> list[FloatArray]:
    """The network's inputs for the vertebrae `about`, as of `crop`. masks: all of the scan."""
    if spec.input.mask == "box":
        image = boxed(image, masks, spec.parameters_of(CropParameters).mask_margin_mm)
    return [crop(image, mask, spec) for mask in about]


def looks(crops: Sequence[FloatArray], network: Network) -> FloatArray:
    """Probabilities (views, n, classes) of n crops as of `crop`: of each and, where the manifest
    asks for it, of its left-right mirror image."""
    if (slices := network.spec.slices) is not None:
        return averaged(slice_looks(crops, network), slices)
    seen = [c[None] for c in crops]
    mirror = network.spec.parameters_of(CropParameters).mirror
    mirrored = [c[..., ::-1] for c in seen] if mirror else []
    answer = run_patches(network, [*seen, *mirrored])
    return answer.reshape(-1, len(seen), answer.shape[1])


def slice_looks(crops: Sequence[FloatArray], network: Network) -> FloatArray:
    """As `looks`, of a network that sees slices: (views, n, triplets, classes), a mirror image's
    triplets in the order of the crop's own, so that they are of the same places."""
    mirror = network.spec.parameters_of(CropParameters).mirror
    mirrored = [c[..., ::-1] for c in crops] if mirror else []
    answer = run_slices(network, [*crops, *mirrored])
    found = answer.reshape(-1, len(crops), *answer.shape[1:])
    return np.concatenate([found[:1], found[1:, :, ::-1]])


def views(
    image: Image, about: Sequence[VertebraMask], masks: Sequence[VertebraMask], network: Network
) -> FloatArray:
    """Probabilities (views, n, classes) for the n vertebrae `about`. masks: all vertebrae of the
    scan."""
    return looks(crops_of(image, about, masks, network.spec), network)


def least_certain(views: FloatArray) -> FloatArray:
    """Of probabilities (views, n) the one nearest to a half, (n,); a half where they disagree.

    An answer that a mirror image shakes was none: this never sounds surer than the mean.
    """
    middle = views.mean(0)
    spread = np.abs(views - middle).max(0)
    lean = middle - np.float32(0.5)
    return np.asarray(
        np.float32(0.5) + np.sign(lean) * np.maximum(np.abs(lean) - spread, 0), np.float32
    )


def enough_in_view(image: Image, mask: VertebraMask, spec: NetworkSpec) -> bool:
    """Whether of a vertebra that the scan's edge cuts enough is there for a crop: LEAST_BODY_MM
    of its body along each axis, and LEAST_OF_CROP of the crop."""
    body = mask.body > 0.5
    shadows = [body.any(axis).sum() for axis in range(3)]
    thick = min(float(body.sum() / max(shadow, 1)) for shadow in shadows) * mask.spacing_mm
    shown = covered(image, grid_of(mask, spec)).mean()
    return thick >= LEAST_BODY_MM and bool(shown >= LEAST_OF_CROP)


def boxed(image: Image, masks: Sequence[VertebraMask], margin_mm: float) -> Image:
    """The scan cut, in whole voxels, to the box about all vertebrae and the margin."""
    places = [mask.grid.to_lps(np.argwhere(mask.bone)) for mask in masks]
    index = image.to_zyx(np.concatenate(places))
    # a soft mask ends half a voxel beyond the voxels that were marked
    first, last = np.rint(index.min(0) + 1e-3), np.rint(index.max(0) - 1e-3)
    reach = np.rint(margin_mm / image.spacing_zyx_mm)
    low = np.clip(first - reach, 0, np.array(image.shape) - 1).astype(int)
    high = np.clip(last + reach, low + 1, image.shape).astype(int)
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, 3] = image.to_lps(low[None].astype(np.float64))[0]
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Image(image.values[z, y, x], affine, image.modality, image.unit)


def grid_of(mask: VertebraMask, spec: NetworkSpec) -> Grid:
    return grid_about(_middle(mask, spec), our_shape(spec.input), spec.input.spacing_mm)


def _middle(mask: VertebraMask, spec: NetworkSpec) -> Point:
    """LPS mm of the crop's middle: the centroid, or half a voxel beside it where the manifest
    says that the centroid lies on a voxel (n // 2, as slices from c - n/2 to c + n/2 have it)."""
    x, y, z = mask.vertebra.centroid_lps_mm
    if spec.parameters_of(CropParameters).centre == "middle":
        return x, y, z
    to_left, to_back, to_head = from_voxel_to_middle_mm(spec.input)
    return x + to_left, y + to_back, z + to_head


def covered(image: Image, grid: Grid) -> np.ndarray:
    """(z, y, x) bool: where the scan has data on the grid."""
    points = grid.to_lps(np.argwhere(np.ones(grid.shape, np.bool_)).astype(np.float64))
    return inside_scan(image, points).reshape(grid.shape)


def near_vertebra(mask: VertebraMask, grid: Grid, margin_mm: float) -> np.ndarray:
    """Voxels of `grid` in the vertebra's mask, or within the margin of it."""
    hard = (mask.bone * np.int16(1000)).astype(np.int16)
    soft = sample(Image(hard, mask.grid.affine_zyx_to_lps, "SEG", "1"), grid) > 500
    if margin_mm <= 0:
        return soft
    distance = ndimage.distance_transform_edt(~soft) * grid.spacing_mm
    return np.asarray(distance <= margin_mm)
