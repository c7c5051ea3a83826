"""A dataset's rows as the text of a labels.csv, which `reading.py` reads back."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from vfx_edge.labelled.columns import CLINICAL, COLUMNS, READER, REPEAT_OF
from vfx_edge.labelled.dataset import Dataset, LabelledStudy, Row


def labels_csv(dataset: Dataset) -> str:
    """Comma-separated, one line a row, in the studies' order; paths relative to the folder where
    they lie in it."""
    rows = [(study, row) for study in dataset.studies for row in study.rows]
    readers = _readers(row for _, row in rows)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    again = [REPEAT_OF] * any(study.repeat_of for study in dataset.studies)
    known = [name for name in CLINICAL if any(getattr(r.facts, name) is not None for _, r in rows)]
    writer.writerow((*COLUMNS, *known, *again, *(_column(*reader) for reader in readers)))
    for study, row in rows:
        repeated = [study.repeat_of] * len(again)
        clinical = [_truth(getattr(row.facts, name)) for name in known]
        cells = _cells(dataset.folder, study, row)
        writer.writerow((*cells, *clinical, *repeated, *_said(row, readers)))
    return file.getvalue()


def _readers(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """Each reader's name and number of the reading, in the order in which they appear."""
    most: dict[str, int] = {}
    for row in rows:
        for name, said in row.readings.items():
            most[name] = max(most.get(name, 0), len(said))
    return [(name, number) for name, count in most.items() for number in range(count)]


def _column(name: str, number: int) -> str:
    return f"{READER}{name}" + (f"_{number + 1}" if number else "")


def _said(row: Row, readers: list[tuple[str, int]]) -> list[str]:
    said = [(row.readings.get(name, ()), number) for name, number in readers]
    return [answers[number] if number < len(answers) else "" for answers, number in said]


def _truth(value: bool | None) -> str:
    return "" if value is None else ("yes" if value else "no")


def _cells(folder: Path, study: LabelledStudy, row: Row) -> tuple[str, ...]:
    facts = row.facts
    inside = study.path.is_relative_to(folder)
    path = study.path.relative_to(folder) if inside else study.path
    return (
        row.study, row.patient, path.as_posix(), row.level.value, row.label.value, row.split or "",
        "" if facts.genant is None else str(facts.genant), facts.gold_standard, facts.sex,
        "" if facts.age is None else f"{facts.age:g}", _truth(facts.contrast), facts.scanner,
    )  # fmt: skip
