"""How often a nominal 95 % interval holds the truth, simulated: for docs/statistics.md."""

from dataclasses import asdict
from typing import Annotated, Any
from zlib import crc32

import numpy as np
import typer

from benchmarks import results
from benchmarks.coverage_settings import RESAMPLES, Setting, settings
from benchmarks.results import Kept
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table

PAGE = results.ROOT / "docs" / "statistics.md"
LEAST, MOST = 0.93, 0.97
ROUNDING = 1e-12


def command(
    simulations: Annotated[
        int, typer.Option(help="Data sets drawn in each setting.", min=1)
    ] = 1000,
) -> None:
    """How often each kind of 95 % interval holds the truth. Writes docs/statistics.md."""
    kept = Kept("coverage", {"simulations": simulations, "resamples": RESAMPLES})
    rows = [kept.point(one.name, covered, one, simulations) for one in settings()]
    kept.finish({"rows": rows})
    render()


def covered(setting: Setting, simulations: int) -> dict[str, Any]:
    """Counts: intervals that hold the truth, lie above or below it; and draws without one."""
    rng = np.random.default_rng(crc32(setting.name.encode()))
    about = {k: v for k, v in asdict(setting).items() if k != "draw"}
    counts = dict.fromkeys(("holds", "above", "below", "without"), 0)
    for _ in range(simulations):
        counts[_outcome(setting, rng)] += 1
    return {**about, **counts}


def _outcome(setting: Setting, rng: np.random.Generator) -> str:
    found = setting.draw(rng)
    if found is None or found.low is None or found.high is None:
        return "without"
    if found.low > setting.truth + ROUNDING:
        return "above"
    return "below" if found.high < setting.truth - ROUNDING else "holds"


def coverage(row: dict[str, Any]) -> float:
    """0..1, of the draws that had an interval."""
    return float(row["holds"] / (row["holds"] + row["above"] + row["below"]))


def render() -> None:
    """Write the table of docs/statistics.md from what was simulated."""
    found = results.read("coverage")
    assert found is not None
    PAGE.write_text(page(PAGE.read_text("utf-8"), found), encoding="utf-8")


def page(text: str, record: dict[str, Any]) -> str:
    """`text` with the table made anew."""
    return replaced(text, "coverage", _table(record))


def _table(record: dict[str, Any]) -> str:
    rows = record["figures"]["rows"]
    used = [row for row in rows if row["used"]]
    inside = sum(LEAST <= coverage(row) <= MOST for row in used)
    head = ("figure", "of", "interval", "holds the truth", "lies above", "below", "none")
    simulations, resamples = (record["settings"][key] for key in ("simulations", "resamples"))
    return (
        f"Of the {len(used)} that the program shows, {inside} hold the truth in 93 to 97 % of "
        f"{simulations:,} simulations (the bootstrap with {resamples:,} resamples).\n\n"
        + table(head, [_row(row) for row in rows])
        + "\n"
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    share, drawn = coverage(row), row["holds"] + row["above"] + row["below"]
    shown = f"{100 * share:.1f} %"
    return (
        row["figure"],
        row["cases"],
        row["method"] if row["used"] else f"{row['method']} (to compare)",
        shown if LEAST <= share <= MOST else f"**{shown}**",
        *(f"{100 * row[side] / drawn:.1f} %" for side in ("above", "below")),
        str(row["without"]),
    )
