"""Many runs in one process: does memory grow, is anything left open?"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks import inputs
from benchmarks.results import log
from vfx_edge.errors import VfxError
from vfx_edge.job import Job, run_alone, run_job

SETTLED = 50
"""Runs until everything is loaded and every buffer has its size."""
MOST_GROWTH = 0.05


class Leak(VfxError):
    """Something grows, or stays open."""


@dataclass(frozen=True)
class State:
    """What a process holds. own_mib: memory that is no other's, as the system counts it."""

    own_mib: float
    descriptors: int
    threads: int
    children: int


def command(
    runs: Annotated[int, typer.Option(metavar="N", min=2, help="How many.")] = 1000,
    anew: Annotated[bool, typer.Option("--anew", help="Open the networks for each run.")] = False,
) -> None:
    """Analyse one small phantom many times in one process."""
    with tempfile.TemporaryDirectory() as out, inputs.phantom(inputs.TINY) as ct:
        job = Job(ct.path, Path(out))
        states = _states(job, runs, anew=anew)
    first, last = states[min(SETTLED, runs // 2)], states[runs]
    growth = last.own_mib / first.own_mib - 1
    print(f"{runs} runs, from run {min(SETTLED, runs // 2)} to the last:")
    print(f"memory {first.own_mib:.1f} to {last.own_mib:.1f} MiB ({growth:+.1%})")
    for what in ("descriptors", "threads", "children"):
        print(f"{what} {getattr(first, what)} to {getattr(last, what)}")
    if growth > MOST_GROWTH or last.descriptors > first.descriptors:
        raise Leak("memory grows, or descriptors stay open: find out where, and mend it")
    if last.threads > first.threads or last.children > first.children:
        raise Leak("threads or processes stay: find out where, and mend it")


def _states(job: Job, runs: int, *, anew: bool) -> dict[int, State]:
    from vfx_edge.backends import open_models
    from vfx_edge.manifest import load_model_set

    states: dict[int, State] = {}
    models = None if anew else open_models(load_model_set("default"))
    for at in range(1, runs + 1):
        if models is None:
            run_alone(job)
        else:
            run_job(job, models)
        states[at] = _state()
        if at % 50 == 0:
            log(f"{at} runs: {states[at]}")
    if models is not None:
        models.close()
    return states


def _state() -> State:
    process = psutil.Process()
    return State(
        process.memory_full_info().uss / 2**20,
        process.num_fds(),
        process.num_threads(),
        len(process.children()),
    )
