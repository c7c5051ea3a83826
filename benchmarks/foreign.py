"""`foreign`: networks of other libraries through export, `models verify` and `run`: each has to run
or be refused in one sentence before anything is written."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated, Any

import typer

from benchmarks import inputs, options
from benchmarks.processes import CACHE
from benchmarks.results import Kept
from models.recipes.scorecard.table import table
from vfx_edge.bench import processes
from vfx_edge.errors import VfxError
from vfx_edge.phantom import FractureSpec, LesionSpec, PhantomSpec

LIMIT_S = 1800.0
SPEC = PhantomSpec(
    levels=("T11", "L3"),
    spacing_mm=3.0,
    pixel_mm=3.0,
    matrix=(120, 120),
    fractures=(FractureSpec("L1", "crush", 0.4),),
    lesions=(LesionSpec("L1", "lytic"),),  # so that a classifier is asked
    seed=7,
)


class Buggy(VfxError):
    """A network verified and did not run, or what was refused was refused otherwise than agreed."""

    exit_code = 7

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"{', '.join(names)}: neither ran nor was refused in a sentence: mend it")


def command(
    only: Annotated[str, typer.Option(help="Networks whose title holds this.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="How many at once.")] = 2,
) -> None:
    """Networks of MONAI, nnU-Net and ONNX through export, verify and run."""
    options.needs("torch", "monai", "nnunetv2")
    from benchmarks.foreign_cases import CASES
    from benchmarks.foreign_networks import make_nnunets

    chosen = [title for title in CASES if only in title]
    kept = Kept("foreign", {"phantom": " to ".join(SPEC.levels)})
    make_nnunets()
    with inputs.phantom(SPEC) as scan, ThreadPoolExecutor(jobs) as pool:
        ct = str(scan.path.resolve())
        missing = [title for title in chosen if kept.missing(title)]
        found = pool.map(lambda title: _one(title, ct), missing)
        rows = [{"title": t, **kept.point(t, lambda: next(found))} for t in chosen]
    for row in rows:
        typer.echo(f"{row['outcome']:8} {row['title']}: {row['said']}")
    typer.echo(counts(rows))
    if not only:
        kept.finish({"rows": rows})
    if bad := [row["title"] for row in rows if row["outcome"] == "BUG"]:
        raise Buggy(bad)


def _one(title: str, ct: str) -> dict[str, Any]:
    from benchmarks.foreign_worker import Order

    order = asdict(Order(title, ct))
    try:
        with processes.worker("benchmarks.foreign_worker", order, CACHE, LIMIT_S) as running:
            found = running.answer()
    except VfxError as error:
        found = {"outcome": "BUG", "command": "", "said": str(error), "commands": []}
    return {key: found[key] for key in ("outcome", "command", "said", "commands")}


def counts(rows: list[dict[str, Any]]) -> str:
    """How many networks, and how they ended."""
    kinds = Counter(row["outcome"] for row in rows)
    return (
        f"{len(rows)} networks: {kinds['ran']} were exported, verified and ran; {kinds['refused']} "
        f"were refused in one sentence, with nothing written; {kinds['BUG']} did neither."
    )


def foreign(found: dict[str, Any]) -> str:
    """For docs/benchmarks.md."""
    rows = [
        (r["title"], r["outcome"], "" if r["outcome"] == "ran" else _plain(r["said"]))
        for r in found["rows"]
    ]
    return f"{counts(found['rows'])}\n\n{table(('network', 'what comes out', 'said'), rows)}"


def _plain(said: str) -> str:
    return said.partition(": ")[2].replace("|", "\\|")
