"""`readings.csv`: what a reader said of each case, without and then with the program's answer.

One line a thing that happened, in the order in which it happened, so that a file that only grows
says all. The first answer of a pass counts.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.labelled.dataset import Problem
from vfx_edge.labelled.errors import ColumnsMissing, NotALabelFile
from vfx_edge.labelled.folders import key_of
from vfx_edge.labelled.table import Columns, Line, read_table
from vfx_edge.labelled.words import is_missing, level_of, name_of, text_of
from vfx_edge.scoring.rows import VertebraRow

UNAIDED, AIDED = PASSES = ("unaided", "aided")
CALLS = ("osteoporotic", "malignant", "uncertain")
CANNOT_TELL = "cannot_tell"
ANSWERS = (*CALLS, CANNOT_TELL)
SHOWN, NOT_SHOWN = EVENTS = ("shown", "not_shown")
"""No answers: the pictures were seen, which is all that a killed server knows of a case; or they
could not be made."""
WITH_CONFIDENCE = CALLS[:2]
CONFIDENCES = (1, 2, 3, 4, 5)
FIELDS = ("study", "level", "reader", "pass", "answer", "confidence", "seconds", "at", "order",
          "seed", "program")  # fmt: skip
COLUMNS = Columns(FIELDS, FIELDS[:5])
LONGEST_S = 1e6
LARGEST = 2**53


class ReadingsUnreadable(InputError):
    """The file is no table of readings."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} holds no readings ({why}): give the file that `vfx-edge evaluate "
            "--reader` writes, with the columns study, level, reader, pass and answer."
        )


class ReaderTwice(InputError):
    """The labels and the readings, or two files of readings, have a reader of the same name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The reader {name!r} is there twice, in labels.csv and in the readings: rename the "
            f"column reader_{name}, or leave the readings out."
        )


@dataclass(frozen=True)
class Reading:
    """One line. answer: of ANSWERS or EVENTS. confidence: 1..5, None where none was asked for.
    seconds: from the pictures to the answer, pauses left out; None where nobody knows. order: the
    case's place in the random order, from 1. program: whose answer is shown in the second pass."""

    study: str
    level: str
    reader: str
    aided: bool
    answer: str
    confidence: int | None = None
    seconds: float | None = None
    at: str = ""
    order: int = 0
    seed: int = 0
    program: str = ""

    @property
    def is_answer(self) -> bool:
        return self.answer in ANSWERS

    @property
    def column(self) -> str:
        """The reader, as the tables have this pass: `anna` and `anna_aided`."""
        return f"{self.reader}_{AIDED}" if self.aided else self.reader

    @property
    def key(self) -> tuple[str, str, str]:
        """What there is one answer of."""
        return key_of(self.study), self.level, self.column


@dataclass(frozen=True)
class Readings:
    """lines: all of them, in their order. problems: of those that could not be used."""

    lines: tuple[Reading, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def answers(self) -> tuple[Reading, ...]:
        """The first of each case, reader and pass."""
        first: dict[tuple[str, str, str], Reading] = {}
        for line in self.lines:
            if line.is_answer:
                first.setdefault(line.key, line)
        return tuple(first.values())

    def with_more(self, other: "Readings") -> "Readings":
        return Readings((*self.lines, *other.lines), (*self.problems, *other.problems))


def read_readings(path: Path) -> Readings:
    """The lines of a file. ReadingsUnreadable, PathMissing, PathUnreadable."""
    try:
        table = read_table(path, COLUMNS)
    except (NotALabelFile, ColumnsMissing) as error:
        raise ReadingsUnreadable(path, error.why) from None
    lines, problems = [], []
    for line in table.lines:
        try:
            lines.append(_reading(line))
        except ValueError as error:
            problems.append(Problem(None, f"{path.name}, row {line.number}: {error}."))
    return Readings(tuple(lines), tuple(problems))


def with_readings(
    rows: Sequence[VertebraRow], readings: Readings
) -> tuple[tuple[VertebraRow, ...], tuple[Problem, ...]]:
    """The rows with the readers' answers beside those of labels.csv, and what fits no row.
    ReaderTwice."""
    said: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for one in readings.answers:
        of = said.setdefault((key_of(one.study), one.level), {})
        of[one.column] = (one.answer if one.answer in CALLS else "",)
    names = {one.column for one in readings.answers}
    for row in rows:
        if both := names & row.readings.keys():
            raise ReaderTwice(min(both))
    there = {(key_of(row.study), row.level) for row in rows}
    lost = len(said.keys() - there)
    words = f"Readings of {lost} vertebrae that are not in the labels were left out."
    return _with(rows, said), (Problem(None, words),) if lost else ()


def _with(
    rows: Iterable[VertebraRow], said: dict[tuple[str, str], dict[str, tuple[str, ...]]]
) -> tuple[VertebraRow, ...]:
    found = []
    for row in rows:
        more = said.get((key_of(row.study), row.level))
        found.append(replace(row, readings={**row.readings, **more}) if more else row)
    return tuple(found)


def _reading(line: Line) -> Reading:
    """ValueError in words that repeat no cell."""
    answer, which = line.get("answer").lower(), line.get("pass").lower()
    if answer not in (*ANSWERS, *EVENTS):
        raise ValueError(f"answer is none of {', '.join(ANSWERS)}")
    if which not in PASSES:
        raise ValueError(f"pass is none of {', '.join(PASSES)}")
    confidence = _number(line, "confidence", CONFIDENCES[-1])
    if confidence is not None and confidence not in CONFIDENCES:
        raise ValueError("confidence is none of 1 to 5")
    return Reading(
        study=name_of(line.get("study")),
        level=level_of(line.get("level")).value,
        reader=name_of(line.get("reader")),
        aided=which == AIDED,
        answer=answer,
        confidence=None if confidence is None else int(confidence),
        seconds=_number(line, "seconds", LONGEST_S),
        at=text_of(line.get("at")),
        order=int(_number(line, "order", LARGEST) or 0),
        seed=int(_number(line, "seed", LARGEST) or 0),
        program=text_of(line.get("program")),
    )


def _number(line: Line, column: str, most: float) -> float | None:
    if is_missing(text := line.get(column)):
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise ValueError(f"{column} is no number from 0 to {most:g}")
    return value
