"""The options of `vfx-edge run`, each with its help; their defaults stand in the command."""

from pathlib import Path
from typing import Annotated

import typer

from vfx_edge.cli.parse import BACKENDS, LANGUAGES, OUTPUTS

Input = Annotated[
    Path,
    typer.Argument(
        help="A folder of DICOM files (any depth, any mix), one enhanced CT file, a .zip of "
        "either, or a .nii / .nii.gz.",
        show_default=False,
        readable=False,  # not typer's to judge: an unreadable input is exit code 3
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Output folder, made if absent.",
        show_default="./vfx-edge-out/<series>",
        readable=False,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="NAME",
        help=f"One of {', '.join(BACKENDS)}. A named backend never falls back: it works, or the "
        "command ends with exit code 5.",
    ),
]
Model = Annotated[str, typer.Option("--model", metavar="NAME_OR_DIR", help="Which model set runs.")]
Series = Annotated[
    str | None,
    typer.Option(
        "--series", metavar="UID", help="Take this series instead of choosing.", show_default=False
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        "--levels",
        metavar="FIRST-LAST",
        help="Which vertebrae are looked at.",
        show_default="T1-L5, and L6 where there is one",
    ),
]
Classify = Annotated[
    str,
    typer.Option(
        "--classify",
        metavar="WHICH",
        help="Which vertebrae go to the classifier: suspected, all, or a list such as L1,L2.",
    ),
]
Segmentation = Annotated[
    Path | None,
    typer.Option(
        "--segmentation",
        metavar="FILE",
        help="Use this (hand-corrected) mask in VerSe labels instead of locating, naming and "
        "outlining the vertebrae.",
        show_default=False,
        readable=False,
    ),
]
Outputs = Annotated[
    str,
    typer.Option(
        "--outputs",
        metavar="LIST",
        help=f"Any of {','.join(OUTPUTS)}; json is written in any case.",
    ),
]
TriageExitCode = Annotated[
    bool,
    typer.Option(
        "--triage-exit-code",
        help="Exit 10 malignant, 11 uncertain, 12 osteoporotic, 13 not assessable, "
        "0 nothing suspected.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print result.json on standard output and nothing else there."),
]
Language = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="|".join(LANGUAGES),
        help="Wording of the report; result.json stays English.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table, only the verdict.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", help="Also the seconds of each stage, and what was passed over and why."
    ),
]
