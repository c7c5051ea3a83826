"""Folders of CT without labels."""

from pathlib import Path

from vfx_edge.labelled.plain import plain_dataset


def names(folder: Path) -> list[str]:
    dataset = plain_dataset(folder)
    assert all(not study.rows and study.patient == study.name for study in dataset.studies)
    return [study.name for study in dataset.studies]


def test_folders_files_and_archives_are_studies(tmp_path: Path) -> None:
    for name in ("b/1.dcm", "a/deep/1", "c_ct.nii.gz", "c_seg-vert_msk.nii.gz", "d.zip", ".x/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    assert names(tmp_path) == ["a", "b", "c_ct.nii.gz", "d.zip"]


def test_a_folder_of_slices_is_one_study(tmp_path: Path) -> None:
    (tmp_path / "0001.dcm").touch()
    assert names(tmp_path) == [tmp_path.name]


def test_nothing_is_no_study(tmp_path: Path) -> None:
    assert names(tmp_path) == []
    assert names(tmp_path / "not there") == []
