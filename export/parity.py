"""`export parity`: does a model set answer the same on every backend as it did in PyTorch?"""

import sys
from collections.abc import Callable
from itertools import count as counted
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli.progress import STAGES, ShareProgress
from vfx_edge.errors import InputError
from vfx_edge.manifest import ModelManifest, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vfx_edge.bench.networks import Row
    from vfx_edge.bench.patches import Floats

EXAMPLES = """\b
Examples:
  python -m export parity models/published --checkpoint model.tar
  python -m export parity models/published --checkpoint model.tar --ct dicom/ --random 20
  python -m export parity default --role segmenter --ct scan.nii.gz --no-card --json > parity.json

\b
Exit codes: 0 every precision that the manifest allows keeps within its tolerance; 7 one does not.
"""
FAILED = 7
GATHERED = 0.4
"""Share of the bar until all crops are cut."""
RUNNERS = 6
"""About so many ask each network: the reference, the backends in their precisions."""
Step = Callable[[str, float], None]
"""(what is done now, share of all)"""


class NothingCompared(InputError):
    """The chain did not get as far as a network."""

    def __init__(
        self, network: str, remedy: str = "give a --ct that shows the spine, or --random 20"
    ) -> None:
        super().__init__(
            f"nothing was asked of '{network}' on what was given, so nothing can be compared: "
            f"{remedy}"
        )


Models = Annotated[
    str, typer.Argument(metavar="NAME_OR_DIR", help="The model set, by name or folder.")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="PATH",
        help="What the set was exported from: it answers in PyTorch, or ONNX Runtime where it is "
        "an .onnx, and all else is compared with it. Without it, ONNX Runtime on the CPU in fp32 "
        "is the reference.",
        readable=False,
    ),
]
Ct = Annotated[
    list[Path] | None,
    typer.Option(
        "--ct",
        "--dicom",
        "--nifti",
        metavar="PATH",
        help="A real CT, as `vfx-edge run` takes it: what the chain cuts from it is compared. "
        "Repeatable.",
        readable=False,
    ),
]
Role = Annotated[
    list[str] | None,
    typer.Option(
        "--role", metavar="ROLE", help="Only this network. Repeatable.", show_default="all own"
    ),
]
Crops = Annotated[
    int, typer.Option("--crops", metavar="N", min=1, help="At most so many of each kind.")
]
Random = Annotated[
    int, typer.Option("--random", metavar="N", min=0, help="So many crops of noise as well.")
]
OfPhantom = Annotated[
    bool, typer.Option("--phantom/--no-phantom", help="Crops of a phantom made on the spot.")
]
Card = Annotated[
    bool, typer.Option("--card/--no-card", help="Write the table into the set's card.md.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="JSON on standard output, the table on standard error.")
]


def command(
    models: Models,
    checkpoint: Checkpoint = None,
    ct: Ct = None,
    role: Role = None,
    crops: Crops = 20,
    random: Random = 0,
    phantom: OfPhantom = True,
    card: Card = True,
    json: AsJson = False,
) -> None:
    """Compare every backend and precision that runs here with PyTorch.

    On the crops that the chain itself cuts from CTs and from a phantom: largest and mean
    difference of probabilities, Dice of the masks, shift, changed tiers. The networks that a set
    borrows from its base are left out.
    """
    from export import parity_reference, parity_report
    from vfx_edge.manifest import load_model_set

    if not (ct or phantom or random):
        raise typer.BadParameter("nothing to compare on: give --ct, --phantom or --random")
    manifest = load_model_set(models)
    specs = own_networks(manifest, tuple(role or ()))
    if checkpoint is not None and len(specs) != 1:
        names = ", ".join(r for spec in specs for r in spec.roles)
        raise typer.BadParameter(f"--checkpoint is of one network: add --role, one of {names}")
    check_files(specs)
    skipped: dict[str, str] = {}
    with ShareProgress() as progress:
        found = gather(manifest, specs, tuple(ct or ()), crops, random, phantom, progress.step)
        rows = compare(specs, found, checkpoint, skipped, progress.step)
    reference = parity_reference.named(checkpoint, specs)
    parity_report.show(rows, skipped, reference, sys.stderr if json else sys.stdout)
    if json:
        print(parity_report.as_json(rows, skipped, reference))
    if card:
        section = parity_report.card_section(manifest, rows, skipped, reference)
        parity_report.write_card(manifest.card, section)
    if not all(row.passed for row in rows if row.allowed):
        raise typer.Exit(FAILED)


def own_networks(manifest: ModelManifest, roles: tuple[str, ...]) -> tuple[NetworkSpec, ...]:
    """The set's own networks, or those of the roles; RoleMissing where a role is not filled."""
    if roles:
        asked = [manifest.network(role) for role in roles]
        return tuple({spec.name: spec for spec in asked}.values())
    return manifest.own


def check_files(specs: tuple[NetworkSpec, ...]) -> None:
    """ModelError when a file is not the manifest's, or not of its shape."""
    from vfx_edge.backends.onnx_file import check_signature

    for spec in specs:
        for data in spec.read_all().values():
            check_signature(spec, data)


def gather(
    manifest: ModelManifest,
    specs: tuple[NetworkSpec, ...],
    cts: tuple[Path, ...],
    count: int,
    random: int,
    phantom: bool,
    on_step: Step = lambda *_: None,
) -> "dict[str, dict[str, Floats]]":
    """Network name -> source -> patches."""
    from vfx_edge.bench.patches import affordable, chain_patches, phantom_scan, random_patches
    from vfx_edge.inputs import load_scan

    sources: dict[str, dict[str, Floats]] = {}
    if cts:
        on_step("Crops of the CTs", 0.0)
        scans = [load_scan(path) for path in cts]
        told = _told(on_step, "Crops of the CTs", 0.0)
        sources["real"] = chain_patches(scans, manifest, specs, count, told)
    if phantom:
        told = _told(on_step, "Crops of a phantom", GATHERED / 2 if cts else 0.0)
        told("read")
        sources["phantom"] = chain_patches([phantom_scan()], manifest, specs, count, told)
    if random:
        noise = {s.name: random_patches(s, affordable(s, random)) for s in specs}
        sources["random"] = noise
    return {
        spec.name: {source: c[spec.name] for source, c in sources.items() if spec.name in c}
        for spec in specs
    }


def _told(on_step: Step, what: str, start: float) -> "Callable[[str], None]":
    """The chain's stages as steps: it takes most of the time, and a bar at rest looks dead."""
    names = list(STAGES)
    each = GATHERED / 2 / len(names)
    return lambda stage: on_step(
        f"{what}: {STAGES[stage].lower()}", start + each * names.index(stage)
    )


def compare(
    specs: tuple[NetworkSpec, ...],
    found: "dict[str, dict[str, Floats]]",
    checkpoint: Path | None,
    skipped: dict[str, str],
    on_step: Step = lambda *_: None,
) -> "list[Row]":
    """All rows of all networks; what could not be compared goes into `skipped`."""
    from export.parity_reference import from_onnx, from_original
    from vfx_edge.bench.networks import rows_of

    rows: list[Row] = []
    each = (1 - GATHERED) / len(specs)
    for i, spec in enumerate(specs):
        if not found[spec.name]:
            raise NothingCompared(spec.name)
        share = counted(GATHERED + each * i, each / RUNNERS)

        def asked(who: str, name: str = spec.name, share: "Iterator[float]" = share) -> None:
            on_step(f"{name}: {who}", next(share))

        reference = from_original(checkpoint, spec) if checkpoint else from_onnx(spec)
        own = rows_of(spec, found[spec.name], reference, skipped, asked)
        # the reference against itself is left out
        rows += [r for r in own if checkpoint or (r.backend, r.precision) != ("cpu", "fp32")]
    return rows
