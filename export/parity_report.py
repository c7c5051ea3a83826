"""The rows of a comparison on screen, in the model card and as JSON."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from vfx_edge.bench.networks import Row
from vfx_edge.manifest import ModelManifest
from vfx_edge.manifest.errors import SetNotWritten

BEGIN, END = "<!-- parity:begin -->", "<!-- parity:end -->"
COLUMNS = (
    "network", "crops", "backend", "precision", "max", "mean", "shift", "Dice", "tiers changed",
    "verdict",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """One row as text, in the order of COLUMNS."""
    precision = row.precision + ("*" if row.computed else "")
    f = row.figures
    if f is None:
        head = (row.network, row.source, row.backend, precision)
        return (*head, *("–" for _ in COLUMNS[len(head) + 1 :]), verdict(row))
    return (
        row.network,
        f"{f.crops} {row.source}",
        row.backend,
        precision,
        f"{f.max_difference:.1e}",
        f"{f.mean_difference:.1e}",
        f"{f.shift:+.1e}",
        "–" if f.min_dice is None else f"{f.min_dice:.4f}",
        "–" if f.tier_changes is None else str(f.tier_changes),
        verdict(row),
    )


def verdict(row: Row) -> str:
    """ "passes" or "FAILS"; a precision that the manifest does not allow decides nothing."""
    word = "passes" if row.passed else "FAILS"
    return word if row.allowed else f"{word.lower()}, not allowed"


def notes(rows: Sequence[Row], skipped: Mapping[str, str]) -> list[str]:
    """What the table has no place for."""
    about = [f"* {computed}" for computed in dict.fromkeys(r.computed for r in rows) if computed]
    return [*about, *(f"not compared: {name}: {why}" for name, why in skipped.items())]


def show(rows: Sequence[Row], skipped: Mapping[str, str], reference: str, to: "IO[str]") -> None:
    """The table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=to, width=None if to.isatty() else 160, highlight=False)
    title = f"Differences of probabilities from {reference}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for name in COLUMNS:  # words break where the terminal is narrow, figures never do
        if name in (*COLUMNS[:4], "verdict"):
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=" " not in name)
    for row in rows:
        style = None if row.passed or not row.allowed else "bold red"
        table.add_row(*cells(row), style=style)
    console.print(table)
    for line in notes(rows, skipped):
        console.print(line, markup=False)


def as_json(rows: Sequence[Row], skipped: Mapping[str, str], reference: str) -> str:
    """The same for programs."""
    value = {
        "schema": "vfx-edge/parity/1",
        "reference": reference,
        "passed": all(row.passed for row in rows if row.allowed),
        "rows": [asdict(row) for row in rows],
        "skipped": dict(skipped),
    }
    return json.dumps(value, indent=2, allow_nan=False)


def card_section(
    manifest: ModelManifest, rows: Sequence[Row], skipped: Mapping[str, str], reference: str
) -> str:
    """Markdown between the markers."""
    from vfx_edge.backends.machine import cpu_name

    networks = ", ".join(
        f"{spec.name} `{spec.sha256[:8]}`: {spec.precision.max_probability_difference:g} and Dice "
        f"{spec.precision.min_dice:g}"
        for spec in manifest.networks
        if any(row.network == spec.name for row in rows)
    )
    table = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
        *(f"| {' | '.join(cells(row))} |" for row in rows),
    ]
    lines = [
        BEGIN,
        "## Parity",
        f"Differences of probabilities from {reference}, on {cpu_name()}. Tolerance by the "
        f"manifest: {networks}. Written by `python -m export parity`.",
        "",
        *table,
        "",
        *(f"- {line.removeprefix('* ')}" for line in notes(rows, skipped)),
        END,
    ]
    return "\n".join(lines) + "\n"


def with_section(card: str, section: str) -> str:
    """A card's text with this section in place of its last one between the same markers."""
    begin, *_, end = section.strip().splitlines()
    kept = re.sub(rf"\n*{re.escape(begin)}.*?{re.escape(end)}\n?", "\n", card, flags=re.DOTALL)
    return f"{kept.rstrip()}\n\n{section}".lstrip()


def write_card(card: Path, section: str) -> None:
    """The section replaces the card's last one, or is added; SetNotWritten where it can't be."""
    try:
        old = card.read_text(encoding="utf-8") if card.exists() else ""
        partial = card.with_suffix(".md.partial")
        partial.write_text(with_section(old, section), encoding="utf-8", newline="\n")
        partial.replace(card)
    except OSError as error:
        why = f"{card.name} can't be written: {error.strerror}"
        raise SetNotWritten(
            card.parent, why, "add --no-card, or let its folder be written"
        ) from error
