"""A second reader, independent of the product's: pydicom alone, slow and plain.

It knows no series, phases or gaps: it gives every slice it can decode, each with its own place and
its own rescale. Which of them make the scan, a test says. Then the product's volume must hold just
these, voxel for voxel, and name just their files.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from vfx_edge.study import Scan

Floats = NDArray[np.float64]
AIR, MOST = -1024, 3071
"""The product cuts Hounsfield units off there, and takes padding for air."""


@dataclass(frozen=True)
class PlainSlice:
    """One slice. facts: what its header says of it, the frame's own before the file's."""

    file: str
    facts: dict[str, object]
    hu: Floats

    @property
    def position(self) -> Floats:
        return _numbers(self.facts["ImagePositionPatient"])

    @property
    def row(self) -> Floats:
        return _numbers(self.facts["ImageOrientationPatient"])[:3]

    @property
    def column(self) -> Floats:
        return _numbers(self.facts["ImageOrientationPatient"])[3:]

    @property
    def place(self) -> float:
        """Along the normal, mm."""
        return float(self.position @ np.cross(self.row, self.column))

    def index_in(self, lps_to_index: Floats) -> tuple[NDArray[np.int_], ...]:
        """Where a volume should have the pixels: (z, y, x), each (rows, columns)."""
        down, across = _numbers(self.facts["PixelSpacing"])
        corner = lps_to_index[:3, :3] @ self.position + lps_to_index[:3, 3]
        steps = lps_to_index[:3, :3] @ np.stack([self.column * down, self.row * across], 1)
        whole = np.rint(steps).astype(int), np.rint(corner).astype(int)
        off = np.abs(steps - whole[0]).max() * max(self.hu.shape) + np.abs(corner - whole[1]).max()
        assert off < 0.2, "between the voxels"
        r, c = np.ogrid[: self.hu.shape[0], : self.hu.shape[1]]
        return tuple(whole[1][k] + r * whole[0][k, 0] + c * whole[0][k, 1] for k in range(3))


def plain_slices(
    where: Path | Iterable[str], wanted: Callable[[dict[str, object]], bool] = lambda _facts: True
) -> list[PlainSlice]:
    """Every CT slice below a folder, or in some files, whose facts are wanted, by its place."""
    files = where.rglob("*") if isinstance(where, Path) else map(Path, where)
    found = [s for path in files if path.is_file() for s in _of_file(path, wanted)]
    return sorted(found, key=lambda s: s.place)


def _of_file(path: Path, wanted: Callable[[dict[str, object]], bool]) -> Iterator[PlainSlice]:
    header = pydicom.dcmread(path)
    if header.get("Modality") != "CT":
        return
    frames = int(header.get("NumberOfFrames") or 1)
    pixels = header.pixel_array.reshape(frames, header.Rows, header.Columns)
    for number, frame in enumerate(pixels):
        facts = _facts(header, number)
        if wanted(facts):
            slope = float(str(facts.get("RescaleSlope") or 1))
            intercept = float(str(facts.get("RescaleIntercept") or 0))
            hu = frame.astype(float) * slope + intercept
            if "PixelPaddingValue" in facts:
                hu[frame == facts["PixelPaddingValue"]] = AIR
            yield PlainSlice(str(path), facts, hu)


def _facts(header: Dataset, frame: int) -> dict[str, object]:
    facts = {e.keyword: e.value for e in header if e.VR != "SQ"}
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if groups := header.get(name):
            for macro in groups[frame if name.startswith("Per") else 0]:
                facts.update({e.keyword: e.value for e in macro.value[0] if e.VR != "SQ"})
    return facts


def _numbers(stated: object) -> Floats:
    return np.array([float(v) for v in stated])  # type: ignore[attr-defined]


def assert_reads(scan: Scan, expected: Iterable[PlainSlice]) -> None:
    """The scan holds the expected slices, every voxel at its place, and nothing else."""
    slices = list(expected)
    assert slices, "nothing is expected"
    assert scan.series.slices == len(slices)
    assert {name for name, _ in scan.sources} == {s.file for s in slices}
    values = scan.image.values
    assert values.size == sum(s.hu.size for s in slices)
    back: Floats = np.linalg.inv(scan.image.affine_zyx_to_lps).astype(np.float64)
    for s in slices:
        shown = values[s.index_in(back)]
        assert np.array_equal(shown, np.clip(np.rint(s.hu), AIR, MOST)), s.file
