"""Measured signs as measurements of the SR, and which lie outside the norm."""

from collections.abc import Iterator
from typing import Any

from highdicom import sr
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from vfx_edge.outputs.dicom import codes as code
from vfx_edge.study import Finding

_DIGITS = 2
_UNITS: dict[str, Code] = {
    "mm": code.MM,
    "mm2": codes.UCUM.SquareMillimeter,
    "ml": Code("ml", "UCUM", "milliliter"),
    "%": code.PERCENT,
    "HU": codes.UCUM.HounsfieldUnit,
    "deg": codes.UCUM.Degree,
}


def sign_measurements(finding: Finding, language: str) -> Iterator[sr.Measurement]:
    """One measurement for each sign that has a value."""
    for sign in finding.signs:
        if sign.value is not None:
            yield sr.Measurement(
                name=code.sign_code(sign.name, language),
                value=round(float(sign.value), _DIGITS),
                unit=_UNITS[sign.unit],
            )


def sign_answers(finding: Finding, language: str) -> Iterator[Any]:
    """Which of them lie outside what intact vertebrae show, in codes."""
    for sign in finding.signs:
        if sign.is_abnormal:
            yield sr.QualitativeEvaluation(
                code.private("SIGN_OUTSIDE", language),
                code.sign_code(sign.name, language),
            )
