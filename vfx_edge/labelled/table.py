"""The bytes of a spreadsheet's CSV -> its rows as texts, whatever it was saved with: separator,
byte order mark, code page."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.inputs.files import PathMissing, PathUnreadable
from vfx_edge.labelled.columns import CLINICAL, COLUMNS, READER, REPEAT_OF, REQUIRED
from vfx_edge.labelled.errors import ColumnsMissing, NotALabelFile

MOST_BYTES, MOST_ROWS, MOST_COLUMNS = 2**25, 200_000, 500
_SEPARATORS = ",;\t|"
_NONE = "\x1f"
"""A separator that no text has."""
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_WORKBOOKS = {b"PK\x03\x04": "an .xlsx workbook", b"\xd0\xcf\x11\xe0": "an .xls workbook"}
_AS_CSV = "save the sheet as CSV"


@dataclass(frozen=True)
class Line:
    """number: as a spreadsheet counts, the header is 1. cells: known column -> text, stripped.
    spilled: cells beyond the header's last hold something."""

    number: int
    cells: Mapping[str, str]
    spilled: bool = False

    def get(self, column: str) -> str:
        """The text, "" where there is none."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class Table:
    """unknown: how a spreadsheet calls the columns that were not read (A, B …)."""

    path: Path
    lines: tuple[Line, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """What a table may have, beside readers, and what it must have."""

    all: tuple[str, ...] = (*COLUMNS, *CLINICAL, REPEAT_OF)
    required: tuple[str, ...] = REQUIRED
    most_bytes: int = MOST_BYTES
    most_rows: int = MOST_ROWS

    def knows(self, name: str) -> bool:
        return name in self.all or (name.startswith(READER) and len(name) > len(READER))


LABEL_COLUMNS = Columns()


def read_table(path: Path, columns: Columns = LABEL_COLUMNS) -> Table:
    """The known columns of each row that holds anything. Raises InputError leaves."""
    text = read_text(path, columns)
    mark, _, rest = text.partition("\n")
    if mark.strip().casefold().startswith("sep=") and len(mark.strip()) <= len("sep=") + 1:
        text = rest  # Excel's own first line, which it does not count
    rows = _rows(path, text, _separator(text, columns), columns.most_rows)
    number, header = next(((n, row) for n, row in rows if any(row)), (1, []))
    names = [_name(cell) for cell in header]
    _check_header(path, names, columns)
    lines = tuple(_line(n, names, row, columns) for n, row in rows if any(row))
    known = {name for name in names if columns.knows(name)}
    unknown = tuple(
        _letters(i) for i, name in enumerate(names) if name not in known and header[i].strip()
    )
    # blank lines above the header are counted, as a spreadsheet does
    return Table(path, tuple(line for line in lines if line.number > number), unknown)


def read_text(path: Path, columns: Columns = LABEL_COLUMNS) -> str:
    """All of it, with plain line ends, whatever it was saved with. InputError leaves."""
    return _decoded(path, _content(path, columns.most_bytes))


def _content(path: Path, most: int) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise NotALabelFile(path, "it is no file", "give the table of labels")
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        raise PathMissing(path) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise PathUnreadable(path, str(why)) from None
    if len(content) > most:
        why = f"it is larger than {most >> 20} MiB"
        raise NotALabelFile(path, why, "give the table of labels alone")
    for start, what in _WORKBOOKS.items():
        if content.startswith(start):
            raise NotALabelFile(path, f"it is {what}, whatever its name says", _AS_CSV)
    return content


def _decoded(path: Path, content: bytes) -> str:
    coding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if coding is None and b"\0" in content[:200]:
        coding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        text = content.decode(coding or "utf-8")
    except UnicodeDecodeError:
        if coding is not None:
            raise NotALabelFile(path, "its text is damaged", f"{_AS_CSV} in UTF-8") from None
        text = content.decode("cp1252", "replace")
    if "\0" in text:
        raise NotALabelFile(path, "it holds no text", _AS_CSV)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _rows(path: Path, text: str, separator: str, most: int) -> Iterator[tuple[int, list[str]]]:
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=separator), 1):
            if number > most:
                raise _too_long(path, most)
            yield number, [cell.strip() for cell in row]
    except csv.Error:
        remedy = f"{_AS_CSV} again; look for a quotation mark that is not closed"
        raise NotALabelFile(path, "its quotation marks don't fit", remedy) from None


def _too_long(path: Path, most: int) -> InputError:
    return NotALabelFile(path, f"it has more than {most} rows", "give the table of labels alone")


def _separator(text: str, columns: Columns) -> str:
    """The one by which most columns are known; a table of one column has none, and what looks like
    one belongs to its cells."""
    separator = max(_SEPARATORS, key=lambda one: _known(text, one, columns))
    first = next((line for line in text[:100_000].split("\n") if line.strip(' "')), "")
    return separator if separator in first else _NONE


def _known(text: str, separator: str, columns: Columns) -> int:
    """How many known columns the first line that holds anything has with this separator."""
    first = next((line for line in text[:100_000].split("\n") if line.strip(separator + ' "')), "")
    try:
        cells = next(csv.reader([first], delimiter=separator), [])
    except csv.Error:
        return 0
    return sum(columns.knows(_name(cell)) for cell in cells)


def _name(cell: str) -> str:
    """As columns are compared: case, spaces and hyphens don't count."""
    return "_".join(cell.strip().lstrip("\ufeff").casefold().replace("-", "_").split())


def _check_header(path: Path, names: list[str], columns: Columns) -> None:
    if len(names) > MOST_COLUMNS:
        why = f"it has more than {MOST_COLUMNS} columns"
        raise NotALabelFile(path, why, "give the table of labels alone")
    if missing := [name for name in columns.required if name not in names]:
        raise ColumnsMissing(path, missing)
    places: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(_letters(i))
    for name, letters in places.items():
        if columns.knows(name) and len(letters) > 1:
            why = f"columns {' and '.join(letters)} have the same name"
            raise NotALabelFile(path, why, "give each column a name of its own")


def _letters(i: int) -> str:
    """0 -> A, 26 -> AA."""
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)


def _line(number: int, names: list[str], row: list[str], columns: Columns) -> Line:
    full = [*row, *[""] * (len(names) - len(row))]
    cells = {name: cell for name, cell in zip(names, full, strict=False) if columns.knows(name)}
    return Line(number, cells, any(row[len(names) :]))
