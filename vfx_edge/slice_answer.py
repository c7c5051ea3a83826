"""What a network that sees slices says of three neighbouring ones: a noun of `study.py`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SliceAnswer:
    """Of one triplet, before any calibration. left_mm: where its middle slice lies, to the
    patient's left of the crop's middle; probabilities 0..1."""

    left_mm: float
    p_osteoporotic: float
    p_malignant: float
