"""`python -m models.recipes tabular` and `fusion`, as the command line has them."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("-o", "--out", help="folder of the model set")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the role in the set")]
ANSWERS = "-left-out.csv"
"""Ends the name of the answers that lie beside a set: they name studies, a set must not."""


def tabular(
    labelled: Annotated[Path, typer.Option(help="folder with labels.csv")],
    out: Out,
    features: Annotated[
        Path | None, typer.Option(help="features.csv of `vfx-edge evaluate --radiomics`")
    ] = None,
    stable: Annotated[
        Path | None,
        typer.Option(help="an evaluation with --repeat --radiomics: only what is stable there"),
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="use this one; again for each; else all that are told")
    ] = None,
    strength: Annotated[
        float, typer.Option(help="the smaller, the nearer to 0 weights stay", min=1e-4, max=1e4)
    ] = 1.0,
    base: Annotated[str, typer.Option(help="set whose networks a new set borrows")] = "default",
    overwrite: Overwrite = False,
) -> None:
    """A network of measured numbers and clinical data, from labelled fractures.

    Answers to patients that were left out are written beside the set, for `fusion`.
    """
    from models.recipes.tabular.command import Wish, make_tabular
    from models.recipes.tabular.examples import only_stable, read_features
    from vfx_edge.labelled.reading import read_dataset

    dataset = read_dataset(labelled, needs_ct=False)
    found = None if features is None else read_features(features)
    if found is not None and stable is not None:
        found = only_stable(found, stable)
    wish = Wish(out, answers_of(out), base, tuple(feature or ()), strength, overwrite)
    make_tabular(dataset, found, wish, typer.echo)


def fusion(
    evaluations: Annotated[
        list[Path], typer.Argument(help="what `vfx-edge evaluate` wrote of the network")
    ],
    out: Out,
    model: Annotated[str | None, typer.Option(help="whose answers, of several in them")] = None,
    answers: Annotated[
        Path | None, typer.Option(help="of the tabular network; else those beside the set")
    ] = None,
    uncertain: Annotated[
        float, typer.Option(help="share that its thresholds may leave uncertain", min=0, max=1)
    ] = 0.2,
    overwrite: Overwrite = False,
) -> None:
    """Weights for the answers of network and tabular network, added to the set of the latter."""
    from models.recipes.tabular.command import make_fusion
    from models.recipes.tabular.table import answered

    cases = answered(evaluations, answers or answers_of(out), model)
    make_fusion(cases, out, typer.echo, uncertain, overwrite)


def answers_of(out: Path) -> Path:
    """Where the answers to patients left out lie."""
    return out.resolve().with_name(out.resolve().name + ANSWERS)
