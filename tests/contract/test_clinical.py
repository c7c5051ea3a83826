"""`--clinical` from outside: of one study, and of many."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from tests.contract.conftest import Command
from tests.contract.tabular_set import of_known_tumour

L1 = 20
"""Its VerSe label."""


@pytest.fixture(scope="module")
def beside(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return of_known_tumour(default_models, tmp_path_factory.mktemp("set") / "beside")


def test_a_tabular_network_reads_the_file_and_no_value_of_it_is_kept(
    vfx: Command, phantom: Path, beside: Path, tmp_path: Path
) -> None:
    """With an outline that is given, so that nothing is looked for."""
    (tmp_path / "patient.json").write_text('{"age": 67.25, "known_tumour": true}')
    given = ("--segmentation", _box(phantom, tmp_path / "box.nii.gz"), "--model", beside)
    words = ("--classify", "L1", "--levels", "L1", "--outputs", "json", "--out", tmp_path / "o")
    done = vfx("run", phantom, *given, *words, "--clinical", tmp_path / "patient.json")
    assert done.code == 0, done
    text = (tmp_path / "o" / "result.json").read_text("utf-8")
    (finding,) = json.loads(text)["findings"]
    network, tabular = finding["assessment"]["parts"]
    assert (network["name"], tabular["name"]) == ("network", "tabular")
    assert tabular["probabilities"]["malignant"] == pytest.approx(0.75, abs=1e-3)
    assert "67.25" not in text


def _box(phantom: Path, path: Path) -> Path:
    """A vertebra-sized block where L1 lies, on the scan's own grid."""
    truth: Any = json.loads((phantom / "truth.json").read_text("utf-8"))
    (place,) = [v["centroid_lps_mm"] for v in truth["levels"] if v["level"] == "L1"]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(phantom)))
    scan = reader.Execute()
    labels = np.zeros(scan.GetSize()[::-1], np.uint8)
    middle = scan.TransformPhysicalPointToIndex(place)[::-1]
    reach = np.array([10, 14, 18]) / np.array(scan.GetSpacing())[::-1]
    box = tuple(slice(round(at - by), round(at + by)) for at, by in zip(middle, reach, strict=True))
    labels[box] = L1
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(scan)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("content", ['{"age": "SECRET"}', None])
def test_a_wrong_file_is_told_before_the_scan_is_read(
    vfx: Command, tmp_path: Path, content: str | None
) -> None:
    """There is no scan: it would be told of first."""
    path = tmp_path / "patient.json"
    if content is not None:
        path.write_text(content)
    said = vfx("run", tmp_path / "no scan", "--clinical", path).assert_refused(3)
    assert said.startswith("vfx-edge: patient.json can't be read as clinical data")
    assert "SECRET" not in said


def test_a_wrong_table_of_a_batch_is_told_before_a_study_is_looked_for(
    vfx: Command, tmp_path: Path
) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("study,age\n1.2.3,71\n1.2.4,SECRET\n")
    words = ("batch", tmp_path / "no studies", "-o", "out", "--clinical", table)
    said = vfx(*words).assert_refused(3)
    assert said.startswith("vfx-edge: patients.csv can't be used as clinical data (row 3, column")
    assert "SECRET" not in said


@pytest.mark.thorough
def test_a_batch_with_signs_maps_and_clinical_data_is_as_run_is(
    vfx: Command, phantom: Path, beside: Path, tmp_path: Path
) -> None:
    (tmp_path / "all.csv").write_text(f"path,known_tumour\n{phantom},yes\n")
    (tmp_path / "one.csv").write_text("known_tumour\nyes\n")
    words = ("--model", beside, "--signs", "--explain", "--outputs", "json", "--clinical")
    many = vfx("batch", phantom, "-o", tmp_path / "many", *words, tmp_path / "all.csv")
    assert many.code == 0, many
    assert "clinical data of 1 of 1 studies; 0 rows name none of them" in many.stderr
    assert vfx("run", phantom, "-o", tmp_path / "one", *words, tmp_path / "one.csv").code == 0
    (place,) = (tmp_path / "many" / "studies").iterdir()
    found, alone = (
        json.loads((folder / "result.json").read_text("utf-8"))
        for folder in (place, tmp_path / "one")
    )
    assert found["findings"] == alone["findings"]
    (broken,) = [one for one in found["findings"] if one["level"] == "L1"]
    assert broken["signs"]
    assert broken["explanation"]
    assert broken["assessment"]["parts"][1]["probabilities"]["malignant"] > 0.7
