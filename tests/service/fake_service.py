"""The service as a process of its own, with a chain that takes no time: to be killed.

    python fake_service.py WATCHED '{"spool": …, "port": …}'

Without a port it has no DICOM node. Everything but the analysis is the product's own. The results'
UIDs are new at every run of the chain, so a study that was analysed and sent twice shows in the
archive.
"""

import json
import logging
import os
import random
import sys
import time
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tests.service.studies import new_uid
from vfx_edge.errors import BackendError, InputError, VfxError
from vfx_edge.files import write_bytes
from vfx_edge.job import Job
from vfx_edge.service.daemon import Part, Service, ThreadPart, serve
from vfx_edge.service.receive.listener import Listener
from vfx_edge.service.receive.watcher import Watcher
from vfx_edge.service.settings import load_settings

OBJECTS = 3
SECONDS = 0.05


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
        os._exit(77)
    run = new_uid()
    for number in range(OBJECTS):
        time.sleep(random.uniform(0, 2 * SECONDS / OBJECTS))
        write_bytes(
            job.out / "sc" / f"{number:02d}-overview.dcm", _object(source, run, number, note)
        )
    result = {"series": {"study_uid": source.StudyInstanceUID, "slices": len(sources)}}
    write_bytes(job.out / "result.json", json.dumps(result).encode())


def _object(source: Dataset, run: str, number: int, note: str) -> bytes:
    """A result of run `run`, as large as `note` says in KiB."""
    from io import BytesIO

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


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    watched, config = Path(sys.argv[1]), json.loads(sys.argv[2])
    settings = load_settings(None, config)

    def parts(service: Service) -> list[Part]:
        watcher = Watcher(watched, service.spool, service.completion, settings.quiet_s)
        node = [Listener(settings, service.spool)] if "port" in config else []
        return [ThreadPart("watcher", watcher.run), *node]

    try:
        serve(settings, parts, fake_chain, lambda: print("ready", flush=True))
    except VfxError as error:
        print(error, file=sys.stderr)
        os._exit(error.exit_code)
    os._exit(0)


if __name__ == "__main__":
    main()
