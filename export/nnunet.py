"""`export nnunet`: a trained nnU-Net v2 as labeller and segmenter in one.

A model folder as nnU-Net writes it and as TotalSegmentator and many others give it away
(plans.json, dataset.json, fold_*/checkpoint_final.pth), or the zip that nnU-Net makes of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from export import options
from vfx_edge.cli.parse import one_of
from vfx_edge.study import Level
from vfx_edge.vocabulary import INTENDED_USES

if TYPE_CHECKING:
    from torch import nn

    from export.nnunet_files import Folder
    from export.nnunet_plans import Plan
    from vfx_edge.manifest import JointParameters

EXAMPLES = """\b
Examples:
  python -m export nnunet Dataset292/nnUNetTrainer__nnUNetPlans__3d_fullres -o models/spine
  python -m export nnunet Dataset292 --configuration 3d_lowres --folds 0,1 -o models/coarse
  python -m export nnunet exported.zip --map Wirbel12=T12 --map sacrum= -o models/spine
  vfx-edge run ct/ --model models/spine
"""
Orientation = Annotated[
    str,
    typer.Option(
        metavar="auto|SPL|SAR|SAL|SPR",
        help="What slices, rows and columns of the training images' arrays grow towards "
        "(SPL: head, back, left). auto: what the plans tell, else SPL.",
    ),
]
ORIENTATIONS = ("auto", "spl", "sar", "sal", "spr")
CHANNELS_ALIVE = 6.5
"""Full-resolution feature maps, in widths of the first stage, that exist at once beside two copies
of the answer: measured at 96³ with 32-64-128-256-320-320 and 27 classes, fp32, 269 channels in all
in ONNX Runtime and 244 in OpenVINO, where this assumes 262."""


PAINTED = "regions: of those with p > 0.5 the last counts"


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="The folder with plans.json, dataset.json and fold_*, one above it, or the zip of "
            "nnUNetv2_export_model_to_zip.",
        ),
    ],
    out: options.Out,
    configuration: Annotated[
        str | None,
        typer.Option(
            metavar="3d_fullres|3d_lowres",
            help="Which configuration; by default the one that the checkpoint was trained in.",
        ),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,…|all", help="Folds to average, or one; by default every one there is."
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="File name of the checkpoints.")
    ] = "checkpoint_final.pth",
    orientation: Orientation = "auto",
    map: options.Map = None,
    licence: options.Licence = options.NOT_STATED,
    training_data: options.TrainingData = options.NOT_STATED,
    intended_use: options.IntendedUse = "research",
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of a trained nnU-Net that segments vertebrae by name.

    It names and outlines the vertebrae; locator and classifier are those of the default set.
    Reads the checkpoints without running anything in them.
    """
    use = one_of(intended_use, INTENDED_USES, "intended use")
    axes = one_of(orientation, ORIENTATIONS, "orientation").upper()
    renamed = options.renamed(map)
    from vfx_edge.manifest.writing import check_target

    check_target(out, overwrite=overwrite)
    wanted = tuple(part.strip() for part in folds.split(",")) if folds else None
    plan, read = opened(folder, configuration, wanted, checkpoint, None if axes == "AUTO" else axes)
    summary = (
        f"nnU-Net {plan.configuration} of {plan.dataset}, which names and outlines the vertebrae."
    )
    head = options.head(use, licence, f"{plan.dataset}: {training_data}", summary)
    unread = write(out, plan, read, checkpoint, renamed, head, overwrite=overwrite)
    if unread:
        names = ", ".join(unread)
        typer.echo(f"background here: {names}; --map NAME=L1 would make one a vertebra")
    if not plan.orientation_known:
        typer.echo(
            f"note: the training images' axes were taken as {plan.orientation}; "
            "if they were stored otherwise, export again with --orientation"
        )


def write(
    out: Path,
    plan: "Plan",
    read: "dict[str, dict[str, Any]]",
    checkpoint: str,
    renamed: dict[str, str],
    head: dict[str, str],
    *,
    overwrite: bool,
) -> tuple[str, ...]:
    """Write the set; what of its classes nobody reads. renamed: [network.classes]."""
    from export import manifests, nnunet_network
    from export.nnunet_files import Reading
    from export.nnunet_labels import meant
    from vfx_edge.manifest import JointParameters
    from vfx_edge.manifest.classes import unread

    names = plan.labels.names
    means = meant(Reading(plan.folder), plan.labels, renamed)
    module = nnunet_network.load(plan, read, checkpoint)  # what it refuses, no table can be of
    origin = {"configuration": plan.configuration, "folds": tuple(read), "checkpoint": checkpoint}
    given = {**table(plan), **({"classes": renamed} if renamed else {}), "parameters": origin}
    network = manifests.new_network(module, "vertebrae", given)
    manifests.write_set(out, head, [network], card(plan, tuple(read), means), overwrite=overwrite)
    typer.echo(manifests.report_of(out, plan.folder))
    return unread(names, means, [JointParameters])


def opened(
    folder: Path,
    configuration: str | None = None,
    folds: tuple[str, ...] | None = None,
    checkpoint: str = "checkpoint_final.pth",
    orientation: str | None = None,
) -> "tuple[Plan, dict[str, dict[str, Any]]]":
    """The plan, and the checkpoints by fold; NotExportable, RunsCode or NotACheckpoint."""
    from export.nnunet_files import model_folder
    from export.nnunet_network import chosen_folds, read_fold

    model = model_folder(folder, configuration)
    read = {f: read_fold(model, f, checkpoint) for f in chosen_folds(model, folds, checkpoint)}
    return plan_of(model, read, configuration, orientation), read


def reference(folder: Path, origin: "JointParameters | None" = None) -> "nn.Module":
    """The network in PyTorch, as `export parity` compares with it.

    origin: the manifest's, where the configuration and folds that were exported stand.
    """
    from export.nnunet_network import load
    from vfx_edge.manifest import JointParameters

    origin = origin or JointParameters()
    checkpoint = origin.checkpoint or "checkpoint_final.pth"
    # how the images lay is nothing to the network
    plan, read = opened(
        folder, origin.configuration or None, origin.folds or None, checkpoint, "SPL"
    )
    return load(plan, read, checkpoint)


def plan_of(
    folder: "Folder", folds: dict[str, dict[str, Any]], wanted: str | None, orientation: str | None
) -> "Plan":
    """The plan of the configuration in which all the folds were trained."""
    from export.nnunet_files import CONFIGURATIONS, NotExportable
    from export.nnunet_network import trained_as
    from export.nnunet_plans import read_plan

    stated = {name for name in map(trained_as, folds.values()) if name is not None}
    if len(stated | ({wanted} if wanted else set())) > 1:
        names = ", ".join(sorted(stated))
        remedy = "choose folds of one configuration with --folds, and no other --configuration"
        raise NotExportable(folder, f"its folds were trained as {names}", remedy)
    ending = folder.name.rpartition("__")[2]
    named = ending if ending in CONFIGURATIONS else CONFIGURATIONS[0]
    return read_plan(folder, wanted or next(iter(stated), named), orientation)


def table(plan: "Plan") -> dict[str, Any]:
    """The manifest's [[network]] table."""
    return {
        "roles": ["labeller", "segmenter"],
        "name": f"nnU-Net {plan.configuration} of {plan.dataset}",
        "input": {
            "name": "ct",
            "channels": 1,
            "patch_zyx": plan.patch,
            "spacing_mm": plan.spacing_mm if len(set(plan.spacing_mm)) > 1 else plan.spacing_mm[0],
            "orientation": plan.orientation,
            "transpose": plan.transpose,
            "hu_clip": plan.hu_clip,
            "hu_offset": -plan.mean,
            "hu_scale": plan.deviation,
            "padding_hu": plan.mean,
        },
        "output": {
            "name": "logits",
            "classes": plan.labels.names,
            "activation": plan.labels.activation,
        },
        "window": {
            "step": 0.5,
            "image_order": plan.image_order,
            "answer_order": plan.answer_order,
            "separate": int(plan.separate),
        },
        "batch": {"min": 1, "opt": 1, "max": 2, "activation_mib": activation_mib(plan)},
        "precision": {
            "allowed": ["fp32", "fp16"],  # FP16 is what nnU-Net's own predictor uses on a GPU
            "max_probability_difference": 0.15,
            "min_dice": 0.99,
        },
    }


def activation_mib(plan: "Plan") -> float:
    """About what one tile takes while it is computed, in FP32."""
    features = plan.architecture["arch_kwargs"]["features_per_stage"]
    width = features[0] if isinstance(features, list) else features
    voxels = plan.patch[0] * plan.patch[1] * plan.patch[2]
    channels = CHANNELS_ALIVE * width + 2 * len(plan.labels.names)
    return float(round(voxels * channels * 4 / 2**20, 1))


def card(plan: "Plan", folds: tuple[str, ...], means: Sequence[str]) -> str:
    """The model card; what its classes mean and what is measured of it is added by others."""
    levels = [name for name in means if name in set(Level)]
    guess = "" if plan.orientation_known else " (a guess: the plans do not tell)"
    tile = " x ".join(map(str, plan.patch))
    spacing = " x ".join(f"{mm:g}" for mm in plan.spacing_mm)
    axes = f"{plan.orientation}{guess}, transposed by {list(plan.transpose)}"
    low, high = plan.hu_clip
    rows = {
        "Configuration": f"{plan.configuration}; folds {', '.join(folds)}, logits averaged",
        "Input": f"tiles of {tile} voxels of {spacing} mm; axes {axes}",
        "HU": f"clipped to {low:g}..{high:g}, minus {plan.mean:g}, divided by {plan.deviation:g}",
        "Levels": ", ".join(levels),
        "Answer": PAINTED if plan.labels.regions else "the likeliest class",
    }
    lines = "\n".join(f"| {what} | {value} |" for what, value in rows.items())
    return f"""# Model card: nnU-Net of {plan.dataset}
Exported by `python -m export nnunet`. It names and outlines the vertebrae; every other network is
that of the set `default`, whose card and whose limits hold as well.

| | |
| --- | --- |
{lines}

All other classes are background here. It is run by nnU-Net's own sliding window (half overlap,
Gaussian weights, no mirroring) where the locator finds the spine; elsewhere nothing is labelled.
"""
