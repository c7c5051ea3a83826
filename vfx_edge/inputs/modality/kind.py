"""How a modality's files are recognised, and what their numbers may be."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def _nothing_wrong(_sample: NDArray[np.int16]) -> str | None:
    return None


@dataclass(frozen=True)
class Modality:
    """name, unit: as in `Image`. sop_classes: of the files that are read."""

    name: str
    unit: str
    sop_classes: frozenset[str]
    lowest: int
    """Values are cut off to lowest..highest; padding and what lies outside is `lowest`."""
    highest: int
    unit_name: str = "its usual unit"
    rescale_types: frozenset[str | None] | None = None
    """What Rescale Type (0028,1054) may state, letters and digits alone, in capitals; None:
    anything."""
    computed_types: frozenset[str] = frozenset()
    """Image types (0008,0008) whose numbers are in another unit."""
    projection_types: frozenset[str] = frozenset()
    noisy_kernel: re.Pattern[str] | None = None
    tissue: tuple[float, float] | None = None
    """Values that a body may have: padding stated within them counts only at the slice's edge.
    None: padding always counts."""
    implausible: Callable[[NDArray[np.int16]], str | None] = _nothing_wrong
    """Why a sample of the values can't be this modality's; None: it can."""
