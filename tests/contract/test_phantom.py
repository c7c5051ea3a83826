"""`vfx-edge phantom`: a DICOM series that anyone can read, the truth beside it."""

import json
from pathlib import Path

import pydicom
import pytest

from tests.contract.conftest import Command

SMALL = ("--levels", "L2-L3", "--slices", "24", "--spacing", "2")


def test_series_and_truth(vfx: Command, tmp_path: Path) -> None:
    answer = vfx(
        *("phantom", tmp_path / "ct", *SMALL, "--fracture", "L2:crush:0.4"),
        *("--lesion", "L3:lytic", "--scoliosis", "10", "--seed", "5"),
    )
    assert (answer.code, answer.stderr) == (0, "")
    assert str(tmp_path / "ct") in answer.stdout
    slices = [pydicom.dcmread(path) for path in sorted((tmp_path / "ct").glob("*.dcm"))]
    assert len(slices) == 24
    assert {one.Modality for one in slices} == {"CT"}
    assert len({one.SeriesInstanceUID for one in slices}) == 1
    assert len({one.SOPInstanceUID for one in slices}) == 24
    heights = sorted(one.ImagePositionPatient[2] for one in slices)
    assert heights[1] - heights[0] == pytest.approx(2.0)
    truth = json.loads((tmp_path / "ct" / "truth.json").read_text("utf-8"))
    levels = {level["level"]: level for level in truth["levels"]}
    assert levels["L2"]["fracture"]["kind"] == "crush"
    assert levels["L3"]["lesions"][0]["kind"] == "lytic"
    assert truth["spec"]["scoliosis_deg"] == 10


def test_the_same_seed_makes_the_same_files_in_place_of_a_longer_phantom(
    vfx: Command, tmp_path: Path
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, count in ((a, "20"), (b, "24"), (b, "20")):
        assert vfx("phantom", folder, *SMALL[:2], "--slices", count).code == 0
    assert len(list(b.glob("*.dcm"))) == 20
    assert {path.name for path in a.iterdir()} == {path.name for path in b.iterdir()}
    for path in a.iterdir():
        assert path.read_bytes() == (b / path.name).read_bytes()
    (b / "truth.json").unlink()  # now it might be a patient's
    answer = vfx("phantom", b, *SMALL)
    assert answer.code == 2
    assert "name another folder" in answer.stderr
    assert len(list(b.glob("*.dcm"))) == 20


def test_folder_that_cannot_be_written_exits_6(vfx: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    vfx("phantom", tmp_path / "file" / "ct", *SMALL).assert_refused(6)
