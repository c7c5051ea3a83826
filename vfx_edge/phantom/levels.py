"""Vertebral levels: VerSe numbers and adult anatomical sizes.

The distances between the bodies are those that spine/column.py names a column by (medians of the
same 113 cases): a phantom proves nothing about them. The heights are others than those of
spine/fracture.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from vfx_edge.vocabulary import Level

NUMBER_OF: dict[str, int] = {level.value: level.verse for level in Level}


@dataclass(frozen=True)
class Size:
    """Median adult sizes of one vertebra, all in millimetres.

    ``gap_below_mm`` is the distance between this body centre and the next one
    down. ``tilt_deg`` is the forward lean of the vertebra's own up axis.
    Spinous tip and facets are given in the vertebra's own frame, from the body
    centre: backward (``_back``) and upward (``_up``).
    """

    gap_below_mm: float
    tilt_deg: float
    width_mm: float
    depth_mm: float
    height_mm: float
    front_to_back: float
    canal_width_mm: float
    canal_depth_mm: float
    pedicle_width_mm: float
    pedicle_height_mm: float
    transverse_span_mm: float
    spinous_back_mm: float
    spinous_up_mm: float
    spinous_height_mm: float
    facet_half_span_mm: float


# Columns in the order of Size.
_TABLE: dict[str, tuple[float, ...]] = {
    "C1": (17.0, -4, 14, 8, 10.0, 1.00, 28, 20, 7.0, 9.0, 76, 38, -2, 8, 23),
    "C2": (18.5, -4, 17, 15, 19.0, 1.00, 25, 16, 7.0, 9.0, 58, 46, -8, 12, 20),
    "C3": (16.2, 0, 18, 15, 13.3, 0.99, 24, 15, 5.5, 7.0, 54, 44, -8, 8, 20),
    "C4": (16.1, 4, 18.5, 15, 13.0, 0.98, 24, 14.5, 5.5, 7.0, 55, 43, -8, 8, 20),
    "C5": (16.3, 9, 19.5, 15.5, 12.9, 0.97, 25, 14.5, 5.5, 7.0, 56, 45, -11, 8, 20),
    "C6": (17.6, 15, 21.5, 16, 13.3, 0.98, 25, 14.5, 6.0, 7.2, 58, 50, -16, 8, 20),
    "C7": (18.8, 21, 25, 16.5, 14.8, 0.97, 24, 15, 6.8, 7.8, 68, 60, -26, 9, 20),
    "T1": (20.9, 24, 28, 17.5, 16.6, 0.96, 20.5, 15, 8.2, 9.5, 75, 62, -34, 11.5, 18),
    "T2": (21.9, 22, 28, 18.5, 17.9, 0.96, 18, 15, 7.2, 11.0, 69, 60, -37, 11.5, 16),
    "T3": (22.2, 18, 27, 20.5, 18.4, 0.96, 17, 15.5, 6.2, 11.6, 64, 58, -38, 11.5, 15),
    "T4": (22.5, 14, 27, 22.2, 18.9, 0.95, 16.5, 15.5, 5.6, 11.8, 62, 57, -38, 11.5, 14.5),
    "T5": (23.0, 9.5, 27.5, 23.6, 19.3, 0.95, 16.5, 15.5, 5.4, 12.0, 61, 57, -39, 11.5, 14),
    "T6": (23.6, 5, 28.5, 25.0, 19.8, 0.94, 16.5, 15.5, 5.5, 12.2, 60, 57, -40, 11.5, 14),
    "T7": (24.2, 0, 29.3, 26.2, 20.2, 0.94, 16.5, 15.5, 5.8, 12.5, 59, 57, -39, 11.5, 14),
    "T8": (24.8, -4.5, 30.3, 27.2, 20.7, 0.95, 16.5, 15.5, 6.2, 13.0, 58, 57, -36, 12.5, 14),
    "T9": (25.4, -8.5, 32, 28.2, 21.3, 0.96, 17, 15.5, 6.8, 13.8, 56, 57, -31, 13.5, 14),
    "T10": (27.4, -12, 34, 29.2, 22.3, 0.96, 17.5, 15.5, 7.6, 15.0, 52, 56, -24, 15.5, 14),
    "T11": (29.7, -14, 36.7, 30.2, 23.6, 0.95, 19, 16, 8.6, 16.2, 45, 57, -16, 18.5, 14),
    "T12": (32.4, -14.5, 39.5, 31, 25.2, 0.96, 21.5, 16.5, 8.6, 16.2, 42, 60, -12, 20.5, 14),
    "T13": (33.0, -14, 40.5, 31.5, 25.8, 0.97, 22, 16.5, 8.4, 15.8, 50, 62, -10, 19, 14.5),
    "L1": (33.5, -12.5, 41.5, 32, 26.4, 0.97, 22.5, 16.5, 8.2, 15.4, 71, 66, -9, 17.2, 14.5),
    "L2": (34.2, -8.5, 43, 33, 26.9, 0.99, 22.5, 16, 8.6, 15.0, 79, 68, -9, 18.1, 15),
    "L3": (33.9, -2.5, 45, 34, 27.0, 1.02, 23, 16, 10.0, 14.6, 90, 69, -9, 18.9, 16.5),
    "L4": (31.4, 6, 47, 34.5, 26.2, 1.06, 24, 16.5, 12.4, 14.4, 85, 66, -9, 17.2, 19),
    "L5": (30.0, 20, 49.5, 35, 25.6, 1.17, 27, 17, 16.0, 14.6, 88, 57, -8, 12.9, 23),
    "L6": (29.5, 26, 50.5, 35, 24.5, 1.17, 28, 17, 17.0, 14.0, 88, 52, -8, 11.2, 24),
}
SACRAL_TILTS_DEG = (39.0, 46.0, 42.0, 24.0, 2.0, -25.0)
SACRAL_HEIGHTS_MM = (29.0, 25.0, 21.0, 17.0, 15.0, 28.0)


def size_of(level: str) -> Size:
    """Median adult sizes of ``level``."""
    return Size(**dict(zip((f.name for f in fields(Size)), _TABLE[level], strict=True)))


def column_levels(thoracic: int = 12, lumbar: int = 5) -> tuple[str, ...]:
    """All mobile levels from head to foot for 11-13 thoracic, 4-6 lumbar ones."""
    return (
        *(f"C{i}" for i in range(1, 8)),
        *(f"T{i}" for i in range(1, thoracic + 1)),
        *(f"L{i}" for i in range(1, lumbar + 1)),
    )
