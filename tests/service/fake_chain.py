"""A chain that takes no time, in the analysing process that the product has."""

import json
import os
import random
import signal
import time
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tests.service.studies import new_uid
from tests.waiting import HANG_S
from vfx_edge.errors import BackendError, InputError
from vfx_edge.files import write_bytes
from vfx_edge.job import Job
from vfx_edge.service.analyse.child import analyse

OBJECTS = 3
SECONDS = 0.05
KILLS = 4
BEGUN = "begun"
"""A study "to be killed" waits for that so often; the file of the spool that counts it."""


class Poisoned(InputError):
    """As the real chain refuses a study."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} holds no CT: send another study.")


class Broken(BackendError):
    """As a backend fails."""

    def __init__(self) -> None:
        super().__init__("The backend failed: try another.")


def fake_chain(job: Job) -> None:
    """Results of a tiny study; its description says what is to go wrong."""
    assert job.out is not None
    sources = sorted(p for p in job.path.rglob("*") if p.is_file()) or [job.path]
    try:
        source = pydicom.dcmread(sources[0])
    except pydicom.errors.InvalidDicomError:
        raise Poisoned(job.path) from None
    note = source.StudyDescription
    if note == "backend fails":
        raise Broken
    if note == "bug":
        raise ValueError(f"what is this: {source.PatientName}")
    if note == "deadly":
        os.kill(os.getpid(), signal.SIGFPE)
    if note == "endless":
        time.sleep(HANG_S)
    if note == "to be killed" and _begun(job.out.parents[1] / BEGUN) <= KILLS:
        time.sleep(HANG_S)
    run = new_uid()
    for number in range(OBJECTS):
        time.sleep(random.uniform(0, 2 * SECONDS / OBJECTS))
        write_bytes(
            job.out / "sc" / f"{number:02d}-overview.dcm", _object(source, run, number, note)
        )
    result = {"series": {"study_uid": source.StudyInstanceUID, "slices": len(sources)}}
    write_bytes(job.out / "result.json", json.dumps(result).encode())


def _begun(file: Path) -> int:
    """How often an analysis has begun, this one included."""
    with file.open("ab") as stream:
        stream.write(b"x")
        return stream.tell()


def _object(source: Dataset, run: str, number: int, note: str) -> bytes:
    """A result of run `run`, as large as `note` says in KiB."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = UID(f"{run}.{number}")
    made.StudyInstanceUID, made.SeriesInstanceUID = source.StudyInstanceUID, run
    made.PatientName = source.PatientName
    made.add_new("PixelData", "OB", bytes(1024 * int(note)) if note.isdigit() else b"\0\0")
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


if __name__ == "__main__":
    analyse(lambda order: fake_chain)
