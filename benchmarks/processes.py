"""The programs that are measured, each started as a process of its own."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.results import UNFINISHED
from benchmarks.worker import Order
from vfx_edge.bench import processes
from vfx_edge.bench.command import run_command

CACHE = UNFINISHED / "cache"
"""Compiled networks: a user's own are left alone. Filled by the runs that are not counted."""
Run = dict[str, Any]


def program(words: Sequence[str]) -> AbstractContextManager[Any]:
    """A program of ours that runs until the block ends; nobody reads what it prints."""
    return processes.started(words, CACHE)


def whole_command(path: Path, outputs: str = "json,html") -> Run:
    """`vfx-edge run PATH --json` once: seconds from start to end of the process, its stages and
    its own account of its peak memory."""
    with tempfile.TemporaryDirectory() as out:
        wall, result = run_command(path, Path(out), CACHE, "--outputs", outputs)
    return {
        "wall": wall,
        "stages": {name: s for name, s in result["run"]["seconds"].items() if name != "total"},
        "peak_rss_mib": result["run"]["peak_rss_mib"],
        "tier": result["triage"]["tier"],
        "vertebrae": len(result["findings"]),
    }


def help_seconds() -> float:
    """`vfx-edge --help`, from start to end of the process."""
    return processes.timed(["vfx_edge", "--help"], CACHE)[0]


def worker(order: Order) -> AbstractContextManager[processes.Worker]:
    """Networks opened as ordered, in a process that ends with the block: a study for each `ask`."""
    return processes.worker("benchmarks.worker", asdict(order), CACHE)


def answer_of(module: str, order: Mapping[str, Any]) -> Run:
    """The one answer of a worker of ours, in a process of its own."""
    with processes.worker(module, order, CACHE) as running:
        return running.answer()


def gathered(runs: Sequence[Run]) -> Run:
    """Several runs of one thing: every sample of what is measured each time."""
    return {
        "wall_s": [run["wall"] for run in runs],
        "stages_s": {name: [run["stages"][name] for run in runs] for name in runs[0]["stages"]},
        "peak_rss_mib": [run["peak_rss_mib"] for run in runs],
    }
