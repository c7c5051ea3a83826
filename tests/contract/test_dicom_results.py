"""`--outputs sr,seg,sc` as an archive sees it: valid, and of the same patient and study."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.contract.conftest import Command, call
from tests.contract.dicom_files import write_series

pytest.importorskip("highdicom", reason="needs the extra service")

KINDS = {
    "1.2.840.10008.5.1.4.1.1.88.34": "vfx-edge SR",
    "1.2.840.10008.5.1.4.1.1.88.59": "vfx-edge key images",
    "1.2.840.10008.5.1.4.1.1.66.4": "vfx-edge SEG",
}


@pytest.fixture(scope="module")
def folder(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("dicom")
    answer = call(
        *("run", phantom, "--out", cwd / "out", "--outputs", "sr,seg,sc"),
        *("--language", "de", "--quiet"),
        cwd=cwd,
    )
    assert (answer.code, answer.stderr) == (0, ""), answer
    return cwd / "out"


def objects(folder: Path) -> dict[Path, pydicom.Dataset]:
    return {p: pydicom.dcmread(p, stop_before_pixels=True) for p in folder.rglob("*.dcm")}


def test_files_are_those_of_the_contract(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {
        *("result.json", "sr.dcm", "kos.dcm", "seg.dcm", "sc"),
    }
    assert {p.suffix for p in (folder / "sc").iterdir()} == {".dcm"}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_the_validator_finds_no_error(folder: Path) -> None:
    for path in objects(folder):
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr + said.stdout, path.name


@pytest.mark.skipif(shutil.which("dcentvfy") is None, reason="needs dicom3tools")
def test_the_study_says_one_thing_of_its_patient(folder: Path, phantom: Path) -> None:
    """Source and results as one: what they share must be the same in all."""
    files = [*objects(folder), *sorted(phantom.glob("*.dcm"))[:5]]
    said = subprocess.run(["dcentvfy", *files], capture_output=True, text=True, check=False)
    assert "Error" not in said.stderr + said.stdout


def test_all_belong_to_the_patient_and_the_study_and_to_series_of_their_own(
    folder: Path, phantom: Path
) -> None:
    source = pydicom.dcmread(next(phantom.glob("*.dcm")), stop_before_pixels=True)
    found = objects(folder)
    for path, one in found.items():
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientSex", "StudyDate"):
            assert one[keyword].value == source[keyword].value, (path.name, keyword)
        assert one.SeriesInstanceUID != source.SeriesInstanceUID
        assert one.SeriesNumber > source.SeriesNumber + 100
        assert (one.Manufacturer, one.ManufacturerModelName) == ("vfx-edge", "vfx-edge")
        assert one.SeriesDescription == KINDS.get(one.SOPClassUID, one.SeriesDescription)
        assert one.SeriesDescription.startswith("vfx-edge ")
    assert len({one.SOPInstanceUID for one in found.values()}) == len(found)
    assert len({one.SeriesInstanceUID for one in found.values()}) == 4
    assert {one.SOPClassUID for one in found.values()} > set(KINDS)


def test_every_reference_leads_to_the_source_or_to_a_result(folder: Path, phantom: Path) -> None:
    known = {pydicom.dcmread(p, specific_tags=["SOPInstanceUID"]).SOPInstanceUID
             for p in phantom.glob("*.dcm")}  # fmt: skip
    known |= {one.SOPInstanceUID for one in objects(folder).values()}
    for path, one in objects(folder).items():
        named = {e.value for e in one.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
        assert named <= known, path.name
        assert named, path.name


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="needs DCMTK")
def test_the_report_names_every_vertebra_of_the_result(folder: Path) -> None:
    shown = subprocess.run(["dsrdump", folder / "sr.dcm"], capture_output=True, check=True)
    sites = re.findall(r'"Finding Site"\)=\(\d+,SCT,"(\w+) vertebra"', shown.stdout.decode())
    result = json.loads((folder / "result.json").read_text("utf-8"))
    levels = [finding["level"] for finding in result["findings"]]
    assert "L1" in levels
    assert sites == levels + result["triage"]["levels"]


def test_nifti_is_refused_before_anything_is_computed(vfx: Command, tmp_path: Path) -> None:
    hu = np.full((60, 64, 64), -1000, np.int16)
    hu[:, 26:38, 26:38] = 400
    sitk.WriteImage(sitk.GetImageFromArray(hu), tmp_path / "ct.nii.gz")
    answer = vfx("run", tmp_path / "ct.nii.gz", "--out", tmp_path / "out", "--outputs", "sr")
    assert "ct.nii.gz" in answer.assert_refused(6)
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_said_at_once(
    vfx: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['highdicom'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    write_series(tmp_path / "in")
    answer = vfx("run", tmp_path / "in", "--out", tmp_path / "out", "--outputs", "json,seg")
    assert "pip install 'vfx-edge[service]'" in answer.assert_refused(6)
    assert not (tmp_path / "out").exists()
