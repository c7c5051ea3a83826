"""An evaluation on the terminal: the figures that are looked for first, and what failed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfx_edge.cli.show import people_console, printing

if TYPE_CHECKING:
    from rich.console import Console

MOST_SHOWN = 10
COLUMNS = ("accuracy", "sensitivity", "specificity", "balanced_accuracy", "auc")
HEADINGS = ("Accuracy", "Sensitivity", "Specificity", "Balanced acc.", "Rank AUC")
NO_FIGURE = "-"
WIDEST_NAME = 32
"""Letters of an approach or a reader that stay on one line."""


@printing()
def show_evaluation(told: Mapping[str, Any], page: Path) -> None:
    """told: the content of evaluation.json."""
    console = people_console()
    for name, model in told["models"].items():
        _found(name, model, console)
    _sets(told, console)
    _disputed(told, console)
    _failures(told["failures"], console)
    _problems(told["problems"], console)
    console.print(f"Tables and plots: {page}", soft_wrap=True)


def _found(name: str, model: Mapping[str, Any], console: "Console") -> None:
    """One line on what comes before the cause."""
    seen, dice = model["detection"], model["outlines"]["dice"].get("all")
    if not seen["vertebrae"]:
        return
    words = f"{name}: {seen['found']} of {seen['vertebrae']} vertebrae found"
    words += f", {seen['identified']} rightly named"
    if seen["d_mean_mm"] is not None:
        words += f", centres {seen['d_mean_mm']:.1f} mm off"
    if dice is not None:
        words += f", Dice {dice:.3f}"
    console.print(words, soft_wrap=True)


def _sets(told: Mapping[str, Any], console: "Console") -> None:
    """The test set and the external one by themselves, where both are there, as the page has it."""
    from vfx_edge.scoring.page_words import SETS

    if not told["splits"]:
        _figures("Malignant or osteoporotic", told["models"], console)
    for split, part in told["splits"].items():
        _figures(SETS[split], part["models"], console)


def _figures(title: str, models: Mapping[str, Any], console: "Console") -> None:
    """Positive is malignant; n: cases that got one of the two answers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    lines = [(name, figures) for name, figures in _lines(models) if figures["n"]]
    longest = max((len(name) for name, _ in lines), default=0)
    table.add_column(title, min_width=min(longest, WIDEST_NAME))
    for heading in ("n", *HEADINGS):
        table.add_column(heading, justify="right")
    for name, figures in lines:
        cells = (_figure(figures[column], column) for column in COLUMNS)
        table.add_row(name, str(figures["n"]), *cells)
    if lines:
        console.print(table)
    for name, model in models.items():
        share = model["classification"]["share_uncertain"]
        if share["of"]:
            console.print(f"{name}: {share['count']} of {share['of']} uncertain")


def _lines(models: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The approaches, then the readers on all cases, who are the same for each model."""
    for model in models.values():
        yield from model["classification"]["approaches"].items()
    for model in list(models.values())[:1]:
        for reader, figures in model["classification"]["readers"].items():
            yield f"reader {reader}", figures


def _figure(figure: Mapping[str, Any], column: str) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return NO_FIGURE
    if column in ("balanced_accuracy", "auc"):
        return f"{value:.2f}" + (f" ({low:.2f}–{high:.2f})" if low is not None else "")
    return f"{value:.0%} ({figure['count']}/{figure['of']})"


def _disputed(told: Mapping[str, Any], console: "Console") -> None:
    """Where a label may be wrong: the lines, the surest first."""
    every = [one for model in told["models"].values() for one in model["contradictions"]]
    lines = list(dict.fromkeys(one["row"] for one in every if one["row"] is not None))
    if not lines:
        return
    named = ", ".join(map(str, lines[:MOST_SHOWN]))
    more = f" and {len(lines) - MOST_SHOWN} more" if len(lines) > MOST_SHOWN else ""
    words = f"Answers contradict the label with confidence: line {named}{more} of the labels."
    console.print(f"{words} Check these labels, as the page shows them.", soft_wrap=True)


def _failures(failures: list[Mapping[str, Any]], console: "Console") -> None:
    if not failures:
        return
    console.print(f"{len(failures)} failed, and are in no figure of the cause:")
    for one in failures[:MOST_SHOWN]:
        console.print(f"  {one['study']} ({one['model']}): {one['reason']}", soft_wrap=True)
    _and_more(len(failures), "cases.csv", console)


def _problems(problems: list[Mapping[str, Any]], console: "Console") -> None:
    if not problems:
        return
    console.print(f"{len(problems)} lines of the labels could not be used as they are:")
    for one in problems[:MOST_SHOWN]:
        where = "" if one["row"] is None else f"line {one['row']}: "
        sentence = str(one["sentence"])
        shown = sentence if sentence.startswith(where) else where + sentence
        console.print(f"  {shown}", soft_wrap=True)
    _and_more(len(problems), "evaluation.json", console)


def _and_more(count: int, file: str, console: "Console") -> None:
    if count > MOST_SHOWN:
        console.print(f"  and {count - MOST_SHOWN} more, in {file}")
