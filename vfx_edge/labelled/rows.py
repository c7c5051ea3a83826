"""Rows of a table -> rows of a dataset, and what is wrong with the others."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from vfx_edge.labelled import words
from vfx_edge.labelled.columns import READER, REPEAT_OF
from vfx_edge.labelled.dataset import Facts, Label, Problem, Row
from vfx_edge.labelled.errors import LabelledTwice, PatientInTwoSplits, StudyOfTwoPatients
from vfx_edge.labelled.table import Line, Table

_T = TypeVar("_T")
_AGAIN = re.compile(r"(.+)_([2-9]|1\d)")
LEFT_OUT = "the row was left out"


@dataclass
class Read:
    """What was read so far. paths: row's number -> the cell of its path."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)
    repeats: dict[int, str] = field(default_factory=dict)
    """Row's number -> the cell of repeat_of."""


class _Unusable(Exception):
    """A row without what every row needs."""


def rows_of(table: Table) -> Read:
    """Every row that can be used. Raises InputError leaves where rows contradict each other."""
    read = Read()
    for line in table.lines:
        try:
            read.rows.append(_row(line, read.problems))
        except _Unusable:
            continue
        if not words.is_missing(path := line.get("path")):
            read.paths[line.number] = path
        if not words.is_missing(again := line.get(REPEAT_OF)):
            read.repeats[line.number] = again
    read.rows = _with_one_spelling(read.rows)
    _check_patients(table.path, read.rows)
    read.rows = _without_doubles(table.path, _with_splits(table.path, read.rows), read.problems)
    return read


def _row(line: Line, problems: list[Problem]) -> Row:
    cells = _Cells(line, problems)
    if line.spilled:
        problems.append(
            Problem(
                line.number,
                "There are more cells than the header has columns, as a decimal comma without "
                f"quotation marks makes: {LEFT_OUT}.",
            )
        )
        raise _Unusable
    return Row(
        number=line.number,
        study=cells.needed("study", words.name_of),
        patient=cells.needed("patient", words.name_of),
        level=cells.needed("level", words.level_of),
        label=cells.needed("label", words.label_of),
        split=cells.needed("split", words.split_of),
        facts=_facts(cells),
        readings=_readings(cells),
    )


@dataclass(frozen=True)
class _Cells:
    """One line's cells as values; what can't be read becomes a problem."""

    line: Line
    problems: list[Problem]

    def needed(self, column: str, read: Callable[[str], _T]) -> _T:
        """_Unusable where it can't be read."""
        try:
            return read(self.line.get(column))
        except ValueError as error:
            self._tell(column, error, LEFT_OUT)
            raise _Unusable from None

    def optional(self, column: str, read: Callable[[str], _T], otherwise: _T) -> _T:
        """`otherwise` where it can't be read."""
        try:
            return read(self.line.get(column))
        except ValueError as error:
            self._tell(column, error, "the cell was taken as empty")
            return otherwise

    def _tell(self, column: str, error: ValueError, outcome: str) -> None:
        sentence = f"The column {column} can't be read: {error}; {outcome}."
        self.problems.append(Problem(self.line.number, sentence))


def _facts(cells: _Cells) -> Facts:
    return Facts(
        genant=cells.optional("genant", words.genant_of, None),
        gold_standard=cells.optional("gold_standard", words.text_of, ""),
        sex=cells.optional("sex", words.sex_of, ""),
        age=cells.optional("age", words.age_of, None),
        contrast=cells.optional("contrast", words.contrast_of, None),
        scanner=cells.optional("scanner", words.text_of, ""),
        known_tumour=cells.optional("known_tumour", words.truth_of, None),
        previous_fracture=cells.optional("previous_fracture", words.truth_of, None),
    )


def _readings(cells: _Cells) -> dict[str, tuple[str, ...]]:
    """A reader's answers, reading by reader; a reader who answered nothing has "" for each."""
    columns = [name for name in cells.line.cells if name.startswith(READER)]
    found: dict[str, dict[int, str]] = {}
    for column in columns:
        name, number = _reader(column, columns)
        found.setdefault(name, {})[number] = cells.optional(column, words.reading_of, "")
    return {
        name: tuple(said.get(number, "") for number in range(1, max(said) + 1))
        for name, said in found.items()
    }


def _reader(column: str, columns: Iterable[str]) -> tuple[str, int]:
    """ "reader_anna_2" is Anna's second reading where there is a first, else a name."""
    name = column.removeprefix(READER)
    again = _AGAIN.fullmatch(name)
    if again is not None and READER + again[1] in columns:
        return again[1], int(again[2])
    return name, 1


def _key(name: str) -> str:
    """As patients and studies are told apart: a typist's capitals make no other patient."""
    return name.casefold()


def _with_one_spelling(rows: list[Row]) -> list[Row]:
    """Every patient as first written: whoever counts patients counts none twice."""
    first: dict[str, str] = {}
    return [replace(r, patient=first.setdefault(_key(r.patient), r.patient)) for r in rows]


def _check_patients(path: Path, rows: list[Row]) -> None:
    """StudyOfTwoPatients, PatientInTwoSplits."""
    for mine in _grouped(rows, lambda row: _key(row.study)):
        if len({_key(row.patient) for row in mine}) > 1:
            raise StudyOfTwoPatients(path, [row.number for row in mine])
    for mine in _grouped(rows, lambda row: _key(row.patient)):
        splits: dict[str, list[int]] = {}
        for row in mine:
            if row.split is not None:
                splits.setdefault(row.split.value, []).append(row.number)
        if len(splits) > 1:
            raise PatientInTwoSplits(path, splits)


def _with_splits(path: Path, rows: list[Row]) -> list[Row]:
    """A row without a split has that of its patient."""
    del path
    splits = {_key(row.patient): row.split for row in rows if row.split is not None}
    return [replace(row, split=splits.get(_key(row.patient))) for row in rows]


def _without_doubles(path: Path, rows: list[Row], problems: list[Problem]) -> list[Row]:
    """The first of rows about one vertebra. LabelledTwice."""
    kept = []
    for mine in _grouped(rows, lambda row: (_key(row.study), row.level)):
        if len({row.label for row in mine}) > 1:
            raise LabelledTwice(path, [row.number for row in mine])
        kept.append(mine[0])
        problems += [
            Problem(row.number, f"It says again what row {mine[0].number} says: {LEFT_OUT}.")
            for row in mine[1:]
        ]
    return sorted(kept, key=lambda row: row.number)


def _grouped(rows: list[Row], key: Callable[[Row], object]) -> list[list[Row]]:
    found: dict[object, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.values())


def remarks_on(rows: Iterable[Row]) -> list[Problem]:
    """What a physicist would ask about: each row is kept."""
    found = []
    sexes: dict[str, Row] = {}
    for row in rows:
        if row.facts.genant is not None and row.label is not Label.EXCLUDED:
            found += _genant_remark(row, row.facts.genant)
        if row.facts.sex:
            first = sexes.setdefault(_key(row.patient), row)
            if first.facts.sex != row.facts.sex:
                found.append(
                    Problem(
                        row.number,
                        f"The column sex differs from row {first.number}, of the same patient: "
                        "correct the wrong one.",
                    )
                )
    return found


def _genant_remark(row: Row, grade: int) -> list[Problem]:
    if row.label.fractured and grade == 0:
        what = f"The label is {row.label}, a fracture, but the column genant says grade 0"
    elif not row.label.fractured and grade > 0:
        what = f"The label is {row.label}, but the column genant says grade {grade}"
    else:
        return []
    return [Problem(row.number, f"{what}: the label was taken; correct the wrong one.")]
