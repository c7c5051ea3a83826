"""`python -m benchmarks`: every figure of docs/benchmarks.md, one command each."""

import sys

import typer

from benchmarks import (
    batch,
    batch_kills,
    batches,
    cases,
    coverage,
    everything,
    explain,
    faults,
    floor,
    foreign,
    gpu,
    growth,
    guard,
    hostile,
    impossible,
    kserve,
    leaks,
    limits,
    looking,
    page,
    peers,
    precisions,
    render,
    repeatability,
    scale,
    second_readers,
    service,
    signs,
    speed,
    thresholds,
)
from vfx_edge.cli import answer

app = typer.Typer(
    name="benchmarks",
    help="Measures what stands in docs/benchmarks.md, and writes it there.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
MODULES = (
    *(
        everything,
        speed,
        peers,
        growth,
        limits,
        floor,
        precisions,
        batches,
        batch,
        batch_kills,
        looking,
        kserve,
        service,
        page,
        guard,
    ),
    *(faults, leaks, gpu, foreign, hostile, impossible, coverage, cases),
    *(repeatability, thresholds, scale, explain, signs, second_readers, render),
)
NAMES = {everything: "all", second_readers: "second-readers", batch_kills: "batch-kills"}
for module in MODULES:
    app.command(NAMES.get(module, module.__name__.rpartition(".")[2]))(module.command)


if __name__ == "__main__":
    sys.exit(answer(app, "python -m benchmarks"))
