"""Which studies lie in a folder or a list, and what is said of the rest."""

import warnings
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from vfx_edge.batch.lists import ListUnreadable
from vfx_edge.batch.studies import NoStudies, studies_of


def image(path: Path, study: str) -> Path:
    """A file of DICOM that says no more than of which study it is."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    one.StudyInstanceUID = study
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def test_two_studies_of_one_folder_are_two_and_one_of_two_folders_is_one(tmp_path: Path) -> None:
    mixed = [image(tmp_path / "mixed" / name, uid) for name, uid in (("a", "1.1"), ("b", "1.2"))]
    for series in ("s1", "s2"):
        image(tmp_path / "Doe^Jane" / series / "1", "1.3")
    for name in ("ct.nii.gz", "ct_seg-vert_msk.nii.gz", "readme.md"):
        (tmp_path / name).write_bytes(b"")
    found = {study.name: study for study in studies_of(tmp_path).studies}
    assert {name: study.files for name, study in found.items() if name[0] == "1"} == {
        "1.1": (mixed[0],),
        "1.2": (mixed[1],),
        "1.3": (),
    }
    assert found["1.3"].path == tmp_path / "Doe^Jane"
    (scan,) = set(found) - {"1.1", "1.2", "1.3"}
    assert found[scan].path.name == "ct.nii.gz"


def test_a_list_names_what_is_missing_or_double_and_the_rest_goes_on(tmp_path: Path) -> None:
    image(tmp_path / "one" / "1", "1.1")
    image(tmp_path / "copy" / "1", "1.1")
    (tmp_path / "empty").mkdir()
    listed = tmp_path / "list.txt"
    listed.write_text("# CTs\none\ngone\ncopy\nempty\n", encoding="utf-8")
    found = studies_of(listed)
    assert [study.name for study in found.studies] == ["1.1"]
    assert [(one.place, one.lost) for one in found.problems] == [
        ("line 3", True),
        ("line 4", False),
        ("line 5", True),
    ]
    assert "the study of line 2" in found.problems[1].why
    table = tmp_path / "list.csv"
    table.write_text("patient,path\nDoe,one\n", encoding="utf-8")
    assert studies_of(table).studies == found.studies
    table.write_text("file\none\n", encoding="utf-8")
    with pytest.raises(ListUnreadable, match="no column"):
        studies_of(table)
    listed.write_text("# CTs\n\n", encoding="utf-8")
    with pytest.raises(ListUnreadable, match="no path"):
        studies_of(listed)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoStudies):
        studies_of(tmp_path)


@pytest.mark.parametrize("uid", ["../../etc", "", "1.2 a", "9" * 70 + ".1"])
def test_a_uid_that_is_none_names_no_folder(tmp_path: Path, uid: str) -> None:
    with warnings.catch_warnings():  # pydicom warns of what it is asked to write
        warnings.simplefilter("ignore")
        image(tmp_path / "a" / "1", uid)
    (study,) = studies_of(tmp_path).studies
    assert study.name.startswith("scan-")
