"""python -m models.recipes.generator: write composites, or a contact sheet of them."""

from pathlib import Path
from typing import Annotated

import typer

from models.recipes.generator.bank import load_bank
from models.recipes.generator.samples import contact_sheet
from models.recipes.generator.write import write_composites

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
Data = Annotated[Path, typer.Option(help="Folder with shapes/ (masks) and real CT.")]
Masks = Annotated[
    list[Path] | None,
    typer.Option(help="Folder or file of VerSe-format masks; may be given again. [data/shapes]"),
]
Without = Annotated[list[str] | None, typer.Option(help="Leave masks out by part of their path.")]
First = Annotated[int, typer.Option(help="First seed.")]
DATA = Path("../shared/data")


@app.command()
def write(
    folder: Path,
    data: Data = DATA,
    masks: Masks = None,
    without: Without = None,
    first: First = 5000,
    count: Annotated[int, typer.Option(help="How many cases.")] = 60,
) -> None:
    """Write compose_<seed>.npz; what is there already is kept."""
    bank = load_bank(*(masks or [data / "shapes"]), without=without or [], progress=typer.echo)
    for seed in range(first, first + count):
        write_composites(folder, [seed], bank)
        typer.echo(f"compose_{seed:05d}.npz")


@app.command()
def samples(
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("build/samples.png"),
    data: Data = DATA,
    masks: Masks = None,
    first: First = 0,
    count: Annotated[int, typer.Option(help="How many composites.")] = 24,
) -> None:
    """A contact sheet of composites mixed with slices of real CT, where `data` has some."""
    folder = out.parent / "samples"
    wanted = [folder / f"compose_{seed:05d}.npz" for seed in range(first, first + count)]
    if not all(path.exists() for path in wanted):
        write(folder, data, masks, None, first, count)
    contact_sheet(wanted, data if data.is_dir() else None, out)
    typer.echo(str(out))


if __name__ == "__main__":
    app()
