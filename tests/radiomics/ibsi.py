"""IBSI's digital phantom and what it must give: the reference manual (arXiv 1612.07003), chapter
"Reference data sets" for the voxels, chapter 3 for the values, of matrices merged in 3D."""

import csv
from pathlib import Path

import numpy as np

from vfx_edge.radiomics.settings import FAMILIES, names_of

VOXEL_MM = 2.0
_ROWS = """
    14411 14611 41641 44641
    14411 11611 01311 44611
    144.. 11111 11.11 11611
    144.. 11111 11111 11611
"""
"""Slices from the first to the last; 0 and . lie outside."""
GREY = np.array([[list(row) for row in line.split()] for line in _ROWS.strip().splitlines()])
OUTSIDE = np.isin(GREY, ("0", "."))
VALUES = np.where(OUTSIDE, "9", GREY).astype(np.float32)
TABLE = Path(__file__).with_name("ibsi_digital_phantom.csv")


def references(bin_hu: float) -> dict[str, tuple[float, float]]:
    """Feature, by mirp's name -> IBSI's value and how far from it one may be: by the table, or by
    what the three digits leave open."""
    with TABLE.open(encoding="utf-8") as file:
        rows = {row["feature"]: row for row in csv.DictReader(file)}
    found = {}
    for family, (start, _, features, _) in FAMILIES.items():
        for feature, name in zip(features.split(), names_of(family, bin_hu), strict=True):
            row = rows[f"{start}_{feature}"]
            value = float(row["reference"])
            found[name] = value, max(float(row["tolerance"]), _half_of_third_digit(value))
    return found


def _half_of_third_digit(value: float) -> float:
    return 1e-12 if value == 0 else 0.5001 * 10.0 ** (np.floor(np.log10(abs(value))) - 2)
