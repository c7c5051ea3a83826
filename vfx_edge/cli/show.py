"""A study on the terminal: the verdict first, then a table of vertebrae."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from vfx_edge.errors import OutputError
from vfx_edge.study import (
    CauseNotClassified,
    Classified,
    Finding,
    NotAssessable,
    NotClassified,
    StudyResult,
    Tier,
)
from vfx_edge.vocabulary import Reason

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from vfx_edge.outputs.wording import Wording

STYLES = {
    Tier.MALIGNANT: "bold white on red",
    Tier.UNCERTAIN: "bold black on yellow",
    Tier.OSTEOPOROTIC: "bold black on cyan",
    Tier.NONE_SUSPECTED: "bold green",
    Tier.NOT_ASSESSABLE: "bold black on white",
}
GAP_STYLE = "bold"
"""Nothing suspected, but not all that is in view could be read: no green."""


class StandardOutputFailed(OutputError):
    """Nobody reads what is printed, or its disk is full."""

    def __init__(self) -> None:
        super().__init__(
            "standard output can't be written: is the disk full, or did its reader stop?"
        )


@contextmanager
def printing() -> Iterator[None]:
    """StandardOutputFailed where what is printed in the block can't be."""
    try:
        yield
        sys.stdout.flush()
    except OSError:
        raise StandardOutputFailed from None


def tell(line: str) -> None:
    """A line on standard error, where it can be written: neither an exit code nor a service's work
    may depend on a log whose disk is full or whose reader has gone."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def people_console(stream: TextIO | None = None) -> "Console":
    """A console that neither colours nor wraps oddly when its stream is no terminal."""
    from rich.console import Console

    class PeopleConsole(Console):
        def on_broken_pipe(self) -> None:
            """Rich itself would end the program, as if there was a bug."""
            raise BrokenPipeError

    stream = stream or sys.stdout
    return PeopleConsole(
        file=stream, highlight=False, markup=False, width=None if stream.isatty() else 100
    )


def show_study(
    result: StudyResult, console: "Console", *, quiet: bool = False, verbose: bool = False
) -> None:
    """The verdict; unless `quiet` the vertebrae and notes; when `verbose` how it came about."""
    _verdict(result, console)
    if quiet:
        return
    _vertebrae(result, console)
    _notes(result, console)
    if verbose:
        _details(result, console)


def _english() -> "Wording":
    from vfx_edge.outputs.wording import Wording

    return Wording("en")


def _verdict(result: StudyResult, console: "Console") -> None:
    """The study's tier, the levels that drive it and what is recommended."""
    from vfx_edge.outputs.verdict import rest_of_line, verdict_of

    tier, verdict, t = result.triage.tier, verdict_of(result), _english()
    words = t(f"verdict.{tier}").upper() + rest_of_line(verdict, t)
    style = GAP_STYLE if verdict.is_gap else STYLES[tier]
    console.print(f" {words} ", style=style, soft_wrap=True)
    console.print(result.triage.recommendation, soft_wrap=True)
    if result.run.intended_use == "demonstration":
        console.print(
            "Demonstration models: this is no medical finding and not for clinical use.",
            style="bold magenta",
        )


def _vertebrae(result: StudyResult, console: "Console") -> None:
    """One line for each vertebra, from head to feet."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Level")
    for heading in ("Ant. mm", "Mid. mm", "Post. mm", "Loss", "Genant"):
        table.add_column(heading, justify="right")
    table.add_column("Assessment")
    for finding in result.findings:
        _add_row(table, finding)
    console.print(table)


def _notes(result: StudyResult, console: "Console") -> None:
    """What the verdict leaves out, and what was odd about this run: one line each."""
    from vfx_edge.outputs.report.facts import by_hand
    from vfx_edge.outputs.verdict import cut, verdict_of

    t = _english()
    for words in (cut(verdict_of(result), t), by_hand(result.run.levels_by_hand, t)):
        if words:
            console.print(words, soft_wrap=True)
    for warning in result.run.warnings:
        console.print(f"Note: {warning}")


def _details(result: StudyResult, console: "Console") -> None:
    """What ran, what was passed over, and why."""
    run = result.run
    console.print(
        f"Backend: {run.backend.used} on {run.backend.device}, {run.backend.precision};"
        f" models: {run.model_set}; {run.seconds.get('total', 0.0):.1f} s,"
        f" peak {run.peak_rss_mib:.0f} MiB",
    )
    if run.calibration is not None:
        from vfx_edge.outputs.report.facts import calibrated

        console.print(f"Calibration: {calibrated(run, _english())}", soft_wrap=True)
    for what, pairs in (("passed over", run.backend.skipped), ("failed:", run.backend.failed)):
        for name, reason in pairs:
            console.print(f"  {what} {name}: {reason}")
    for other in result.series.others:
        console.print(f"  series {other.series_uid} not taken: {other.reason}")


def _add_row(table: "Table", finding: Finding) -> None:
    from vfx_edge.outputs.verdict import name_of

    measured = finding.measurement
    heights = measured.heights
    values = (heights.anterior_mm, heights.middle_mm, heights.posterior_mm) if heights else ()
    table.add_row(
        name_of(finding.vertebra, _english()),
        *([f"{value:.1f}" for value in values] or ["-"] * 3),
        "-" if measured.height_loss is None else f"{measured.height_loss:.0%}",
        measured.grade_words or "-",
        _assessment(finding) + _more(finding),
        style="bold" if finding.suspected_fracture else None,
    )


def _more(finding: Finding) -> str:
    """What the columns do not say: why a network was asked all the same, and who suspects."""
    from vfx_edge.outputs.vertebra_status import only_on_request, suspected_by

    t, more, reason = _english(), [], finding.measurement.reason
    if isinstance(finding.assessment, Classified) and reason is not None:
        what = "heights not measured" if finding.measurement.heights is None else "loss not judged"
        more.append(f"{what}: {reason.replace('_', ' ')}")
    if by := suspected_by(finding):
        more.append(t(f"suspicion.{by}"))
    if only_on_request(finding):
        more.append(t("suspicion.request"))
    return "".join(f"; {words}" for words in more)


def _assessment(finding: Finding) -> str:
    match finding.assessment:
        case Classified() as seen:
            return f"{seen.tier.value} (malignant {seen.p_malignant:.2f})"
        case CauseNotClassified(because=because):
            return f"uncertain ({because.replace('_', ' ')})"
        case NotAssessable(reason=Reason.TRUNCATED):
            return "cut off by the edge of the scan"
        case NotAssessable(reason=reason):
            return f"not assessable: {reason.replace('_', ' ')}"
        case NotClassified(p_intact=float(p_intact)):
            return f"no fracture seen (intact {p_intact:.2f})"
        case NotClassified(reason=reason):
            return reason.replace("_", " ")
