"""Folders of labelled CT: which file is which study's, and what does not fit together."""

import gzip
import os
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.labelled.folders import HEADER, LEVELS, image, labels, verse, write_ct, write_mask
from vfx_edge.errors import InputError
from vfx_edge.inputs.files import PathMissing
from vfx_edge.labelled import errors
from vfx_edge.labelled.errors import NotALabelFile
from vfx_edge.labelled.reading import read_dataset
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.outputs.nifti import write_image
from vfx_edge.vocabulary import Level

ROW = "1,p,,L1,intact,"


@pytest.mark.parametrize(
    ("ct", "mask", "centres", "study", "patient"),
    [
        ("rawdata/sub-v4/sub-v4_ct.nii.gz", "derivatives/sub-v4/sub-v4_seg-vert_msk.nii.gz",
         "derivatives/sub-v4/sub-v4_seg-subreg_ctd.json", "v4", "v4"),
        ("rawdata/sub-v5/sub-v5_dir-ax_ct.nii.gz",
         "derivatives/sub-v5/sub-v5_dir-ax_seg-vert_msk.nii.gz",
         "derivatives/sub-v5/sub-v5_dir-ax_seg-vert_ctd.json", "v5_dir-ax", "v5"),
        ("rawdata/sub-6/ses-2/sub-6_ses-2_ct.nii.gz",
         "derivatives/sub-6/ses-2/sub-6_ses-2_seg-vert_msk.nii.gz",
         "derivatives/sub-6/ses-2/sub-6_ses-2_seg-vert_ctd.json", "6_ses-2", "6"),
        ("verse007.nii.gz", "verse007_seg.nii.gz", "verse007_ctd.json", "verse007", "verse007"),
        ("a/case8/ct.nii.gz", "a/case8/seg-vert_msk.nii.gz", "a/case8/ctd.json", "case8", "case8"),
        ("9_ct.nii", "9_seg-vert_msk.nii.gz", "9_seg-vert_ctd.json", "9", "9"),
    ],
)  # fmt: skip
def test_spellings_of_verse_and_bids(
    tmp_path: Path, ct: str, mask: str, centres: str, study: str, patient: str
) -> None:
    write_ct(tmp_path / ct)
    write_mask(tmp_path / mask)
    (tmp_path / centres).write_text("[]")
    write_mask((tmp_path / mask).with_name(f"sub-{patient}_seg-subreg_msk.nii.gz"))  # of parts
    (found,) = read_dataset(tmp_path).studies
    assert (found.name, found.patient, found.rows) == (study, patient, ())
    assert found.path == tmp_path / ct
    assert found.mask == tmp_path / mask
    assert found.centres == tmp_path / centres
    labels(tmp_path, f"sub-{patient},p,,L1,intact,")
    (found,) = read_dataset(tmp_path).studies
    assert (found.path, found.mask, found.centres) == (
        tmp_path / ct, tmp_path / mask, tmp_path / centres,
    )  # fmt: skip


def test_dicom_by_path_with_masks_by_the_studys_name(tmp_path: Path) -> None:
    grid = image()
    series = tmp_path / "scans" / "A" / "S1"
    write_ct_series(grid.values, grid.affine_zyx_to_lps, series, seed=1)
    mask = write_mask(tmp_path / "derivatives" / "case1_seg-vert_msk.nii.gz")
    labels(tmp_path, "case1,p,scans\\A,L1,intact,")
    (found,) = read_dataset(tmp_path).studies
    assert (found.path, found.mask) == (tmp_path / "scans" / "A", mask)
    elsewhere = labels(tmp_path / "scans", f"case1,p,{series},L1,intact,")
    (found,) = read_dataset(elsewhere).studies
    assert (found.path, found.mask) == (series, None)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/ct.nii.gz", "leads nowhere"),
        ("../outside_ct.nii.gz", "leads out of the dataset's folder"),
        ("C:\\ct", "leads nowhere"),
        ("notes.txt", "is no CT"),
        ("empty", "no DICOM file in the folder"),
        ("broken_ct.nii", "Its CT can't be read"),
        ("", "no CT in the folder has the study's name"),
    ],
)
def test_a_path_without_a_ct_leaves_its_rows_out(tmp_path: Path, path: str, words: str) -> None:
    folder = verse(tmp_path / "set", "1")
    write_ct(tmp_path / "outside_ct.nii.gz")
    (folder / "notes.txt").write_text("Wanda")
    (folder / "empty").mkdir()
    whole = gzip.decompress((tmp_path / "outside_ct.nii.gz").read_bytes())
    (folder / "broken_ct.nii").write_bytes(whole[:400])
    labels(folder, ROW, f"Wanda,q,{path},L1,intact,", f"Wanda,q,{path},L2,intact,")
    found = read_dataset(folder)
    assert [study.name for study in found.studies] == ["1"]
    (problem,) = (p for p in found.problems if p.row)
    assert problem.row == 3
    assert words in problem.sentence
    assert "rows 3 and 4 were left out." in problem.sentence
    assert "Wanda" not in problem.sentence


def test_levels_that_the_mask_lacks_are_told_by_row(tmp_path: Path) -> None:
    folder = labels(verse(tmp_path, "1"), ROW, "1,p,,L5,malignant,", "1,p,,T12,intact,")
    found = read_dataset(folder)
    assert [(p.row, "holds no L5" in p.sentence) for p in found.problems] == [(3, True)]
    assert [row.level for row in found.studies[0].rows] == [Level.L1, Level.T12]


@pytest.mark.parametrize(
    ("shift_mm", "rows", "words", "used"),
    [
        (0.0, 6, "", True),
        (0.2, 6, "", True),
        (3.0, 6, "another grid", True),
        (0.0, 8, "another grid", True),
        (500.0, 6, "beside the CT", False),
    ],
)
def test_a_mask_on_another_grid(
    tmp_path: Path, shift_mm: float, rows: int, words: str, used: bool
) -> None:
    folder = labels(verse(tmp_path, "1"), ROW)
    write_mask(next(folder.glob("derivatives/*/*")), LEVELS, shift_mm, rows)
    found = read_dataset(folder)
    assert (found.studies[0].mask is not None) == used
    assert [words in p.sentence for p in found.problems] == ([True] if words else [])


@pytest.mark.parametrize("value", [29, 300, 0.5, np.nan])
def test_a_mask_in_other_numbers_is_not_used(tmp_path: Path, value: float) -> None:
    folder = labels(verse(tmp_path, "1"), ROW)
    mask = np.full(image().shape, value, np.float32)
    write_image(mask, image(), next(folder.glob("derivatives/*/*")))
    found = read_dataset(folder)
    assert found.studies[0].mask is None
    assert "VerSe's labels" in found.problems[0].sentence


def test_a_truncated_mask_is_not_used(tmp_path: Path) -> None:
    folder = labels(verse(tmp_path, "1"), ROW)
    mask = next(folder.glob("derivatives/*/*"))
    mask.write_bytes(mask.read_bytes()[:-30])
    found = read_dataset(folder)
    assert found.studies[0].mask is None
    assert found.problems[0].row == 2
    assert "Its mask can't be read" in found.problems[0].sentence


def test_problems_of_studies_without_rows_name_their_place(tmp_path: Path) -> None:
    folder = verse(tmp_path, "anna", "wanda")
    (folder / "rawdata" / "sub-wanda" / "sub-wanda_ct.nii.gz").write_bytes(b"none")
    found = read_dataset(folder)
    assert [study.name for study in found.studies] == ["anna"]
    assert found.problems[0].sentence.startswith("Study 2, in the order of their names: ")
    assert "wanda" not in found.problems[0].sentence


def test_a_copy_of_a_ct_under_another_patient_ends_it(tmp_path: Path) -> None:
    folder = labels(verse(tmp_path, "1", "2"), ROW, "2,Wanda,,L2,intact,")
    assert len(read_dataset(folder).studies) == 2
    one, two = sorted(folder.glob("rawdata/*/*"))
    shutil.copy(one, two)
    with pytest.raises(errors.CtOfTwoPatients, match="rows 2 and 3"):
        read_dataset(folder)
    assert len(read_dataset(labels(folder, ROW, "2,p,,L2,intact,")).studies) == 2


def test_progress_counts_every_study(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    read_dataset(verse(tmp_path, "1", "2", "3"), on_study=lambda n, of: told.append((n, of)))
    assert sorted(told) == [(1, 3), (2, 3), (3, 3)]


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(errors.NoDataset):
        read_dataset(tmp_path)
    (tmp_path / "file").write_text(HEADER)
    with pytest.raises(InputError, match="not the folder of a dataset"):
        read_dataset(tmp_path / "file")
    (tmp_path / "1_ct.nii.gz").write_bytes(b"none")
    with pytest.raises(errors.NoUsableStudy, match="Study 1"):
        read_dataset(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    """Of whatever name: a CT, an outline, centres, the labels themselves."""
    folder = verse(tmp_path, "1")
    for name in ("1_ctd.json", "1_seg-vert_msk.nii.gz", "2_ct.nii.gz", "2.nii.gz", "3"):
        os.mkfifo(folder / name)
    labels(folder, "1,p,,L1,malignant,", "2,q,2.nii.gz,L1,malignant,", "3,r,3,L1,malignant,")
    dataset = read_dataset(folder)
    (study,) = dataset.studies
    assert study.centres is None
    assert study.mask is not None
    assert [problem.row for problem in dataset.problems] == [3, 4]
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(NotALabelFile, match="it is no file"):
        read_dataset(folder, folder / "pipe.csv")


def test_a_folder_with_too_long_a_name_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        read_dataset(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_umlauts_are_the_same_however_they_are_written(
    tmp_path: Path, form: Literal["NFC", "NFD"]
) -> None:
    """A file system and a spreadsheet may differ in it; a patient stays one patient."""
    name, other = "Käfer", unicodedata.normalize(form, "Käfer")
    folder = verse(tmp_path, name)
    write_ct(folder / f"{name}.nii.gz")
    labels(folder, f"{other},p,,L1,malignant,", f"2,q,{other}.nii.gz,L1,malignant,")
    assert [study.path.is_file() for study in read_dataset(folder).studies] == [True, True]
    labels(folder, f"{name},ä,,L1,malignant,train", f"2,a\u0308,{name}.nii.gz,L1,intact,test")
    with pytest.raises(errors.PatientInTwoSplits):
        read_dataset(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="a system whose names are all text")
def test_a_name_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    folder = verse(tmp_path, "a", "b")
    ct = write_ct(folder / "rawdata" / "c" / "c_ct.nii.gz")
    os.rename(ct, os.fsencode(ct.parent) + b"/sub-\xfc_ct.nii.gz")
    assert [study.name for study in read_dataset(folder).studies] == ["\\xfc", "a", "b"]
