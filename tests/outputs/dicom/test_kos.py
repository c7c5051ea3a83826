"""kos.dcm: a viewer that follows it shows the slices through the suspected fractures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.outputs.dicom.reading import Study, named, plane_of, studies, study, validated
from tests.outputs.fakes import EXAMPLE_CASES, NORMAL, analysis_of
from vfx_edge.study import Level

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom.kos import write_kos

SUSPECTED = [Level.T10, Level.T8, Level.T12, Level.L2]
"""Of the example: malignant, uncertain, osteoporotic, not classified."""


@pytest.fixture(scope="module", params=["axial", "sagittal", "enhanced"])
def source_and_analysis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    return studies(request.param, tmp_path_factory.mktemp(request.param) / "ct")


def read(path: Path | None) -> Dataset:
    assert path is not None
    return pydicom.dcmread(path)


def test_it_points_at_slices_through_each_suspected_vertebra(
    source_and_analysis: Study, tmp_path: Path
) -> None:
    analysis, source = source_and_analysis
    path = write_kos(analysis, source, tmp_path / "kos.dcm")
    assert path is not None
    assert validated(path) == []
    document = pydicom.dcmread(path)
    assert document.ConceptNameCodeSequence[0].CodeMeaning == "Of Interest"
    images = named(document.ContentSequence, "Source")
    assert 4 <= len(images) <= 3 * len(SUSPECTED)
    planes = [plane_of(item, source) for item in images]
    centres = {f.vertebra.level: f.vertebra.centroid_lps_mm for f in analysis.result.findings}
    for level in SUSPECTED:
        off = [abs((np.array(centres[level]) - position) @ normal) for position, normal in planes]
        assert min(off) <= 2.01
    near = {level: np.array(centres[level]) for level in SUSPECTED}
    for position, normal in planes:  # and at nothing else
        assert min(abs((centre - position) @ normal) for centre in near.values()) <= 8.01


def test_its_evidence_is_what_it_points_at(source_and_analysis: Study, tmp_path: Path) -> None:
    analysis, source = source_and_analysis
    document = read(write_kos(analysis, source, tmp_path / "kos.dcm"))
    (study_item,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study_item.StudyInstanceUID == source.first.StudyInstanceUID
    (series,) = study_item.ReferencedSeriesSequence
    listed = {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
    images = named(document.ContentSequence, "Source")
    assert listed == {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in images}


def test_its_words_name_levels_the_most_urgent_first(tmp_path: Path) -> None:
    analysis, source = study(tmp_path / "ct")
    document = read(write_kos(analysis, source, tmp_path / "kos.dcm", "de"))
    (words,) = named(document.ContentSequence, "Key Object Description")
    lines = words.TextValue.splitlines()
    assert lines[0].startswith("Verdacht auf maligne Fraktur")
    assert [line.split(":")[0] for line in lines[1:5]] == [level.value for level in SUSPECTED]
    assert "nicht zur Diagnose" in lines[-1]
    assert document.PatientName == "Müller^Jürgen"
    assert document.PatientAge == "086Y"  # stated by the first file, whichever slice is shown


def test_none_is_written_where_nothing_is_suspected_and_an_old_one_goes(tmp_path: Path) -> None:
    analysis, source = study(tmp_path / "ct")
    path = tmp_path / "kos.dcm"
    assert write_kos(analysis, source, path) == path
    centres = {f.vertebra.level: f.vertebra.centroid_lps_mm for f in analysis.result.findings}
    calm = analysis_of(analysis.scan, centres, dict.fromkeys(EXAMPLE_CASES, NORMAL))
    assert write_kos(replace(calm, masks=()), source, path) is None
    assert not path.exists()
