"""DICOM results as others read them: the report in the words of result.json, from nothing but the
document; the validator of dicom3tools."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tests.inputs.world import Edit, Scan, enhanced, put, write_scan
from tests.outputs.fakes import EXAMPLE_CASES, analysis_of, curved_centres
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.source import read_source
from vfx_edge.outputs.dicom.codes import REASONS, SCHEME
from vfx_edge.study import Analysis, DicomSource, Level

Study = tuple[Analysis, DicomSource]
LEVELS = [*EXAMPLE_CASES, Level.T13, Level.L6]
SAGITTAL = Scan(row=(0.0, 1.0, 0.0), column=(0.0, 0.0, -1.0), step=(-4.0, 0.0, 0.0))
TILTED = Scan(step=(0.0, 0.9, 3.0))
PATIENT = put(
    SpecificCharacterSet="ISO_IR 100",
    PatientName="Müller^Jürgen",
    PatientSex="M",
    PatientAge="086Y",
    StudyDate="20260304",
    StudyTime="031245.5",
    StudyID="S1",
    AccessionNumber="A-17",
    StudyDescription="Wirbelsäule nativ",
    ReferringPhysicianName="Groß^Änne",
    SeriesNumber=3,
)


def study(folder: Path, scan: Scan | None = None, *edits: Edit) -> Study:
    """A CT read from files, with made-up findings in its frame: no chain has to run."""
    write_scan(folder, scan, PATIENT, *edits)
    return found_in(folder)


def found_in(path: Path) -> Study:
    """The findings of the example, about the middle of the scan there."""
    volume = load_scan(path)
    # Left of the middle, in front of it and not symmetric up and down: a flip can't pass.
    centres = {
        level: (x + 17.25, y - 9.5, z / 4 - 60.125)
        for level, (x, y, z) in curved_centres(sorted(LEVELS), scoliosis_mm=12.0).items()
    }
    analysis = analysis_of(volume, centres, EXAMPLE_CASES, with_masks=False)
    return analysis, read_source(path, volume)


def named(items: Iterable[Dataset], meaning_or_value: str) -> list[Dataset]:
    """The content items of that concept."""
    return [i for i in items if meaning_or_value in code_of(i.ConceptNameCodeSequence[0])]


def code_of(item: Dataset) -> tuple[str, str]:
    return item.CodeValue, item.CodeMeaning


def answer(group: Dataset, question: str) -> str | None:
    found = named(group.ContentSequence, question)
    assert len(found) <= 1
    return str(found[0].ConceptCodeSequence[0].CodeValue) if found else None


def number(group: Dataset, name: str, unit: str) -> float | None:
    found = named(group.ContentSequence, name)
    if not found:
        return None
    (measured,) = found[0].MeasuredValueSequence
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == unit
    return float(measured.NumericValue)


def share(group: Dataset, name: str) -> float | None:
    percent = number(group, name, "%")
    return None if percent is None else round(percent / 100, 4)


def groups(document: Dataset) -> list[Dataset]:
    (measurements,) = named(document.ContentSequence, "Imaging Measurements")
    return named(measurements.ContentSequence, "Measurement Group")


def place(group: Dataset) -> Dataset:
    """The centre in space: every measurement says it."""
    measured = [item for item in group.ContentSequence if item.ValueType == "NUM"]
    points = [item for one in measured for item in named(one.ContentSequence, "Image Region")]
    assert len(points) == len(measured) > 0
    assert all((p.ValueType, p.GraphicType) == ("SCOORD3D", "POINT") for p in points)
    assert len({tuple(p.GraphicData) for p in points}) == 1
    return points[0]


SUSPICION: Mapping[str | None, bool | None] = {
    "415684004": True,
    "NOT_SUSPECTED": False,
    "373068000": None,
}


def as_result(group: Dataset) -> dict[str, Any]:
    """A measurement group in the words of result.json, from nothing but the document."""
    point = place(group)
    level = named(group.ContentSequence, "Tracking Identifier")[0].TextValue
    heights = {
        name: number(group, f"HEIGHT_{name.upper()}", "mm")
        for name in ("anterior", "middle", "posterior")
    }
    grade = answer(group, "GENANT")
    return {
        "level": level,
        "verse_label": Level(level).verse,
        "centroid_lps_mm": [round(float(v), 2) for v in point.GraphicData],
        "label_probability": share(group, "P_LEVEL"),
        "alternatives": [],
        "heights_mm": None if None in heights.values() else heights,
        "height_loss": share(group, "HEIGHT_LOSS"),
        "genant_grade": None if grade is None else int(grade.removeprefix("GENANT_")),
        "unmeasured": _reason(answer(group, "WHY_MEASUREMENT")),
        "detector": _detector(group),
        "suspected_fracture": SUSPICION[answer(group, "FRACTURE")],
        "assessment": _assessment(group),
    }


def covered(overall: Dataset) -> dict[str, Any]:
    """What the verdict rests on, in the words of result.json."""
    (cover,) = named(overall.ContentSequence, "COVERAGE")
    levels = {
        name: named(cover.ContentSequence, f"LEVEL_{name.upper()}")
        for name in ("assessed", "cut", "unread")
    }
    reasons = {value: reason for reason, value in REASONS.items()}
    unread = [
        {
            "level": level_in(item),
            "reason": reasons[item.ContentSequence[0].ConceptCodeSequence[0].CodeValue],
        }
        for item in levels["unread"]
    ]
    return {
        "assessed": [level_in(item) for item in levels["assessed"]],
        "cut": [level_in(item) for item in levels["cut"]],
        "unread": unread,
        "complete": cover.ConceptCodeSequence[0].CodeValue == "COMPLETE",
    }


def level_in(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeMeaning).removesuffix(" vertebra")


def _reason(value: str | None) -> str | None:
    return {value: reason for reason, value in REASONS.items()}.get(str(value))


def _detector(group: Dataset) -> dict[str, Any] | None:
    probability = share(group, "P_FRACTURE")
    if probability is None:
        return None
    by = answer(group, "SUSPECTED_BY")
    return {"probability": probability, "suspected": by in ("BY_NETWORK", "BY_BOTH")}


def _assessment(group: Dataset) -> dict[str, Any]:
    kind = str(answer(group, "ASSESSMENT")).lower()
    reason = _reason(answer(group, "WHY_ASSESSMENT"))
    if kind in ("not_classified", "not_assessable"):
        intact = share(group, "P_INTACT")
        told = {} if intact is None else {"probabilities": {"intact": intact}}
        return {"kind": kind, "reason": reason, **told}
    if reason:
        return {"kind": "not_classified", "tier": kind, "reason": "cause_not_classified",
                "because": reason}  # fmt: skip
    probabilities = {
        "osteoporotic": share(group, "P_OSTEOPOROTIC"),
        "malignant": share(group, "P_MALIGNANT"),
    }
    return {"kind": "classified", "tier": kind, "probabilities": probabilities}


def validated(path: Path) -> list[str]:
    """What dicom3tools objects to; private code schemes are none of its business."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy of dicom3tools")
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines() + done.stdout.splitlines()
    return [line for line in lines if re.search("Error|Warning", line) and SCHEME not in line]


def plane_of(item: Dataset, source: DicomSource) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A place on the slice that an item refers to, and its normal."""
    (reference,) = item.ReferencedSOPSequence
    uid = reference.ReferencedSOPInstanceUID
    (header,) = [h for h in source.instances if h.SOPInstanceUID == uid]
    where, orientation = header, header
    if "ReferencedFrameNumber" in reference:
        group = header.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        where = group.PlanePositionSequence[0]
        orientation = header.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    axes = np.array(orientation.ImageOrientationPatient, float)
    return np.array(where.ImagePositionPatient, float), np.cross(axes[:3], axes[3:])


def studies(name: str, folder: Path) -> Study:
    """A CT of that kind, axial, sagittal, tilted or enhanced, with made-up findings."""
    if name != "enhanced":
        return study(folder, {"axial": None, "sagittal": SAGITTAL, "tilted": TILTED}[name])
    folder.mkdir(parents=True, exist_ok=True)
    one = enhanced(Scan())
    PATIENT(one, 0)
    one.save_as(folder / "enhanced.dcm", enforce_file_format=True)
    return found_in(folder)
