"""Options that several scripts share, each with its help."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

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
Slices = Annotated[int, typer.Option(help="Slices of the phantom, over 600 mm.", min=8)]
Matrix = Annotated[int, typer.Option(help="Voxels a side of the phantom's slices.", min=64)]
Repeat = Annotated[int, typer.Option(help="Measured runs of each kind.", min=1)]


def needs(*packages: str) -> None:
    """Wrong usage where a package of others is missing, before anything is measured."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise typer.BadParameter(
            f"{' and '.join(missing)} not installed: pip install -e '.[export,peers]'"
        )
