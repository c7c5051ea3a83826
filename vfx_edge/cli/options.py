"""The options of `vfx-edge run`, each with its help; their defaults stand in the command."""

from pathlib import Path
from typing import Annotated

import typer

from vfx_edge.cli.parse import LANGUAGES, PRECISIONS, backends
from vfx_edge.outputs.kinds import KINDS, OutputKind, defaults
from vfx_edge.tasks import TASKS

Input = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="The CT: a folder of DICOM files (any depth, any mix: one series is chosen), one "
        "enhanced CT file, a .zip of either, or a .nii / .nii.gz.",
        show_default=False,
        readable=False,  # not typer's to judge: an unreadable input is exit code 3
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Where the results go; made if absent.",
        show_default="./vfx-edge-out/<series>",
        readable=False,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="NAME",
        help=f"What runs the networks: {', '.join(backends())}. `vfx-edge doctor` says which of "
        "them work here; auto takes the first. A named one never falls back: it works, or the "
        "command ends with exit code 5. kserve is a server, never part of auto: kserve=SERVER, "
        "with grpcs://HOST:PORT or a file of settings (docs/scale.md), or what VFX_EDGE_SERVER "
        "names. Crops and tiles of the CT are sent there, no header.",
    ),
]
Device = Annotated[
    int,
    typer.Option(
        "--device",
        metavar="N",
        help="Which graphics card, by the number that `vfx-edge doctor` gives it.",
    ),
]
GpuMemory = Annotated[
    float | None,
    typer.Option(
        "--gpu-memory",
        metavar="GIB",
        help="How much of the card's memory the networks may take.",
        show_default="what is free, less a reserve",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help=f"The number format of all networks: {', '.join(PRECISIONS)}; auto takes for each the "
        "fastest that its manifest allows. A named one never changes: each network has it, or "
        "the command ends with exit code 5.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME_OR_DIR",
        help="The model set: a name that `vfx-edge models list` shows, or a folder.",
    ),
]
ModelDigest = Annotated[
    str | None,
    typer.Option(
        "--model-digest",
        metavar="SHA256",
        help="Run only if the model set has this digest, which `vfx-edge models verify` prints; "
        "else the command ends with exit code 4.",
        show_default=False,
    ),
]
ModelKey = Annotated[
    Path | None,
    typer.Option(
        "--model-key",
        metavar="FILE",
        help="Run only if the model set is signed by this public key of minisign; else the command "
        "ends with exit code 4.",
        show_default=False,
        readable=False,
    ),
]
Series = Annotated[
    str | None,
    typer.Option(
        "--series",
        metavar="UID",
        help="Take the series with this SeriesInstanceUID instead of choosing one.",
        show_default=False,
    ),
]
Levels = Annotated[
    str | None,
    typer.Option(
        "--levels",
        metavar="FIRST-LAST",
        help="Which vertebrae count for the verdict, for example T12-L2 or L3. Those above C7 are "
        "outlined only where they are among these: C1-L5.",
        show_default="T1-L5, and L6 where there is one",
    ),
]
Classify = Annotated[
    str,
    typer.Option(
        "--classify",
        metavar="WHICH",
        help="Which vertebrae go to the fracture classifier: suspected (those that have lost "
        "height, or that the set's detector suspects), all (those in view), or a list such as "
        "L1,L2: these even where heights can't be read, or where the edge of the scan leaves "
        "10 mm of the body. What it answers counts for the verdict, too: for research.",
    ),
]
Segmentation = Annotated[
    Path | None,
    typer.Option(
        "--segmentation",
        metavar="FILE",
        help="A mask of this CT, for example one corrected by hand, instead of finding, naming and "
        "outlining the vertebrae: a DICOM SEG, NIfTI or NRRD file, its segments named (L1, "
        "vertebrae_L1, …) or its numbers VerSe labels.",
        show_default=False,
        readable=False,
    ),
]
ShiftLevels = Annotated[
    int | None,
    typer.Option(
        "--shift-levels",
        metavar="N",
        help="Move every name N levels towards the feet (1: T12 becomes L1; -1: towards the "
        "head), where you know that the chain or the mask counted wrong. 0 keeps the names of a "
        "mask that would be refused.",
        show_default=False,
    ),
]
AnchorAt = Annotated[
    str | None,
    typer.Option(
        "--anchor",
        metavar="LEVEL=Z_MM",
        help="Say which vertebra is which, and the others are counted from it: L5=-700 is the one "
        "at z = -700 mm (DICOM patient coordinates).",
        show_default=False,
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Show for each vertebra that the classifier gave a cause what its answer depends on: "
        "boxes of the crop are hidden one by one, and it is asked again. Takes some seconds a "
        "vertebra.",
    ),
]


Clinical = Annotated[
    Path | None,
    typer.Option(
        "--clinical",
        metavar="FILE",
        help="Facts of the patient for a set with a tabular network: JSON, or a CSV of one row, "
        "with age, sex, known_tumour, previous_fracture, as far as they are known. They come "
        "before the DICOM header's; no value of them goes into a result.",
        show_default=False,
        readable=False,
    ),
]


def _described(kind: OutputKind) -> str:
    """ "sr (a DICOM structured report; needs vfx-edge[service])"."""
    needed = f"; needs vfx-edge[{kind.extra}]" if kind.extra else ""
    return f"{kind.name} ({kind.what}{needed})"


Outputs = Annotated[
    str | None,
    typer.Option(
        "--outputs",
        metavar="LIST",
        help="What is written, any of: " + ", ".join(map(_described, KINDS.values())) + ".",
        show_default=",".join(defaults()),
    ),
]
TaskName = Annotated[
    str,
    typer.Option(
        "--task",
        metavar="NAME",
        help="What is done with the scan: "
        + ", ".join(f"{task.name} ({task.what})" for task in TASKS.values())
        + ".",
    ),
]
Signs = Annotated[
    bool,
    typer.Option(
        "--signs",
        help="Measure CT signs of suspected vertebrae (convex back wall, gaps in the cortex, soft "
        "tissue, gas, pedicles, density, a line) and show them beside the probability, which they "
        "do not change.",
    ),
]
TriageExitCode = Annotated[
    bool,
    typer.Option(
        "--triage-exit-code",
        help="Let the exit code tell the verdict: 10 malignant, 11 uncertain, 12 osteoporotic, "
        "13 not assessable, 14 nothing suspected but something in view could not be read, 0 "
        "nothing suspected. Without it, 0 whatever was found.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print result.json on standard output and nothing else there; the verdict and the "
        "table go to standard error.",
    ),
]
Language = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="|".join(LANGUAGES),
        help="Wording of the report and of the DICOM results; result.json stays English.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only the verdict: no progress, no table.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        help="Also what ran and how long it took, and which backends and series were passed over "
        "and why.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        max=256,
        help="How many studies are analysed at once.",
        show_default="one for four cores, as far as memory reaches",
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try again what failed in an earlier run.")
]
