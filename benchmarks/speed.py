"""What a study costs: the whole command with process start, and warm in a running process."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import inputs, options
from benchmarks.processes import gathered, help_seconds, whole_command, worker
from benchmarks.results import Kept
from benchmarks.scanner import OUTPUTS
from benchmarks.worker import Order

Making = AbstractContextManager[inputs.Scan]


def command(
    cts: options.Cts = None,
    resample: Annotated[
        Path | None,
        typer.Option(
            help="A CT that is measured once more, resampled to the phantom's size.", exists=True
        ),
    ] = None,
    abdomen: Annotated[
        Path | None,
        typer.Option(help="A CT of an abdomen, resampled to 129 slices.", exists=True),
    ] = None,
    slices: options.Slices = 600,
    matrix: options.Matrix = 512,
    repeat: options.Repeat = 7,
    isa: options.Isa = None,
) -> None:
    """The headline figures: whole command, with DICOM results too, warm, peak memory, stages;
    --help."""
    options.needs("highdicom", "resvg_py")
    names = [inputs.name_of(path) for path in cts or ()]
    settings = {"slices": slices, "matrix": matrix, "repeat": repeat, "cts": names}
    resampled = [inputs.name_of(path) for path in (resample, abdomen) if path]
    kept = Kept("speed", {**settings, "resampled": resampled})
    helps = kept.point("vfx-edge --help", lambda: [help_seconds() for _ in range(repeat + 1)][1:])
    scans = _scans(cts or [], resample, abdomen, slices, matrix)
    rows = [_cost(kept, name, making, repeat) for name, making in scans]
    kept.finish({"help_s": helps, "rows": rows})


def _scans(
    cts: list[Path], resample: Path | None, abdomen: Path | None, slices: int, matrix: int
) -> Iterator[tuple[str, Making]]:
    """Name and CT, each made only when it is entered."""
    yield inputs.PHANTOM.format(slices, matrix), inputs.scan(None, slices, matrix)
    if resample is not None:
        name = inputs.RESAMPLED.format(inputs.name_of(resample), slices, matrix)
        yield name, inputs.resampled(resample, slices, matrix)
    yield from abdomens(abdomen, matrix)
    for path in cts:
        yield inputs.name_of(path), inputs.scan(path, slices, matrix)


def abdomens(path: Path | None, matrix: int) -> Iterator[tuple[str, Making]]:
    """A phantom of ABDOMEN_SLICES, and a CT on as many."""
    count = inputs.ABDOMEN_SLICES
    spec = inputs.abdomen_phantom(matrix)
    yield inputs.ABDOMEN.format(count, matrix), inputs.phantom(spec)
    if path is not None:
        name = inputs.RESAMPLED.format(inputs.name_of(path), count, matrix)
        yield name, inputs.resampled(path, count, matrix)


def _cost(kept: Kept, name: str, making: Making, repeat: int) -> dict[str, Any]:
    """All ways, in turns: what else the machine does hits both. One point, as a CT that is made
    would have to be made again for the rest of it."""
    return {"name": name, **kept.point(name, _measured, making, repeat)}


def _measured(making: Making, repeat: int) -> dict[str, Any]:
    with making as scan:
        what = inputs.facts(scan.path)
        whole_command(scan.path)  # fills caches
        is_dicom = scan.path.is_dir()  # nothing refers to the slices of a NIfTI file
        if is_dicom:
            whole_command(scan.path, OUTPUTS)
        commands, dicom, warm = [], [], []
        with worker(Order(str(scan.path), "auto", "auto")) as running:
            running.ask()
            for _ in range(repeat):
                commands.append(whole_command(scan.path))
                if is_dicom:
                    dicom.append(whole_command(scan.path, OUTPUTS)["wall"])
                warm.append(running.ask())
    about = {name: commands[0][name] for name in ("tier", "vertebrae")}
    return {
        "input": what,
        **about,
        "precision": warm[0]["precision"],
        "command": gathered(commands),
        "dicom_s": dicom,
        "warm": gathered(warm),
    }
