"""Tiny studies, with the DICOM attributes that the service and the fake chain read."""

import secrets
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

PATIENT = "Mustermann^Erika"


def new_uid() -> str:
    """Short enough to be continued."""
    return f"2.25.{secrets.randbits(96)}"


def write_study(folder: Path, uid: str | None = None, slices: int = 2, note: str = "") -> str:
    """A study of a few slices of 16 x 16; its StudyInstanceUID. `note`: for the fake chain."""
    uid = uid or new_uid()
    series = f"{uid}.1"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(slices):
        write_slice(folder / f"{number}.dcm", uid, series, number, note)
    return uid


def write_slice(path: Path, study: str, series: str, number: int, note: str = "") -> None:
    """One of them; its SOPInstanceUID is the series' with the number."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    uid = UID(f"{series}.{number + 1}")
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = uid
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.PatientName, image.PatientID, image.Modality = PATIENT, "4711", "CT"
    image.InstanceNumber, image.StudyDescription = number + 1, note
    image.Rows = image.Columns = 16
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    image.PixelData = np.full((16, 16), number, np.int16).tobytes()
    image.save_as(path, enforce_file_format=True)
