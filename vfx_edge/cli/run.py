"""`vfx-edge run`: read, analyse, write, and say what was found."""

import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import typer

from vfx_edge.cli import folders, options, parse
from vfx_edge.cli.progress import StageProgress
from vfx_edge.cli.show import people_console, printing, show_study
from vfx_edge.cli.sparing import sparing
from vfx_edge.cli.stopping import tidy_end
from vfx_edge.fracture_task import Options
from vfx_edge.job import DEFAULT_PARENT, Finished, Job, run_alone
from vfx_edge.study import StudyResult, Tier
from vfx_edge.tasks import DEFAULT, TASKS
from vfx_edge.vocabulary import THORACOLUMBAR

TRIAGE_EXIT = {
    Tier.MALIGNANT: 10,
    Tier.UNCERTAIN: 11,
    Tier.OSTEOPOROTIC: 12,
    Tier.NOT_ASSESSABLE: 13,
    Tier.NONE_SUSPECTED: 0,
}
INCOMPLETE_EXIT = 14
"""Nothing suspected, but something in view could not be read."""


def run(
    path: options.Input,
    out: options.Out = None,
    backend: options.Backend = "auto",
    device: options.Device = 0,
    gpu_memory: options.GpuMemory = None,
    precision: options.Precision = "auto",
    model: options.Model = "default",
    model_digest: options.ModelDigest = None,
    model_key: options.ModelKey = None,
    series: options.Series = None,
    levels: options.Levels = None,
    classify: options.Classify = "suspected",
    segmentation: options.Segmentation = None,
    shift_levels: options.ShiftLevels = None,
    anchor: options.AnchorAt = None,
    signs: options.Signs = False,
    explain: options.Explain = False,
    clinical: options.Clinical = None,
    outputs: options.Outputs = None,
    task: options.TaskName = DEFAULT,
    triage_exit_code: options.TriageExitCode = False,
    as_json: options.AsJson = False,
    language: options.Language = "en",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Triage the vertebral fractures of one CT and write a report.

    Finds and names the vertebrae, measures their heights, classifies those that have lost
    height, and prints the verdict. Nothing leaves this machine but to a server you name.
    """
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other: give one of them")
    request = parse.request(backend, device, gpu_memory, precision)
    task = parse.one_of(task, tuple(TASKS), "task")
    if task != DEFAULT:
        _refuse_options(task, levels, classify != "suspected", segmentation, shift_levels, anchor,
                        signs, explain, clinical, triage_exit_code)  # fmt: skip
    asked = Options(
        levels=THORACOLUMBAR if levels is None else parse.level_range(levels),
        classify=parse.classify_choice(classify),
        segmentation=segmentation,
        levels_by_hand=parse.by_hand(shift_levels, anchor),
        signs=signs,
        explain=explain,
        clinical=clinical,
    )
    job = Job(
        *(path, out, series, task),
        options=asked if task == DEFAULT else None,
        kinds=parse.output_kinds(outputs, task),
        language=parse.one_of(language, parse.LANGUAGES, "language of the report"),
    )
    demand = parse.demand(model_digest, model_key)
    with tidy_end(), sparing(), StageProgress(quiet, lines=verbose) as progress:
        folders.check_writable(job.out or DEFAULT_PARENT)
        done = run_alone(job, request, model, progress.start, demand)
    _report(job, done, as_json=as_json, quiet=quiet, verbose=verbose)
    _leave(done, by_triage=triage_exit_code)


def _report(job: Job, done: Finished, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    """What the terminal says in the end."""
    if job.task != DEFAULT:
        _report_other_task(done.folder, as_json=as_json, quiet=quiet)
        return
    report = done.folder / ("report.html" if "html" in job.wanted else "result.json")
    _tell(done.result, report, as_json=as_json, quiet=quiet, verbose=verbose)


def _refuse_options(task: str, *given: object) -> None:
    """Those that say how fractures are triaged mean nothing to another task."""
    names = ("--levels", "--classify", "--segmentation", "--shift-levels", "--anchor",
             "--signs", "--explain", "--clinical", "--triage-exit-code")  # fmt: skip
    for name, value in zip(names, given, strict=True):
        if value not in (None, False):
            raise typer.BadParameter(f"{name} belongs to the task {DEFAULT}, not to {task}")


@printing()
def _report_other_task(folder: Path, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        sys.stdout.buffer.write((folder / "result.json").read_bytes())
        sys.stdout.buffer.flush()
    elif not quiet:
        people_console(sys.stdout).print(f"Results: {folder}", soft_wrap=True)


def _leave(done: Finished, *, by_triage: bool) -> None:
    """With the verdict's exit code, where it was asked for; another task refuses that."""
    if by_triage:
        raise typer.Exit(_triage_exit(done.result))


def _triage_exit(result: StudyResult) -> int:
    complete = result.triage.coverage.complete
    if result.triage.tier is Tier.NONE_SUSPECTED and not complete:
        return INCOMPLETE_EXIT
    return TRIAGE_EXIT[result.triage.tier]


@printing()
def _tell(result: StudyResult, report: Path, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    """The verdict first; with `as_json` people find it on standard error."""
    if as_json:
        from vfx_edge.outputs.result_json import result_to_json

        sys.stdout.buffer.write(result_to_json(result).encode("utf-8"))
        sys.stdout.buffer.flush()
    console = people_console(sys.stderr if as_json else sys.stdout)
    with suppress(OSError) if as_json else nullcontext():  # the result itself is out already
        show_study(result, console, quiet=quiet, verbose=verbose)
        if not quiet:
            console.print(f"Report: {report}", soft_wrap=True)
