"""A made-up patient as a function of place, and CT files of it in any geometry.

The one oracle of these tests: whatever geometry the files had, every voxel read must hold what the
patient has at that voxel's place. A flip, a swapped axis, a wrong order or a shear that was not
undone can't pass, because the patient is symmetric in no direction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from vfx_edge.image import Image

Floats = NDArray[np.float64]
Edit = Callable[[Dataset, int], None]

BLOBS = (  # (centre in LPS mm, width mm, HU): bone on the left, fat to the front, bone to the feet
    ((28.0, 4.0, 10.0), 11.0, 900.0),
    ((-12.0, -30.0, 22.0), 12.0, -300.0),
    ((-20.0, 18.0, -30.0), 13.0, 600.0),
)


def patient_hu(lps_mm: Floats) -> Floats:
    """(…, 3) places -> HU: an ellipsoid of water in air, with three smooth blobs."""
    radius = np.sqrt((lps_mm[..., 0] / 55) ** 2 + (lps_mm[..., 1] / 50) ** 2
                     + (lps_mm[..., 2] / 70) ** 2)  # fmt: skip
    hu = -1000 + 1000 / (1 + np.exp((radius - 1) * 8))
    for centre, width, height in BLOBS:
        distance = np.linalg.norm(lps_mm - np.array(centre), axis=-1)
        hu = hu + height * np.exp(-0.5 * (distance / width) ** 2)
    return np.asarray(hu)


@dataclass(frozen=True)
class Scan:
    """Where the slices lie. step: from one slice's first pixel to the next one's, mm (LPS)."""

    row: tuple[float, ...] = (1.0, 0.0, 0.0)
    column: tuple[float, ...] = (0.0, 1.0, 0.0)
    step: tuple[float, ...] = (0.0, 0.0, 3.0)
    centre: tuple[float, ...] = (0.0, 0.0, 0.0)
    rows: int = 48
    columns: int = 56
    rows_mm: float = 2.9
    columns_mm: float = 2.4
    places: tuple[float, ...] = tuple(range(40))
    """Slice places in steps."""
    edits: tuple[Edit, ...] = field(default=())

    def position(self, place: float) -> Floats:
        middle = (max(self.places) + min(self.places)) / 2
        in_plane = (
            np.array(self.row) * self.columns_mm * (self.columns - 1) / 2
            + np.array(self.column) * self.rows_mm * (self.rows - 1) / 2
        )
        return np.array(self.centre) + np.array(self.step) * (place - middle) - in_plane

    def hu(self, place: float) -> Floats:
        """(rows, columns) of what a scanner would see."""
        r, c = np.mgrid[: self.rows, : self.columns][..., None]
        where = (
            self.position(place)
            + r * np.array(self.column) * self.rows_mm
            + c * np.array(self.row) * self.columns_mm
        )
        return patient_hu(where)


def write_scan(
    folder: Path, scan: Scan | None = None, *edits: Edit, name: str = ""
) -> list[Dataset]:
    """The scan as one DICOM series below `folder`; `edits` change each data set before saving."""
    scan = scan or Scan()
    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    written = []
    for index, place in enumerate(scan.places):
        one = ct_slice(scan, place, index, (study, series, frame))
        for edit in (*scan.edits, *edits):
            edit(one, index)
        one.save_as(folder / f"{name}{(index * 7919) % 10007:05d}", enforce_file_format=True)
        written.append(one)
    return written


def ct_slice(scan: Scan, place: float, index: int, uids: tuple[str, str, str]) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = uids
    one.Modality, one.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.PatientName, one.PatientID, one.PatientBirthDate = "Doe^Jane", "SECRET-4711", "19400102"
    one.SeriesDescription, one.InstanceNumber = "Spine", index + 1
    one.ImageOrientationPatient = [decimal(v) for v in (*scan.row, *scan.column)]
    one.ImagePositionPatient = [decimal(v) for v in scan.position(place)]
    one.PixelSpacing, one.SliceThickness = [scan.rows_mm, scan.columns_mm], 3.0
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    stored(one, np.rint(scan.hu(place) + 1024).astype(np.int16))
    return one


def decimal(value: float) -> str:
    """At most the 16 characters that a decimal string may have."""
    return format_number_as_ds(float(value))


def stored(one: Dataset, pixels: NDArray[np.generic], bits: int | None = None) -> None:
    """Puts the stored numbers in."""
    allocated = pixels.dtype.itemsize * 8
    one.Rows, one.Columns = pixels.shape[-2:]
    one.BitsAllocated, one.BitsStored = allocated, bits or allocated
    one.HighBit = one.BitsStored - 1
    one.PixelRepresentation, one.SamplesPerPixel = int(pixels.dtype.kind == "i"), 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.PixelData = pixels.tobytes()
    one["PixelData"].VR = "OW"


def enhanced(scan: Scan) -> Dataset:
    """The scan as one enhanced multi-frame file, its frames in a jumbled order."""
    places = [scan.places[(i * 7) % len(scan.places)] for i in range(len(scan.places))]
    one = ct_slice(scan, places[0], 0, (generate_uid(), generate_uid(), generate_uid()))
    one.SOPClassUID = EnhancedCTImageStorage
    frames = np.stack([np.rint(scan.hu(p) + 1024) for p in places]).astype(np.uint16)
    stored(one, frames)
    one.NumberOfFrames = len(places)
    shared, orientation, measures, values = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = one.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = one.PixelSpacing, 3.0
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([values])
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for place in places:
        where, group = Dataset(), Dataset()
        where.ImagePositionPatient = [decimal(v) for v in scan.position(place)]
        group.PlanePositionSequence = Sequence([where])
        groups.append(group)
    one.PerFrameFunctionalGroupsSequence = Sequence(groups)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "RescaleSlope", "RescaleIntercept", "SliceThickness"):  # fmt: skip
        del one[keyword]
    return one


def put(**values: object) -> Edit:
    """An edit that sets the keywords; None deletes one."""

    def edit(one: Dataset, _index: int) -> None:
        for keyword, value in values.items():
            if value is None:
                if keyword in one:
                    del one[keyword]
            else:
                setattr(one, keyword, value)

    return edit


def assert_shows_patient(volume: Image, tolerance_hu: float = 1.0, clear_mm: float = 0.0) -> None:
    """Every valid voxel holds what the patient has at its place, and the axes are turned right."""
    hu = volume.values
    assert hu.dtype == np.int16
    assert hu.flags.c_contiguous
    steps = volume.affine_zyx_to_lps[:3, :3]
    assert np.all(np.diag(steps[::-1]) > 0), "axes must point to head, back and left"
    index = np.argwhere(np.ones(hu.shape, np.bool_))
    expected = np.clip(patient_hu(volume.to_lps(index.astype(float))), -1024, 3071)
    off = np.abs(hu.reshape(-1) - expected)
    if volume.valid is not None:
        off = off[np.asarray(volume.valid).reshape(-1)]
    assert len(off) > 1000
    assert off.max() <= tolerance_hu


def reread(path: Path) -> Dataset:
    return pydicom.dcmread(path)


def only(items: Iterable[str], word: str) -> str:
    """The one line that holds the word."""
    found = [item for item in items if word in item]
    assert len(found) == 1, f"{word!r} in {list(items)}"
    return found[0]
