"""`vfx-edge evaluate --repeat`: what changes when a study is looked at again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.cli.progress import ShareProgress, TimeLeft
from vfx_edge.cli.show import people_console, printing

if TYPE_CHECKING:
    from vfx_edge.labelled.dataset import Dataset
    from vfx_edge.scoring.perturb import Perturbation
    from vfx_edge.scoring.run import Wanted

PAGE = "repeat.html"

Repeat = Annotated[
    bool,
    typer.Option(
        "--repeat",
        help="How repeatable the answers are, besides: each study again with other noise, place "
        "and kernel, and pairs of scans (column repeat_of). It needs no labels. Writes "
        "repeat.html, repeat.json and repeats.csv.",
    ),
]
Perturbations = Annotated[
    str,
    typer.Option(
        "--perturbations",
        metavar="LIST",
        help="With --repeat: any of noise,noise_again,shift,smoother,sharper, with --radiomics "
        "outline, too; all, or none for pairs of scans alone.",
    ),
]


def perturbations_of(
    repeat: bool, names: str, masks: str, radiomics: bool = False, runs: bool = True
) -> "tuple[Perturbation, ...]":
    """What is asked for, checked before anything runs; () without --repeat. runs: there
    are model sets or results; another program's answers can't be asked again. RadiomicsMissing."""
    if radiomics:
        from vfx_edge.radiomics import check_installed

        check_installed()
    if not repeat:
        if names != "all":
            raise typer.BadParameter("--perturbations says what --repeat does: give it, too")
        return ()
    if not runs:
        raise typer.BadParameter("--repeat needs what can be asked again: give --model, too")
    from vfx_edge.scoring.repeat import chosen

    made = chosen(names, radiomics)
    if made and masks != "chain":
        raise typer.BadParameter(
            "--repeat makes scans anew, which the experts' masks do not fit: leave --masks out, or "
            "give --perturbations none"
        )
    return made


def labelled_or_plain(
    folder: Path, labels: Path | None, repeat: bool, needs_ct: bool = True
) -> "Dataset":
    """The dataset; with --repeat also a folder of CT without labels."""
    from vfx_edge.labelled.errors import NoDataset
    from vfx_edge.labelled.plain import plain_dataset
    from vfx_edge.labelled.reading import read_dataset

    try:
        return read_dataset(folder, labels, needs_ct=needs_ct)
    except NoDataset:
        plain = plain_dataset(folder)
        if not repeat or not plain.studies:
            raise
        return plain


def run_repeat(
    wanted: "Wanted", made: "Sequence[Perturbation]", run: Mapping[str, Any], quiet: bool
) -> None:
    """Writes the three files, and shows what changed most."""
    from vfx_edge.scoring.repeat import repeat, write_repeat

    left = TimeLeft()
    with ShareProgress(quiet) as progress:

        def on_study(name: str, done: int, every: int) -> None:
            words = f"{name}, again: {done} of {every}{left.words(done, every)}"
            progress.step(words, done / max(every, 1))

        found = repeat(wanted, made, run, on_study)
    write_repeat(wanted.folder, found)
    if not quiet:
        show_repeat(found.figures, wanted.folder / PAGE)


@printing()
def show_repeat(figures: Mapping[str, Any], page: Path) -> None:
    """figures: the content of repeat.json."""
    console = people_console()
    for name, comparisons in figures["models"].items():
        for how, one in comparisons.items():
            console.print(f"{name}, {how}: {_words(one)}", soft_wrap=True)
    if figures["failures"]:
        console.print(f"{len(figures['failures'])} could not be compared.")
    console.print(f"Repeatability: {page}", soft_wrap=True)


def _words(one: Mapping[str, Any]) -> str:
    verdict, vertebra = (one["flips"][key]["share"] for key in ("verdict", "vertebra"))
    sd = one["measures"]["middle_mm"]["within_sd"]["value"]
    words = f"{verdict['count'] or 0} of {verdict['of'] or 0} verdicts and "
    words += f"{vertebra['count'] or 0} of {vertebra['of'] or 0} vertebrae flip"
    if named := one["vertebrae"]["renamed"]:
        words += f", {named} of {one['vertebrae']['both']} get another name"
    return words if sd is None else f"{words}, middle heights vary by {sd:.2f} mm (SD)"
