"""Options that several commands share, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

from vfx_edge.vocabulary import INTENDED_USES

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="The model set's folder; its name is the set's name."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model set that lies there already.")
]
Licence = Annotated[
    str, typer.Option("--licence", metavar="TEXT", help="Licence of the weights, for the manifest.")
]
TrainingData = Annotated[
    str,
    typer.Option(
        "--training-data", metavar="TEXT", help="What it was trained on, for the manifest."
    ),
]
IntendedUse = Annotated[
    str,
    typer.Option(
        "--intended-use",
        metavar="|".join(INTENDED_USES),
        help="What the set may be used for. Networks borrowed from the default set keep the whole "
        "a demonstration.",
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=MEANING",
        help="What a class of the network's own means here, such as Wirbel12=T12; NAME= leaves it "
        "out. Repeatable. Vertebrae under any usual name (Th12, vertebrae_L1) need none.",
    ),
]
NOT_STATED = "not stated at export"


def head(intended_use: str, licence: str, training_data: str, summary: str) -> dict[str, str]:
    """The manifest's first keys, of a set that borrows its other networks from the default one."""
    return {
        "version": "1",
        "base": "default",
        "intended_use": intended_use,
        "licence": licence,
        "training_data": training_data,
        "summary": summary,
    }


def renamed(wishes: list[str] | None) -> dict[str, str]:
    """The wishes of `--map` as [network.classes]; vertebrae under our names."""
    from vfx_edge.level_names import class_level

    table: dict[str, str] = {}
    for wish in wishes or ():
        name, equals, meaning = wish.rpartition("=")
        if not equals or not name:
            raise typer.BadParameter(f"--map '{wish}' is not NAME=MEANING, such as Wirbel12=T12")
        level = class_level(meaning)
        table[name] = meaning if level is None else level.value
    return table
