"""Options that several scripts share, each with its help."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import isa

Ct = Annotated[
    Path | None,
    typer.Option(
        help="A CT of your own; only its folder's name is kept.",
        show_default="the phantom",
        exists=True,
    ),
]
Cts = Annotated[
    list[Path] | None,
    typer.Option(
        "--ct", help="A CT of your own; only its folder's name is kept. Repeatable.", exists=True
    ),
]


def _hold(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        isa.hold(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return name


Isa = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(isa.HELD),
        help="Keep every program to the instructions of an older class of processors; its figures "
        "are kept apart and say so.",
        show_default="all that the processor has",
        callback=_hold,
        is_eager=True,
    ),
]
Slices = Annotated[int, typer.Option(help="Slices of the phantom, over 600 mm.", min=8)]
Matrix = Annotated[int, typer.Option(help="Voxels a side of the phantom's slices.", min=64)]
Repeat = Annotated[int, typer.Option(help="Measured runs of each kind.", min=1)]


def needs(*packages: str) -> None:
    """Wrong usage where a package of others is missing, before anything is measured."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise typer.BadParameter(
            f"{' and '.join(missing)} not installed: pip install -e '.[export,peers]'"
        )
