"""`readings.csv` of one reader: it only grows, each line flushed to the disk before the next case
is shown. So a server that is killed loses no answer."""

import csv
import io
import os
from dataclasses import fields
from pathlib import Path

from vfx_edge.errors import OutputError
from vfx_edge.files import as_output_error, make_folder, write_text
from vfx_edge.scoring.readings import (
    AIDED,
    FIELDS,
    UNAIDED,
    Reading,
    Readings,
    ReadingsUnreadable,
    read_readings,
)

FOLDER = "readings"


class ReadingsChanged(OutputError):
    """Somebody else writes the same file."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is written by another program at the same time: let each reader read in one "
            "place only, and start again."
        )


class Log:
    """The file of one reader. Not for several threads at once."""

    def __init__(self, folder: Path, reader: str) -> None:
        """folder: of the evaluation. Reads what is there; OutputError, ReadingsUnreadable."""
        self.path = make_folder(folder / FOLDER) / f"{reader}.csv"
        with as_output_error(self.path):
            there = self.path.exists()
            if there:
                _mend(self.path)
        if not there:
            write_text(self.path, _line(FIELDS))
        self.before: Readings = read_readings(self.path)
        self._size = self.path.stat().st_size

    def add(self, reading: Reading) -> None:
        """On the disk when this returns. OutputError."""
        data = _line(_cells(reading)).encode("utf-8")
        with as_output_error(self.path), self.path.open("ab") as stream:
            if stream.tell() != self._size:
                raise ReadingsChanged(self.path)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        self._size += len(data)


def _mend(path: Path) -> None:
    """Without the part of a line that a power cut left at the end. ReadingsUnreadable where the
    file is not as it was written: lines that are added would not fit."""
    with path.open("rb+") as stream:
        if stream.readline() != _line(FIELDS).encode():
            raise ReadingsUnreadable(path, "another program has written it anew")
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)


def _line(cells: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cells(reading: Reading) -> tuple[str, ...]:
    values = {one.name: getattr(reading, one.name) for one in fields(reading)}
    values["pass"] = AIDED if reading.aided else UNAIDED
    if reading.seconds is not None:
        values["seconds"] = f"{reading.seconds:.3f}"
    return tuple("" if values[name] is None else str(values[name]) for name in FIELDS)
