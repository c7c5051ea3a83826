"""Why a dataset can't be used at all. No sentence names a patient, a study or a cell's text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.labelled.dataset import Problem

_MOST_SHOWN = 8


class NoDataset(InputError):
    """The folder holds neither labels nor CT that are named as VerSe or BIDS name them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds no labels.csv and no CT named like sub-1_ct.nii.gz: give the folder "
            "of a labelled dataset, or its table with --labels."
        )


class TooManyEntries(InputError):
    """More files than a dataset has."""

    def __init__(self, folder: Path, most: int) -> None:
        super().__init__(
            f"{folder} holds more than {most} files: give the folder of the dataset alone."
        )


class NotALabelFile(InputError):
    """The table of labels can't be read as CSV."""

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"{path.name} can't be read as a table of labels ({why}): {remedy}.")
        self.why = why


class ColumnsMissing(InputError):
    """A table, but without what every row needs."""

    def __init__(self, path: Path, missing: Sequence[str]) -> None:
        columns = ", ".join(missing)
        self.why = f"it has no column {columns}"
        super().__init__(
            f"The first row of {path.name} lacks the columns {columns}: name them there, as in "
            "study,patient,path,level,label,split."
        )


class NoUsableRow(InputError):
    """Every row has something wrong with it, or there is none."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        first = next((p for p in problems if p.row is not None), None)
        what = f"row {first.row}: {first.sentence.rstrip('.')}" if first else "it has no rows"
        super().__init__(
            f"{path.name} has no row that can be used ({what}): correct it and start again."
        )


class NoUsableStudy(InputError):
    """CT are named as they should be, but none can be read."""

    def __init__(self, folder: Path, problems: Sequence[Problem]) -> None:
        first = problems[0].sentence.rstrip(".") if problems else "there is none"
        super().__init__(f"{folder} has no study that can be used; the first problem: {first}.")


class _Contradiction(InputError):
    """Rows that contradict each other, told by their numbers. what: has a place for them."""

    what = "{rows} contradict each other: correct them"

    def __init__(self, path: Path, rows: Sequence[int]) -> None:
        super().__init__(f"{path.name}: {self.what.format(rows=row_numbers(rows))}.")
        self.rows = tuple(rows)


class PatientInTwoSplits(_Contradiction):
    """What was learned of a patient would be tested on the same patient."""

    what = (
        "{rows} belong to one patient in more than one split (%s): put each patient into one, "
        "with all scans"
    )

    def __init__(self, path: Path, splits: Mapping[str, Sequence[int]]) -> None:
        told = "; ".join(f"{name}: {row_numbers(rows)}" for name, rows in splits.items())
        self.what = self.what % told
        super().__init__(path, [row for rows in splits.values() for row in rows])


class LabelledTwice(_Contradiction):
    """One vertebra, two truths."""

    what = "{rows} give one vertebra of one study different labels: keep the right one"


class StudyOfTwoPatients(_Contradiction):
    """One study under two patients."""

    what = "{rows} name one study under different patients: give each study one patient"


class StudyOfTwoPaths(_Contradiction):
    """One study, two CTs."""

    what = (
        "{rows} name one study with different paths: give each study one path, or each CT a study "
        "of its own"
    )


class CtOfTwoPatients(_Contradiction):
    """One CT under two patients."""

    what = (
        "{rows} name one CT, or copies of it, under different patients: give each its own, "
        "or both one patient"
    )


def left_out(rows: Sequence[int]) -> str:
    """ "row 3 was left out", "rows 3 and 4 were left out"."""
    return f"{row_numbers(rows)} {'were' if len(set(rows)) > 1 else 'was'} left out"


def row_numbers(rows: Sequence[int]) -> str:
    """ "row 3", "rows 3, 5 and 9"; of many the first."""
    numbers = [str(row) for row in sorted(set(rows))]
    if len(numbers) == 1:
        return f"row {numbers[0]}"
    if len(numbers) > _MOST_SHOWN:
        return f"rows {', '.join(numbers[:_MOST_SHOWN])} and {len(numbers) - _MOST_SHOWN} more"
    return f"rows {', '.join(numbers[:-1])} and {numbers[-1]}"
