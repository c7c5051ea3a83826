"""What each reader of a set said, in the SR: beside the answer, and never in its place."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from tests.outputs.dicom.reading import Study, as_result, groups, named, validated
from vfx_edge.outputs.result_json import result_to_dict
from vfx_edge.second_reader import ReaderAnswer
from vfx_edge.study import Classified, Level, Tier

pytest.importorskip("highdicom", reason="needs the extra service")
from vfx_edge.outputs.dicom.sr import write_sr

PARTS = (
    ReaderAnswer("network", 0.625, 0.375),
    ReaderAnswer("tabular", 0.125, 0.875, missing=("clinical_age",)),
    ReaderAnswer("fusion", 0.1875, 0.8125),
)


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_readers_word_stands_under_its_name(
    axial: Study, language: str, tmp_path: Path
) -> None:
    analysis, source = axial
    said = Classified(Tier.MALIGNANT, 0.1875, 0.8125, parts=PARTS)
    findings = tuple(
        replace(f, assessment=said) if f.vertebra.level is Level.T10 else f
        for f in analysis.result.findings
    )
    changed = replace(analysis, result=replace(analysis.result, findings=findings))
    path = write_sr(changed, source, tmp_path / "sr.dcm", language)
    assert validated(path) == []
    by_level = {as_result(group)["level"]: group for group in groups(pydicom.dcmread(path))}
    told = [*_told(by_level["T10"], "PART_MALIGNANT"), *_told(by_level["T10"], "PART_OSTEOPOROT")]
    assert told == [
        *(("READER_NETWORK", 37.5), ("READER_TABULAR", 87.5), ("READER_FUSION", 81.25)),
        *(("READER_NETWORK", 62.5), ("READER_TABULAR", 12.5), ("READER_FUSION", 18.75)),
    ]
    (written,) = [f for f in result_to_dict(changed.result)["findings"] if f["level"] == "T10"]  # type: ignore[attr-defined]
    del written["assessment"]["parts"]
    assert as_result(by_level["T10"])["assessment"] == written["assessment"]
    others = [group for level, group in by_level.items() if level != "T10"]
    assert not any(named(group.ContentSequence, "PART_MALIGNANT") for group in others)


def _told(group: pydicom.Dataset, name: str) -> list[tuple[str, float]]:
    """(whose word, percent), in the order of the document."""
    found = []
    for item in named(group.ContentSequence, name):
        (method,) = named(item.ContentSequence, "Measurement Method")
        (value,) = item.MeasuredValueSequence
        assert value.MeasurementUnitsCodeSequence[0].CodeValue == "%"
        found.append((method.ConceptCodeSequence[0].CodeValue, float(value.NumericValue)))
    return found
