"""The rows of an evaluation as CSV, and back: `vertebrae.csv` and `cases.csv`.

One column a field, numbers in the shortest form that gives the same number back, an empty cell
for None or "". Readings have columns `reader_<name>` and, for a second reading, `reader_<name>_2`.
A text that a spreadsheet would take for a formula has an apostrophe before it, and loses it again
when it is read.
"""

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from vfx_edge.errors import InputError
from vfx_edge.files import write_text
from vfx_edge.labelled.dataset import Label, Problem, Split
from vfx_edge.scoring.answers import TO_ONE
from vfx_edge.scoring.rows import StudyRow, VertebraRow
from vfx_edge.vocabulary import Level

Row = TypeVar("Row", VertebraRow, StudyRow)
READER = re.compile(r"reader_(?P<name>.+?)(?:_(?P<number>[2-9]))?")
ANSWERS = ("malignant", "osteoporotic", "uncertain")
SHARES = ("probability", "dice", "p_osteoporotic", "p_malignant", "p_network", "p_tabular")
ALLOWED: Mapping[str, Sequence[str]] = {
    "level": [*Level],
    "label": [*Label],
    "tier": [*ANSWERS, "not_assessable", "none_suspected"],
}
"""Columns of few words; "" is allowed in each."""
ABOUT = ("model", "study", "level")
"""What a row is about: there is one of each."""
SPLITS = ("", *Split)
APART = ("readings", "features")
"""Fields that are no column of `vertebrae.csv`."""
SLICES = "p_malignant_slices"
"""A column that is there only where a network told of slices."""
_SLICES = re.compile(r"(?:(?:0\.\d{1,9}|1\.0{1,9})(?: (?!$)|$)){0,64}")
CHANCES = ("p_malignant", "p_osteoporotic")
MOST_BYTES = 2**28
_FORMULA = "=+-@\t\r'"


class TableUnreadable(InputError):
    """The file is there, but it is no table of this kind."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name} can't be read: {words}; run `vfx-edge evaluate` anew.")


@dataclass(frozen=True)
class Table(Generic[Row]):
    """The rows that could be read, and what is wrong with cells, which are left empty."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()


def write_vertebrae(path: Path, rows: Sequence[VertebraRow]) -> Path:
    """Writes `vertebrae.csv`; OutputError when the place can't be written."""
    readings = _reading_columns(rows)
    absent = {*APART, *([] if any(getattr(row, SLICES) for row in rows) else [SLICES])}
    plain = [one.name for one in fields(VertebraRow) if one.name not in absent]
    lines = ([_cell(getattr(row, n)) for n in plain] + _readings(row, readings) for row in rows)
    return _write(path, [*plain, *map(_cell, readings)], lines)


def write_studies(path: Path, rows: Sequence[StudyRow]) -> Path:
    """Writes `cases.csv`; OutputError when the place can't be written."""
    return write_plain(path, StudyRow, rows)


def write_plain(path: Path, kind: type[Any], rows: Sequence[Any]) -> Path:
    """Dataclasses of one kind, whose fields are numbers and texts; OutputError when the place
    can't be written."""
    names = [one.name for one in fields(kind)]
    return _write(path, names, ([_cell(getattr(row, n)) for n in names] for row in rows))


def read_vertebrae(path: Path) -> Table[VertebraRow]:
    """The rows of a `vertebrae.csv`; TableUnreadable when it is none."""
    return _read(path, VertebraRow)


def read_studies(path: Path) -> Table[StudyRow]:
    """The rows of a `cases.csv`; TableUnreadable when it is none."""
    return _read(path, StudyRow)


def write_table(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> Path:
    """Numbers, texts and None under their columns; OutputError when the place can't be written."""
    return _write(path, list(map(_cell, header)), (list(map(_cell, line)) for line in lines))


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text)  # its line ends, CR LF, make it quote a lone CR, too
    writer.writerow(header)
    writer.writerows(lines)
    return write_text(path, text.getvalue())


def _cell(value: Any) -> str:
    """A value as its cell. A number may start with a minus, a text may not."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value) if math.isfinite(value) else ""
    text = str(value)
    return f"'{text}" if text[:1] and text[0] in _FORMULA else text


def _text(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in _FORMULA else cell


def _reading_columns(rows: Sequence[VertebraRow]) -> dict[str, tuple[str, int]]:
    """Column -> reader and number of the reading, in the order of their first appearance."""
    most: dict[str, int] = {}
    for row in rows:
        for name, calls in row.readings.items():
            most[name] = max(most.get(name, 0), len(calls))
    return {
        f"reader_{name}" + (f"_{at + 1}" if at else ""): (name, at)
        for name, count in most.items()
        for at in range(count)
    }


def _readings(row: VertebraRow, columns: Mapping[str, tuple[str, int]]) -> list[str]:
    calls = [row.readings.get(name, ())[at : at + 1] for name, at in columns.values()]
    return [_cell(call[0]) if call else "" for call in calls]


def _read(path: Path, kind: type[Row]) -> Table[Row]:
    lines = _lines(path)
    header = [_text(cell.strip()) for cell in lines[0][1]] if lines else []
    needed = [one.name for one in fields(kind) if one.default is MISSING and _has_no_factory(one)]
    if missing := [name for name in needed if name not in header]:
        raise TableUnreadable(path.name, f"it has no column {', '.join(missing)}")
    if twice := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
        raise TableUnreadable(path.name, f"it has several columns {', '.join(twice)}")
    rows: dict[tuple[str, ...], Row] = {}
    problems: list[Problem] = []
    for number, line in lines[1:]:
        cells = _Cells(number, dict(zip(header, line, strict=False)))
        if not any(line):
            continue
        if len(line) < len(header):
            problems.append(_left_out(number, "is cut off"))
            continue
        row = cells.row(kind)
        if row.split not in SPLITS:  # it may be anybody's: to choose cuts, or to prove them
            problems.append(_left_out(number, f"has a split that is none of {', '.join(Split)}"))
            continue
        about = tuple(getattr(row, name) for name in ABOUT if hasattr(row, name))
        if about in rows:
            problems.append(_left_out(number, "says again what a line above says"))
            continue
        rows[about] = row
        problems += cells.problems
    return Table(tuple(rows.values()), tuple(problems))


def _left_out(number: int, what: str) -> Problem:
    return Problem(number, f"line {number} {what}; it is left out.")


def _has_no_factory(one: "Field[Any]") -> bool:
    return one.default_factory is MISSING


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Each record with the number of the line it ends in; semicolons where a spreadsheet put
    them."""
    text = _decoded(path)
    first = text.split("\n", 1)[0]
    semicolons = first.count(";") > first.count(",")
    # newline="": a carriage return may belong to a cell
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if semicolons else ",")
    try:
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise TableUnreadable(path.name, f"line {reader.line_num} is damaged") from error
    return [(n, [_point(c) for c in line]) for n, line in lines] if semicolons else lines


def _decoded(path: Path) -> str:
    if not os.path.isfile(path):  # nor a pipe, which may never end
        raise TableUnreadable(path.name, "it is not there")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise TableUnreadable(path.name, error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise TableUnreadable(path.name, "it is no text in UTF-8") from None
    if len(data) > MOST_BYTES:
        raise TableUnreadable(path.name, f"it is larger than {MOST_BYTES >> 20} MiB")
    return text


def _point(cell: str) -> str:
    """A number with a decimal comma, with a point."""
    return cell.replace(",", ".") if re.fullmatch(r"-?\d+,\d+(e-?\d+)?", cell) else cell


class _Cells:
    """The cells of one line, and what was found wrong in them while they were read."""

    def __init__(self, number: int, cells: Mapping[str, str]) -> None:
        self.number, self.cells = number, cells
        self.problems: list[Problem] = []

    def row(self, kind: type[Row]) -> Row:
        values: dict[str, Any] = {}
        for name, hint in get_type_hints(kind).items():
            if name == "readings":
                values[name] = self._readings()
            elif name in self.cells and name not in APART:
                values[name] = self._value(name, str(hint))
        if sum(values.get(name) or 0.0 for name in CHANCES) > 1 + TO_ONE:
            self._problem(" and ".join(CHANCES), "are more than 1 together")
            values |= dict.fromkeys(CHANCES)
        given = {name: value for name, value in values.items() if value is not _ABSENT}
        return kind(**given)

    def _value(self, name: str, hint: str) -> Any:
        cell = self.cells[name]
        if "str" in hint:
            return self._word(name, _text(cell))
        if not cell.strip():
            return None if "None" in hint else _ABSENT
        try:
            value = next(parse for kind, parse in _PARSE.items() if kind in hint)(cell.strip())
            return _in_range(name, value)
        except ValueError as error:
            self._problem(name, str(error))
            return None if "None" in hint else _ABSENT

    def _word(self, name: str, text: str) -> str:
        if name == SLICES and not _SLICES.fullmatch(text):
            self._problem(name, "holds more than probabilities with spaces between them")
            return ""
        allowed = ALLOWED.get(name)
        if allowed is None or not text or text in allowed:
            return text
        self._problem(name, f"is none of {', '.join(allowed)}")
        return ""

    def _readings(self) -> dict[str, tuple[str, ...]]:
        """Reader -> calls, reading by reading; a gap is ""."""
        found: dict[str, dict[int, str]] = {}
        for column, cell in self.cells.items():
            if match := READER.fullmatch(column):
                call = _text(cell).strip()
                if call not in ("", *ANSWERS):
                    self._problem(column, f"is none of {', '.join(ANSWERS)}")
                    call = ""
                found.setdefault(match["name"], {})[int(match["number"] or 1)] = call
        lists = {name: [of.get(i, "") for i in range(1, max(of) + 1)] for name, of in found.items()}
        return {name: _without_gaps_behind(calls) for name, calls in lists.items() if any(calls)}

    def _problem(self, column: str, words: str) -> None:
        sentence = f"line {self.number}: {column} {words}; the cell counts as empty."
        self.problems.append(Problem(self.number, sentence))


_ABSENT = object()


def _without_gaps_behind(calls: Sequence[str]) -> tuple[str, ...]:
    last = max(i for i, call in enumerate(calls) if call)
    return tuple(calls[: last + 1])


def _truth(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return cell.lower() == "true"


def _whole(cell: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", cell):
        raise ValueError("is no whole number")
    return int(cell)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("is no number")
    return value


_PARSE: Mapping[str, Callable[[str], Any]] = {"bool": _truth, "int": _whole, "float": _number}


def _in_range(name: str, value: Any) -> Any:
    if name in SHARES and not 0 <= value <= 1:
        raise ValueError("is not within 0 to 1")
    if (name.endswith("_mm") or name in ("age", "seconds")) and value < 0:
        raise ValueError("is below 0")
    return value
