"""Magnetic resonance: numbers without a unit, each scan's own."""

from vfx_edge.inputs.modality.kind import Modality

MR = Modality(
    name="MR",
    unit="1",
    sop_classes=frozenset({
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
    }),
    lowest=0,
    highest=2**15 - 1,
    projection_types=frozenset({"MIP", "MINIP", "PROJECTION IMAGE", "VOLREN", "CPR"}),
)  # fmt: skip
