"""Files of DICOM that say no more than of which study they are."""

import io
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT = UID("1.2.840.10008.5.1.4.1.1.2")


def image_bytes(study: str, instance: str = "1.2.3") -> bytes:
    """One object."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = UID(instance)
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = CT, instance
    one.PatientName, one.PatientID = "Doe^Jane", "SECRET-4711"
    one.Modality = "CT"
    one.StudyInstanceUID, one.SeriesInstanceUID = study, f"{study}.1"
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def image(path: Path, study: str, instance: str = "1.2.3") -> Path:
    """The same as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_bytes(study, instance))
    return path
