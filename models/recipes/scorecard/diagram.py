"""The reliability diagram of the names: what was said against what was so, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

DIAGRAM = Path("docs") / "names.svg"


def draw_reliability(bins: Sequence[Mapping[str, Any]], path: Path) -> None:
    """SVG of the bins of `names.reliability`; the same figures give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "vfx-edge", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(5.2, 4.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="as true as said")
        said, right = ([one[key] for one in bins] for key in ("said", "right"))
        whole = sum(one["count"] for one in bins)
        sizes = [20 + 600 * one["count"] / whole for one in bins]
        axes.plot(said, right, color="#332288", linewidth=1)
        axes.scatter(said, right, s=sizes, color="#332288", alpha=0.75, label="names (by number)")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="certainty that was stated",
                 ylabel="share of names that was right")  # fmt: skip
        axes.set_title("Names of levels, random cuts of left-out CT", fontsize=10)
        axes.legend(loc="upper left", frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
