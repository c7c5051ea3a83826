"""`vfx-edge correct`: keeps a case that a person corrected, for training and evaluation."""

from pathlib import Path
from typing import Annotated

import typer

from vfx_edge.cli import folders, options, parse
from vfx_edge.cli.progress import StageProgress
from vfx_edge.cli.stopping import tidy_end

Folder = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        help="Where corrected cases collect: rawdata/ and derivatives/ in VerSe's layout.",
        readable=False,
    ),
]
Subject = Annotated[
    str | None,
    typer.Option(
        "--subject",
        metavar="NAME",
        help="The case's name, letters and digits only; no patient's name or number.",
        show_default="a pseudonym made from the series",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a correction of this series that is there.")
]


def correct(
    path: options.Input,
    out: Folder,
    segmentation: options.Segmentation = None,
    shift_levels: options.ShiftLevels = None,
    anchor: options.AnchorAt = None,
    series: options.Series = None,
    subject: Subject = None,
    overwrite: Overwrite = False,
    backend: options.Backend = "auto",
    device: options.Device = 0,
    gpu_memory: options.GpuMemory = None,
    precision: options.Precision = "auto",
    model: options.Model = "default",
    quiet: options.Quiet = False,
) -> None:
    """Keep a corrected case for training: CT, vertebra masks and centroids in VerSe's layout.

    The mask is the one you drew (--segmentation) or the chain's own under the names you set
    (--shift-levels, --anchor). Nothing that identifies the patient is written. The recipes read
    the folder with --labelled.
    """
    from vfx_edge.correction import Correction, is_subject, keep

    by_hand = parse.by_hand(shift_levels, anchor)
    if segmentation is None and by_hand is None:
        raise typer.BadParameter(
            "nothing was corrected: give --segmentation, --shift-levels or --anchor"
        )
    if subject is not None and not is_subject(subject):
        raise typer.BadParameter(f"{subject!r} is no subject's name: use letters and digits")
    request = parse.request(backend, device, gpu_memory, precision)
    wanted = Correction(path, out, segmentation, by_hand, series, subject, overwrite)
    with tidy_end(), StageProgress(quiet, lines=False) as progress:
        folders.check_writable(out)
        kept = keep(wanted, request, model, progress.start)
    levels = ", ".join(kept.levels)
    if not quiet:
        for remark in kept.remarks:
            print(remark)
        print(f"{levels}: {kept.files[1]}")
