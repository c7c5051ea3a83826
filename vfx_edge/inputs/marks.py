"""What headers say that may tell several scans in one series apart, as a table.

Nothing of it decides while the slices of a series make one scan: many of these differ from slice
to slice in sound series. Only where slices share places is one asked after the other.
"""

from dataclasses import dataclass
from typing import Any

from vfx_edge.inputs.facts import Facts, Values, printable

Value = tuple[int, float, str]
"""(0, 0, "") where nothing is stated, (1, number, "") or (2, 0, text): so they can be sorted."""
NOT_STATED: Value = (0, 0.0, "")


@dataclass(frozen=True)
class Mark:
    """An attribute. splits_combs: its values part slices that lie evenly between each other, too,
    as phases do that were reconstructed at half distances; words that a slice may have more or
    less don't. in_time: scans that follow each other have rising values, which may differ in every
    slice."""

    keyword: str
    splits_combs: bool = False
    in_time: bool = False


OBJECT = "SOPInstanceUID"
"""Of the frames of one enhanced file, or of one that was sent in pieces (concatenation)."""
DIMENSIONS = "DimensionIndexValues"
MOST_DIMENSIONS = 5

_PHASES = """
TemporalPositionIdentifier TemporalPositionIndex TemporalPositionTimeOffset
NominalPercentageOfCardiacPhase NominalCardiacTriggerDelayTime ActualCardiacTriggerDelayTime
NominalPercentageOfRespiratoryPhase NominalRespiratoryTriggerDelayTime
CardiacCyclePosition RespiratoryCyclePosition KVP EnergyWeightingFactor
MonoenergeticEnergyEquivalent StackID AcquisitionUID IrradiationEventUID
"""
_RISING = """
TriggerTime AcquisitionNumber FrameAcquisitionNumber AcquisitionDateTime AcquisitionTime
FrameAcquisitionDateTime FrameReferenceDateTime ContentTime
"""
_WORDS = """
ConvolutionKernel ImageType FrameType FilterType ReconstructionDiameter ReconstructionAlgorithm
SliceThickness FrameOfReferenceUID SeriesTime SeriesDescription ScanOptions
ContrastBolusStartTime ImageComments InstanceCreationTime
"""
MARKS = (
    *(Mark(keyword, splits_combs=True) for keyword in _PHASES.split()),
    *(Mark(keyword, splits_combs=True, in_time=True) for keyword in _RISING.split()),
    Mark(OBJECT, splits_combs=True),
    *(Mark(keyword) for keyword in _WORDS.split()),
    *(Mark(f"{DIMENSIONS}[{n}]", splits_combs=True) for n in range(MOST_DIMENSIONS)),
)
INSTANCE = "InstanceNumber"
LOOKED_FOR = ", ".join(
    (
        *("TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase"),
        *("TriggerTime", "AcquisitionNumber", "FrameAcquisitionNumber", "AcquisitionDateTime"),
        *("AcquisitionTime", "ContentTime", "SeriesTime", "StackID", "KVP", "ConvolutionKernel"),
        *("ImageType", "FilterType", "ReconstructionDiameter", "FrameOfReferenceUID"),
        INSTANCE,
    )
)
"""For people: the attributes that most often tell scans apart."""
_IN_GROUPS = """
TemporalPositionTimeOffset NominalCardiacTriggerDelayTime ActualCardiacTriggerDelayTime
NominalRespiratoryTriggerDelayTime CardiacCyclePosition RespiratoryCyclePosition FrameType
EnergyWeightingFactor MonoenergeticEnergyEquivalent FrameAcquisitionDateTime ReconstructionAlgorithm
"""
"""Stated in the functional groups of enhanced files, which are read as a whole."""
KEYWORDS = (
    "ConcatenationUID",
    *(m.keyword for m in MARKS if "[" not in m.keyword and m.keyword not in _IN_GROUPS.split()),
)
"""What must be read from a file's top level."""
_AT = {mark.keyword: i for i, mark in enumerate(MARKS)}
_FIRST_DIMENSION = _AT[f"{DIMENSIONS}[0]"]


def marks(where: list[Facts], frame: int | None, known: Values) -> tuple[Value, ...]:
    """The values of MARKS; `where`: what to look in, the most specific first."""
    found = [NOT_STATED] * len(MARKS)
    for facts in reversed(where):
        for keyword in _AT.keys() & facts.keys():
            if (stated := _value(facts[keyword], known)) != NOT_STATED:
                found[_AT[keyword]] = stated
    if frame is None:
        found[_AT[OBJECT]] = NOT_STATED
        return tuple(found)
    for facts in where:
        if "ConcatenationUID" in facts:
            found[_AT[OBJECT]] = _value(facts["ConcatenationUID"], known)
        for n, index in enumerate(_dimensions(facts)):
            found[_FIRST_DIMENSION + n] = value(index)
    return tuple(found)


def _dimensions(facts: Facts) -> list[Any]:
    stated = facts.get(DIMENSIONS)
    listed = [stated] if isinstance(stated, (int, str)) else list(stated or ())
    return listed[:MOST_DIMENSIONS]


def _value(stated: Any, known: Values) -> Value:
    return known.once(value, stated) if isinstance(stated, (str, int, float)) else value(stated)


def value(stated: Any) -> Value:
    """Sortable, and the same for "1", "1.0" and 1."""
    if stated is None or isinstance(stated, bytes):
        return NOT_STATED
    try:
        return (1, float(stated), "")
    except (TypeError, ValueError, OverflowError):
        pass
    words = [stated] if isinstance(stated, str) else _words(stated)
    text = "\\".join(printable(word).casefold() for word in words).strip("\\ ")
    return (2, 0.0, text) if text else NOT_STATED


def _words(stated: Any) -> list[str]:
    try:
        return [str(word) for word in stated]
    except TypeError:
        return [str(stated)]
