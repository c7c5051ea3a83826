"""Scans with known content in any orientation, and masks cut from phantoms."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.image import Image
from vfx_edge.phantom import Part, Phantom, PhantomSpec, make_phantom, parse_fracture
from vfx_edge.study import Level, SeriesInfo, Vertebra, VertebraMask

Floats = NDArray[np.float64]

FACTS = SeriesInfo("1.2.3", "1.2.3.4", "CT", 0, (1.0, 1.0, 1.0), "axial")
AXIAL = np.eye(3)[::-1]
"""Columns are the LPS directions of the z, y and x axes."""


def turned(degrees: tuple[float, float, float]) -> Floats:
    """Directions of z, y, x of a scan turned about L, P and S."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = [a for a in range(3) if a != axis]
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    return np.asarray(turn @ AXIAL)


def affine_of(spacing_zyx_mm: tuple[float, ...], centre: tuple[float, ...],
              shape: tuple[int, ...], directions: Floats = AXIAL) -> Floats:  # fmt: skip
    """affine_zyx_to_lps of a scan whose middle is at `centre`."""
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing_zyx_mm)
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def places(affine: Floats, shape: tuple[int, ...]) -> Floats:
    """(*shape, 3) LPS mm of every voxel."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def place(vector: Floats) -> tuple[float, float, float]:
    """LPS mm as the nouns hold them."""
    x, y, z = (float(v) for v in vector)
    return x, y, z


def volume_of(hu: NDArray[Any], affine: Floats) -> Image:
    return Image(np.round(hu).astype(np.int16), affine, "CT", "HU")


@cache
def phantom(spec: PhantomSpec) -> Phantom:
    """The same phantom is drawn once for all tests."""
    return make_phantom(spec)


def lumbar(spacing_mm: float = 1.5, **more: Any) -> Phantom:
    """T11 to L4 in a small field, without noise: quick, for masks rather than pictures."""
    side = int(136 / spacing_mm)
    values: dict[str, Any] = {
        "levels": ("T11", "L4"), "spacing_mm": spacing_mm, "pixel_mm": spacing_mm,
        "matrix": (side, side), "noise_hu": 0.0, **more,
    }  # fmt: skip
    return phantom(PhantomSpec(**values))


def broken(*fractures: str, **more: Any) -> Phantom:
    """`lumbar` with fractures, written LEVEL:KIND:LOSS."""
    return lumbar(fractures=tuple(map(parse_fracture, fractures)), **more)


def thrice_broken(loss: float) -> Phantom:
    """One fracture of each kind, far enough apart to leave each other's neighbours alone."""
    kinds = ("T8:wedge", "T12:biconcave", "L3:crush")
    return broken(*(f"{kind}:{loss}" for kind in kinds), levels=("T6", "L5"))


SCOLIOTIC: dict[str, Any] = {"spacing_mm": 1.0, "levels": ("T10", "L3"), "scoliosis_deg": 35.0}
ANOTHER_BODY: dict[str, Any] = {"randomness": 1.0, "degeneration": 0.5, "seed": 5}


def masks_of(made: Phantom, shrink: int = 1) -> tuple[VertebraMask, ...]:
    """True masks, head to feet; averaged over blocks of `shrink` voxels they are soft.

    A vertebra that the scan cuts touches the edge.
    """
    return tuple(_mask(made, truth.level, shrink) for truth in made.truth.levels)


def _mask(made: Phantom, level: str, shrink: int) -> VertebraMask:
    truth = made.truth.get(level)
    mine = made.labels == truth.label
    start, shape = _block_aligned(mine, shrink)
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    pad = [(max(-b.start, 0), max(b.stop - n, 0)) for b, n in zip(box, mine.shape, strict=True)]
    inner = tuple(slice(max(b.start, 0), b.stop) for b in box)
    soft = []
    for part in (Part.BODY, Part.POSTERIOR):
        hard = np.pad((mine & (made.parts == part))[inner].astype(np.float32), pad)
        blocks = hard.reshape([m for n in shape for m in (n // shrink, shrink)])
        soft.append(blocks.mean((1, 3, 5)).astype(np.float16))
    spacing = float(made.affine_zyx_to_lps[2, 0])
    corner = made.affine_zyx_to_lps[:3, :3] @ (np.array(start) + (shrink - 1) / 2)
    x, y, z = (float(v) for v in made.affine_zyx_to_lps[:3, 3] + corner)
    vertebra = Vertebra(Level(level), truth.centroid_lps_mm, 1.0, truth.whole_in_view)
    return VertebraMask(
        vertebra, soft[0], soft[1], (x, y, z), spacing * shrink, not truth.whole_in_view
    )


def _block_aligned(mine: NDArray[np.bool_], shrink: int) -> tuple[list[int], list[int]]:
    """Start and shape of a box with some margin, a multiple of the blocks long."""
    found = ndimage.find_objects(mine.astype(np.uint8))[0]
    start = [s.start - 4 for s in found]
    return start, [
        -(-(s.stop + 4 - a) // shrink) * shrink for a, s in zip(start, found, strict=True)
    ]
