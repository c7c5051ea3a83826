"""The directory of a burned disc, given as the path."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tests.inputs.world import Scan, assert_shows_patient, only, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import read_source

SCAN = Scan(places=tuple(range(14)), rows=18, columns=20, rows_mm=6.0, columns_mm=6.0)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A disc's folder, its directory in it."""
    folder = tmp_path / "disc"
    write_scan(folder / "DICOM" / "SE0", SCAN, name="I")
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    one.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.DirectoryRecordSequence = Sequence(
        map(record, sorted((folder / "DICOM" / "SE0").iterdir())),
    )
    one.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder


def record(path: Path) -> Dataset:
    one = Dataset()
    one.DirectoryRecordType = "IMAGE"
    one.ReferencedFileID = list(path.parts[-3:])
    return one


def test_the_directory_stands_for_its_disc(disc: Path) -> None:
    whole, named = load_scan(disc), load_scan(disc / "DICOMDIR")
    assert_shows_patient(named.image)
    assert named.sources == whole.sources
    assert len(read_source(disc / "DICOMDIR", named).instances) == 14


def test_only_what_it_names_is_read(disc: Path) -> None:
    write_scan(disc / "OTHER", Scan(step=(0, 0, 1.0), places=tuple(range(90))))
    assert load_scan(disc / "DICOMDIR").series.slices == 14


def test_what_it_names_and_is_not_there_is_said(disc: Path) -> None:
    (disc / "DICOM" / "SE0" / "I00000").unlink()
    assert only(load_scan(disc / "DICOMDIR").series.warnings, "1 file(s) that the disc's directory")


def test_names_in_another_case(disc: Path) -> None:
    for path in sorted(disc.rglob("*"), key=lambda p: -len(p.parts)):
        path.rename(path.with_name(path.name.lower() + (";1" if path.is_file() else "")))
    assert_shows_patient(load_scan(disc / "dicomdir;1").image)


def test_references_that_lead_outside_are_not_followed(disc: Path) -> None:
    outside = disc.parent / "outside"
    (disc / "DICOM").rename(outside)
    refused = pytest.raises(InputError, match="none of the images that it names lies beside it")
    with refused:
        load_scan(disc / "DICOMDIR")
    data = (disc / "DICOMDIR").read_bytes()
    (disc / "DICOMDIR").write_bytes(data.replace(b"DICOM\\SE0", b"..\\out\\a"))
    (disc.parent / "out").mkdir()
    (outside / "SE0").rename(disc.parent / "out" / "a")
    with refused:
        load_scan(disc / "DICOMDIR")
    (disc / "DICOMDIR").write_bytes(data)
    try:
        (disc / "DICOM").symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("this account may not make symbolic links")
    (disc.parent / "out" / "a").rename(outside / "SE0")
    with refused:
        load_scan(disc / "DICOMDIR")


def test_a_damaged_directory_is_refused(disc: Path) -> None:
    data = (disc / "DICOMDIR").read_bytes()
    (disc / "DICOMDIR").write_bytes(data[:700])
    with pytest.raises(InputError, match="give the disc's folder"):
        load_scan(disc / "DICOMDIR")
