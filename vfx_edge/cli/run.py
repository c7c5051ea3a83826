"""`vfx-edge run`: read, analyse, write, and say what was found."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vfx_edge.cli import folders, options, parse
from vfx_edge.cli.progress import StageProgress
from vfx_edge.cli.show import people_console, show_study
from vfx_edge.study import Analysis, Level, StudyResult, Tier

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.pipeline import Options
    from vfx_edge.study import Volume

TRIAGE_EXIT = {
    Tier.MALIGNANT: 10,
    Tier.UNCERTAIN: 11,
    Tier.OSTEOPOROTIC: 12,
    Tier.NOT_ASSESSABLE: 13,
    Tier.NONE_SUSPECTED: 0,
}


@dataclass(frozen=True)
class Request:
    """What was asked for, checked."""

    path: Path
    out: Path | None
    backend: str
    model: str
    series: str | None
    levels: tuple[Level, ...] | None
    classify: str | tuple[Level, ...]
    segmentation: Path | None
    kinds: tuple[str, ...]
    language: str


def run(
    path: options.Input,
    out: options.Out = None,
    backend: options.Backend = "auto",
    model: options.Model = "default",
    series: options.Series = None,
    levels: options.Levels = None,
    classify: options.Classify = "suspected",
    segmentation: options.Segmentation = None,
    outputs: options.Outputs = "json,html",
    triage_exit_code: options.TriageExitCode = False,
    as_json: options.AsJson = False,
    language: options.Language = "en",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Triage the vertebral fractures of one CT and write a report.

    Finds and names the vertebrae, measures their heights, classifies those that have lost
    height, and prints the verdict. Nothing leaves this machine.
    """
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other: give one of them")
    request = Request(
        path=path,
        out=out,
        backend=parse.one_of(backend, parse.BACKENDS, "backend"),
        model=model,
        series=series,
        levels=parse.level_range(levels) if levels else None,
        classify=parse.classify_choice(classify),
        segmentation=segmentation,
        kinds=parse.output_kinds(outputs),
        language=parse.one_of(language, parse.LANGUAGES, "language of the report"),
    )
    with StageProgress(quiet, lines=verbose) as progress:
        result, folder = _triage(request, progress)
    report = folder / ("report.html" if "html" in request.kinds else "result.json")
    _tell(result, report, as_json=as_json, quiet=quiet, verbose=verbose)
    if triage_exit_code:
        raise typer.Exit(TRIAGE_EXIT[result.triage.tier])


def _triage(request: Request, progress: StageProgress) -> tuple[StudyResult, Path]:
    """All of the command but what it prints: the result, and the folder it lies in."""
    began = time.perf_counter()
    from vfx_edge.pipeline import analyze

    folders.check_writable(request.out or folders.DEFAULT_PARENT)
    progress.start("read")
    volume, models = _read_and_open(request)
    read = time.perf_counter() - began
    with models:
        analysis = analyze(volume, models, _options(request, volume), progress.start)
    progress.start("write")
    folder = request.out or folders.default_folder(volume.series)
    analysis = _with_run(analysis, {"read": read})
    return _write(analysis, request, folder, began), folder


def _read_and_open(request: Request) -> "tuple[Volume, OpenModels]":
    """The scan, and the networks opened while it was read: each takes a while."""
    from vfx_edge.backends import open_models
    from vfx_edge.inputs import load_volume
    from vfx_edge.manifest import load_model_set
    from vfx_edge.pipeline import needed_roles

    def opened() -> "OpenModels":
        manifest = load_model_set(request.model)
        roles = needed_roles(manifest, request.segmentation is not None)
        return open_models(manifest, request.backend, roles=roles)

    with ThreadPoolExecutor(max_workers=1) as pool:
        opening = pool.submit(opened)
        volume = load_volume(request.path, request.series)
        return volume, opening.result()


def _options(request: Request, volume: "Volume") -> "Options":
    from vfx_edge.pipeline import Options

    options = Options(classify=request.classify)
    if request.levels is not None:
        options = replace(options, levels=request.levels)
    if request.segmentation is not None:
        from vfx_edge.inputs import load_segmentation

        options = replace(options, segmentation=load_segmentation(request.segmentation, volume))
    return options


def _write(analysis: Analysis, request: Request, folder: Path, began: float) -> StudyResult:
    """Every file asked for; result.json comes last, so that its being there means all are."""
    from vfx_edge.outputs import write_nifti, write_report, write_result_json

    start = time.perf_counter()
    analysis = _with_run(analysis, {"total": start - began})
    if "nifti" in request.kinds:
        write_nifti(analysis, folder)
    if "html" in request.kinds:
        write_report(analysis, folder / "report.html", request.language)
    end = time.perf_counter()
    result = _with_run(analysis, {"write": end - start, "total": end - began}).result
    write_result_json(result, folder / "result.json")
    return result


def _with_run(analysis: Analysis, seconds: dict[str, float]) -> Analysis:
    """What only the whole command knows, added to what the analysis says of itself."""
    from vfx_edge.usage import peak_rss_mib

    run = analysis.result.run
    run = replace(run, seconds={**run.seconds, **seconds}, peak_rss_mib=peak_rss_mib())
    return replace(analysis, result=replace(analysis.result, run=run))


def _tell(result: StudyResult, report: Path, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    """The verdict first; with `as_json` people find it on standard error."""
    if as_json:
        from vfx_edge.outputs import result_to_json

        sys.stdout.buffer.write(result_to_json(result).encode("utf-8"))
        sys.stdout.buffer.flush()
    console = people_console(sys.stderr if as_json else sys.stdout)
    show_study(result, console, quiet=quiet, verbose=verbose)
    if not quiet:
        console.print(f"Report: {report}", soft_wrap=True)
