"""The CT's own files as a source of results: odd headers, files that change, a zip, a NIfTI."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from tests.inputs.world import put, write_scan
from tests.outputs.dicom.reading import Study, found_in, groups, study
from tests.outputs.fakes import analysis_of
from vfx_edge.errors import OutputError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import NoDicomSource, SourceChanged, SourceLacks, read_source
from vfx_edge.study import Level

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom.seg import write_seg
from vfx_edge.outputs.dicom.sr import write_sr

NONSENSE = {
    "sex": put(PatientSex="MALE"),
    "dates": put(PatientBirthDate="1940-02-31", StudyDate="yesterday", StudyTime="noon"),
    "no type 2": put(PatientBirthDate=None, StudyID=None, AccessionNumber=None, StudyTime=None),
    "no patient": put(PatientName=None, PatientID=None),
    "character set": put(SpecificCharacterSet="KLINGON", PatientName="Doe^Jane"),
    "series number": put(SeriesNumber="2147483647"),
    "long name": put(PatientName="X" * 300, PatientID="Y" * 300),
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
def test_nonsense_in_the_header_ends_in_a_report_or_in_one_sentence(
    name: str, tmp_path: Path
) -> None:
    analysis, source = study(tmp_path / "ct", None, NONSENSE[name])
    path = tmp_path / "sr.dcm"
    sentence = ""
    try:
        write_sr(analysis, source, path)
    except OutputError as error:
        sentence = str(error)
    if path.exists():
        assert len(groups(pydicom.dcmread(path))) == len(analysis.result.findings)
    else:
        assert "--outputs" in sentence
        assert sorted(p.name for p in tmp_path.iterdir()) == ["ct"]


def test_what_a_result_must_repeat_and_the_source_lacks_is_said(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", None, put(FrameOfReferenceUID=None))
    volume = load_scan(tmp_path / "ct")
    with pytest.raises(SourceLacks, match="frame of reference"):
        read_source(tmp_path / "ct", volume)


def test_files_that_went_or_are_others_are_noticed(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    volume = load_scan(tmp_path / "ct")
    file = sorted((tmp_path / "ct").iterdir())[3]
    other = sorted((tmp_path / "ct").iterdir())[4].read_bytes()
    file.write_bytes(other)
    with pytest.raises(SourceChanged, match=file.name):
        read_source(tmp_path / "ct", volume)
    (wanted,) = (uid for name, uid in volume.sources if name.endswith(file.name))
    # names it, and is another one
    file.write_bytes(wanted.encode().ljust(128, b"\0") + other[128:])
    with pytest.raises(SourceChanged, match=file.name):
        read_source(tmp_path / "ct", volume)
    file.unlink()
    with pytest.raises(SourceChanged, match=file.name):
        read_source(tmp_path / "ct", volume)


def test_a_file_that_became_another_instance_is_noticed_by_its_data_set(tmp_path: Path) -> None:
    """Its file meta information still names the former one, and it is as long as before."""
    write_scan(tmp_path / "ct")
    volume = load_scan(tmp_path / "ct")
    file = sorted((tmp_path / "ct").iterdir())[3]
    held = file.read_bytes()
    uid = pydicom.dcmread(file).SOPInstanceUID.encode()
    at, other = held.rindex(uid), uid[:-1] + (b"1" if uid[-1:] != b"1" else b"2")
    file.write_bytes(held[:at] + other + held[at + len(uid) :])
    os.utime(file, (0, 0))  # a clock of few ticks can't make it look untouched
    with pytest.raises(SourceChanged, match=file.name):
        read_source(tmp_path / "ct", volume)


def test_a_zip_is_read_again_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(tmp_path / "ct")
    archive = Path(shutil.make_archive(str(tmp_path / "ct"), "zip", tmp_path / "ct"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    analysis, source = found_in(archive)
    assert len(source.instances) == analysis.scan.series.slices
    assert list((tmp_path / "scratch").iterdir()) == []


def test_results_beside_the_ct_are_not_taken_for_it(tmp_path: Path) -> None:
    """An archive sends a study back with all that was ever written into it."""
    analysis, source = study(tmp_path / "ct")
    segmentation = write_seg(
        replace(analysis, masks=analysis_of(analysis.scan, {Level.L1: (5.0, 5.0, 5.0)}, {}).masks),
        source,
        tmp_path / "ct" / "seg.dcm",
    )
    write_sr(analysis, source, tmp_path / "ct" / "sr.dcm", segmentation=segmentation)
    again = load_scan(tmp_path / "ct")
    assert again.series.series_uid == source.first.SeriesInstanceUID
    assert len(again.series.others) == 2
    assert len(read_source(tmp_path / "ct", again).instances) == len(source.instances)


def test_nifti_has_no_study_to_belong_to(axial: Study, tmp_path: Path) -> None:
    analysis, _ = axial
    with pytest.raises(NoDicomSource, match="no DICOM"):
        read_source(tmp_path / "ct.nii.gz", replace(analysis.scan, sources=()))
