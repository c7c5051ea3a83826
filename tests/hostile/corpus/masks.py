"""What --segmentation may be given: NIfTI, NRRD and DICOM Segmentations that lie."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from tests.hostile.corpus.case import READ, Base, Case, Make, Outcome, Refused
from tests.hostile.corpus.nifti import BITPIX, DATATYPE, DIM, OFFSET, EditFile, nifti_of, patched

NO_MASK = Refused("is no vertebra mask")
BROKEN = Refused("can't be read|is no vertebra mask")
Labels = NDArray[Any]


def _labels(base: Base) -> NDArray[np.uint8]:
    labels = np.zeros(base.scan.image.shape, np.uint8)
    labels[8:12, 25:35, 25:35] = 21
    labels[13:17, 25:35, 25:35] = 20
    return labels


def image_of(base: Base, labels: Labels, shift_mm: float = 0.0) -> sitk.Image:
    """Labels on the base's own grid."""
    image = sitk.GetImageFromArray(labels)
    affine = base.scan.image.affine_zyx_to_lps
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetOrigin((affine[:3, 3] + shift_mm).tolist())
    image.SetDirection((affine[:3, :3] / spacing)[:, ::-1].ravel().tolist())
    return image


def _image(name: str, change: Callable[[Labels], Labels], shift_mm: float = 0.0) -> Make:
    def make(base: Base, folder: Path) -> Path:
        image = image_of(base, change(_labels(base)), shift_mm)
        sitk.WriteImage(image, str(folder / name), useCompression=name.endswith("gz"))
        return folder / name

    return make


def _patched(edit: EditFile) -> Make:
    """A mask's bytes changed."""

    def make(base: Base, folder: Path) -> Path:
        sitk.WriteImage(image_of(base, _labels(base)), str(folder / "m.nii"))
        content = edit((folder / "m.nii").read_bytes())
        (folder / "m.nii").write_bytes(content)
        return folder / "m.nii"

    return make


def _named(names: dict[int, str]) -> Make:
    """A .nrrd whose segments are named as 3D Slicer does."""

    def make(base: Base, folder: Path) -> Path:
        image = image_of(base, _labels(base))
        for at, (number, name) in enumerate(names.items()):
            image.SetMetaData(f"Segment{at}_LabelValue", str(number))
            image.SetMetaData(f"Segment{at}_Name", name)
        sitk.WriteImage(image, str(folder / "m.seg.nrrd"))
        return folder / "m.seg.nrrd"

    return make


def _bytes(content: bytes, name: str = "m.nii.gz") -> Make:
    def make(_base: Base, folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _nrrd(edit: Callable[[bytes], bytes]) -> Make:
    def make(base: Base, folder: Path) -> Path:
        sitk.WriteImage(image_of(base, _labels(base)), str(folder / "m.nrrd"))
        content = edit((folder / "m.nrrd").read_bytes())
        (folder / "m.nrrd").write_bytes(content)
        return folder / "m.nrrd"

    return make


def _ct_itself(base: Base, folder: Path) -> Path:
    return base.folder / sorted(p.name for p in base.folder.iterdir())[0]


def _ct_as_nifti(base: Base, folder: Path) -> Path:
    (folder / "ct.nii").write_bytes(nifti_of(base))
    return folder / "ct.nii"


def _folder(_base: Base, folder: Path) -> Path:
    return folder


def _gone(_base: Base, folder: Path) -> Path:
    return folder / "gone.nii.gz"


MASKS: dict[str, tuple[Make, tuple[Outcome, ...]]] = {
    "as it should be": (_image("m.nii.gz", lambda m: m), (READ,)),
    "as float": (_image("m.nii.gz", lambda m: m.astype(np.float32)), (READ,)),
    "empty": (_image("m.nii.gz", lambda m: m * 0), (NO_MASK,)),
    "fractions": (_image("m.nii.gz", lambda m: m.astype(np.float32) * 0.37), (NO_MASK,)),
    "negative": (_image("m.nii.gz", lambda m: -m.astype(np.int16)), (NO_MASK,)),
    "numbers to 60000": (_image("m.nii.gz", lambda m: m.astype(np.uint16) * 2500), (NO_MASK,)),
    "2^40": (_image("m.nii.gz", lambda m: m.astype(np.int64) << 40), (BROKEN,)),
    "NaN": (_image("m.nii.gz", lambda m: np.where(m > 0, m.astype("f4"), np.nan)), (NO_MASK, READ)),
    "infinite": (
        _image("m.nii.gz", lambda m: np.where(m > 0, np.inf, 0).astype("f4")),
        (NO_MASK, READ),
    ),
    "label 29": (_image("m.nii.gz", lambda m: (m > 0).astype(np.uint8) * 29), (NO_MASK,)),
    "elsewhere": (_image("m.nii.gz", lambda m: m, 5000.0), (Refused("does not overlap"),)),
    "1e30 mm away": (
        _image("m.nii.gz", lambda m: m, 1e30),
        (Refused("does not overlap|can't be read"),),
    ),
    "one slice": (_image("m.nii.gz", lambda m: m[10:11]), (BROKEN,)),
    "text": (_bytes(b"Dear colleague, " * 99), (BROKEN,)),
    "an empty file": (_bytes(b""), (BROKEN,)),
    "zeros": (_bytes(bytes(5000), "m.nii"), (BROKEN,)),
    "packed text": (_bytes(gzip.compress(b"hello" * 999)), (BROKEN,)),
    "a zip": (_bytes(b"PK\3\4" + bytes(999), "m.zip"), (BROKEN,)),
    "DICOM of nothing": (
        _bytes(bytes(128) + b"DICM" + bytes(99), "m.dcm"),
        (Refused("can't be read"),),
    ),
    "DICOM of FF": (
        _bytes(bytes(128) + b"DICM" + b"\xff" * 99, "m.dcm"),
        (Refused("can't be read"),),
    ),
    "a CT slice": (_ct_itself, (Refused("can't be read as a DICOM segmentation"),)),
    "the CT": (_ct_as_nifti, (NO_MASK,)),
    "a folder": (_folder, (Refused("it is a folder"),)),
    "nothing": (_gone, (Refused("does not exist"),)),
    "NIfTI of 32767 a side": (_patched(patched(DIM, "h", 3, *[32767] * 3)), (BROKEN,)),
    "NIfTI of 64 bits": (_patched(patched(DATATYPE, "h", 1024, 64)), (BROKEN,)),
    "NIfTI of other bits": (_patched(patched(BITPIX, "h", 64)), (BROKEN, READ)),
    "NIfTI offset of NaN": (_patched(patched(OFFSET, "f", float("nan"))), (BROKEN,)),
    "NIfTI cut": (_patched(lambda c: c[: len(c) // 2]), (BROKEN,)),
    "NRRD cut": (_nrrd(lambda c: c[: len(c) // 2]), (BROKEN,)),
    "NRRD of other sizes": (
        _nrrd(lambda c: c.replace(b"sizes: 64 64 25", b"sizes: 64 64 99")),
        (BROKEN,),
    ),
    "NRRD of 10^12 voxels": (
        _nrrd(lambda c: c.replace(b"sizes: 64 64 25", b"sizes: 9999 9999 9999")),
        (BROKEN,),
    ),
    "NRRD that names another file": (
        _nrrd(lambda c: c.replace(b"kinds:", b"data file: /etc/passwd\nkinds:", 1)),
        (BROKEN,),
    ),
    "segments L1 and L2": (_named({20: "L1", 21: "L2"}), (READ,)),
    "segments of a terminal's commands": (_named({20: "L1", 21: "\x1b[2J" * 50}), (READ,)),
    "segments of 10,000 letters": (_named({20: "L1", 21: "n" * 10_000}), (READ,)),
    "two segments named L1": (_named({20: "L1", 21: "L1"}), (READ, NO_MASK)),
    "segments numbered 99999": (_named({99999: "L1", 20: "kidney"}), (NO_MASK, READ)),
}


def cases() -> Iterator[Case]:
    for name, (make, outcomes) in MASKS.items():
        yield Case("mask", name, make, outcomes, how="mask")
