"""A benchmark on the terminal: what to take first, then the tables."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.bench.compare import Comparison, Line
from vfx_edge.bench.machine import BUSY
from vfx_edge.bench.parity import DIFFERS
from vfx_edge.bench.record import Record, Row
from vfx_edge.bench.samples import FEWEST, FEWEST_FOR, Samples, ratio, verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LEAST_WIDTH = 120
"""Narrower terminals wrap the lines: a figure that is cut off would be worse."""
BRIEF = {"within tolerance": "in tolerance"}
LEAST_STAGE_S = 0.01
"""A stage that differs by less is not worth a line of its own."""


def show_record(record: Record, *, brief: bool = False) -> None:
    """All tables on standard output; `brief`: only the first."""
    console = _console()
    console.print(_about(record))
    console.print(_rows(record))
    for row in record.rows:
        if row.parity.verdict == DIFFERS:
            console.print(f"{row.name}: {row.parity}", style="bold red", soft_wrap=True)
    others = {row.parity.reason for row in record.rows if row.parity.verdict != DIFFERS}
    for reason in sorted(others - {""}):
        console.print(f"Answers: {reason}", soft_wrap=True)
    for warning in record.warnings:
        console.print(f"Note: {warning}", style="yellow", soft_wrap=True)
    if not brief:
        _more(record, console)
    console.print(_advice(record), style="bold", soft_wrap=True)


def _console() -> "Console":
    from rich.console import Console

    width = Console(file=sys.stdout).width if sys.stdout.isatty() else 0
    return Console(file=sys.stdout, highlight=False, markup=False, width=max(width, LEAST_WIDTH))


def _about(record: Record) -> str:
    machine, scan = record.machine, record.input
    z, y, x = scan["shape_zyx"]
    mm = " x ".join(f"{edge:g}" for edge in scan["spacing_zyx_mm"])
    what = "phantom" if scan["kind"] == "phantom" else "CT"
    gpu = machine["gpu"] or "no NVIDIA GPU"
    return (
        f"{what} of {z} slices, {y} x {x}, {mm} mm ({scan['int16_mib']:.0f} MiB); "
        f"models: {record.models['name']} {record.models['version']}\n"
        f"{machine['cpu']['name']}, {record.threads} threads, {machine['memory_gib']:.0f} GiB; "
        f"{gpu}; vfx-edge {record.version}"
    )


def _table(title: str, *headings: str) -> "Table":
    """The first column is words, the others are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  pad_edge=False)  # fmt: skip
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if at else "left", no_wrap=True)
    return table


def _rows(record: Record) -> "Table":
    gpu = any(row.peak_vram_mib is not None for row in record.rows)
    counts = sorted({len(row.warm) for row in record.rows})
    runs = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    table = _table(
        f"One study from path to files, seconds; warm runs: {runs}",
        *("", "median", "95 % interval", "answers", "p95", "p99", "min", "max", "first", "open"),
        "MiB",
        *(["GPU MiB"] if gpu else []),
    )
    for row in record.rows:
        table.add_row(
            row.name,
            _noted(row.warm),
            _interval(row.warm.interval),
            BRIEF.get(row.parity.verdict, row.parity.verdict),
            *(_s(value) for value in (row.warm.p95, row.warm.p99, row.warm.min, row.warm.max)),
            _s(row.first_s),
            _s(row.open_s),
            f"{row.peak_rss_mib:.0f}",
            *([_mib(row)] if gpu else []),
            style="red" if row.parity.verdict == DIFFERS else None,
        )
    return table


def _mib(row: Row) -> str:
    return "-" if row.peak_vram_mib is None else f"{row.peak_vram_mib:.0f}"


def _s(seconds: float | None) -> str:
    """A dash for what the runs are too few to tell."""
    return "-" if seconds is None else f"{seconds:.2f}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "-" if bounds is None else "{:.2f} to {:.2f}".format(*bounds)


def _noted(samples: Samples) -> str:
    """A median, with a mark where the runs differ too much for it."""
    return f"{'~' * samples.noisy}{_s(samples.median)}"


def _more(record: Record, console: "Console") -> None:
    console.print(_legend(record))
    console.print(_stages(record))
    if record.command is not None:
        console.print(_command(record))
    if record.throughput is not None:
        found = record.throughput
        console.print(
            f"Throughput, {found.backend} {found.precision}: {found.per_minute:.1f} studies a "
            f"minute ({found.studies} in a row, the next one read meanwhile; "
            f"peak {found.peak_rss_mib:.0f} MiB)\n",
            soft_wrap=True,
        )
    for one in record.unavailable:
        remedy = f"; to have it: {one.remedy}" if one.remedy else ""
        console.print(f"Not measured: {one.name}: {one.reason}{remedy}", soft_wrap=True)


def _legend(record: Record) -> str:
    needed = ", ".join(f"p{percent} takes {runs}" for percent, runs in FEWEST_FOR.items())
    return (
        f"-: too few runs (--repeat): the interval of the median takes {FEWEST}, {needed}\n"
        "answers: against the reference, cpu fp32, on this CT: the same vertebrae, suspicions and\n"
        "  tiers, and each network within the tolerance of its manifest; else DIFFERS\n"
        "first: the first study after opening; open: the networks opened with nothing compiled\n"
        "  before; both measured once; MiB: peak memory of the process"
        + ("\n~ the runs differ much among themselves" * any(r.warm.noisy for r in record.rows))
        + "\n"
    )


def _stages(record: Record) -> "Table":
    every = dict.fromkeys(name for row in record.rows for name in row.stages)
    medians = {
        name: [row.stages[name].median if name in row.stages else 0.0 for row in record.rows]
        for name in every
    }
    shown = [name for name in every if max(medians[name]) >= 0.005]
    table = _table("Where the time goes, seconds, medians of the warm runs", "", *shown)
    for at, row in enumerate(record.rows):
        table.add_row(row.name, *(_s(medians[name][at]) for name in shown))
    return table


def _command(record: Record) -> "Table":
    found = record.command
    assert found is not None
    table = _table(
        f"`vfx-edge run --backend {found.backend}` ({found.used} {found.precision}), seconds",
        *("", "median", "p95", "p99", "min", "max", "runs"),
    )
    runs = {
        "cold: new process, nothing cached": found.cold,
        "first: new process, all cached": found.first,
    }
    if (row := record.default_row) is not None:
        runs["warm: in a running process"] = row.warm
    for name, s in runs.items():
        values = (s.p95, s.p99, s.min, s.max)
        table.add_row(name, _noted(s), *map(_s, values), str(len(s)))
    return table


def _advice(record: Record) -> str:
    """The fastest that gives the right answers, as far as these runs can tell."""
    right = [row for row in record.rows if row.parity.verdict not in (DIFFERS, "not compared")]
    words = _best(right, record) if right else (
        "No backend was found to give the reference's answers: none can be recommended."
    )  # fmt: skip
    taken = record.default_row
    if taken is not None and taken.parity.verdict == DIFFERS:
        words += f" What `vfx-edge run` takes by itself, {taken.name}, does not give them here."
    return words


def _best(right: list[Row], record: Record) -> str:
    """right: at least one row, all with the reference's answers."""
    best = min(right, key=lambda row: row.warm.median)
    seen = f"{best.name}, {_s(best.warm.median)} s a study, {best.peak_rss_mib:.0f} MiB"
    here = "this phantom" if record.input["kind"] == "phantom" else "this CT"
    if len(record.rows) == 1:
        return f"Only {seen}, was measured: there is nothing to compare it with."
    if (fewest := min(len(row.warm) for row in right)) < FEWEST:
        return (
            f"No advice: {fewest} warm run{'s' * (fewest > 1)} of a backend, and {FEWEST} are the "
            f"least that tell noise from speed: --repeat {FEWEST + 1}. Fastest here was {seen}."
        )
    if max(row.busy for row in right) > BUSY:
        return (
            "No advice: other programs took the processor from some backends more than from "
            f"others. Fastest here was {seen}: measure again with nothing else going on."
        )
    words = f"Fastest with the right answers on {here}: {seen}."
    close = [r for r in right if r is not best and verdict(ratio(best.warm, r.warm)) != "faster"]
    if close:
        words += f" Not clearly slower: {', '.join(row.name for row in close)}; more runs may tell."
    return words


def show_comparison(found: Comparison, a: Path, b: Path) -> None:
    """What was not the same, then the table."""
    console = _console()
    console.print(f"A: {a}\nB: {b}", soft_wrap=True)
    for difference in found.differences:
        console.print(f"Not the same: {difference}", style="yellow", soft_wrap=True)
    if not found.lines:
        console.print("Nothing was measured in both files.")
        return
    table = _table("B against A", "", "A", "B", "B / A", "95 % interval", "B is")
    for line in found.lines:
        if not line.stage or _tells(line):
            _add_line(table, line)
    console.print(table)
    for note in found.notes:
        console.print(f"Note: {note}", style="yellow", soft_wrap=True)


def _tells(line: Line) -> bool:
    """Whether a stage is a reason for what the study as a whole does."""
    return line.verdict in ("faster", "slower") and abs(line.a - line.b) >= LEAST_STAGE_S


def _add_line(table: "Table", line: Line) -> None:
    digits = 2 if line.unit == "s" else 0 if line.unit == "MiB" else 1
    styles = {"faster": "green", "slower": "red"}
    table.add_row(
        f"  {line.what.partition(': ')[2]}, s" if line.stage else f"{line.what}, {line.unit}",
        f"{line.a:.{digits}f}",
        f"{line.b:.{digits}f}",
        f"{line.ratio:.2f}",
        _interval(line.interval),
        line.verdict or "measured once",
        style=styles.get(line.verdict),
    )
