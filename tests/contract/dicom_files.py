"""Small DICOM files for the tests, made with pydicom alone: a block of water with a bony rod."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CT, MR = str(CTImageStorage), str(MRImageStorage)


def write_series(
    folder: Path,
    slices: int = 20,
    modality: str = "CT",
    sop_class: str = CT,
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL"),
) -> list[Path]:
    """One series of 64x64 slices of 2 mm; the files' paths from feet to head."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for index in range(slices):
        slice_ = _slice(index, modality, sop_class, image_type)
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = study, series
        slice_.FrameOfReferenceUID = frame
        path = folder / f"{index:04d}.dcm"
        slice_.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _slice(index: int, modality: str, sop_class: str, image_type: tuple[str, ...]) -> Dataset:
    pixels = np.full((64, 64), 1024, np.int16)
    pixels[26:38, 26:38] += 400
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = sop_class, generate_uid()
    one.Modality, one.ImageType = modality, list(image_type)
    one.PatientName, one.PatientID, one.PatientBirthDate = "Doe^Jane", "SECRET-4711", "19400102"
    one.SeriesDescription, one.InstanceNumber = "made for a test", index + 1
    one.Rows, one.Columns = pixels.shape
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
    one.PixelRepresentation, one.SamplesPerPixel = 1, 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.PixelSpacing, one.SliceThickness = [3.0, 3.0], 2.0
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    one.ImagePositionPatient = [-96.0, -96.0, 2.0 * index]
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PixelData = pixels.tobytes()
    return one
