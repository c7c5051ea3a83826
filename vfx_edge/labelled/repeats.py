"""The column `repeat_of`: which studies repeat another one of the same patient."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vfx_edge.labelled.dataset import LabelledStudy, Problem

EMPTIED = "the cell was taken as empty"


def with_repeats(
    studies: Sequence[LabelledStudy], cells: Mapping[int, str], problems: list[Problem]
) -> list[LabelledStudy]:
    """The studies with `repeat_of`, from the number of a row -> what its cell says. What can't be
    taken becomes a problem; capitals make no other study."""
    named = {study.name.casefold(): study for study in studies}
    found = []
    for study in studies:
        said = {row.number: cells[row.number] for row in study.rows if row.number in cells}
        name = ""
        if said:
            number, cell = next(iter(said.items()))
            other = named.get(cell.strip().casefold())
            why = _against(study, other, set(said.values()))
            if why:
                sentence = f"The column repeat_of can't be used: {why}; {EMPTIED}."
                problems.append(Problem(number, sentence))
            name = "" if why or other is None else other.name
        found.append(replace(study, repeat_of=name))
    return found


def _against(study: LabelledStudy, other: LabelledStudy | None, said: set[str]) -> str:
    """Why this study can't be the repeat of that one; "" where it can."""
    if len({cell.strip().casefold() for cell in said}) > 1:
        return "the rows of the study name different ones"
    if other is None:
        return "there is no study of this name"
    if other is study:
        return "a study can't repeat itself"
    if other.patient.casefold() != study.patient.casefold():
        return "the two studies are of different patients"
    return ""
