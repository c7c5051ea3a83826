"""`export totalsegmentator`: its vertebra networks by the task's name, from the folder where
TotalSegmentator keeps its weights. Nothing is downloaded.

Names, numbers and folders as in TotalSegmentator 2.18 (`map_tasks_config.py`).
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from export import nnunet, options
from vfx_edge.cli.parse import one_of
from vfx_edge.errors import ModelError

EXAMPLES = """\b
Examples:
  python -m export totalsegmentator total -o models/spine
  python -m export totalsegmentator total_fast --from /data/totalsegmentator/nnunet/results -o fast
  vfx-edge run ct/ --model models/spine

\b
Tasks: total (its part for the vertebrae, 1.5 mm), total_fast (all its classes, 3 mm), total_v3,
total_v3_fast, vertebrae_pp. TotalSegmentator itself gets the weights: totalseg_download_weights
"""
TASKS = {
    "total": 292,
    "total_fast": 297,
    "total_v3": 832,
    "total_v3_fast": 836,
    "vertebrae_pp": 803,
}
"""Task -> number of the dataset whose network names vertebrae in CT."""
COARSE = "at 6 mm no vertebra can be measured"
OTHERS = {
    "total_fastest": COARSE,
    "total_v3_fastest": COARSE,
    "vertebrae_body": "it has one class for the bodies of all vertebrae",
    "vertebrae_mr": "it is for MR",
    "total_mr": "it is for MR",
}
OPEN = "openly available for any usage, as TotalSegmentator's readme says of its task total"
RAS = "sar"
"""TotalSegmentator turns every image to the nearest of RAS before nnU-Net sees it."""


class NotThere(ModelError):
    """The task's network is not in the folder, or is none that can be used."""

    def __init__(self, task: str, why: str, remedy: str) -> None:
        super().__init__(f"TotalSegmentator's task {task} can't be exported ({why}): {remedy}")


Task = Annotated[str, typer.Argument(metavar="TASK", help="As TotalSegmentator calls it.")]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="DIR",
        help="Where the weights lie; by default where TotalSegmentator has them.",
    ),
]


def command(
    task: Task,
    out: options.Out,
    folder: From = None,
    map: options.Map = None,
    licence: options.Licence = options.NOT_STATED,
    training_data: options.TrainingData = "TotalSegmentator's dataset",
    intended_use: options.IntendedUse = "research",
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of one of TotalSegmentator's networks that name vertebrae in CT.

    As `export nnunet` does, with what is known of TotalSegmentator: which of its networks it is and
    how its images lay. Nothing is downloaded.
    """
    if task in OTHERS:
        raise NotThere(task, OTHERS[task], f"export one of {', '.join(TASKS)}")
    name = one_of(task, tuple(TASKS), "task")
    if licence == options.NOT_STATED and name.startswith("total"):
        licence = OPEN
    place = folder or weights_folder()
    nnunet.command(
        dataset_folder(place, name), out, orientation=RAS, map=map, licence=licence,
        training_data=training_data, intended_use=intended_use, overwrite=overwrite,
    )  # fmt: skip


def weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights, by its own rules."""
    if given := os.environ.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(given)
    home = os.environ.get("TOTALSEG_HOME_DIR") or os.path.expanduser("~/.totalsegmentator")
    return Path(home, "nnunet", "results")


def dataset_folder(place: Path, task: str) -> Path:
    """The folder of the task's network, or a zip as it is downloaded; NotThere without one."""
    pattern = f"Dataset{TASKS[task]}_*"
    found = sorted(path for depth in ("", "*/") for path in place.glob(depth + pattern))
    if found:
        return found[0]
    if place.match(pattern):
        return place
    remedy = "name the folder that holds it with --from, or let TotalSegmentator download it"
    raise NotThere(task, f"{place} holds no {pattern}", remedy)
