"""`--clinical` of a batch: a table with a row a study, in the words of labels.csv.

    path,age,sex,known_tumour
    archive/0001,71,f,no

`study` is the name of a study's folder of results (its StudyInstanceUID), `path` is where it lies,
from the table's folder on; one of both is enough. Whom no row names has what the header says.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from vfx_edge.batch.studies import Study
from vfx_edge.errors import InputError
from vfx_edge.inputs.clinical import NAMES
from vfx_edge.labelled import words
from vfx_edge.labelled.clinical import of_facts
from vfx_edge.labelled.dataset import Facts
from vfx_edge.labelled.errors import NotALabelFile
from vfx_edge.labelled.folders import normal_path
from vfx_edge.labelled.table import Columns, Line, read_table
from vfx_edge.study import Clinical

STUDY, PATH = "study", "path"
_COLUMNS = Columns((STUDY, PATH, *NAMES), ())
_Value = TypeVar("_Value")


class ClinicalTableUnusable(InputError):
    """The table would leave a study without its facts, or give it another patient's. No sentence
    holds a cell of it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} can't be used as clinical data ({why}): give a CSV with a row a study, "
            f"a column study or path, and {', '.join(NAMES)} as far as they are known."
        )


@dataclass(frozen=True)
class Told:
    """by_study: study's name -> what is known of its patient. strangers: rows that name no study
    of the batch."""

    by_study: Mapping[str, Clinical] = field(repr=False)
    strangers: int


@dataclass(frozen=True)
class ClinicalTable:
    """A table whose every cell could be read."""

    path: Path
    rows: tuple[tuple[Line, Facts], ...] = field(repr=False)

    def of(self, studies: Iterable[Study]) -> Told:
        """Each study's facts; what two rows of one say differently is not known.
        ClinicalTableUnusable where a row's path holds several studies."""
        names = {study.name.casefold(): study.name for study in studies}
        places = _places(studies)
        facts: dict[str, list[Facts]] = {}
        strangers = 0
        for line, told in self.rows:
            found = self._named(line, names, places) or self._at(line, places)
            if found is None:
                strangers += 1
            else:
                facts.setdefault(found, []).append(told)
        return Told({name: of_facts(told) for name, told in facts.items()}, strangers)

    def _named(
        self, line: Line, names: Mapping[str, str], places: Mapping[Path, str | None]
    ) -> str | None:
        """The study of the row's name, which its path may not gainsay."""
        found, cell = names.get(line.get(STUDY).casefold()), line.get(PATH)
        if found is None or words.is_missing(cell):
            return found
        if places.get(self._place(cell)) not in (found, None):
            why = f"row {line.number} names one study and the path of another"
            raise ClinicalTableUnusable(self.path, why)
        return found

    def _place(self, cell: str) -> Path:
        return _normal(normal_path(self.path.parent, cell))

    def _at(self, line: Line, places: Mapping[Path, str | None]) -> str | None:
        """The name of the only study at the row's path or below it."""
        if words.is_missing(cell := line.get(PATH)):
            return None
        place = self._place(cell)
        if place in places and places[place] is None:
            why = f"several studies lie at the path of row {line.number}"
            raise ClinicalTableUnusable(self.path, why)
        return places.get(place)


def read_clinical_table(path: Path) -> ClinicalTable:
    """ClinicalTableUnusable, PathMissing, PathUnreadable."""
    try:
        table = read_table(path, _COLUMNS)
    except NotALabelFile as error:
        raise ClinicalTableUnusable(path, error.why) from None
    named = set().union(*(line.cells for line in table.lines))
    if not named & {STUDY, PATH} or not named & set(NAMES):
        why = "no row names a study and a fact" if table.lines else "it has no rows"
        raise ClinicalTableUnusable(path, why)
    return ClinicalTable(path, tuple((line, _facts(path, line)) for line in table.lines))


def _facts(path: Path, line: Line) -> Facts:
    def told(column: str, read: Callable[[str], _Value]) -> _Value:
        try:
            return read(line.get(column))
        except ValueError as error:
            why = f"row {line.number}, column {column}: {error}"
            raise ClinicalTableUnusable(path, why) from None

    if line.spilled:
        raise ClinicalTableUnusable(path, f"row {line.number} has more cells than the header")
    return Facts(
        sex=told("sex", words.sex_of),
        age=told("age", words.age_of),
        known_tumour=told("known_tumour", words.truth_of),
        previous_fracture=told("previous_fracture", words.truth_of),
    )


def _places(studies: Iterable[Study]) -> dict[Path, str | None]:
    """Folder or file -> the only study at it or below it; None where there are several."""
    found: dict[Path, str | None] = {}
    for study in studies:
        place = _normal(study.path)
        for folder in (place, *place.parents):
            found[folder] = study.name if folder not in found else None
    return found


def _normal(path: Path) -> Path:
    return Path(os.path.abspath(path))
