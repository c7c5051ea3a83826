"""A bank of real vertebra shapes, read from VerSe-format masks of any folder.

A shape is a signed distance on a 1 mm grid with axes z to the head, y to the back, x to the
patient's left; `placing.py` brings it into another column.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from models.recipes.generator.frame import ShapeFrame, measure
from vfx_edge.phantom.levels import NUMBER_OF, size_of

Array = np.ndarray
LEVEL_OF = {number: level for level, number in NUMBER_OF.items()}
GRID_MM = 1.0
MARGIN_MM = 8.0
CUT_SHARE = 0.004  # a mask with more of its voxels on the picture's edge is cut off there
MIN_VOXELS = 3000  # of 1 mm; a smaller mask is a sliver


@dataclass(frozen=True, eq=False)
class Shape:
    """One real vertebra.

    sdf (z, y, x) float16: mm to the surface, negative inside, on a 1 mm grid; frame: where its
    body stands on that grid; person: size of its owner, 1 for the median adult; place_mm: the
    frame's centre (z, y, x) in the whole mask, for neighbours that belong together.
    """

    source: str
    verse: int
    sdf: Array
    frame: ShapeFrame
    person: float
    place_mm: Array

    @property
    def level(self) -> str:
        return LEVEL_OF[self.verse]


@dataclass(frozen=True, eq=False)
class ShapeBank:
    """Shapes by level; the shapes of one source fit each other."""

    shapes: tuple[Shape, ...]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({s.source for s in self.shapes}))

    @cached_property
    def _by_key(self) -> dict[tuple[str, int], Shape]:
        return {(s.source, s.verse): s for s in self.shapes}

    def get(self, source: str, verse: int) -> Shape | None:
        return self._by_key.get((source, verse))


def _signed_distance(mask: Array, spacing_mm: Array) -> Array:
    """mm to the surface of a (z, y, x) mask whose voxels need not be cubes."""
    outside = ndi.distance_transform_edt(~mask, sampling=spacing_mm)
    inside = ndi.distance_transform_edt(mask, sampling=spacing_mm)
    half = 0.5 * float(spacing_mm.min())  # the surface lies between the voxels, not in them
    return np.asarray(np.where(mask, half - inside, outside - half), dtype=np.float32)


def _finer_than_needed(mask: Array, spacing_mm: Array) -> tuple[Array, Array]:
    """Very fine masks by every nth voxel: the grid of shapes is coarser anyway."""
    step = np.maximum(1, np.floor(0.75 * GRID_MM / spacing_mm)).astype(int)
    picked = mask[:: step[0], :: step[1], :: step[2]]
    return picked, spacing_mm * step


def _on_grid(mask: Array, spacing_mm: Array) -> tuple[Array, Array]:
    """(signed distance of a cropped mask on the shapes' grid, margin added in mm).

    Distances, not masks, are interpolated: slices of 3 mm then leave no stairs.
    """
    mask, spacing_mm = _finer_than_needed(mask, spacing_mm)
    pad = np.ceil(MARGIN_MM / spacing_mm).astype(int)
    mask = np.pad(mask, [(n, n) for n in pad])
    sdf = _signed_distance(mask, spacing_mm)
    sdf = ndi.gaussian_filter(sdf, 0.45 * GRID_MM / spacing_mm)
    count = np.floor((np.array(mask.shape) - 1) * spacing_mm / GRID_MM).astype(int) + 1
    grid = ndi.affine_transform(
        sdf, GRID_MM / spacing_mm, output_shape=tuple(count), order=1, mode="nearest"
    )
    return grid, pad * spacing_mm


def read_mask(path: Path) -> tuple[Array, Array]:
    """(labels (z, y, x) uint8 towards head, back and left, spacing (z, y, x) mm)."""
    image = sitk.Cast(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS"), sitk.sitkUInt8)
    return sitk.GetArrayFromImage(image), np.array(image.GetSpacing()[::-1])


def _is_cut(mask: Array) -> bool:
    """Whether the picture ends in the vertebra."""
    faces = sum(int(np.take(mask, end, axis).sum()) for axis in range(3) for end in (0, -1))
    return bool(faces > CUT_SHARE * mask.sum())


def person_size(centre_mm: dict[int, Array]) -> float:
    """Size of a patient against the median adult, from the distances of neighbours."""
    ratios = []
    for value in centre_mm:
        below = {19: 20, 28: 20}.get(value, value + 1)
        if 2 < value < 24 and below in centre_mm:
            gap = float(np.linalg.norm(centre_mm[value] - centre_mm[below]))
            ratios.append(gap / size_of(LEVEL_OF[value]).gap_below_mm)
    return float(np.clip(np.median(ratios), 0.7, 1.35)) if ratios else 1.0


def _neighbour_up(value: int, centre_mm: dict[int, Array]) -> Array:
    order = sorted(centre_mm, key=lambda v: -centre_mm[v][0])
    i = order.index(value)
    above, below = order[max(i - 1, 0)], order[min(i + 1, len(order) - 1)]
    return centre_mm[above] - centre_mm[below] if above != below else np.array([1.0, 0, 0])


def shapes_of(source: str, labels: Array, spacing_mm: Array) -> list[Shape]:
    """Every whole vertebra of one mask (z, y, x; towards head, back and left)."""
    found = {
        value: box
        for value, box in enumerate(ndi.find_objects(labels), start=1)
        if box is not None and value in LEVEL_OF
    }
    centre_mm = {
        v: (np.array(ndi.center_of_mass(labels[box] == v)) + [s.start for s in box]) * spacing_mm
        for v, box in found.items()
    }
    person = person_size(centre_mm)
    made = []
    for value, box in found.items():
        mask = labels[box] == value
        whole = np.zeros(3, bool)
        whole[:] = [s.start > 0 and s.stop < n for s, n in zip(box, labels.shape, strict=True)]
        if mask.sum() * spacing_mm.prod() < MIN_VOXELS or (not whole.all() and _is_cut(mask)):
            continue
        sdf, margin_mm = _on_grid(mask, spacing_mm)
        frame = measure(sdf < 0, _neighbour_up(value, centre_mm), value)
        if frame is not None:
            start = np.array([s.start for s in box]) * spacing_mm - margin_mm
            place = start + frame.centre * GRID_MM
            made.append(Shape(source, value, sdf.astype(np.float16), frame, person, place))
    return made


def _is_mask(path: Path) -> bool:
    name = path.name
    return "subreg" not in name and ("seg" in name or "msk" in name or "mask" in name)


def mask_files(folder: Path) -> list[Path]:
    """Vertebra masks under a folder in VerSe's layout, by their names."""
    return sorted(p for p in folder.rglob("*.nii.gz") if _is_mask(p))


def load_bank(
    *places: Path,
    without: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
) -> ShapeBank:
    """Shapes of the masks in `places` (files, or folders that are searched).

    A source whose path holds one of `without` is left out: a CT that is to be scored must not
    lend its bones to the training. Raises FileNotFoundError where no shape is left.
    """
    files: Iterable[Path] = [
        f for place in places for f in (mask_files(place) if place.is_dir() else [place])
    ]
    shapes: list[Shape] = []
    for path in files:
        if any(name in str(path) for name in without):
            continue
        found = shapes_of(path.name.split(".")[0], *read_mask(path))
        if progress is not None:
            progress(f"{path.name}: {' '.join(s.level for s in found)}")
        shapes += found
    if not shapes:
        raise FileNotFoundError(f"no vertebra masks in {', '.join(map(str, places))}")
    return ShapeBank(tuple(shapes))
