"""Features of vertebrae as tables: `features.csv` beside a result, and that of an evaluation."""

import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from vfx_edge.errors import InputError
from vfx_edge.outputs.features import ABOUT, TABLE
from vfx_edge.radiomics import FEATURES
from vfx_edge.scoring.answers import MOST_FEATURES, Features
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import write_table
from vfx_edge.vocabulary import Level

KNOWN = ("model", "study", "patient", "split", "level", "label", "sex", "age", "called", "reason")
"""Columns before the features, as in `vertebrae.csv`: the first five say whose they are, `label`
what is true, `called` which level the program takes it for."""
MOST_BYTES = 2**24


class FeaturesUnreadable(InputError):
    """The table beside a result is none of `vfx-edge run`."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{TABLE} beside the result can't be read ({why}): run the study again with "
            "--outputs radiomics, or remove the file."
        )


def write_features(path: Path, rows: Sequence[VertebraRow]) -> Path:
    """Writes the evaluation's `features.csv`, a row for each of `vertebrae.csv`; an empty cell: not
    defined, or nothing was measured there. OutputError when the place can't be written."""
    there = {name for row in rows for name in row.features}
    names = [name for name in FEATURES if name in there]
    names += sorted(there - set(names))
    lines = (
        [*(getattr(row, column) for column in KNOWN), *(row.features.get(n) for n in names)]
        for row in rows
    )
    return write_table(path, [*KNOWN, *names], lines)


def features_beside(result: Path) -> dict[str, Features]:
    """Level -> features, of the table that lies beside a `result.json`; nothing where none does.
    FeaturesUnreadable."""
    path = result.with_name(TABLE)
    if result.name != "result.json" or not os.path.isfile(path):
        return {}
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise FeaturesUnreadable("it is too large")
        lines = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
        return dict(_levels(lines))
    except OSError as error:
        raise FeaturesUnreadable(error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise FeaturesUnreadable("it is no text") from None
    except msgspec.ValidationError:
        raise FeaturesUnreadable("a column's name is none") from None
    except (csv.Error, ValueError):  # whose words may quote a cell
        raise FeaturesUnreadable("a level or a number is none") from None


def _levels(lines: Iterable[list[str]]) -> Iterable[tuple[str, Features]]:
    lines = iter(lines)
    header = next(lines, [])
    if tuple(header[: len(ABOUT)]) != ABOUT or len(header) > MOST_FEATURES:
        raise FeaturesUnreadable("its columns are others")
    names = header[len(ABOUT) :]
    for line in lines:
        level, cells = Level(line[0]).value if line else "", line[len(ABOUT) :]
        if len(cells) != len(names):
            raise FeaturesUnreadable("a line is cut off")
        numbers = {name: float(cell) for name, cell in zip(names, cells, strict=True) if cell}
        if not all(map(math.isfinite, numbers.values())):
            raise ValueError("a number is none")
        yield level, msgspec.convert(numbers, Features)
