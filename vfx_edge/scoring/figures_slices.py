"""A network that sees slices, as Li et al. show theirs: each slice by itself, and each patient."""

from collections.abc import Sequence
from dataclasses import replace

from vfx_edge.scoring.about import About
from vfx_edge.scoring.calls import forced
from vfx_edge.scoring.cases import Cases, patient_of
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.shares import Json, figures

UNITS = ("slice", "patient")
"""What a case is, in place of a vertebra."""


def of_slices(cases: Cases, about: About) -> Json:
    """Unit -> figures, from p(malignant) 0.5 on; empty where no network told of slices.

    A patient is malignant if one of the fractures is; the patient's answer is that of the fracture
    that looks most malignant, as the verdict of a study is.
    """
    rows = [row for row in cases.rows if row.p_malignant_slices]
    if not rows:
        return {}
    own = {"slice": _each_slice(rows), "patient": _each_patient(rows)}
    return {unit: figures(forced(Cases(own[unit])), about) for unit in UNITS}


def chances(row: VertebraRow) -> list[float]:
    """p(malignant) of each triplet of slices."""
    return [float(word) for word in row.p_malignant_slices.split()]


def words(p: Sequence[float]) -> str:
    """As a row holds them."""
    return " ".join(f"{one:.4f}" for one in p)


def _each_slice(rows: Sequence[VertebraRow]) -> tuple[VertebraRow, ...]:
    return tuple(replace(row, p_malignant=p) for row in rows for p in chances(row))


def _each_patient(rows: Sequence[VertebraRow]) -> tuple[VertebraRow, ...]:
    found: dict[str, list[VertebraRow]] = {}
    for row in rows:
        found.setdefault(patient_of(row), []).append(row)
    return tuple(_most_malignant(of) for of in found.values())


def _most_malignant(rows: Sequence[VertebraRow]) -> VertebraRow:
    label = min(row.label for row in rows)  # "malignant" comes before "osteoporotic"
    told = [row.p_malignant for row in rows if row.p_malignant is not None]
    return replace(rows[0], label=label, p_malignant=max(told, default=None))
