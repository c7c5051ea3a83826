"""What the way through the service adds to a study: from the end of the scanner's association to
the last result in the archive, beside `vfx-edge run` with the same outputs. `--load`: load.py."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import inputs, load, options
from benchmarks.processes import whole_command
from benchmarks.results import Kept
from benchmarks.scanner import OUTPUTS, archiving, sent_and_stored, serving


def command(
    cts: options.Cts = None,
    slices: options.Slices = 600,
    matrix: options.Matrix = 512,
    repeat: options.Repeat = 5,
    isa: options.Isa = None,
    under_load: Annotated[
        bool, typer.Option("--load", help="Instead: four senders at once, one study over and over.")
    ] = False,
    studies: Annotated[int, typer.Option(help="With --load: so many are sent.", min=1)] = 24,
) -> None:
    """From the last image to the results in the archive, beside the command alone."""
    options.needs("pynetdicom", "filelock", "highdicom", "resvg_py")
    if under_load:
        load.measure(cts[0] if cts else None, slices, matrix, studies)
        return
    names = [inputs.name_of(path) for path in cts or ()]
    kept = Kept("service", {"slices": slices, "matrix": matrix, "repeat": repeat, "cts": names})
    phantom = inputs.PHANTOM.format(slices, matrix)
    scans = [(phantom, None), *((inputs.name_of(path), path) for path in cts or ())]
    rows = []
    for name, path in scans:
        making = inputs.scan(path, slices, matrix)
        rows.append({"name": name, **kept.point(name, _measured, making, repeat)})
    kept.finish({"rows": rows})


def _measured(making: Any, repeat: int) -> dict[str, Any]:
    with making as scan:
        return {"input": inputs.facts(scan.path), **both_ways(scan.path, repeat)}


def both_ways(path: Path, repeat: int) -> dict[str, list[float]]:
    """Seconds alone and through the service, in turns, after one of each that is not counted."""
    alone, through = [], []
    with archiving() as archive, serving(archive) as service:
        for _ in range(repeat + 1):
            alone.append(whole_command(path, OUTPUTS)["wall"])
            through.append(sent_and_stored(path, service.port, archive))
    return {"alone_s": alone[1:], "through_s": through[1:]}
