"""How time and memory grow: with finer slices, with a longer spine, with more of the patient."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import inputs, options
from benchmarks.processes import gathered, whole_command
from benchmarks.results import Kept
from vfx_edge.cli.phantom import FIELD_MM
from vfx_edge.phantom import PhantomSpec

COUNTS = (100, 200, 400, 800, 1500)
EXTENT_MM = 500.0
"""What T1 to L5 take, and the margins: 100 slices of 5 mm, 1,500 of a third of a millimetre."""
SPINES = {5: "L1", 9: "T9", 12: "T6", 17: "T1", 24: "C1"}
"""Vertebrae down to L5 -> the first of them."""
TITLES = {
    "finer": "the same spine in finer slices",
    "spine": "a longer spine, slices of 1 mm",
    "longer": "more of the patient, slices of 1 mm",
}
"""The series."""


@dataclass(frozen=True)
class Point:
    """One phantom of a series. x: what grows."""

    series: str
    x: int
    spec: PhantomSpec


def points(matrix: int, scale: float) -> Iterator[Point]:
    """All phantoms; scale: of the number of slices, below 1 to try only."""
    pixel = FIELD_MM / matrix
    base = PhantomSpec(pixel_mm=pixel, matrix=(matrix, matrix), seed=7)
    for count in COUNTS:
        slices = round(count * scale)
        spec = replace(base, slices=slices, spacing_mm=EXTENT_MM / slices)
        yield Point("finer", slices, spec)
    for vertebrae, first in SPINES.items():
        yield Point("spine", vertebrae, replace(base, levels=(first, "L5"), spacing_mm=1 / scale))
    for count in COUNTS:
        slices = round(count * scale)
        yield Point("longer", slices, replace(base, slices=slices, spacing_mm=1 / scale))


def command(
    repeat: options.Repeat = 3,
    matrix: options.Matrix = 512,
    scale: Annotated[
        float, typer.Option(help="Of the number of slices; below 1 to try only.", min=0.05, max=1)
    ] = 1.0,
    isa: options.Isa = None,
) -> None:
    """100 to 1,500 slices, 5 to 0.33 mm, spines of 5 to 24 vertebrae: the whole command."""
    kept = Kept("growth", {"repeat": repeat, "matrix": matrix, "scale": scale})
    rows = [
        {
            "series": point.series,
            "x": point.x,
            "spacing_mm": point.spec.spacing_mm,
            **kept.point(f"{point.series}, {point.x}", _cost, point, repeat),
        }
        for point in points(matrix, scale)
    ]
    kept.finish({"rows": rows})


def _cost(point: Point, repeat: int) -> dict[str, Any]:
    """Every run of one phantom, which is thrown away afterwards."""
    with inputs.phantom(point.spec) as scan:
        what = inputs.facts(scan.path)
        runs = [whole_command(scan.path) for _ in range(repeat + 1)][1:]  # the first fills caches
    return {"input": what, "vertebrae": runs[0]["vertebrae"], **gathered(runs)}


def series(figures: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The points of one series, smallest first."""
    return sorted((r for r in figures["rows"] if r["series"] == name), key=lambda r: r["x"])


def exponent(x: list[float], y: list[float]) -> float:
    """k of y ~ x^k, by a straight line through the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def time_exponents(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of the whole command, and of each stage that takes at least 1 % of the longest point."""
    x = [float(row["x"]) for row in rows]
    found = {"whole command": exponent(x, [median(row["wall_s"]) for row in rows])}
    least = 0.01 * max(median(row["wall_s"]) for row in rows)
    for name in rows[0]["stages_s"]:
        seconds = [median(row["stages_s"][name]) for row in rows]
        if max(seconds) >= least and min(seconds) > 0:
            found[name] = exponent(x, seconds)
    return found


def memory_line(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Slope and offset (MiB) of the straight line of peak memory over the volume's int16 size."""
    slope, offset = np.polyfit(
        [row["input"]["int16_mib"] for row in rows],
        [median(row["peak_rss_mib"]) for row in rows],
        1,
    )
    return float(slope), float(offset)


@dataclass(frozen=True)
class Step:
    """From one number of slices to the next: seconds more, in all and for reading."""

    slices: tuple[int, int]
    more_s: float
    more_reading_s: float
    noise_s: float
    """Half of how far the runs of the two points lie apart, added up."""

    @property
    def excess_s(self) -> float:
        """What the further slices cost beyond being read."""
        return self.more_s - self.more_reading_s


def steps(rows: list[dict[str, Any]]) -> list[Step]:
    """Each step of a series of slices."""
    return [
        Step(
            (low["x"], high["x"]),
            median(high["wall_s"]) - median(low["wall_s"]),
            median(high["stages_s"]["read"]) - median(low["stages_s"]["read"]),
            sum(max(row["wall_s"]) - min(row["wall_s"]) for row in (low, high)) / 2,
        )
        for low, high in pairwise(rows)
    ]
