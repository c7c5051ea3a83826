"""What each reader of a set said of a vertebra, as measurements of the SR.

A set with the classifier alone has none."""

from collections.abc import Iterator

from highdicom import sr

from vfx_edge.outputs.dicom import codes as code
from vfx_edge.study import Classified, Finding

_DIGITS = 2


def part_measurements(finding: Finding, language: str) -> Iterator[sr.Measurement]:
    """Two for each reader, in percent. They have codes of their own, so that nobody takes one
    reader's word for the answer; who said it is the measurement's method."""
    if not isinstance(finding.assessment, Classified):
        return
    for part in finding.assessment.parts:
        for value, share in (
            ("PART_MALIGNANT", part.p_malignant),
            ("PART_OSTEOPOROT", part.p_osteoporotic),
        ):
            yield sr.Measurement(
                name=code.private(value, language),
                value=round(float(share) * 100, _DIGITS),
                unit=code.PERCENT,
                method=code.reader_code(part.name, language),
            )
