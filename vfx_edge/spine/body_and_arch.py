"""Body told from arch in a vertebra's mask, by geometry alone.

Seen along the column a vertebra is a ring; its largest hole is the spinal canal, and what lies
in front of the canal's front wall is the body. Used where a mask has no parts: hand-corrected
segmentations, and labelled data for training.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image.components import largest_piece

BODY, ARCH = 1, 2
MIN_CANAL_VOXELS = 12
Vector = NDArray[np.float64]
Bool = NDArray[np.bool_]


def vertebra_frame(up: Vector) -> Vector:
    """Rows up, back, left (z, y, x), orthonormal; `back` as near to the patient's as can be."""
    up = up / np.linalg.norm(up)
    back = np.array([0.0, 1.0, 0.0]) - up * up[1]
    back /= np.linalg.norm(back)
    left = np.cross(up, back)
    return np.stack([up, back, left * (np.sign(left[2]) or 1.0)])


def front_of_canal(mask: Bool, up: Vector) -> tuple[Vector, float] | None:
    """Plane (normal z, y, x; offset in voxels of `mask`) along the front wall of the canal.

    mask (z, y, x) of one vertebra with some margin, isotropic. None where no canal shows.
    """
    frame = vertebra_frame(up)
    centre = (np.array(mask.shape) - 1) / 2
    turned = ndimage.affine_transform(
        mask.astype(np.float32), frame.T, centre - frame.T @ centre, order=1
    )
    closed = ndimage.binary_closing((turned > 0.5).any(0), iterations=2)
    holes = ndimage.binary_fill_holes(closed) & ~closed
    canal = largest_piece(holes)
    if canal.sum() < MIN_CANAL_VOXELS:
        return None
    columns = np.flatnonzero(canal.any(0))
    quarter = len(columns) // 4
    front = np.median(
        [np.flatnonzero(canal[:, c]).min() for c in columns[quarter : -quarter or None]]
    )
    point = centre + frame.T @ (np.array([centre[0], front - 0.5, centre[2]]) - centre)
    return frame[1], float(frame[1] @ point)


def _box(mask: Bool, margin: int) -> tuple[slice, ...]:
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in box)


def centroids(labels: NDArray[np.uint8]) -> dict[int, Vector]:
    """Label -> centroid (z, y, x) in voxels."""
    values = [int(v) for v in np.unique(labels) if v]
    found = ndimage.center_of_mass(np.ones_like(labels), labels, values)
    return {v: np.array(c) for v, c in zip(values, found, strict=True)}


def _canal_planes(
    labels: NDArray[np.uint8], centre: dict[int, Vector]
) -> dict[int, tuple[Vector, float]]:
    """Label -> (normal, depth of the canal's front wall behind the vertebra's own front)."""
    order = sorted(centre, key=lambda v: -centre[v][0])
    found: dict[int, tuple[Vector, float]] = {}
    for i, value in enumerate(order):
        above, below = centre[order[max(i - 1, 0)]], centre[order[min(i + 1, len(order) - 1)]]
        up = above - below if len(order) > 1 else np.array([1.0, 0.0, 0.0])
        mask = labels[_box(labels == value, 8)] == value
        plane = front_of_canal(mask, up)
        if plane is not None:
            found[value] = (plane[0], plane[1] - _front(_depth(plane[0], mask), mask))
    missing = [v for v in order if v not in found] if found else []
    for value in missing:  # a vertebra whose ring is cut has a body as deep as its neighbour's
        nearest = min(found, key=lambda v: float(np.abs(centre[v] - centre[value]).sum()))
        found[value] = found[nearest]
    return found


def _depth(normal: Vector, mask: Bool) -> Vector:
    return np.asarray(np.tensordot(normal, np.indices(mask.shape), 1))


def _front(depth: Vector, mask: Bool) -> float:
    """Where the mask begins, but for a spike of bone."""
    return float(np.quantile(depth[mask], 0.01))


def split_parts(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """VerSe labels (z, y, x), isotropic, upright -> parts: 1 body, 2 arch and processes.

    Where no vertebra shows a canal, the masks are of bodies alone.
    """
    part = np.zeros_like(labels)
    centre = {v: c for v, c in centroids(labels).items() if v <= 25 or v == 28}
    planes = _canal_planes(labels, centre)
    for value in centre:
        box = _box(labels == value, 0)
        mask = labels[box] == value
        part[box][mask] = ARCH if planes else BODY
        if planes:
            normal, behind = planes[value]
            depth = _depth(normal, mask)
            part[box][mask & (depth < _front(depth, mask) + behind)] = BODY
    return part
