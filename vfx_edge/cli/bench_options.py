"""The options of `vfx-edge bench`, each with its help; their defaults stand in the command."""

from pathlib import Path
from typing import Annotated

import typer

from vfx_edge.cli.parse import PRECISIONS, local_backends

Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="PATH",
        help="Measure on this CT, given as to `vfx-edge run`, instead of on a phantom.",
        show_default=False,
        readable=False,
    ),
]
Slices = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Slices of the phantom.", show_default="as the levels need"
    ),
]
Spacing = Annotated[
    float | None,
    typer.Option(metavar="MM", help="Distance from slice to slice.", show_default="1.5"),
]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="FIRST-LAST", help="Which vertebrae the phantom has.", show_default="T1-L5"
    ),
]
Matrix = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=64,
        max=1024,
        help="Rows and columns of the phantom, over 384 mm.",
        show_default="256",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="Draws the phantom's anatomy and noise.", show_default="0"),
]
Repeat = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Warm runs on each backend: from 4 on one can be recommended, from 20 on there is a "
        "p95, from 100 on a p99.",
    ),
]
Duration = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        min=0.1,
        help="Warm runs on each backend for so many seconds instead, at least one.",
        show_default=False,
    ),
]
Cold = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="How often `vfx-edge run` is started anew, with nothing cached and again with all "
        "cached; 0: not at all. From 4 on two benchmarks can be compared.",
    ),
]
Studies = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="Studies in a row for the throughput; 0: not measured."),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="all|NAME,…",
        help=f"What is measured, of {', '.join(local_backends())}. A backend named here works, or "
        "the command ends with exit code 5; with all, the table says what is missing. The first "
        "one named is that of the whole command.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="all|NAME,…",
        help=f"In which number formats, of {', '.join(PRECISIONS)}; auto is what a backend takes "
        "by itself.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="NAME_OR_DIR",
        help="The model set: a name that `vfx-edge models list` shows, or a folder.",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write everything, each run's own time included, for `bench compare`. Holds no "
        "path and nothing of the scan but its size.",
        show_default=False,
        readable=False,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE.svg|.png",
        help="Also draw the stages' times, a bar for each backend.",
        show_default=False,
        readable=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only the first table: no progress.")]
FileA = Annotated[
    Path,
    typer.Argument(
        metavar="A", help="What `bench --json` wrote before.", show_default=False, readable=False
    ),
]
FileB = Annotated[
    Path,
    typer.Argument(metavar="B", help="What it wrote after.", show_default=False, readable=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the comparison as JSON instead.")]
