"""One vertebra with what lies about it, turned into its own frame: what every sign is read of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
from vfx_edge.spine.body_and_arch import vertebra_frame
from vfx_edge.spine.signs import back_wall
from vfx_edge.spine.signs.hull import body_hull
from vfx_edge.study import Measurement, VertebraMask

Array = NDArray[np.float64]
Volume = NDArray[np.float32]
Bool = NDArray[np.bool_]

STEP_MM = 1.0
UP_MM, FRONT_MM, BACK_MM, SIDE_MM = 24.0, 38.0, 42.0, 64.0
METAL_HU, METAL_ML = 2200.0, 0.05
HALF = 0.5
MIDDLE_SHARE = 0.3
SKIN_MM = 2.5
"""The hull is not trusted so near to its surface: there the outline itself is."""


@dataclass(frozen=True, eq=False)
class Local:
    """Arrays are (up, back, left), STEP_MM apart, about the body's centre. axes: rows up, back,
    left in LPS. bone: of this vertebra, soft 0..1. others: bone of its neighbours."""

    origin_lps_mm: Array
    axes: Array
    height_mm: float
    hu: Volume
    body: Volume
    bone: Volume
    others: Bool
    metal: bool

    @property
    def up_mm(self) -> Array:
        """Place along each axis, mm from the body's centre."""
        return np.arange(-UP_MM, UP_MM + 1e-6, STEP_MM)

    @property
    def back_mm(self) -> Array:
        """The same, to the back."""
        return np.arange(-FRONT_MM, BACK_MM + 1e-6, STEP_MM)

    @property
    def left_mm(self) -> Array:
        """The same, to the patient's left."""
        return np.arange(-SIDE_MM, SIDE_MM + 1e-6, STEP_MM)

    @cached_property
    def hull(self) -> Bool:
        """The body with what its outline leaves out: a network takes gas and gaps for no bone."""
        return body_hull(self.body > HALF)

    @cached_property
    def depth_in_body_mm(self) -> Volume:
        """How far each place of the hull lies from what is outside; 0 outside."""
        return np.asarray(ndimage.distance_transform_edt(self.hull), np.float32) * STEP_MM

    @cached_property
    def solid(self) -> Volume:
        """Bone, 0..1, without cavities: what lies deep within the hull is bone."""
        return np.where(self.depth_in_body_mm > SKIN_MM, np.float32(1.0), self.bone)

    @cached_property
    def smooth_hu(self) -> Volume:
        """Without the noise of single voxels."""
        return np.asarray(ndimage.gaussian_filter(self.hu, 1.2), np.float32)

    def rows(self, share: float) -> slice:
        """Of the height, the middle 2 `share`, as indices along up."""
        middle, reach = round(UP_MM / STEP_MM), max(round(share * self.height_mm / STEP_MM), 1)
        return slice(middle - reach, middle + reach + 1)

    @cached_property
    def back_wall_mm(self) -> float | None:
        """How far behind the centre the back wall lies in its very middle; None where no canal
        shows behind it."""
        return back_wall.middle_mm(
            self.solid, self.hu, (self.up_mm, self.back_mm, self.left_mm), self.height_mm
        )

    def wall_point(self) -> Array | None:
        """The back wall's middle, LPS mm."""
        wall = self.back_wall_mm
        return None if wall is None else self.origin_lps_mm + wall * self.axes[1]


def body_middle_mm(local: Local) -> tuple[float, float]:
    """Centre of the body's section, (back, left) mm."""
    section = local.hull[local.rows(MIDDLE_SHARE)].mean(0) > HALF
    if not section.any():
        return 0.0, 0.0
    back, left = ndimage.center_of_mass(section)
    return float(local.back_mm[0] + back * STEP_MM), float(local.left_mm[0] + left * STEP_MM)


def local_view(
    image: Image,
    mask: VertebraMask,
    measured: Measurement,
    up_lps: Array,
    near: Sequence[VertebraMask],
) -> Local:
    """The vertebra's surroundings in its own frame. up_lps: the column's axis there. near: the
    masks of its neighbours."""
    axes = _axes(mask, measured, up_lps)
    origin = np.array(mask.vertebra.centroid_lps_mm)
    body = _read(mask.body.astype(np.float32), _mask_map(mask), origin, axes, 0.0)
    arch = _read(mask.arch.astype(np.float32), _mask_map(mask), origin, axes, 0.0)
    others = np.zeros(body.shape, np.bool_)
    for other in near:
        others |= _read(other.bone.astype(np.float32), _mask_map(other), origin, axes, 0.0) > HALF
    hu = _read(*_piece(image, origin), origin, axes, image.outside)
    metal = float(((hu > METAL_HU) & (body + arch > 0.3)).sum()) * STEP_MM**3 / 1000 > METAL_ML
    return Local(
        origin,
        axes,
        _height(body_hull(body > HALF)),
        hu,
        body,
        np.clip(body + arch, 0, 1),
        others,
        metal,
    )


def _axes(mask: VertebraMask, measured: Measurement, up_lps: Array) -> Array:
    """The frame that its heights were read in, half way between its endplates; the column's
    where none were. The back looks to the middle of the arch: bodies turn about their axis."""
    if measured.heights is not None and measured.heights.landmarks_lps_mm:
        ends = np.array(measured.heights.landmarks_lps_mm)
        up_lps = (ends[:, 0] - ends[:, 1]).mean(0)
        up_lps = up_lps / np.linalg.norm(up_lps)
    axes = vertebra_frame(up_lps[::-1])[:, ::-1].copy()
    arch = np.argwhere(mask.arch > HALF)
    if len(arch) < 60:
        return np.asarray(axes)
    centre = np.array(mask.vertebra.centroid_lps_mm)
    back = mask.grid.to_lps(arch.mean(0, keepdims=True).astype(np.float64))[0] - centre
    back = back - axes[0] * (back @ axes[0])
    norm = float(np.linalg.norm(back))
    if norm < 5.0 or back @ axes[1] < 0.6 * norm:
        return np.asarray(axes)
    back /= norm
    left = np.cross(back, axes[0])
    left *= np.sign(left @ axes[2]) or 1.0
    return np.stack([axes[0], back, left])


def _height(hull: Bool) -> float:
    """Usual height of the body's columns, mm."""
    columns = hull.sum(0) * STEP_MM
    thick = columns[columns > 4.0]
    return float(np.median(thick)) if len(thick) else 0.0


def _mask_map(mask: VertebraMask) -> Array:
    to_index = np.eye(4)
    to_index[:3, :3] = np.eye(3)[::-1] / mask.spacing_mm
    to_index[:3, 3] = -np.array(mask.origin_lps_mm)[::-1] / mask.spacing_mm
    return to_index


def _piece(image: Image, origin: Array) -> tuple[NDArray[np.generic], Array]:
    """The image about a place, and LPS mm to its index: the whole scan is never copied."""
    reach = float(np.linalg.norm((UP_MM, max(FRONT_MM, BACK_MM), SIDE_MM)))
    corners = origin + reach * np.array(list(np.ndindex(2, 2, 2))) * 2 - reach
    index = image.to_zyx(corners)
    low = np.clip(np.floor(index.min(0)) - 1, 0, np.array(image.shape) - 1).astype(int)
    high = np.clip(np.ceil(index.max(0)) + 2, low + 1, image.shape).astype(int)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    to_index = np.asarray(np.linalg.inv(image.affine_zyx_to_lps), np.float64)
    to_index[:3, 3] -= low
    return image.values[z, y, x].astype(np.float32), to_index


def _read(
    array: NDArray[np.generic], to_index: Array, origin: Array, axes: Array, outside: float
) -> Volume:
    first = origin + np.array([-UP_MM, -FRONT_MM, -SIDE_MM]) @ axes
    shape = tuple(
        round(reach / STEP_MM) + 1 for reach in (2 * UP_MM, FRONT_MM + BACK_MM, 2 * SIDE_MM)
    )
    return np.asarray(
        ndimage.affine_transform(
            array,
            to_index[:3, :3] @ (axes.T * STEP_MM),
            to_index[:3, :3] @ first + to_index[:3, 3],
            shape,
            np.float32,
            order=1,
            cval=outside,
        )
    )
