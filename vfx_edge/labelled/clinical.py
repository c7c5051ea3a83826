"""What a table of labels says of a study's patient, as a tabular network is told it."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from vfx_edge.labelled.dataset import Facts, LabelledStudy
from vfx_edge.second_reader import MOST_YEARS
from vfx_edge.study import Clinical

T = TypeVar("T", bound=Hashable)


def clinical_of(study: LabelledStudy) -> Clinical:
    """Of the study's rows together."""
    return of_facts([row.facts for row in study.rows])


def of_facts(facts: Sequence[Facts]) -> Clinical:
    """Of the rows of one study: what two rows say differently counts as not known."""
    age = _agreed(one.age for one in facts)
    return Clinical(
        age=age if age is not None and age <= MOST_YEARS else None,
        sex=_agreed(one.sex.lower() if one.sex in ("F", "M") else None for one in facts),
        known_tumour=_agreed(one.known_tumour for one in facts),
        previous_fracture=_agreed(one.previous_fracture for one in facts),
    )


def _agreed(values: Iterable[T | None]) -> T | None:
    said = {value for value in values if value is not None}
    return said.pop() if len(said) == 1 else None
