"""Real CT whose vertebrae's centres were set by eye, each scored by a set that has not seen it."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.recipes.folds import REFERENCES
from models.recipes.scorecard.chain import Chosen, Fold, analysed, choose, opened
from vfx_edge.backends import OpenModels
from vfx_edge.evaluation.matching import (
    CERVICAL,
    THORACOLUMBAR,
    Counts,
    Found,
    Place,
    compare,
    findings_of,
    total,
)
from vfx_edge.inputs import load_scan

COARSE_MM = 6.0  # slices farther apart are no basis for heights
ANCHORS = ("C2", "T1", "T12", "S1")  # seen whole they say where to count from

Row = dict[str, Any]
Say = Callable[[str], None]


def score_real(
    data: Path, model: Path, folds: tuple[Fold, ...], backend: str, say: Say
) -> dict[str, Any]:
    """{"rows": one for each CT, "total": their sum}; sets are opened one after the other."""
    references = json.loads(REFERENCES.read_text(encoding="utf-8"))
    chosen = {path: choose(path.split("/")[0], folds, model) for path in references}
    rows: dict[str, Row] = {}
    for folder in dict.fromkeys(c.folder for c in chosen.values()):
        with opened(folder, backend) as models:
            for path in (p for p, c in chosen.items() if c.folder == folder):
                rows[path] = score_one(data / path, references[path], models, chosen[path])
                say(f"real: {path}: {_line(rows[path])}")
    ordered = [rows[path] for path in references]
    return {"rows": ordered, "total": summed(ordered)}


def score_one(path: Path, entry: dict[str, Any], models: OpenModels, chosen: Chosen) -> Row:
    """One CT, read and analysed."""
    begin = time.perf_counter()
    scan = load_scan(path)
    analysis, _ = analysed(scan, models)
    seconds = time.perf_counter() - begin
    row = row_of(findings_of(analysis) if analysis else [], entry)
    name = path.parent.name if path.suffix == ".gz" else path.name
    return {
        "name": name, "note": chosen.note, "trained_on": chosen.trained_on, **row,
        "seconds": seconds, "coarse": bool(max(scan.series.spacing_mm) > COARSE_MM),
    }  # fmt: skip


def not_judged(
    findings: list[Found], finding_of: Mapping[str, int], places: Mapping[str, Place]
) -> dict[str, int]:
    """Reason -> how many of T1 to L6 that lie wholly in view were found and not judged."""
    whole = [findings[i] for n, i in finding_of.items() if n in THORACOLUMBAR and places[n].whole]
    return dict(Counter(f.reason or "unknown" for f in whole if f.suspected is None))


def row_of(findings: list[Found], entry: dict[str, Any]) -> Row:
    """Counts of T1 to L6, of the neck, and of suspicions; a vertebra is taken as intact unless
    its reference says {"fractured": true}."""
    known = entry["vertebrae"]
    places = {n: Place((*map(float, v["lps_mm"]),), v["whole"]) for n, v in known.items()}  # type: ignore[arg-type]
    trunk, neck = (compare(findings, places, scored) for scored in (THORACOLUMBAR, CERVICAL))
    broken = {n for n, v in known.items() if v.get("fractured")}
    spared = {trunk.finding_of[n] for n in broken if n in trunk.finding_of}
    intact = [f for i, f in enumerate(findings) if i not in spared]
    return {
        "anchored": any(known.get(n, {}).get("whole") for n in ANCHORS),
        "trunk": asdict(trunk.counts),
        "neck": asdict(neck.counts),
        "intact_judged": sum(f.suspected is not None for f in intact),
        "intact_suspected": sum(bool(f.suspected) for f in intact),
        "suspected_levels": [f.level for f in intact if f.suspected],
        "not_judged": not_judged(findings, trunk.finding_of, places),
        "errors": list(dict.fromkeys((*neck.errors, *trunk.errors))),
    }


def summed(rows: Iterable[Row]) -> Row:
    """All CTs as one."""
    every = list(rows)
    return {
        "trained_on": any(r["trained_on"] for r in every),
        **{part: asdict(total(Counts(**r[part]) for r in every)) for part in ("trunk", "neck")},
        **{key: sum(r[key] for r in every) for key in ("intact_judged", "intact_suspected")},
        "seconds": sum(r["seconds"] for r in every),
    }


def _line(row: Row) -> str:
    c = Counts(**row["trunk"])
    return f"{c.near} of {c.whole} found, {c.right} right, {row['seconds']:.0f} s; " + (
        ", ".join(row["errors"]) or "no error"
    )
