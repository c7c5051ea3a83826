"""Small datasets on disk: a CT of a few voxels, its mask, a labels.csv."""

import zlib
from pathlib import Path

import numpy as np

from vfx_edge.image import Image
from vfx_edge.outputs.nifti import write_image
from vfx_edge.vocabulary import Level

LEVELS = (Level.T12, Level.L1, Level.L2)
HEADER = "study,patient,path,level,label,split"


def image(shape: tuple[int, int, int] = (6, 4, 5), shift_mm: float = 0.0) -> Image:
    """A grid alone; its values are nobody's."""
    affine = np.diag([2.0, 1.5, 1.5, 1.0])[[2, 1, 0, 3]]
    affine[:3, 3] = shift_mm
    return Image(np.zeros(shape, np.int16), affine, "CT", "HU")


def write_ct(path: Path) -> Path:
    """A CT that its header makes one; no two places have the same."""
    grid = image()
    values = np.full(grid.shape, zlib.crc32(str(path).encode()) % 2000, np.int16)
    return write_image(values, grid, path)


def write_mask(
    path: Path, levels: tuple[Level, ...] = LEVELS, shift_mm: float = 0.0, rows: int = 6
) -> Path:
    """Two slices a level, as far as there are slices."""
    grid = image((rows, 4, 5), shift_mm)
    labels = np.zeros(grid.shape, np.uint8)
    for i, level in enumerate(levels):
        labels[2 * i : 2 * i + 2, 1:3, 1:3] = level.verse
    return write_image(labels, grid, path)


def verse(folder: Path, *names: str, levels: tuple[Level, ...] = LEVELS) -> Path:
    """A dataset in VerSe's layout."""
    for name in names:
        subject = f"sub-{name}"
        write_ct(folder / "rawdata" / subject / f"{subject}_ct.nii.gz")
        write_mask(folder / "derivatives" / subject / f"{subject}_seg-vert_msk.nii.gz", levels)
    return folder


def labels(folder: Path, *rows: str, header: str = HEADER) -> Path:
    """Its labels.csv."""
    (folder / "labels.csv").write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return folder
