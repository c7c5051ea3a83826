"""`vfx-edge calibrate`: thresholds of one's own, from an evaluation, as a new model set."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli import folders
from vfx_edge.cli.show import people_console, printing, tell
from vfx_edge.cli.stopping import tidy_end

if TYPE_CHECKING:
    from vfx_edge.manifest import ModelManifest
    from vfx_edge.tuning.choice import Choice

Evaluation = Annotated[
    Path,
    typer.Argument(
        metavar="EVALUATION",
        help="The folder that `vfx-edge evaluate` wrote.",
        show_default=False,
        readable=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="MODEL_SET",
        help="The new model set's folder, which must not be there yet; the set is named after it.",
        show_default=False,
        readable=False,
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Whose answers, where the evaluation is of several model sets.",
        show_default=False,
    ),
]
SetPlace = Annotated[
    str | None,
    typer.Option(
        "--set",
        metavar="NAME_OR_DIR",
        help="Where that model set lies, if it was moved since.",
        show_default=False,
    ),
]
Sensitivity = Annotated[
    float | None,
    typer.Option(
        "--sensitivity",
        metavar="SHARE",
        help="Of the malignant fractures told apart, at least this share is called malignant "
        "(0.95).",
        show_default=False,
        min=0,
        max=1,
    ),
]
Specificity = Annotated[
    float | None,
    typer.Option(
        "--specificity",
        metavar="SHARE",
        help="Of the osteoporotic fractures told apart, at least this share is called "
        "osteoporotic.",
        show_default=False,
        min=0,
        max=1,
    ),
]
Uncertain = Annotated[
    float | None,
    typer.Option(
        "--uncertain",
        metavar="SHARE",
        help="At most this share stays uncertain and goes to MRI; within it the best balanced "
        "accuracy.",
        show_default=False,
        min=0,
        max=1,
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        "--coverage",
        metavar="SHARE",
        help="Also conformal sets: of each class at least this share of new fractures has its true "
        "cause among those named possible.",
        show_default=False,
        min=0.5,
        max=0.999,
    ),
]
SplitNames = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Which cases count: train, validation, test or external; may be given several times.",
        show_default="validation, and those without a split",
    ),
]
NoTemperature = Annotated[
    bool, typer.Option("--no-temperature", help="Leave the stated probabilities as they are.")
]
Show = Annotated[
    bool, typer.Option("--show", help="Only show the curve to choose from; write nothing.")
]


def calibrate(
    evaluation: Evaluation,
    out: Out = None,
    model: ModelName = None,
    model_set: SetPlace = None,
    sensitivity: Sensitivity = None,
    specificity: Specificity = None,
    uncertain: Uncertain = None,
    coverage: Coverage = None,
    split: SplitNames = None,
    no_temperature: NoTemperature = False,
    show: Show = False,
) -> None:
    """Set a classifier's thresholds on your own labelled fractures, as a new model set.

    Fits how sure the network may sound (temperature), and two cuts: malignant, osteoporotic,
    between them uncertain. With --sensitivity alone, or --specificity alone, nobody stays
    uncertain; with both, as few as can be. Without any of them the tiers stay as they are. The
    curve that is shown says what each share of uncertain ones buys, counted on patients that were
    left out. The set that was evaluated stays as it is.
    """
    from datetime import date

    from vfx_edge.cli.parse import one_of
    from vfx_edge.errors import ModelError
    from vfx_edge.evaluation.operating_point import Wanted
    from vfx_edge.labelled.dataset import Split
    from vfx_edge.tuning.choice import Asked, choose
    from vfx_edge.tuning.errors import NotOfAModelSet
    from vfx_edge.tuning.new_set import check_new, parameters_now, write_calibrated
    from vfx_edge.tuning.reading import read_evaluation

    if out is None and not show:
        raise typer.BadParameter("give -o for the new model set, or --show to see the curve alone")
    now = None
    splits = [one_of(name, tuple(map(str, Split)), "split") for name in split or ()]
    asked = Asked(Wanted(sensitivity, specificity, uncertain), coverage, not no_temperature)
    if out is not None and not show:
        check_new(out)
        folders.check_writable(out)
    found = read_evaluation(evaluation, model, splits)
    for problem in found.cells:
        tell(f"vertebrae.csv, {problem.sentence}")
    if show or out is None:
        with suppress(ModelError, NotOfAModelSet):  # then its thresholds are not shown
            now = parameters_now(found.model.manifest(model_set))
        _show(choose(found.cases, asked, now))
        return
    source = found.model.manifest(model_set)
    choice = choose(found.cases, asked, parameters_now(source))
    with tidy_end():
        made = write_calibrated(source, found, choice, out, date.today())
    _show(choice)
    _tell_of(made, out)


def _show(choice: "Choice") -> None:
    """The curve, what was chosen, and what to mind."""
    from rich import box
    from rich.table import Table

    from vfx_edge.tuning.card import HEADINGS, HELD_OUT, chosen_lines, curve_rows

    console = people_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    *steps, chosen = curve_rows(choice, intervals=False)
    for row in steps:
        table.add_row(*row)
    table.add_section()
    table.add_row(*chosen, style="bold")
    with printing():
        console.print(table)
        console.print(HELD_OUT, soft_wrap=True)
        for line in chosen_lines(choice):
            console.print(line, soft_wrap=True)


def _tell_of(made: "ModelManifest", out: Path) -> None:
    with printing():
        print(f"{out}: {made.name} {made.version}, digest {made.digest}")
