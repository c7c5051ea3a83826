"""`vfx-edge bench`: what a study costs on this machine, and whether the fast answers are right."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vfx_edge.cli import bench_options as options
from vfx_edge.cli import folders, parse
from vfx_edge.cli.phantom import FIELD_MM

if TYPE_CHECKING:
    from vfx_edge.bench.record import Record
    from vfx_edge.bench.settings import Settings
    from vfx_edge.phantom import PhantomSpec

EXAMPLES = """\b
Examples:
  vfx-edge bench                              every backend here, on a small phantom
  vfx-edge bench --input /path/to/dicom --json here.json --plot here.svg
  vfx-edge bench --slices 600 --spacing 1 --matrix 512 --backend openvino --repeat 10
  vfx-edge bench compare before.json after.json
"""
LEVELS, SPACING_MM, MATRIX = "T1-L5", 1.5, 256
FRACTURES = ("T10:crush:0.4", "L1:wedge:0.35")
"""So that the classifier has something to do."""

app = typer.Typer(invoke_without_command=True, epilog=EXAMPLES)


@app.callback()
def bench(
    context: typer.Context,
    path: options.Input = None,
    slices: options.Slices = None,
    spacing: options.Spacing = None,
    levels: options.Levels = None,
    matrix: options.Matrix = None,
    seed: options.Seed = None,
    repeat: options.Repeat = 5,
    duration: options.Duration = None,
    cold: options.Cold = 4,
    studies: options.Studies = 4,
    backend: options.Backend = "all",
    precision: options.Precision = "all",
    model: options.Model = "default",
    json_file: options.JsonFile = None,
    plot: options.Plot = None,
    quiet: options.Quiet = False,
) -> None:
    """Measure what a study costs on this machine, on every backend.

    Latency of the whole chain and of its stages, from a cold start and warm, throughput, memory;
    beside each time stands whether the answers are still those of the reference.
    """
    if context.invoked_subcommand is not None:
        return
    phantom = (slices, spacing, levels, matrix, seed)
    if path is not None and any(value is not None for value in phantom):
        raise typer.BadParameter(
            "--input takes a CT, and --slices, --spacing, --levels, --matrix and --seed make one: "
            "give one or the other"
        )
    names = parse.names(backend, ("all", *parse.local_backends()), "backend")
    precisions = parse.names(precision, ("all", *parse.PRECISIONS), "precision")
    with _places(json_file, plot), _ended_in_order():
        from vfx_edge.bench.settings import Settings

        settings = Settings(
            source=path or _phantom(*phantom),
            model=model,
            backends=None if "all" in names else names,
            precisions=None if "all" in precisions else precisions,
            repeat=repeat,
            duration_s=duration,
            cold=cold,
            studies=studies,
        )
        record = _measured(settings, quiet)
        _keep(record, json_file, plot)
    _show(record, quiet)


@app.command("compare")
def compare(a: options.FileA, b: options.FileB, as_json: options.AsJson = False) -> None:
    """Compare two benchmarks: is B faster than A, or does it only look so?

    The verdict regards how much the runs inside each file differ among themselves. Whatever was
    not the same on both sides is listed.
    """
    from vfx_edge.bench.compare import compare as compared
    from vfx_edge.bench.record import read_record
    from vfx_edge.cli.bench_show import show_comparison

    found = compared(read_record(a), read_record(b))
    if as_json:
        print(json.dumps(found.to_json_able(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show_comparison(found, a, b)


@contextmanager
def _places(json_file: Path | None, plot: Path | None) -> Iterator[None]:
    """Whether the files can be written is known before minutes of measuring, not after them."""
    from vfx_edge.bench.plot import ENDINGS
    from vfx_edge.errors import OutputError
    from vfx_edge.files import OutputFileIsFolder

    if plot is not None and plot.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"--plot {plot} ends in neither {' nor '.join(ENDINGS)}")
    try:
        for path in filter(None, (json_file, plot)):
            folders.check_writable(path.parent)
            if path.is_dir():
                raise OutputFileIsFolder(path)
        yield
    except OutputError as error:  # written with `run` in mind
        raise OutputError(str(error).replace(" with --out", "")) from error


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A terminated benchmark removes its scratch folder as one stopped with Ctrl-C does."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _phantom(
    slices: int | None,
    spacing: float | None,
    levels: str | None,
    matrix: int | None,
    seed: int | None,
) -> "PhantomSpec":
    """The phantom asked for; what it can't be is wrong usage."""
    from vfx_edge.phantom import PhantomSpec, parse_fracture, parse_levels

    shown = {level.value for level in parse.level_range(levels or LEVELS)}
    broken = tuple(f for f in map(parse_fracture, FRACTURES) if f.level in shown)
    size = matrix or MATRIX
    try:
        return PhantomSpec(
            levels=parse_levels(levels or LEVELS),
            slices=slices,
            spacing_mm=SPACING_MM if spacing is None else spacing,
            pixel_mm=FIELD_MM / size,
            matrix=(size, size),
            fractures=broken,
            seed=seed or 0,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _measured(settings: "Settings", quiet: bool) -> "Record":
    from vfx_edge.bench.suite import run_suite
    from vfx_edge.cli.progress import ShareProgress

    with ShareProgress(quiet) as progress:
        return run_suite(settings, progress.step, progress.note)


def _keep(record: "Record", json_file: Path | None, plot: Path | None) -> None:
    from vfx_edge.bench.plot import draw
    from vfx_edge.bench.record import write_record

    if json_file is not None:
        write_record(record, json_file)
    if plot is not None:
        draw(record, plot)


def _show(record: "Record", quiet: bool) -> None:
    from vfx_edge.cli.bench_show import show_record

    show_record(record, brief=quiet)
