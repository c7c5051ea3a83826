"""What becomes of each file that is dropped: nothing is deleted that is not in the spool."""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID

from tests.service.drop_folder import QUIET_S, Watched, watching
from tests.service.studies import PATIENT, write_slice, write_study
from vfx_edge.service.store.identifiers import pseudonym


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return watching(tmp_path)


def zipped(folder: Path, archive: Path) -> None:
    """All of it, under the archive's own name."""
    with zipfile.ZipFile(archive, "w") as writer:
        for file in sorted(folder.rglob("*")):
            writer.write(file, f"{archive.stem}/{file.relative_to(folder)}")


def cut(path: Path, size: int = 300) -> bytes:
    """A DICOM file whose header ends in the middle."""
    path.write_bytes(path.read_bytes()[:size])
    return path.read_bytes()


def test_a_disc_is_taken_apart_and_nothing_of_it_is_lost(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    disc = watched.folder / PATIENT
    uids = {write_study(disc / name) for name in "ab"}
    write_study(disc / "c", slices=1)
    damaged = cut(disc / "c" / "0.dcm")
    for name in ("letter.pdf", "DICOMDIR", "autorun.inf"):
        (disc / name).write_bytes(name.encode())
    (disc / "more.zip").write_bytes(b"PK no zip")
    inner = write_study(watched.folder.parent / "zipped")
    zipped(watched.folder.parent / "zipped", disc / "good.zip")
    jobs = watched.look(30 * QUIET_S)  # a broken zip may still be copied
    assert {job.study for job in jobs} >= {pseudonym(uid) for uid in (*uids, inner)}
    contents = [file.read_bytes() for job in jobs for file in watched.images(job.job)]
    assert len(jobs) == 5
    assert contents.count(damaged) == 1
    assert contents.count(b"PK no zip") == 1
    left = [f"{PATIENT}/{name}" for name in ("DICOMDIR", "autorun.inf", "letter.pdf")]
    assert watched.files() == left
    assert caplog.text.count("are no images and stay there: 3\n") == 1
    assert PATIENT not in caplog.text
    again = watching(watched.folder.parent)
    assert again.look() == jobs
    assert caplog.text.count("are no images") == 1
    assert again.files() == left


def test_one_study_with_a_damaged_slice_and_a_letter(watched: Watched) -> None:
    uid = write_study(watched.folder / "ct", slices=3)
    damaged = [cut(watched.folder / "ct" / f"{n}.dcm", 300 + n) for n in (1, 2)]
    (watched.folder / "ct" / "letter.pdf").write_bytes(b"%PDF")
    jobs = watched.look()
    (whole,) = [job for job in jobs if job.study == pseudonym(uid)]
    (other,) = [job for job in jobs if job != whole]
    assert len(watched.images(whole.job)) == 1
    assert [file.read_bytes() for file in watched.images(other.job)] == damaged
    assert watched.files() == ["ct/letter.pdf"]


def test_what_is_no_image_stays_and_is_no_job(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    litter = ("Thumbs.db", "desktop.ini", "autorun.inf", "DICOMDIR", ".DS_Store", "._a.dcm")
    for name in (*litter, "README.TXT", f"{PATIENT}.pdf"):
        (watched.folder / name).write_bytes(name.encode())
    with zipfile.ZipFile(watched.folder / "letter.docx", "w") as document:
        document.writestr("word/document.xml", "<a/>")
    assert watched.look() == []
    assert len(watched.files()) == 9
    assert caplog.text.count("are no images and stay there: 3\n") == 1
    assert PATIENT not in caplog.text


def test_a_study_is_one_job_whichever_way_it_comes(watched: Watched, tmp_path: Path) -> None:
    uid = write_study(tmp_path / "ct", slices=3)
    (tmp_path / "ct" / "DICOMDIR").write_bytes(b"an index")
    for number in (1, 2):
        zipped(tmp_path / "ct", watched.folder / f"{PATIENT}{number}.zip")
    shutil.copytree(tmp_path / "ct", watched.folder / "ct")
    for number in range(3):
        shutil.copy(tmp_path / "ct" / f"{number}.dcm", watched.folder / f"{number}.dcm")
    (job,) = watched.look(5 * QUIET_S)
    assert job.study == pseudonym(uid)
    assert len(watched.images(job.job)) == 3
    assert watched.files() == ["ct/DICOMDIR"]
    write_slice(tmp_path / "ct" / "9.dcm", uid, f"{uid}.1", 9)
    zipped(tmp_path / "ct", watched.folder / "more.zip")
    (later,) = [one for one in watched.look() if one.job != job.job]
    assert later.supersedes == job.job
    assert len(watched.images(later.job)) == 4


def test_a_folder_whose_copy_pauses_becomes_one_study(watched: Watched) -> None:
    uid = write_study(watched.folder / "ct", slices=3)
    (first,) = watched.look()
    write_study(watched.folder / "ct", uid, slices=6)
    for number in range(3):
        (watched.folder / "ct" / f"{number}.dcm").unlink()
    (later,) = [one for one in watched.look() if one.job != first.job]
    assert later.supersedes == first.job
    assert len(watched.images(later.job)) == 6


def test_the_same_uids_with_other_content_are_not_the_study_before(watched: Watched) -> None:
    uid = write_study(watched.folder / "ct")
    watched.look()
    write_study(watched.folder / "ct", uid, note="corrected")
    assert len(watched.look()) == 2


def test_a_zip_with_more_than_images_stays(watched: Watched, tmp_path: Path) -> None:
    write_study(tmp_path / "ct")
    (tmp_path / "ct" / "letter.pdf").write_bytes(b"%PDF")
    zipped(tmp_path / "ct", watched.folder / "a.zip")
    jobs = watched.look()
    assert len(jobs) == 1
    assert watched.files() == ["a.zip"]
    assert watching(tmp_path).look() == jobs


def test_a_zip_in_a_zip_is_a_job(watched: Watched, tmp_path: Path) -> None:
    write_study(tmp_path / "ct")
    (tmp_path / "outer").mkdir()
    zipped(tmp_path / "ct", tmp_path / "outer" / "inner.zip")
    inner = (tmp_path / "outer" / "inner.zip").read_bytes()
    zipped(tmp_path / "outer", watched.folder / "a.zip")
    (job,) = watched.look()
    assert [file.read_bytes() for file in watched.images(job.job)] == [inner]
    assert watched.files() == []


def test_names_in_a_zip_lead_nowhere(watched: Watched, tmp_path: Path) -> None:
    write_study(tmp_path / "ct", slices=1)
    with zipfile.ZipFile(watched.folder / "a.zip", "w") as archive:
        archive.write(tmp_path / "ct" / "0.dcm", "../../../escaped.dcm")
    (job,) = watched.look()
    assert len(watched.images(job.job)) == 1
    assert not list(tmp_path.rglob("escaped*"))
    assert not list(Path(tempfile.gettempdir()).glob("*/escaped*"))


def test_slices_that_share_a_uid_hide_none(watched: Watched) -> None:
    """As some programs that take the names out of images write them."""
    uid = write_study(watched.folder / "ct", slices=4)
    for file in (watched.folder / "ct").iterdir():
        image = pydicom.dcmread(file)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{uid}.1.1")
        image.save_as(file)
    (job,) = watched.look()
    assert job.study == pseudonym(uid)
    assert len(watched.images(job.job)) == 4
    assert watched.files() == []


def test_copies_of_a_slice_are_no_more_than_it(watched: Watched) -> None:
    write_study(watched.folder / "ct")
    shutil.copy(watched.folder / "ct" / "0.dcm", watched.folder / "ct" / "copy.dcm")
    (job,) = watched.look()
    assert len(watched.images(job.job)) == 2
    assert watched.files() == []


@pytest.mark.parametrize("keep", [True, False])
def test_links_are_not_followed(tmp_path: Path, keep: bool) -> None:
    watched = watching(tmp_path, keep=keep)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("SECRET")
    other = write_study(tmp_path / "outside" / "ct")
    uid = write_study(watched.folder / "s")
    for name, to in (("folder", "outside"), ("file", "outside/secret"), ("ct", "outside/ct/0.dcm")):
        os.symlink(tmp_path / to, watched.folder / "s" / name)
    (job,) = watched.look()
    assert job.study == pseudonym(uid) != pseudonym(other)
    assert len(watched.images(job.job)) == 2
    assert not [p for p in (tmp_path / "spool").rglob("*") if p.is_file() and p.stat().st_size == 6]
    assert len(list((tmp_path / "outside").rglob("*"))) == 4
    assert all((watched.folder / "s" / name).is_symlink() for name in ("folder", "file", "ct"))


@pytest.mark.parametrize("keep", [True, False])
def test_a_link_in_a_circle_and_what_is_no_file_hinder_nothing(
    tmp_path: Path, keep: bool, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watching(tmp_path, keep=keep)
    write_study(watched.folder / "s")
    os.symlink(".", watched.folder / "s" / "loop")
    if hasattr(os, "mkfifo"):
        os.mkfifo(watched.folder / "s" / "fifo")
        os.mkfifo(watched.folder / "fifo")
    assert len(watched.look()) == 1
    assert "can't" not in caplog.text


def test_what_is_read_only_is_taken(watched: Watched) -> None:
    """As on a disc."""
    write_study(watched.folder / "ct", slices=1)
    cut(watched.folder / "ct" / "0.dcm")
    (watched.folder / "a.nii.gz").write_bytes(b"nifti")
    for file in (watched.folder / "ct" / "0.dcm", watched.folder / "a.nii.gz"):
        file.chmod(0o444)
    assert len(watched.look()) == 2
    assert watched.files() == []


def test_urgent_goes_for_whatever_is_in_it(watched: Watched, tmp_path: Path) -> None:
    write_study(watched.folder / "stat 1")
    write_study(tmp_path / "ct")
    zipped(tmp_path / "ct", watched.folder / "URGENT.zip")
    (watched.folder / "urgent.nii.gz").write_bytes(b"nifti")
    assert [job.urgent for job in watched.look()] == [True] * 3
