"""The commands `classifier` and `compare`: options, checks of them, and what is printed."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from models.recipes.labelled.plan import WINDOWS, Kind, Plan, Recipe, Task

if TYPE_CHECKING:
    from models.recipes.labelled.report import Report

APPROACHES = (1, 2, 3)
Device = Annotated[str, typer.Option(help="auto, cpu, cuda")]
Threads = Annotated[int, typer.Option(help="threads of a CPU; 0: as many as there are cores")]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="of wall time at most, for each network", show_default="20 on a CPU, else no limit"
    ),
]
ON_CPU = 20.0
"""Minutes: some dozen epochs of 300 crops on two cores."""


Labelled = Annotated[
    Path, typer.Option(help="folder with labels.csv, see docs/evaluation.md", exists=True)
]
Out = Annotated[Path, typer.Option("--out", "-o", help="the model set's folder")]
Work = Annotated[Path, typer.Option(help="folder for crops and checkpoints; keep it")]
Approach = Annotated[
    int,
    typer.Option(
        help="1: fractures only. 2: intact vertebrae with a malignant lesion as malignant, "
        "too. 3: as 2, with the authors' thresholds, between which is 'uncertain'"
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        help="study: as Foreman et al. 2024. ours: no mask, bone window, a third answer for "
        "crops unlike those taught, the mirror image, a fitted temperature"
    ),
]
Role = Annotated[str, typer.Option(help="classifier: why it broke. detector: whether it is broken")]
Network = Annotated[
    str,
    typer.Option(
        help="volume: sees the whole crop, as in the study. slices: a ResNet-50 that sees three "
        "neighbouring sagittal slices at a time, as in Li et al."
    ),
]
Width = Annotated[
    int, typer.Option(help="of --network slices: its first stage's channels", min=4, max=128)
]
Start = Annotated[
    Path | None,
    typer.Option(
        help="of --network slices: weights to start from, such as torchvision's resnet50; its "
        "last layer is left out",
        exists=True,
        dir_okay=False,
    ),
]
Folds = Annotated[int, typer.Option(help="of a cross-validation besides; 0: none")]
Epochs = Annotated[int, typer.Option(help="at most", min=1)]
Patience = Annotated[
    int, typer.Option(help="epochs without a lower validation loss before it stops", min=1)
]
Rate = Annotated[float, typer.Option(help="learning rate of Adam")]
Batch = Annotated[int, typer.Option(help="crops a step", min=2)]
Balance = Annotated[bool, typer.Option(help="weigh classes by their rarity; the study does not")]
Masked = Annotated[
    bool | None,
    typer.Option(
        "--masked/--unmasked",
        help="whether only the vertebra itself is shown",
        show_default="the recipe's",
    ),
]
Window = Annotated[str | None, typer.Option(help=", ".join(WINDOWS), show_default="the recipe's")]
Model = Annotated[str, typer.Option(help="model set that outlines studies without a mask")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="replace a network of this role in the set")
]


def classifier(
    labelled: Labelled,
    out: Out,
    work: Work,
    approach: Approach = 3,
    recipe: RecipeName = "study",
    role: Role = "classifier",
    network: Network = "volume",
    width: Width = 64,
    start: Start = None,
    folds: Folds = 0,
    minutes: Minutes = None,
    epochs: Epochs = 200,
    patience: Patience = 25,
    rate: Rate = 1e-4,
    batch: Batch = 32,
    balance: Balance = False,
    masked: Masked = None,
    window: Window = None,
    model: Model = "default",
    device: Device = "auto",
    threads: Threads = 0,
    seed: int = 1,
    overwrite: Overwrite = False,
) -> None:
    """Train the study's network on labelled CT and write a model set.

    Goes on where it was stopped, if it is given the same data and options. A second command with
    --role detector adds its network to the same set.
    """
    from models.recipes.labelled.command import make_set
    from models.recipes.labelled.loop import Schedule
    from models.recipes.labelled.report import Wanted

    plan = of_network(plan_of(role, approach, recipe, masked, window), network, width, start)
    if folds == 1 or folds < 0:
        raise typer.BadParameter("--folds must be 0 or 2 and more")
    if minutes is not None and not 0 < minutes < math.inf:
        raise typer.BadParameter("--minutes must be more than 0")
    if not 0 < rate < 1:
        raise typer.BadParameter("--rate must be between 0 and 1")
    used = device_of(device, threads)
    from vfx_edge.labelled.reading import read_dataset

    if minutes is None and used == "cpu":
        minutes = ON_CPU
    schedule = Schedule(rate, epochs, patience, minutes, batch, used, seed, balance)
    report = make_set(
        read_dataset(labelled), Wanted(plan, schedule, out, work, folds, model, overwrite), tell
    )
    typer.echo(summary(report))


def compare(
    work: Annotated[Path, typer.Option(help="folder for phantoms and checkpoints")],
    shown: Annotated[int, typer.Option(help="crops that each network is shown", min=32)] = 2000,
    seeds: Annotated[int, typer.Option(help="trainings of each variant", min=1)] = 1,
    batch: Annotated[int, typer.Option(help="crops a step", min=2)] = 32,
    write: Annotated[
        bool, typer.Option("--write", help="into compared.json and the shipped set's card")
    ] = False,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Masked or not, approach 1 or 2, which window: trained and scored on the same phantoms."""
    import json

    from models.recipes.labelled import experiments
    from models.recipes.labelled.loop import Schedule

    schedule = Schedule(batch=batch, device=device_of(device, threads))
    found = experiments.compare(
        work, experiments.Cohort(), shown, range(1, seeds + 1), schedule, tell
    )
    if write:
        experiments.keep(found)
        experiments.write_table(experiments.CARD, found)
    typer.echo(json.dumps(found, indent=1))


def plan_of(role: str, approach: int, recipe: str, masked: bool | None, window: str | None) -> Plan:
    """What the recipe has where nothing is asked. BadParameter where a word or a number is none of
    those known."""
    of_study = recipe == "study"
    window = window or ("study" if of_study else "bone")
    for option, given, known in (
        ("--role", role, get_args(Task)),
        ("--approach", approach, APPROACHES),
        ("--recipe", recipe, get_args(Recipe)),
        ("--window", window, tuple(WINDOWS)),
    ):
        if given not in known:
            words = ", ".join(map(str, known))
            raise typer.BadParameter(f"no {option} '{given}': use one of {words}")
    shown = of_study if masked is None else masked
    return Plan(role, approach, recipe, shown, window)  # type: ignore[arg-type]


def of_network(plan: Plan, network: str, width: int, start: Path | None) -> Plan:
    """With the network that was asked for. BadParameter where it is none, or the recipe has none
    of its kind."""
    if network not in get_args(Kind):
        words = ", ".join(get_args(Kind))
        raise typer.BadParameter(f"no --network '{network}': use one of {words}")
    if network == "volume":
        if start is not None:
            raise typer.BadParameter("--start goes with --network slices")
        return plan
    if plan.recipe == "ours":
        raise typer.BadParameter(
            "--recipe ours tells strangers by the features of a network that sees volumes: with "
            "--network slices use --recipe study --unmasked --window bone, and then "
            "`vfx-edge calibrate` for temperature and thresholds"
        )
    return replace(plan, network="slices", width=width, start="" if start is None else str(start))


def device_of(asked: str, threads: int) -> str:
    """The device that is there, its threads set; BadParameter."""
    import torch

    from models.recipes.train import best_device

    if asked.split(":")[0] not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter(f"no device '{asked}': use auto, cpu or cuda")
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise typer.BadParameter("no CUDA device is available: use --device cpu")
    if threads > 0:
        torch.set_num_threads(threads)
    return best_device(asked)


def tell(line: str) -> None:
    """A line for people."""
    typer.echo(line, err=True)


def summary(report: "Report") -> str:
    """What was reached, a line a part, and what comes next."""
    from models.recipes.labelled.card import CLOCK, PARTS, SHOWN, estimate_cell

    lines = [
        f"{PARTS[part]}: " + ", ".join(
            f"{SHOWN[name]} {estimate_cell(found[name])}" for name in ("auc", "balanced_accuracy")
        )
        for part, found in report.scores.items()
    ]  # fmt: skip
    if report.hurried:
        lines.append(f"{CLOCK}: with more --minutes and --overwrite it goes on from there")
    lines.append(f"next: vfx-edge evaluate DATASET --model {report.wanted.out} -o FOLDER")
    return "\n".join(lines)
