"""Computed tomography: Hounsfield units, and numbers that can't be any."""

import re

import numpy as np
from numpy.typing import NDArray

from vfx_edge.inputs.modality.kind import Modality

LOWEST = -1024
FEW_VALUES = 256
LABELS_TO = 255
"""A mask's numbers are small whole ones; a CT painted from a mask reaches bone."""
NO_FAT_HU = -50
"""Every body holds fat (-100 HU), and nearly every field of view air."""
NO_TISSUE_HU = -500
SHIFTED_TISSUE = (900, 1200)
"""Where water and muscle lie when the usual intercept of -1024 is left out."""
SHIFTED_SHARE = 0.05
NEVER_SHIFTED = (-900, -200)
"""Lung, gas and every edge between tissue and air: nothing, where the intercept is left out, whose
lowest number is air's. What is lower yet is padding."""
NEVER_SHARE = 0.02


def no_hounsfield(sample: NDArray[np.int16]) -> str | None:
    """Why the numbers are a mask's, nothing at all, or lack their intercept; None: they are HU."""
    lowest, highest = int(sample.min()), int(sample.max())
    if lowest == highest:
        return f"every voxel is {lowest}"
    span = f"its numbers run from {lowest} to {highest}"
    if lowest >= NO_FAT_HU and highest <= LABELS_TO and len(np.unique(sample)) <= FEW_VALUES:
        return f"{span}: a mask or an overlay"
    if _intercept_missing(sample):
        return f"{span}: the rescale intercept is missing"
    return f"{span}: nothing but air" if highest < NO_TISSUE_HU else None


def _intercept_missing(sample: NDArray[np.int16]) -> bool:
    counts = np.bincount(sample.ravel().astype(np.int32) + 2**15, minlength=2**16)

    def within(limits: tuple[int, int]) -> int:
        return int(counts[2**15 + limits[0] + 1 : 2**15 + limits[1]].sum())

    measured = sample.size - within((-(2**15), LOWEST + 1))
    few = within(NEVER_SHIFTED) <= NEVER_SHARE * measured
    return few and within(SHIFTED_TISSUE) > SHIFTED_SHARE * measured


CT = Modality(
    name="CT",
    unit="HU",
    unit_name="Hounsfield units",
    sop_classes=frozenset({
        "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
    }),
    lowest=LOWEST,
    highest=3071,
    # US: unspecified, which older scanners write for Hounsfield units
    rescale_types=frozenset({
        *(None, "HU", "US", "HUMOD", "HOUNSFIELD", "HOUNSFIELDUNIT", "HOUNSFIELDUNITS"),
        *("HUNITS", "UNSPECIFIED", "CTNUMBER"),
        *("HUS", "HOUNSFIELDUNITHU", "HOUNSFIELDUNITSHU", "CTNUMBERS", "NONE"),
    }),
    computed_types=frozenset({
        *("PERFUSION", "RCBF", "RCBV", "CBF", "CBV", "MTT", "TTP", "TMAX", "IODINE", "IODINE_MAP"),
        *("WATER_MAP", "Z_EFF", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "CALCIUM_SUPP", "DIFFERENCE"),
        "SUBTRACTION",
    }),
    projection_types=frozenset({
        *("MIP", "MINIP", "MAX_IP", "MIN_IP", "VOLREN", "VOLUME_RENDER", "CPR", "CSA MPR CURVED"),
    }),
    # Lung and very sharp kernels: GE LUNG/EDGE, Siemens B60..B90 and Br/Bl/Hr 6x.., Canon
    # FC5x/FC8x, Philips L/Y. Bone kernels below that are welcome.
    noisy_kernel=re.compile(
        r"lung|pulm|edge|ultra|\b[bhuq][rvfp]?[6-9]\d|\bbl\d|\bfc(5|8)\d|\bl\b|\bya?\b|\byc\b",
        re.IGNORECASE,
    ),
    tissue=(-900.0, 3000.0),
    implausible=no_hounsfield,
)  # fmt: skip
