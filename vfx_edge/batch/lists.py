"""A list of studies: a path a line, or a table with a column path, whatever saved it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError
from vfx_edge.labelled.errors import ColumnsMissing, NotALabelFile
from vfx_edge.labelled.folders import is_there, normal_path
from vfx_edge.labelled.table import Columns, read_table, read_text

LISTS = (".txt", ".lst", ".csv", ".tsv")
_TABLES = (".csv", ".tsv")
MOST_PATHS = 1_000_000
_COLUMNS = Columns(("path",), ("path",), most_bytes=2**28, most_rows=MOST_PATHS)
_QUOTES = ('"', "'")


class ListUnreadable(InputError):
    """A list of studies that is none."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} is no list of studies ({why}): write one path a line, or a CSV file with "
            "a column path."
        )


@dataclass(frozen=True)
class Entry:
    """A path that was given. place: "line 3", or "". base: names are made of how it lies to this
    folder, so that all may be moved together."""

    path: Path
    place: str
    base: Path


def read_list(path: Path) -> list[Entry]:
    """The paths of a list; those that are not absolute lie beside it. PathUnreadable,
    ListUnreadable."""
    try:
        is_table = path.suffix.lower() in _TABLES
        rows = list(_cells(path) if is_table else _lines(path))
    except ColumnsMissing:
        raise ListUnreadable(path, "no column is called path") from None
    except NotALabelFile as error:
        raise ListUnreadable(path, error.why) from None
    if len(rows) > MOST_PATHS:
        raise ListUnreadable(path, f"it has more than {MOST_PATHS} lines")
    if not rows:
        raise ListUnreadable(path, "no path stands in it")
    base = path.absolute().parent
    return [Entry(_placed(base, words), f"line {number}", base) for number, words in rows]


def _placed(base: Path, words: str) -> Path:
    """As it stands there; else as another system would have written it."""
    plain = base / words
    return plain if is_there(plain) else normal_path(base, words)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_text(path, _COLUMNS).split("\n"), 1):
        words = line.strip()
        if len(words) > 1 and words[0] in _QUOTES and words[0] == words[-1]:
            words = words[1:-1].strip()  # as Windows copies a path
        if words and not words.startswith("#"):
            yield number, words


def _cells(path: Path) -> Iterator[tuple[int, str]]:
    for line in read_table(path, _COLUMNS).lines:
        if words := line.get("path"):
            yield line.number, words
