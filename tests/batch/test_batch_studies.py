"""Which studies lie in a folder or a list, and what is said of the rest."""

import os
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tests.batch.small_images import image, image_bytes
from tests.inputs.test_disc import record
from vfx_edge.batch import index, looking
from vfx_edge.batch.lists import ListUnreadable
from vfx_edge.batch.studies import NoStudies, studies_of


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
        ("line 5", True),
        ("line 4", False),
    ]
    assert "the study of line 2" in found.problems[-1].why
    table = tmp_path / "list.csv"
    table.write_text("patient,path\nDoe,one\n", encoding="utf-8")
    assert studies_of(table).studies == found.studies
    table.write_text("file\none\n", encoding="utf-8")
    with pytest.raises(ListUnreadable, match="no column"):
        studies_of(table)
    listed.write_text("# CTs\n\n", encoding="utf-8")
    with pytest.raises(ListUnreadable, match="no path"):
        studies_of(listed)


def test_a_path_of_many_lines_is_one_study_and_one_word(tmp_path: Path) -> None:
    """As a labels.csv has a line for each vertebra."""
    image(tmp_path / "one" / "1", "1.1")
    table = tmp_path / "labels.csv"
    table.write_text("path,level\none,L1\none,L2\ngone,L1\ngone,L2\none,L3\n", encoding="utf-8")
    found = studies_of(table)
    assert [study.name for study in found.studies] == ["1.1"]
    assert [(one.place, one.lost) for one in found.problems] == [("line 4", True), ("", False)]
    assert "left out: 3" in found.problems[1].why


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_a_pipe_that_nobody_writes_is_no_study_and_not_waited_for(tmp_path: Path) -> None:
    image(tmp_path / "one" / "1", "1.1")
    os.mkfifo(tmp_path / "pipe.zip")
    listed = tmp_path / "list.txt"
    listed.write_text("one\npipe.zip\n", encoding="utf-8")
    (problem,) = studies_of(listed).problems
    assert (problem.place, problem.lost, "neither" in problem.why) == ("line 2", True, True)
    with pytest.raises(NoStudies, match="neither a file nor a folder"):
        studies_of(tmp_path / "pipe.zip")


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


def _zip(path: Path, *studies: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, study in enumerate(studies):
            archive.writestr(f"Doe/{number}", image_bytes(study, f"{study}.{number}"))
        archive.writestr("readme.txt", "no image")
    return path


def test_a_zip_is_as_many_studies_as_it_holds(tmp_path: Path) -> None:
    _zip(tmp_path / "two.zip", "1.1", "1.2", "1.1")
    _zip(tmp_path / "one.zip", "1.3", "1.3")
    (tmp_path / "none.zip").write_bytes(b"PK\3\4 and no more")
    found = {study.name: study for study in studies_of(tmp_path).studies}
    assert {name: study.uid for name, study in found.items() if name[0] == "1"} == {
        "1.1": "1.1",
        "1.2": "1.2",
        "1.3": "",
    }
    assert found["1.1"].path == found["1.2"].path == tmp_path / "two.zip"
    assert len(found) == 4


def test_one_file_under_several_names_is_one_study(tmp_path: Path) -> None:
    """As a link, a hard link, and, where capitals do not count, in another case."""
    (tmp_path / "ct.nii.gz").write_bytes(b"x")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "ct.nii.gz")
    os.link(tmp_path / "ct.nii.gz", tmp_path / "hard.nii.gz")
    image(tmp_path / "dicom" / "1", "1.1")
    (tmp_path / "again").symlink_to(tmp_path / "dicom", target_is_directory=True)
    listed = tmp_path / "list.txt"
    listed.write_text("ct.nii.gz\nlink.nii.gz\nhard.nii.gz\ndicom\nagain\n./dicom/../dicom\n")
    found = studies_of(listed)
    assert len(found.studies) == 2
    assert [(one.place, one.lost) for one in found.problems] == [
        (f"line {number}", False) for number in (2, 3, 5, 6)
    ]


def test_results_among_the_studies_are_no_studies(tmp_path: Path) -> None:
    """Those of this batch, and of another one."""
    image(tmp_path / "ct" / "1", "1.1")
    out = tmp_path / "ct" / "out"
    image(out / "studies" / "1.1" / "sr.dcm", "1.1")
    other = tmp_path / "ct" / "other"
    image(other / "studies" / "1.2" / "sr.dcm", "1.2")
    (other / "records").mkdir()
    (other / "batch.json").write_text("{}", encoding="ascii")
    found = studies_of(tmp_path / "ct", out)
    assert [(study.name, study.files) for study in found.studies] == [
        ("1.1", (tmp_path / "ct" / "1",))
    ]
    assert [(one.path, one.lost) for one in found.problems] == [(other, False), (out, False)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file systems")
def test_files_that_cant_be_read_are_named_where_no_run_will_name_them(tmp_path: Path) -> None:
    image(tmp_path / "a" / "1", "1.1")
    (tmp_path / "a" / "2.dcm").write_bytes(b"")
    for place in ("empty", "damaged"):
        (tmp_path / place).mkdir()
    (tmp_path / "empty" / "1.dcm").write_bytes(b"")
    plain, deflated = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    broken = image_bytes("1.2").replace(b"UI\x14\0" + plain, b"UI\x16\0" + deflated)
    for name in ("1", "2"):
        (tmp_path / "damaged" / name).write_bytes(broken)
    found = studies_of(tmp_path)
    assert [study.name for study in found.studies] == ["1.1"]
    assert {(one.path.name, one.why, one.lost) for one in found.problems} == {
        ("empty", "holds a file that can't be read", True),
        ("damaged", "holds 2 files that can't be read", True),
    }
    with pytest.raises(NoStudies, match="2 files that can't be read"):
        studies_of(tmp_path / "damaged")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.csv", "patient;path\r\nDoe;Müller/ct\r\n".encode("cp1252")),
        ("list.csv", "patient\tPath\nDoe\tMüller/ct\n".encode("utf-16")),
        ("list.csv", "sep=,\npath\nMüller/ct\n".encode("utf-8-sig")),
        ("list.tsv", "path\nMüller\\ct\n".encode()),
        ("list.txt", '# CTs\n"Müller/ct"\n'.encode("utf-16")),
        ("list.txt", "Müller/ct\r\n".encode("cp1252")),
        ("list.csv", "path\nMüller/ct\n".encode()),
    ],
)
def test_a_list_of_any_program_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    image(tmp_path / "Müller" / "ct" / "1", "1.1")
    (tmp_path / name).write_bytes(data)
    found = studies_of(tmp_path / name)
    assert ([study.name for study in found.studies], found.problems) == (["1.1"], ())


def test_a_list_of_one_column_may_have_separators_in_its_paths(tmp_path: Path) -> None:
    image(tmp_path / "Doe, Jane; 1" / "1", "1.1")
    (tmp_path / "list.csv").write_text("path\nDoe, Jane; 1\nlist.csv\n", encoding="utf-8")
    assert [study.name for study in studies_of(tmp_path / "list.csv").studies][:1] == ["1.1"]


@pytest.mark.parametrize("data", [b"PK\3\4", b"\xff\xfe\0", b"a\0b", b""])
def test_a_list_that_is_none_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(ListUnreadable):
        studies_of(tmp_path / "list.csv")


def test_an_index_says_what_the_headers_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a file was changed, came or went; and it names nobody."""
    monkeypatch.setattr(index, "LEAST", 1)
    data, out = tmp_path / "Doe^Jane", tmp_path / "out"
    for number, study in enumerate(("1.1", "1.2", "1.1")):
        image(data / "mixed" / f"Doe-{number}", study)
    image(data / "single" / "1", "1.3")
    _zip(data / "two.zip", "1.4", "1.5")
    changes = [
        lambda: None,
        lambda: image(data / "mixed" / "Doe-3", "1.6"),
        lambda: image(data / "single" / "1", "1.71"),
        lambda: (data / "mixed" / "Doe-1").unlink(),
        lambda: _zip(data / "two.zip", "1.4", "1.5", "1.8"),
    ]
    for change in changes:
        change()
        first = studies_of(data, out)
        assert first == studies_of(data)
        with monkeypatch.context() as patch:
            patch.setattr(looking, "study_key", None)  # nothing may be read again
            patch.setattr(looking, "studies_in", None)
            assert studies_of(data, out) == first
    kept = b"".join(path.read_bytes() for path in (out / "index").iterdir())
    assert b"Doe" not in kept
    assert b"1.71" in kept
    for path in (out / "index").iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    assert studies_of(data, out) == first


def test_many_parts_of_an_index_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LEAST", 1)
    monkeypatch.setattr(index, "MOST_PARTS", 3)
    data, out = tmp_path / "data", tmp_path / "out"
    for number in range(5):
        image(data / str(number) / "1", f"1.{number}")
        studies_of(data, out)
    assert len(list((out / "index").iterdir())) <= 3
    monkeypatch.setattr(looking, "study_key", None)
    assert len(studies_of(data, out).studies) == 5


def test_a_disc_is_as_many_studies_as_its_directory_names(tmp_path: Path) -> None:
    disc = tmp_path / "disc"
    files = [image(disc / "DICOM" / "S0" / f"I{n}", f"1.{1 + n // 2}") for n in range(4)]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = Dataset()
    one.file_meta, one.DirectoryRecordSequence = meta, Sequence(map(record, files))
    one.save_as(disc / "DICOMDIR", enforce_file_format=True)
    (tmp_path / "list.txt").write_text("disc/DICOMDIR", encoding="ascii")
    for source in (disc / "DICOMDIR", tmp_path / "list.txt"):
        found = {study.name: study.files for study in studies_of(source).studies}
        assert found == {"1.1": tuple(files[:2]), "1.2": tuple(files[2:])}
