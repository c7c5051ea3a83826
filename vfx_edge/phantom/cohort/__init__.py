"""A cohort of phantoms: patients of one imaginary department, with labels and readers.

    studies = draw_cohort(200, seed=0)          # drawing.py: who, what, which split
    hu, phantom = make_study(studies[0])        # drawing.py: voxels, with the signs of the cause
    readings(studies[0])                        # readers.py: what readers of stated skill say

Everything follows from the seed and a study's number, so that more studies only add to the first.
"""

from vfx_edge.phantom.cohort.drawing import (
    CAUSES,
    SPLITS,
    CohortStudy,
    draw_cohort,
    make_study,
)
from vfx_edge.phantom.cohort.readers import READERS, Reader, readings

__all__ = [
    "CAUSES",
    "READERS",
    "SPLITS",
    "CohortStudy",
    "Reader",
    "draw_cohort",
    "make_study",
    "readings",
]
