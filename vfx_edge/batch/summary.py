"""The summary of a batch: a row a study as CSV and Parquet, and a page for people."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from vfx_edge.batch.outcomes import Done
from vfx_edge.batch.page import page
from vfx_edge.batch.parquet import is_installed, write_parquet
from vfx_edge.batch.run import State
from vfx_edge.batch.studies import Study
from vfx_edge.crew.outcomes import Failed
from vfx_edge.files import write_text
from vfx_edge.level_words import level_ranges
from vfx_edge.scoring.tables import write_plain
from vfx_edge.study import Tier

CSV, PARQUET, PAGE, SOURCES = "summary.csv", "summary.parquet", "summary.html", "sources.csv"
DONE, FAILED, OPEN = "done", "failed", "open"
_KINDS = {"str": "string", "int": "int64", "float": "double", "bool": "bool"}
_MOST_NAMED = 20
"""Studies that the page names of one reason; the table has all."""


@dataclass(frozen=True)
class Row:
    """A study. state: done, failed (reason), or open: not begun, or not by the shards so far.
    None where nothing is known. The counts are of vertebrae; complete: all in view was judged."""

    study: str
    state: str
    tier: str | None = None
    levels: str | None = None
    assessed: str | None = None
    complete: bool | None = None
    suspected: int | None = None
    malignant: int | None = None
    osteoporotic: int | None = None
    uncertain: int | None = None
    unread: int | None = None
    warnings: int | None = None
    slices: int | None = None
    slice_mm: float | None = None
    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class SourceRow:
    """Where a study lies: the only table that may name a patient, as paths do."""

    study: str
    path: str
    files: int | None


def row_of(state: State) -> Row:
    """A study's row."""
    match state.outcome:
        case None:
            return Row(state.study, OPEN)
        case Failed(reason=reason):
            return Row(state.study, FAILED, reason=reason)
        case Done() as done:
            plain = asdict(done)
            plain |= {name: level_ranges(plain[name]) for name in ("levels", "assessed")}
            return Row(state.study, DONE, complete=done.unread == 0, **plain)


def write_summary(
    out: Path, states: Sequence[State], about: dict[str, Any], suffix: str = ""
) -> Path:
    """summary.csv, .parquet where it can be, .html; returns the page. about: model, problems and
    seconds. OutputError when the place can't be written."""
    rows = [row_of(state) for state in states]
    write_plain(out / _named(CSV, suffix), Row, rows)
    parquet = out / _named(PARQUET, suffix)
    if is_installed():
        columns = {f.name: _column(f.type) for f in fields(Row)}
        write_parquet(parquet, columns, [asdict(row) for row in rows])
    else:
        parquet.unlink(missing_ok=True)  # of an earlier run: it would be another batch's
    return write_text(out / _named(PAGE, suffix), page(figures(rows, about)))


def write_sources(out: Path, studies: Sequence[Study]) -> Path:
    """Which study is which."""
    rows = [SourceRow(s.name, s.place, len(s.files) or None) for s in studies]
    return write_plain(out / SOURCES, SourceRow, rows)


def figures(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    """All that the page shows."""
    done = [row for row in rows if row.state == DONE]
    tiers = Counter(str(row.tier) for row in done)
    seconds = sorted(row.seconds for row in done if row.seconds is not None)
    return {
        "about": about,
        "states": {name: sum(r.state == name for r in rows) for name in (DONE, FAILED, OPEN)},
        "studies": len(rows),
        "verdicts": [(tier.value, tiers[tier.value]) for tier in Tier if tiers[tier.value]],
        "abstained": {
            "uncertain": tiers[Tier.UNCERTAIN.value],
            "not_assessable": tiers[Tier.NOT_ASSESSABLE.value],
            "incomplete": sum(row.complete is False for row in done),
        },
        "failures": _failures(rows),
        "seconds": _spread(seconds),
        "backends": Counter(f"{r.backend} ({r.precision})" for r in done).most_common(),
        "hurried": [r for r in done if r.tier == Tier.MALIGNANT.value],
    }


def _failures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Reason -> studies, the most frequent first."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.state == FAILED:
            found.setdefault(str(row.reason), []).append(row.study)
    return [
        {"reason": why, "count": len(names), "named": names[:_MOST_NAMED]}
        for why, names in sorted(found.items(), key=lambda one: -len(one[1]))
    ]


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    """None without a study."""
    if not seconds:
        return None
    ends = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else [seconds[0]]
    return {
        "median": median(seconds),
        "low": ends[0],
        "high": ends[-1],
        "longest": seconds[-1],
        "sum": sum(seconds),
    }


def _column(kind: Any) -> str:
    """A field's type as Parquet has it: of `int | None` the first."""
    first = getattr(kind, "__args__", (kind,))[0]
    return _KINDS[first.__name__]


def _named(file: str, suffix: str) -> str:
    return Path(file).stem + suffix + Path(file).suffix
