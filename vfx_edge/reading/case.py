"""The cases to read: fractures whose cause is known, in a random order that can be had again."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vfx_edge.labelled.dataset import LabelledStudy
from vfx_edge.labelled.folders import key_of
from vfx_edge.scoring.answers import Answer, Outcome
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.study import Point

Key = tuple[str, str]
"""Study, as `key_of` compares names, and level."""


@dataclass(frozen=True)
class Case:
    """row: label and the program's answer, of which the first pass shows nothing. lps_mm: where
    the program found the vertebra, for data whose experts drew none."""

    study: LabelledStudy
    row: VertebraRow
    lps_mm: Point | None = None

    @property
    def key(self) -> Key:
        return key_of(self.study.name), self.row.level


def cases_to_read(
    rows: Sequence[VertebraRow], studies: Sequence[LabelledStudy], outcomes: Mapping[str, Outcome]
) -> tuple[Case, ...]:
    """rows: the cases of one program. outcomes: its answers by study. In an order of their own."""
    by_name = {study.name: study for study in studies}
    found = [
        Case(by_name[row.study], row, _place(row.level, outcomes.get(row.study)))
        for row in rows
        if row.study in by_name
    ]
    return tuple(sorted(found, key=lambda case: case.key))


def in_random_order(cases: Sequence[Case], seed: int) -> tuple[Case, ...]:
    """The same for the same cases and seed."""
    shuffled = list(cases)
    random.Random(seed).shuffle(shuffled)
    return tuple(shuffled)


def _place(level: str, outcome: Outcome | None) -> Point | None:
    if not isinstance(outcome, Answer):
        return None
    known = next((one for one in outcome.known if one.level == level), None)
    if known is not None and known.finding is not None:
        return outcome.seen[known.finding].lps_mm
    return next((one.lps_mm for one in outcome.seen if one.level == level), None)
