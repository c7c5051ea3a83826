"""A synthetic CT as a DICOM series: what `vfx-edge phantom` writes."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vfx_edge.files import replacing_folder

PATIENT_NAME = "PHANTOM^VFX-EDGE"
_IMPLEMENTATION = generate_uid(entropy_srcs=["vfx-edge", "implementation"])
_INTERCEPT = -1024
_HIGHEST = 0xFFFF
# A fixed day: the same phantom is the same file, byte for byte.
_DAY, _TIME = "20260101", "120000"


def write_ct_series(
    hu_zyx: NDArray[np.int16],
    affine_zyx_to_lps: NDArray[np.float64],
    directory: Path,
    description: str = "Synthetic spine",
    seed: int = 0,
) -> Path:
    """Writes one uncompressed CT Image Storage file a slice into `directory`; returns it.

    hu_zyx: (z, y, x) Hounsfield units; affine: index (z, y, x, 1) -> LPS mm. UIDs follow from
    content and seed, so the same phantom gets the same ones. OutputError when the folder can't
    be written; either all files appear or none.
    """
    digest = _digest(hu_zyx, affine_zyx_to_lps, seed)
    shared = _shared(affine_zyx_to_lps, hu_zyx.shape, digest, description)
    with replacing_folder(directory) as folder:
        for index, plane in enumerate(hu_zyx):
            _slice(shared, plane, affine_zyx_to_lps, index, digest).save_as(
                folder / f"CT{index + 1:04d}.dcm", enforce_file_format=True
            )
    return directory


def _digest(hu: NDArray[np.int16], affine: NDArray[np.float64], seed: int) -> str:
    content = hashlib.sha256(np.ascontiguousarray(hu).tobytes())
    content.update(np.round(affine, 6).astype("<f8").tobytes())
    content.update(str(seed).encode("ascii"))
    return content.hexdigest()


def _uid(digest: str, *what: str) -> UID:
    return generate_uid(entropy_srcs=[digest, *what])


def _shared(
    affine: NDArray[np.float64], shape: tuple[int, ...], digest: str, description: str
) -> Dataset:
    """All that is the same in every slice."""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    _add_patient_and_study(data, digest)
    _add_series(data, digest, description)
    _add_geometry(data, affine, shape)
    _add_pixel_format(data)
    return data


def _add_patient_and_study(data: Dataset, digest: str) -> None:
    data.PatientName = PATIENT_NAME
    data.PatientID = f"VFX-{digest[:8].upper()}"
    data.PatientBirthDate = ""
    data.PatientSex = "O"
    data.StudyInstanceUID = _uid(digest, "study")
    data.StudyID = "1"
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = _DAY
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = _TIME
    data.AccessionNumber = ""
    data.ReferringPhysicianName = ""
    data.StudyDescription = "Synthetic spine"


def _add_series(data: Dataset, digest: str, description: str) -> None:
    data.SOPClassUID = CTImageStorage
    data.Modality = "CT"
    data.SeriesInstanceUID = _uid(digest, "series")
    data.SeriesNumber = 1
    data.SeriesDescription = description[:64]
    data.BodyPartExamined = "SPINE"
    data.PatientPosition = "HFS"
    data.FrameOfReferenceUID = _uid(digest, "frame")
    data.PositionReferenceIndicator = ""
    data.Manufacturer = "vfx-edge"
    data.ManufacturerModelName = "phantom"
    data.DeviceSerialNumber = "0"
    data.SoftwareVersions = "phantom"
    data.AcquisitionNumber = 1
    data.KVP = "120"
    data.ConvolutionKernel = "PHANTOM"


def _add_geometry(data: Dataset, affine: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    unit = affine[:3, :3] / spacing
    data.Rows, data.Columns = int(shape[1]), int(shape[2])
    data.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[2])]
    data.SliceThickness = _decimal(spacing[0])
    data.ImageOrientationPatient = [_decimal(v) for v in (*unit[:, 2], *unit[:, 1])]


def _add_pixel_format(data: Dataset) -> None:
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 0
    data.RescaleIntercept = str(_INTERCEPT)
    data.RescaleSlope = "1"
    data.RescaleType = "HU"
    data.WindowCenter = "400"
    data.WindowWidth = "1500"


def _slice(
    shared: Dataset,
    plane: NDArray[np.int16],
    affine: NDArray[np.float64],
    index: int,
    digest: str,
) -> Dataset:
    data = Dataset(shared)
    place = affine[:3, 3] + index * affine[:3, 0]
    normal = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    data.SOPInstanceUID = _uid(digest, "slice", str(index))
    data.InstanceNumber = index + 1
    data.ImagePositionPatient = [_decimal(v) for v in place]
    data.SliceLocation = _decimal(float(place @ normal))
    stored = np.clip(plane.astype(np.int32) - _INTERCEPT, 0, _HIGHEST).astype("<u2")
    data.PixelData = stored.tobytes()
    data.file_meta = _file_meta(data.SOPInstanceUID)
    return data


def _file_meta(instance: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "VFX-EDGE"
    return meta


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as the standard asks."""
    text = f"{float(value):.6f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text[:16]
