"""The pictures of docs/benchmarks.md: the same figures, the same bytes."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import growth, limits

# Okabe and Ito's colours, which colour-blind people can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
MARKERS = "os^Dv"
SETTINGS: Any = {
    "svg.hashsalt": "vfx-edge",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
Figures = dict[str, Any]


def draw(name: str, figures: Figures, path: Path) -> None:
    """One of PICTURES from its script's figures, as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context(SETTINGS):
        picture = PICTURES[name](figures)
        picture.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(picture)


def _growth(found: Figures) -> Any:
    """Time over slices and vertebrae, memory over the volume's size."""
    from matplotlib import pyplot

    picture, (time, memory) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, colour in zip(growth.TITLES, COLOURS, strict=False):
        rows = growth.series(found, name)
        slices = [row["input"]["shape_zyx"][0] for row in rows]
        title = growth.TITLES[name]
        time.plot(slices, [median(r["wall_s"]) for r in rows], "o-", color=colour, label=title)
        reading = [median(r["stages_s"]["read"]) for r in rows]
        time.plot(slices, reading, "--", color=colour, linewidth=0.8)
        memory.plot(
            [row["input"]["int16_mib"] for row in rows],
            [median(row["peak_rss_mib"]) for row in rows],
            "o",
            color=colour,
        )
    slope, offset = growth.memory_line(found["rows"])
    largest = max(row["input"]["int16_mib"] for row in found["rows"])
    memory.plot([0, largest], [offset, offset + slope * largest], "-", color=COLOURS[7])
    time.set(xscale="log", yscale="log", xlabel="slices", ylabel="seconds; dashed: reading alone")
    memory.set(xlabel="volume as int16, MiB", ylabel="peak memory, MiB")
    handles = time.get_legend_handles_labels()
    picture.legend(*handles, loc="outside upper center", ncols=3, frameon=False)
    return picture


def _roofline(found: Figures) -> Any:
    """Memory's slope, the measured peaks, and where the networks lie."""
    import numpy as np
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    intensity = np.geomspace(3, 1000, 60)
    slope = limits.bandwidth(found) * intensity
    precisions = dict.fromkeys(row["precision"] for row in found["conv"])
    for precision, colour in zip(precisions, (COLOURS[0], COLOURS[5], COLOURS[2]), strict=False):
        roof = np.minimum(slope, limits.conv_peak(found, precision))
        axes.plot(intensity, roof, color=colour, label=f"{precision}: convolution peak")
        if gemm := limits.gemm_peak(found, precision):
            axes.plot(
                intensity, np.minimum(slope, gemm), "--", color=colour, linewidth=0.8,
                label=f"{precision}: matrix product",
            )  # fmt: skip
        here = [row for row in found["networks"] if row["precision"] == precision]
        for row, marker in zip(here, MARKERS, strict=False):
            x = row["gflop_each"] * 1e3 / (row["mib_each"] * 2**20 / 1e6)
            label = f"{precision}: {row['role']}"
            axes.plot(x, limits.gflops(row), marker, color=colour, label=label)
    axes.set(xscale="log", yscale="log", ylabel="GFLOP/s")
    axes.set_xlabel("operations for each byte that has to be moved")
    picture.legend(loc="outside right center", frameon=False)
    return picture


PICTURES: dict[str, Callable[[Figures], Any]] = {
    "growth": _growth,
    "limits": _roofline,
}
"""By the script whose figures they show."""
