"""Where the time of a study goes, as a picture: a bar for each backend and precision."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.bench.parity import DIFFERS
from vfx_edge.bench.record import Record, Row
from vfx_edge.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".svg", ".png")
# Paul Tol's "muted" scheme: distinct with any kind of colour blindness, and in print.
COLOURS = {
    "read": "#332288",
    "locate": "#88CCEE",
    "label": "#44AA99",
    "segment": "#117733",
    "measure": "#DDCC77",
    "classify": "#CC6677",
    "write": "#882255",
    "other": "#DDDDDD",
}
UNKNOWN = "#AA4499"
LEAST_SHARE = 0.005
"""Of the longest bar: a stage that is nowhere longer is left out of the legend."""


def draw(record: Record, path: Path) -> Path:
    """Write the picture; PNG or SVG by the path's ending. The same record, the same bytes.

    OutputError where the place can't be written.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its notes on fonts and caches
    import matplotlib as mpl

    svg = path.suffix.lower() == ".svg"
    # without a salt, SVG would carry random names, and without this a date
    with mpl.rc_context({"svg.hashsalt": "vfx-edge", "font.family": "DejaVu Sans"}):
        figure = figure_of(record)
        with replacing(path) as temporary:
            figure.savefig(
                temporary,
                format="svg" if svg else "png",
                metadata={"Date": None} if svg else {"Software": None},
            )
    return path


def figure_of(record: Record) -> "Figure":
    """The picture, before it is written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.0 + 0.62 * len(record.rows)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, record.rows)
    axes.set_yticks(range(len(record.rows)), [_label(row) for row in record.rows])
    for row, label in zip(record.rows, axes.get_yticklabels(), strict=True):
        if row.parity.verdict == DIFFERS:
            label.set_color("#B00020")
    axes.invert_yaxis()
    axes.set_xlabel("seconds for one study, warm (medians)")
    axes.set_title(_title(record), loc="left", fontsize=10)
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _bars(axes: "Axes", rows: tuple[Row, ...]) -> None:
    ends = [0.0] * len(rows)
    longest = max(row.warm.max for row in rows)
    for stage in dict.fromkeys(name for row in rows for name in row.stages):
        lengths = [row.stages[stage].median if stage in row.stages else 0.0 for row in rows]
        if max(lengths) < LEAST_SHARE * longest:
            continue
        colour = COLOURS.get(stage, UNKNOWN)
        axes.barh(range(len(rows)), lengths, left=ends, color=colour, label=stage,
                  edgecolor="white", linewidth=0.6, height=0.62)  # fmt: skip
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    for at, (row, end) in enumerate(zip(rows, ends, strict=True)):
        axes.annotate(f"{row.warm.median:.2f} s", (max(end, row.warm.median), at),
                      xytext=(5, 0), textcoords="offset points", va="center")  # fmt: skip


def _label(row: Row) -> str:
    return f"{row.name}\n{row.parity.verdict}"


def _title(record: Record) -> str:
    z, y, x = record.input["shape_zyx"]
    scan = f"{'synthetic ' * (record.input['kind'] == 'phantom')}CT, {z} x {y} x {x} voxels"
    gpu = record.machine["gpu"]
    cpu = f"{record.machine['cpu']['name']}, {record.threads} threads"
    return f"{scan}\n{cpu}{f'; {gpu}' if gpu else ''}"
